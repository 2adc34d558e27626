// Package ingest takes messages of devices from lanes and delivers them in batches
// to the devices' workflows. It knows neither MQTT nor topics, nor Temporal.
//
// # Lanes
//
// A [Lane] is one ordered stream of messages that is acknowledged in order: an MQTT
// connection, a partition of a log. Each has a window of its own: one that is full,
// because its oldest message waits, takes nothing more, while the others flow. What
// a closed lane left unacknowledged is delivered again on the next lane of its stream; if
// it is still known, it is not delivered twice.
//
// # The core
//
// One goroutine owns core, which decides everything and does nothing: its inputs
// are method calls with the time as an argument, its outputs are data (output), as
// of etcd raft's Ready. Transcripts of it are in testdata. For each arrival it finds
// gaps in the device's numbers, decides by the device's models and filters which
// messages can matter (filter.go, models.go), holds the device to its quota, renews
// its liveness lease (lease.go), and queues what is to be delivered.
//
// A device is in one place (place.go). It has one delivery in flight; meanwhile
// its next batch grows. Devices take turns; how many deliveries are in flight, and
// how long a device rests between its own, follows the load (pacer.go).
//
// # Failures
//
// A batch that was not accepted is delivered again, unchanged, for as long as it
// takes; only a *device.Refused ends that, and makes dead letters. Three failures in
// a row without a success are taken for an outage of Temporal: then one delivery at
// a time tries until it is over. A device whose deliveries fail while those of
// others are accepted, and which holds up a full lane, is quarantined
// (quarantine.go).
//
// # Bounds
//
// Arrivals that are not acknowledged (of each lane in number, of all in bytes),
// devices remembered, deliveries in flight, messages and bytes of a batch, requests
// and waiting messages of a device: see Config.
package ingest
