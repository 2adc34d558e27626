// Package stack starts, inside one process, what a fleet of devices needs
// around devicetwin: an MQTT broker (NATS with JetStream), a Temporal server
// with its web UI on SQLite, and InfluxDB 1.8. It is for development, tests and
// demonstrations; a production installation runs these servers on their own.
//
//	s, err := stack.Start(ctx, stack.Options{})   // all parts, free ports, temporary data
//	defer s.Close()
//	s.MQTT.URL()       // "tcp://127.0.0.1:41883"
//	s.Temporal.Addr()  // "127.0.0.1:40233", namespace "default"
//	s.InfluxDB.URL()   // "http://127.0.0.1:38086", database "devicetwin"
//
// # Parts
//
// Options.Parts chooses what runs, so that a test can put another broker in the
// place of this one, or run each part in a process of its own and kill it. The
// parts start at the same time and stop in reverse order; Close is bounded. An
// error says which part it is about.
//
// # Data
//
// Everything is kept under Options.DataDir, one folder for each part, locked
// against a second stack. Without a data directory a temporary one is made, and
// removed by Close. What a part has accepted survives kill -9 of the process: a
// message whose PUBACK was received, a signal that Temporal took, a point that
// InfluxDB acknowledged. Options.SyncAlways makes messages and signals survive the
// loss of power as well, at the price of an fsync for each; points do without it.
//
// # Addresses
//
// All listeners are on loopback (Options.Host), where every client may do everything, except
// that of MQTT for one that names a device: it has to have the password of that device, and
// has its rights.
// Only the broker's second listener, PartMQTTS, is fit for a network: it demands a
// certificate of each device, and holds it to its own topics and sessions. Port 0 takes any free port; a
// fixed port that is taken is a *PortError before anything is started.
//
// # Differences from a plain NATS broker
//
// MQTT demands that a broker sends what a client has not acknowledged again, in
// the original order, as soon as the client is back [MQTT-4.4.0-1,
// MQTT-4.6.0-1]. NATS alone does so only when its acknowledgement timeout
// has run out, and lets newer messages pass in the meantime. The broker of this
// package corrects that when a client connects: see resume.go.
package stack
