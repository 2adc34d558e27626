package process

import "path/filepath"

// Ack is when a bridge acknowledges what it has received.
type Ack string

// The ways to acknowledge.
const (
	Logged   Ack = "logged"   // when it is in the bridge's log
	Accepted Ack = "accepted" // when Temporal has accepted what matters of it
	// NoLog is Accepted by a bridge without a log.
	NoLog Ack = "none"
)

// LogDir is the folder of a part's log.
func (s *System) LogDir(part Part) string { return filepath.Join(s.Data(), "log-"+string(part)) }

// BridgeLogFlags are the flags of a bridge that acknowledges in this way, with a log of
// its own.
func (s *System) BridgeLogFlags(part Part, ack Ack) []string {
	if ack == NoLog {
		return []string{"--bridge-log="}
	}
	return []string{"--bridge-log", s.LogDir(part), "--bridge-ack", string(ack)}
}

// WorkerLogFlags are the flags of a worker with a log of its own; without one if the
// bridges have none.
func (s *System) WorkerLogFlags(part Part, ack Ack) []string {
	if ack == NoLog {
		return []string{"--worker-log="}
	}
	return []string{"--worker-log", s.LogDir(part)}
}
