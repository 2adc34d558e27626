package device

import "strings"

// CommandStatus is how far a command has come.
type CommandStatus string

// The statuses of a command. The device says CommandAccepted, CommandSucceeded,
// CommandFailed and CommandRejected in its acknowledgements; the others are the
// service's.
const (
	CommandWaiting    CommandStatus = "waiting"    // its turn has not come, or the device is offline
	CommandSent       CommandStatus = "sent"       // published, and not acknowledged
	CommandAccepted   CommandStatus = "accepted"   // the device has it, and works on it
	CommandSucceeded  CommandStatus = "succeeded"  // the device has done it
	CommandFailed     CommandStatus = "failed"     // the device could not do it
	CommandRejected   CommandStatus = "rejected"   // the device refused it
	CommandExpired    CommandStatus = "expired"    // its time to live was over first
	CommandCancelled  CommandStatus = "cancelled"  // by an operator
	CommandSuperseded CommandStatus = "superseded" // by a newer command of the same name
	CommandExhausted  CommandStatus = "exhausted"  // it was sent as often as it may be, without an answer
)

// Ended reports whether a command with this status will not change any more.
func (s CommandStatus) Ended() bool {
	switch s {
	case CommandWaiting, CommandSent, CommandAccepted:
		return false
	}
	return true
}

// AckStatus is the status that a device's acknowledgement gives, whose words it may
// write in upper and lower case; ok is false if it is not one that a device may give.
func AckStatus(word string) (s CommandStatus, ok bool) {
	s = CommandStatus(strings.ToLower(word))
	return s, s.FromDevice()
}

// FromDevice reports whether a device may acknowledge a command with this status.
func (s CommandStatus) FromDevice() bool {
	switch s {
	case CommandAccepted, CommandSucceeded, CommandFailed, CommandRejected:
		return true
	}
	return false
}
