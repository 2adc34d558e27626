// Package device is the vocabulary that the parts of this module share: what an
// entity is called ([ID]), what it says ([Message], [Batch], [Delivery]), who asks
// for a change of it ([By]), and how a change is refused ([Refused]).
//
// It declares words and their rules and does nothing: no I/O, no clock, no
// goroutines, and no import from this module. Bridge, state machine, workflows,
// API and simulator meet here, and nowhere else.
package device
