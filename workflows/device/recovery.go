package device

import (
	"maps"
	"time"

	"go.temporal.io/sdk/workflow"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/measure"
)

// recovery is a reprovisioning that has not brought the device back yet.
type recovery struct {
	Since   time.Time `json:"since"` // of the first attempt
	Attempt int       `json:"attempt"`
	Command string    `json:"command"` // of the newest attempt, and the id of its credentials
	Reason  string    `json:"reason,omitempty"`
	// Failed says that the newest attempt is known to have failed.
	Failed bool `json:"failed,omitempty"`
}

// recoveryBegins notes that the model asks for the activity reprovision. The
// attempt before, if it has brought nothing, has failed.
func (d *run) recoveryBegins(ctx workflow.Context, a devicefsm.Action) {
	if a.Name != ActivityReprovision {
		return
	}
	now := workflow.Now(ctx)
	d.recoveryFailed(now)
	r := d.state.Recovery
	if r == nil {
		r = &recovery{Since: now}
		d.state.Recovery = r
	}
	reason, _ := a.Data["reason"].(string)
	r.Attempt++
	r.Command, r.Reason, r.Failed = d.invocationID(a.ID), bounded(reason), false
	d.recoveryPoint(now, measure.ReprovisionStarted, nil)
}

// recoveryHears looks for the device's own word: its birth with the credentials
// that it was given, or its refusal.
func (d *run) recoveryHears(m device.Message) {
	r := d.state.Recovery
	switch {
	case r == nil:
	case m.Channel == device.ChannelStatus && m.Data["credential"] == r.Command:
		d.recoveryPoint(m.Time, measure.ReprovisionDone, map[string]any{
			measure.RecoverySeconds: max(0, m.Time.Sub(r.Since).Seconds()),
		})
		d.state.Recovery = nil
	case m.Channel == device.ChannelAck && m.Data["id"] == r.Command &&
		d.says(m, device.CommandRejected, device.CommandFailed):
		d.recoveryFailed(m.Time)
	}
}

// recoveryExpires takes a timer that ends a state, after the command was sent,
// for the end of the wait for the device.
func (d *run) recoveryExpires(t devicefsm.Transition) {
	if r := d.state.Recovery; r == nil || t.Event != "after" {
		return
	}
	for _, inv := range d.running {
		if d.invocationID(inv.id) == d.state.Recovery.Command {
			return
		}
	}
	at := t.Arrived // reprovisionings go by the service's clock
	if at.IsZero() {
		at = t.Time
	}
	d.recoveryFailed(at)
}

func (d *run) recoveryFailed(at time.Time) {
	if r := d.state.Recovery; r != nil && !r.Failed {
		r.Failed = true
		d.recoveryPoint(at, measure.ReprovisionFailed, nil)
	}
}

func (d *run) recoveryPoint(at time.Time, step string, more map[string]any) {
	r := d.state.Recovery
	fields := map[string]any{step: int64(1), measure.ReprovisionAttempt: int64(r.Attempt)}
	maps.Copy(fields, more)
	d.aside(Point{
		Measurement: measure.Reprovisions,
		Tags:        d.tags(measure.TagReason, r.Reason),
		Fields:      fields,
		At:          spreadTimestamps(at, len(d.state.Asides)),
	})
}
