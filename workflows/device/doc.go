// Package device runs one durable Temporal workflow for each device. Other
// processes reach it with package workflows/client. Importers that need the
// vocabulary (devicetwin/device) too call this package deviceworkflow.
//
// A device's workflow has the id device/<device id>, that of any other entity <kind>/<name>. Its one signal, "events",
// carries a device.Batch: messages of that device in the order of their
// arrival. The workflow drops what it has applied before, gives the rest to the
// model's statechart message by message, and carries out the actions in order.
// What the statechart decides is pure; this package only listens and acts:
//
//	signal  -> Delivery.Admit -> Model.Classify -> Model.Step -> actions
//	timer   ----------------------------------->  Model.Step -> actions
//	activity done or failed -------------------->  Model.Step -> actions
//
// Commands to the device and points for InfluxDB are cheap and repeatable by
// their id: those of one batch leave together in one local activity. An invoke
// of the model is an activity of its own, visible and retried as such.
//
// # What is delivered again
//
// Each message is applied once, although it may be delivered more than once. What
// decides that is, in this order:
//
//   - The id of the batch: a signal whose response was lost is sent again as it was.
//   - The position in the log of the bridge (device.Batch.Log, device.Message.Pos): after
//     a crash it delivers again what it does not know to be accepted, in other batches.
//     The workflow keeps the highest position of each of the last four logs, and drops
//     what is not above it: rules 3, from the next continue-as-new of a run on that began
//     under earlier ones. Of logs that several bridges read, such as partitions of Kafka
//     (device.SharedLog), it keeps the last 128, unless the run began under a release
//     that did not.
//   - The id that the sender gave the message (device.Message.SenderID): the last 32 are kept,
//     in the same way.
//   - The number of the message, or its digest if the broker marks it as delivered again:
//     for what no log saw, or more than one.
//
// Only a duplicate of the last two kinds shows that the device is up.
//
// # Time
//
// A message counts at the time at which the bridge received it, a timer at its
// deadline. Messages that wait in the workflow's inbox are always applied before
// the clock is moved past them, so a device that answered in time is not
// overtaken by a timer because the worker was down.
//
// # Groups
//
// What the groups of the device hear of it is recorded when a run begins. By rules 6, the run
// learns of other groups, or versions of them, whenever it acts on a worker that has their
// models (GroupModels), and forgets none before it ends; earlier runs learn when they are
// continued as new. Reports wait in the state until an aggregator has taken them.
//
// # Continue-as-new
//
// A run ends when the server suggests it or after a bound of events, always with
// an empty inbox, and never while an activity runs, except at a last bound well
// below the server's own. All that the next run gets is State. A worker that is
// older than a State does not touch it: it fails the workflow task, so that a newer
// worker can take it.
package device
