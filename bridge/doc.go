// Package bridge carries what devices publish over MQTT to their workflows in
// Temporal and to InfluxDB, and carries commands back.
//
// # The way of a message
//
// A Bridge holds one MQTT session. Every connection of it is a new client; its
// handler only enqueues. One goroutine owns everything behind that queue (core,
// driven by loop): it decodes the message, judges gaps in the device's numbers,
// hands telemetry to a PointWriter, asks the model whether the message can
// matter, and queues what does for the device. Each device has one signal in
// flight; meanwhile its next batch grows. Devices take turns.
//
// Requests of the shadow protocol come in by topics of their own and go the same
// way; the workflow answers them. The bridge answers those that no workflow
// should be troubled with (see twin.go).
//
// A message is left out if no model that the device's workflow may run needs it,
// or if it repeats one that it had (see sight.go, kinds.go). A filter for each
// device remembers that, and forgets in doubt.
//
// # What is promised
//
// A message is acknowledged to the broker only when everything that came of it
// is durable in Temporal, or is a published dead letter, or when nothing has to
// be. Acknowledgements leave in the order of receipt over the whole session
// [MQTT-4.6.0-2]. So a crash, or a lost connection, loses nothing: the broker
// delivers again what was not acknowledged. Messages of one device reach its
// workflow in the order in which they arrived; a repetition may reach it again
// (with the MQTT DUP flag or the same number), and is the workflow's to drop.
//
// A batch that Temporal did not accept is given to the Signaller again,
// unchanged, for as long as it takes. While Temporal is away, messages stay
// unacknowledged; when the window is full, the handler waits, and with it the
// broker. A batch that is refused for good becomes dead letters.
//
// # What a slow or broken neighbour does
//
// A dead InfluxDB delays nothing but points: they wait in a spool on disk, if
// there is one, or in memory; both are bounded, and beyond that the oldest are
// dropped and counted. A poison message is counted, kept, and
// published with its reason on bridge/{id}/deadletter; others are not held up.
// A device whose signals fail waits by itself; three failures in a row without
// a success are taken for an outage of Temporal, and then one signal at a time
// tries until it is over.
//
// # Bounds
//
// Messages received and not acknowledged (in number and bytes), devices
// remembered, signals in flight, messages and bytes of a batch, dead letters
// waiting and kept, points waiting: see Config and points.Config.
//
// # Parts for others
//
// Publisher publishes commands to devices; the worker uses it as well, in a
// process of its own or the same one.
package bridge
