// Package history is what a bridge received, and its fate, as the records of its
// log (package recordlog).
//
// An [Arrival] is one message of the source, decoded, with the verdict on each message of
// a device in it, the time of each point, and what goes on to the workflows. It is
// appended before it is acknowledged. An [Outcome] says up to where a device's records are
// done with, and a [Begin] that a process began to append.
//
// Signals, points and history are read from these records, each at its own pace.
package history
