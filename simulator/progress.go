package simulator

import "time"

// Phase is the part of a run.
type Phase string

// The phases, in order.
const (
	PhaseConnecting Phase = "connecting" // devices connect one after another
	PhaseRunning    Phase = "running"    // the whole fleet plays its plan
	PhaseSettling   Phase = "settling"   // nothing new begins; what is open ends, and the workflows catch up
	PhaseVerifying  Phase = "verifying"
)

// Progress is a look at a run, about once a second.
type Progress struct {
	Phase   Phase
	Elapsed time.Duration
	Planned time.Duration // length of the run without the wait at its end

	Devices   int
	Connected int
	Waiting   int // devices that are not settled yet, from PhaseSettling on

	Cut []string // sites whose gateways are cut

	Sent              uint64  // messages acknowledged by the broker
	MessagesPerSecond float64 // over the last second or so
	EventsPerSecond   float64 // of these, the relevant ones
	States            map[string]int
	Reprovisions      uint64 // births under a new credential
	DeadLetters       uint64

	SequenceToCommandP99 time.Duration // since the start of the run
	Trouble              string        // latest thing that went wrong and has not gone right since; usually empty
}
