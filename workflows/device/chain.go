package device

import (
	"fmt"
	"time"

	"devicetwin/devicefsm"
)

const (
	// maxChain is how many events of the service's own may follow from one another:
	// a model may answer a change of desired properties with another.
	maxChain = 16
	// maxRaised is how many may wait.
	maxRaised = 4096
)

// raised is an event of the service's own that waits for its step.
type raised struct {
	event devicefsm.Event
	cause Cause
	depth int
}

// raise queues an event that follows from what is being done, with its cause.
func (d *run) raise(ev devicefsm.Event) {
	if d.depth >= maxChain || len(d.raised) >= maxRaised {
		d.noteStepFaults([]string{fmt.Sprintf("event %s was left out: more than %d in a row that follow from one another", ev.Name, maxChain)})
		return
	}
	d.raised = append(d.raised, raised{ev, d.cause, d.depth + 1})
}

// settle steps what was raised, and what follows from that.
func (d *run) settle(now time.Time) {
	for len(d.raised) > 0 {
		next := d.raised[0]
		d.raised = d.raised[1:]
		d.cause, d.depth = next.cause, next.depth
		next.event.Time = now
		d.stepOnce(next.event)
	}
	d.depth = 0
}

// because says what causes the steps from here on.
func (d *run) because(c Cause) { d.cause = c }
