package device

import (
	"fmt"
	"strconv"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/devicefsm/replay"
)

// eventNamed marks, in the record of changes of state, that a device began with the model
// that it named. No model hears of it.
const eventNamed = "device.named"

// hearModel takes over the model that a device has named, if its workflow was started
// before it did. Otherwise the workflow keeps its own, and one of another name is a fault.
func (d *run) hearModel(m device.Message) {
	switch {
	case m.Model == "" || !d.connected() || !d.follows(rulesCorners):
	case m.Model == d.state.Model:
		d.state.Provisional = false
	case d.state.Provisional:
		d.changeModel(m)
	default:
		d.keepModel(m)
	}
}

// changeModel starts the named model in place of the default one, from its initial state.
// All but the state machine stays: the twin, commands, tags, and the numbers of messages.
func (d *run) changeModel(m device.Message) {
	d.leaveAllGroups(m.Time)
	d.newIdentity, d.newFeeds = true, len(d.settings.Groups) > 0
	from, before := d.model, d.state.Snapshot
	d.model = d.inEdition(d.loaded(m.Model))
	d.state.Model, d.state.Provisional, d.state.Recovery = m.Model, false, nil
	d.setCause(Cause{Kind: CauseMessage, Channel: string(m.Channel), Name: m.Name, Epoch: m.Epoch, Seq: m.Seq})
	zones := d.zonesOf(d.model)
	snapshot, outcome := d.model.StartAfter(from, before, zones, m.Time)
	d.journalBegin(replay.DoNamed, m.Time, zones, snapshot, outcome)
	outcome.Transitions = append([]devicefsm.Transition{{
		Time: m.Time, From: from.StateName(before), To: d.model.StateName(snapshot), Event: eventNamed,
	}}, outcome.Transitions...)
	d.accept(snapshot, outcome)
	d.stepRaised(m.Time)
}

// keepModel reports a model of another name than that of the one that runs. Another version
// is not worth a report: a workflow keeps the one that it was started with.
func (d *run) keepModel(m device.Message) {
	name, _ := m.Data["model"].(string)
	if name == "" || name == d.model.Name() {
		return
	}
	d.report(device.Fault{
		At: m.Time, Topic: m.Topic(), Reason: device.FaultModelKept, Value: strconv.Quote(name),
		Detail: fmt.Sprintf("the device runs model %s, with which it was started; delete it to start it with another one", d.model.Name()),
	})
}
