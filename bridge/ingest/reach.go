package ingest

import (
	"time"

	"devicetwin/device"
)

// A device that speaks a dialect is sent commands by its workflow, which knows what it was
// delivered: that the device is awake, and where it is reached. So a message that is else left
// out is delivered if it is news of either. No workflow is started for it.

// newsEvery is the least time between two messages that are delivered because of where the
// device is reached: two gateways may receive it in turn.
const newsEvery = time.Minute

// toldEvery is how long a workflow is taken to know the variables of an address. What it was sent may
// be nobody's any more: the batch was refused, or another life of the device began.
const toldEvery = time.Hour

// askEvery is the least time between two births of a device after which it is asked
// something: its answer may be one.
const askEvery = 10 * time.Second

// reach is what is known of a device that speaks a dialect, or may have no workflow.
type reach struct {
	vars  map[string]uint64 // hashes of the variables of its address that its workflow was sent
	told  time.Time         // when it was last sent some, as far as it is to be looked at again; zero after a start
	awake time.Duration     // of the address that its workflow was sent
	asked time.Time         // the last birth after which it was asked
	tried time.Time         // the last message that was delivered if there was a workflow
}

// reaching is the device's, which is new if there was none.
func (d *deviceState) reaching() *reach {
	if d.reach == nil {
		d.reach = new(reach)
	}
	return d.reach
}

// tried is when the last message was that no workflow was started for; zero if there was none.
func (d *deviceState) tried() time.Time {
	if d.reach == nil {
		return time.Time{}
	}
	return d.reach.tried
}

func (d *deviceState) tries(at time.Time) { d.reaching().tried = at }

// Question is a device to be asked what is asked after a birth.
type Question struct {
	ID device.ID
	To *device.Address
}

// reaches reports whether a message shows that a device which sleeps is awake, which its
// workflow does not know, or has other variables of its address than it was sent.
func (c *core) reaches(d *deviceState, m *device.Message) bool {
	if m.From == nil || c.restoring {
		return false
	}
	after := d.renewed
	if after.IsZero() { // there was no workflow
		after = d.tried()
	}
	since := m.Time.Sub(after)
	awake := m.From.Awake
	if d.reach != nil && d.reach.awake > 0 { // its workflow believes that
		awake = d.reach.awake
	}
	if awake > 0 && m.Alive() && since > awake && (!d.renewed.IsZero() || since > newsEvery) {
		return true
	}
	if since < newsEvery {
		return false
	}
	return len(m.From.Vars) > 0 && (d.newVars(m.From) || d.reach.isDue(m.Time)) || m.Alive() && d.reach != nil && d.reach.awake != m.From.Awake
}

// isDue reports whether the variables are to be sent again. After a start, the time runs from the
// first question, as if they had been sent then: else each start would be followed by a signal for each
// device.
func (r *reach) isDue(at time.Time) bool {
	if r.told.IsZero() {
		r.told = at
	}
	return at.Sub(r.told) >= toldEvery
}

// newVars reports whether the workflow was not sent some of the variables.
func (d *deviceState) newVars(a *device.Address) bool {
	if d.reach == nil {
		return true
	}
	for name, value := range a.Vars {
		if d.reach.vars[name] != hashOf(value) {
			return true
		}
	}
	return false
}

// reached notes that the workflow is sent an address, at a time.
func (d *deviceState) reached(a *device.Address, at time.Time) {
	if a == nil {
		return
	}
	if a.Awake > 0 || d.reach != nil {
		d.reaching().awake = a.Awake
	}
	if len(a.Vars) == 0 {
		return
	}
	known := d.reaching()
	if known.isDue(at) {
		known.told = at
	}
	if known.vars == nil {
		known.vars = make(map[string]uint64, len(a.Vars))
	}
	for name, value := range a.Vars {
		known.vars[name] = hashOf(value)
	}
}

// ask has a device asked after its birth, unless that is a copy of an old one.
func (c *core) ask(d *deviceState, m *device.Message, e *entry) {
	if m.From == nil || m.Channel != device.ChannelStatus || m.Says() != device.Online || !m.Alive() ||
		c.restoring || e == nil || e.Again || e.Retained {
		return
	}
	known := d.reaching()
	if !known.asked.IsZero() && m.Time.Sub(known.asked) < askEvery {
		return
	}
	known.asked = m.Time
	c.out.questions = append(c.out.questions, Question{d.id, m.From})
}
