// Package device is the vocabulary that the parts of this module share: how an
// entity is identified ([ID]), what it publishes ([Message], [Batch], [Delivery]),
// who asks for a change of it ([By]), and how a change is refused ([Refused]).
//
// It declares names and their rules and does nothing: no I/O, no clock, no
// goroutines, and no import from this module. Bridge, state machine, workflows,
// API and simulator share these names and no others.
package device
