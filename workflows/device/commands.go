package device

import (
	"encoding/json"
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/twin/command"
)

// orderFromModel queues a command of the model that has a time to live.
func (d *run) orderFromModel(a devicefsm.Action) {
	now := d.state.Snapshot.Time()
	c := command.Command{
		ID: d.effectID(a.ID), Name: a.Name, By: "model", Created: now, Expires: now.Add(a.TTL), MaxDeliveries: a.MaxDeliveries,
	}
	if len(a.Data) > 0 {
		raw, err := json.Marshal(a.Data)
		if err != nil {
			d.noteStepFaults(device.FaultAction, fmt.Sprintf("command %s: %v", a.Name, err))
			return
		}
		c.Data = raw
	}
	_, superseded, refused := d.state.Commands.Add(c, a.Replace, d.settings.Commands)
	if refused != nil {
		d.noteStepFaults(device.FaultAction, fmt.Sprintf("command %s: %s", a.Name, refused.Message))
		return
	}
	d.commandsEnded(superseded)
	d.noteDepth(c.ID)
}

// commandsEnded reports to the state machine the commands that the service ended.
func (d *run) commandsEnded(list []command.Command) {
	for _, c := range list {
		delete(d.depths, c.ID)
		d.noteEnd(c)
		d.recordEnd(c)
		d.raise(devicefsm.Event{Name: c.Name + "." + string(c.Status), Data: map[string]any{
			"id": c.ID, "name": c.Name, "status": string(c.Status), "reason": c.Reason,
		}})
	}
}

// expire ends the commands whose time is over.
func (d *run) expire(now time.Time) {
	for _, c := range d.state.Commands.Expire(now) {
		d.setCause(Cause{Kind: CauseCommand, Name: c.Name, ID: c.ID})
		d.commandsEnded([]command.Command{c})
		d.stepRaised(now)
	}
}

// exhaust ends the command under way if the device is back without an answer, and the
// command has been sent as often as it may be: it may be what restarts the device.
func (d *run) exhaust(now time.Time) {
	if !d.follows(rulesCorners) || !d.back || d.state.Connection == device.Offline {
		return
	}
	c, ok := d.state.Commands.Exhaust(now, d.settings.Commands)
	if !ok {
		return
	}
	d.setCause(Cause{Kind: CauseCommand, Name: c.Name, ID: c.ID})
	d.commandsEnded([]command.Command{c})
	d.stepRaised(now)
}

// observe takes over what a message shows of the device's connection.
func (d *run) observe(m device.Message) {
	if !d.connected() {
		if m.Alive() && m.Time.After(d.state.Seen) {
			d.state.Seen = m.Time
		}
		return
	}
	says := m.Says()
	if says == device.Offline {
		d.state.Connection = device.Offline
		return
	}
	if !m.Alive() {
		return
	}
	if d.slept(m.Time) {
		d.back = true
	}
	if m.Time.After(d.state.Seen) {
		d.state.Seen = m.Time
	}
	if says == device.ConnectionUnknown {
		return // the device is up, and says nothing of its connection
	}
	if m.Channel == device.ChannelStatus || d.state.Connection == device.Offline {
		d.back = true
	}
	d.state.Connection = device.Online
}

// dispatch gives the commands to send now: the one under way once more if the
// device has come back, or the next if none is.
func (d *run) dispatch(ctx workflow.Context) []Outgoing {
	if !d.listens(workflow.Now(ctx)) { // its return came too late; the next message is as good
		return nil
	}
	back := d.back
	d.back = false
	if d.state.Connection == device.Offline {
		return nil
	}
	var list []Outgoing
	if back {
		if c, ok := d.state.Commands.Again(); ok {
			d.state.Commands.Await(c.ID, nil) // what is waited for comes with how it is said now
			list = append(list, outgoingCommand(c))
		}
	}
	if c, ok := d.state.Commands.Next(workflow.Now(ctx)); ok {
		list = append(list, outgoingCommand(c))
	}
	return list
}

func outgoingCommand(c command.Command) Outgoing {
	return Outgoing{ID: c.ID, Command: c.Name, Body: c.Data, At: c.Created, TTL: c.Expires.Sub(c.Created)}
}

// nextDeadline is when something happens without a message: in the model, to a
// command, to a change of desired properties, or to faults that wait.
func (d *run) nextDeadline() (at time.Time, ok bool) {
	at, ok = d.model.NextDeadline(d.state.Snapshot)
	if t, has := d.state.Commands.Deadline(); has && (!ok || t.Before(at)) {
		at, ok = t, true
	}
	for _, c := range d.state.Convergence {
		if !ok || c.Due.Before(at) {
			at, ok = c.Due, true
		}
	}
	if t, has := d.faultsDue(); has && (!ok || t.Before(at)) {
		at, ok = t, true
	}
	if t, has := d.waitingDue(); has && (!ok || t.Before(at)) {
		at, ok = t, true
	}
	return at, ok
}
