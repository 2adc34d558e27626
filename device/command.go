package device

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
)

// Ended reports whether a command with this status will not change any more.
func (s CommandStatus) Ended() bool {
	switch s {
	case CommandWaiting, CommandSent, CommandAccepted:
		return false
	}
	return true
}

// FromDevice reports whether a device may acknowledge a command with this status.
func (s CommandStatus) FromDevice() bool {
	switch s {
	case CommandAccepted, CommandSucceeded, CommandFailed, CommandRejected:
		return true
	}
	return false
}
