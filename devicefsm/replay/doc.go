// Package replay runs what happened to devices through their models again, or through other
// ones, and finds what would have been different.
//
// What happened is a list of entries: each is one input of a device's statechart, in the order
// in which the statechart took it, with the result. The workflow of a device numbers its
// entries, beginning with 1, over all its runs; where a worker of a release without numbers had it
// in between, they begin again.
//
//	history := replay.Order(entries) // of one device
//	r := replay.New(replay.Config{Model: byHash})
//	r.Device(id, history)
//	report := r.Report() // every recorded result was reproduced, or not
//
// With Config.New the entries are run through another model instead. A device counts as
// different from its first difference on: what it would have sent afterwards is not known. The rest
// of its history is given to the new model nevertheless, to find what the device would get of it.
//
// There is no clock, no I/O and no Temporal here, as in devicefsm.
package replay
