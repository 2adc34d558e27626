// Package simulator runs a fleet of devices against a running service and
// verifies the results.
//
// A run has four parts, and each can be read and tested on its own:
//
//   - The plan (Plan) says what a device does and when. It is pure arithmetic
//     on the scenario, the seed and the device's index: the same three give the
//     same plan, whatever the network did in an earlier run.
//   - The devices execute the plan, each as an MQTT client of its own with a
//     fixed client id and a session that outlives its connection. A device sends
//     its messages in order, waits for their PUBACK, and sends again what was
//     not acknowledged when a connection ends. It numbers what it sends, and it
//     answers commands: it obeys, obeys late, refuses or ignores.
//   - The ledger compares what was sent with what each device's workflow says
//     that it applied: what is missing, what was applied twice, what out of order.
//   - The oracle works out, from the sent messages and the received commands
//     alone, which devices should have been reprovisioned. It shares no code
//     with package devicefsm, so that the two cannot be wrong in the same way.
//
// Devices may be behind gateways, which the scenario cuts (Gateways). Then the run asks the groups of their sites
// what alarms a cut has caused, and compares them with those that the scenario expects.
//
// RunEntities plays entities whose messages are records of Kafka, such as customers and their
// purchases, with a ledger and an oracle of the same kind: see EntityScenario. Records have no numbers. Each is
// known by its digest, and one that was applied twice is a violation, because the service knows records by
// their places and ids. The oracle counts records and works out what somebody outside has to be notified of.
//
// # What counts
//
// A message counts as sent when its PUBACK has arrived. One that was published
// but never acknowledged until the end of the run may or may not have arrived:
// it counts neither as sent nor, when missing, as lost. Only messages that the
// model calls relevant have to be applied, and of repetitions that can do nothing
// only the first; a service may apply the others too, once and in order, or leave
// them to InfluxDB. A message that crosses the level of the scenario has to be applied
// whatever the model says.
//
// A device without numbers is known by the digests of its messages: see the tally's
// AppliedAgain for what cannot be known of it. The time of a message as an event is the
// device's own, where it can be believed: see eventClock.
//
// An episode is one reprovisioning: it opens when the expected sequence is
// complete, and closes with the device's birth under the credential of the
// latest command, or when the last attempt was refused or ran out of time.
//
// # Goroutines and memory
//
// Each device costs one goroutine in addition to those of its MQTT client. What a
// device keeps is bounded: a short outbox (a full one delays the plan), a few pending
// answers, the ids of the latest commands, and 24 bytes for each relevant message and
// each row of repetitions until the run is verified, and for each message without a number; Options.MaxLedger bounds those of the whole fleet.
// With its MQTT client a device takes about 75 KB: 10,000 fit in 800 MB.
//
// Progress functions and the methods of Model and Twins are called from the
// run's own goroutines; those of Model from many at once.
package simulator
