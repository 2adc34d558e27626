// Package bridge carries what devices publish over MQTT to their workflows in
// Temporal and to InfluxDB.
//
// # The path of a message
//
// A Bridge holds one MQTT session. Every connection of it is a lane of
// bridge/ingest; its handler decodes the message (package wire) and hands it over.
// Package ingest decides which messages go to the device's workflow, in which
// batches, and when a message is done; then the lane acknowledges it. What leaves
// points, dead letters and rejections leave by the outlet.
//
// # What is promised
//
// A message is acknowledged to the broker only when everything that follows from it
// is durable in Temporal, or is a published dead letter, or when nothing has to
// be. Acknowledgements leave in the order of receipt over the whole session
// [MQTT-4.6.0-2]. So a crash, or a lost connection, loses nothing: the broker
// delivers again what was not acknowledged. Messages of one device reach its
// workflow in the order in which they arrived; a repetition may reach it again
// (with the MQTT DUP flag or the same number), and the workflow drops it.
//
// # What a slow or broken neighbour does
//
// While Temporal is unavailable, messages stay unacknowledged; when the window is full,
// the handler waits, and with it the broker. A dead InfluxDB delays nothing but
// points (package points). A message that cannot be read, or is refused, is
// counted, and published with its reason on bridge/{id}/deadletter; others are not
// held up.
//
// # The end
//
// Run ends in order, within one time for all of it: that of Shutdown's context, or
// Config.DrainTimeout.
package bridge
