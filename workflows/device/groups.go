package device

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/workflows/aggregate"
)

const (
	// maxOutbox bounds the reports that wait. Of more, the oldest is dropped.
	maxOutbox = 256
	// maxReports is how many reports are in one signal.
	maxReports = 64
	// lastReports is how long a workflow that ends tries to say so to its groups.
	lastReports = time.Minute
)

// membership is a group that the device is a member of.
type membership struct {
	Kind device.Kind `json:"kind"`
	Name string      `json:"name"`
	// Feed is what is reported to the group; nil of one that was joined under earlier rules,
	// which gets what the run's settings say.
	Feed *devicefsm.Feed `json:"feed,omitempty"`
	// Heard is what the group knows of the device while its run knows of no such groups; nil
	// of a group that gets everything.
	Heard *memberState `json:"heard,omitempty"`
}

// memberState is how a group that gets everything knows a device.
type memberState struct {
	State  string `json:"state"` // devicefsm.Model.StateName
	Silent bool   `json:"silent,omitempty"`
}

// outbox are the reports to groups that are not known to be accepted, oldest first.
type outbox struct {
	// Epoch is when the numbers of this life of the device's workflow began, unix
	// milliseconds.
	Epoch int64         `json:"epoch,omitempty"`
	Last  uint64        `json:"last,omitempty"` // number
	List  []groupReport `json:"list,omitempty"`
}

// groupReport is a report to a group, with all that its delivery needs.
type groupReport struct {
	N          uint64         `json:"n"`
	To         device.ID      `json:"to"`
	Model      string         `json:"model"`
	Aggregator int            `json:"aggregator,omitempty"`
	Message    device.Message `json:"m"`
}

// target is what the reports of one signal have in common.
func (r *groupReport) target() string { return fmt.Sprint(r.To, " ", r.Aggregator) }

// groupMove is a change of state that groups may want to hear of.
type groupMove struct {
	at       time.Time // on the service's clock
	from, to string
	silence  string // device.MemberSilent or MemberAlive, instead of from and to
}

// noteMoves notes what a step changed.
func (d *run) noteMoves(before *devicefsm.Snapshot, outcome devicefsm.Outcome) {
	if len(d.settings.Groups) == 0 || before == nil {
		return
	}
	for _, t := range outcome.Transitions {
		if t.From == t.To {
			continue
		}
		at := t.Arrived
		if at.IsZero() {
			at = t.Time
		}
		d.moves = append(d.moves, groupMove{at: at, from: t.From, to: t.To})
	}
	if is := d.state.Snapshot.Silent(); is != before.Silent() {
		word := device.MemberAlive
		if is {
			word = device.MemberSilent
		}
		d.moves = append(d.moves, groupMove{at: d.state.Snapshot.Time(), silence: word})
	}
}

// changes are those that a move consists of.
func (d *run) changes(m groupMove) []devicefsm.Change {
	if m.silence != "" {
		return []devicefsm.Change{{Name: m.silence}}
	}
	return d.model.Changes(m.from, m.to)
}

// member is what decides of which groups the device is a member.
func (d *run) member() devicefsm.Member {
	return devicefsm.Member{ID: d.state.Device, Site: d.state.Site, Parent: d.state.Parent, Tags: d.state.Tags}
}

// reportToGroups reports what has changed to the groups that the device is a member of,
// and joins and leaves groups.
func (d *run) reportToGroups(ctx workflow.Context) {
	d.reportMoves()
	d.learnGroups(ctx)
	if len(d.settings.Groups) > 0 {
		d.joinAndLeave(ctx)
	}
	d.sendReports(ctx)
}

// reportMoves reports the changes since the last time to the groups of then.
func (d *run) reportMoves() {
	moves := d.moves
	d.moves = nil
	for _, m := range moves {
		var changes []devicefsm.Change // of all groups
		for i, group := range d.state.Groups {
			if i == 0 {
				changes = d.changes(m)
			}
			d.reportAll(group, changes, m.at)
		}
	}
}

// joinAndLeave looks at what the device is a member of now, if that may have changed.
func (d *run) joinAndLeave(ctx workflow.Context) {
	if !d.newIdentity || d.deleted {
		return
	}
	d.newIdentity = false
	now := workflow.Now(ctx)
	for _, f := range d.settings.Groups {
		name := f.By.GroupOf(d.member())
		if _, err := device.New(f.Kind, name); err != nil && name != "" {
			d.notCarriedOut(now, fmt.Sprintf("the device is in no group of kind %s: %v", f.Kind, err))
			name = ""
		}
		at := slices.IndexFunc(d.state.Groups, func(m membership) bool { return m.Kind == f.Kind })
		if at >= 0 && d.state.Groups[at].Name == name {
			continue
		}
		if at >= 0 {
			d.leave(d.state.Groups[at], now)
			d.state.Groups = slices.Delete(slices.Clone(d.state.Groups), at, at+1)
		}
		if name != "" {
			d.join(f, name, now)
		}
	}
}

// join reports the states in which the device is.
func (d *run) join(f groupFeed, name string, now time.Time) {
	group := membership{Kind: f.Kind, Name: name}
	if d.follows(rulesGroups) {
		group.Feed = &f.Feed
	}
	d.state.Groups = append(slices.Clone(d.state.Groups), group)
	d.reportAll(group, d.present(), now)
}

// present are the changes that make the device what it is.
func (d *run) present() []devicefsm.Change {
	return d.changesBetween(memberState{}, d.memberState())
}

// memberState is what the device is now.
func (d *run) memberState() memberState {
	return memberState{State: d.model.StateName(d.state.Snapshot), Silent: d.state.Snapshot.Silent()}
}

// changesBetween are the changes from one configuration to another.
func (d *run) changesBetween(from, to memberState) []devicefsm.Change {
	changes := d.model.Changes(from.State, to.State)
	switch {
	case to.Silent && !from.Silent:
		changes = append(changes, devicefsm.Change{Name: device.MemberSilent})
	case from.Silent && !to.Silent:
		changes = append(changes, devicefsm.Change{Name: device.MemberAlive})
	}
	return changes
}

// leave reports that the device is in none of them anymore.
func (d *run) leave(group membership, now time.Time) {
	d.reportAll(group, d.changesBetween(d.memberState(), memberState{}), now)
}

// leaveAllGroups is for the end of the workflow, and of its model.
func (d *run) leaveAllGroups(now time.Time) {
	d.reportMoves()
	d.learnToLeave()
	d.noteUntold(now)
	for _, group := range d.state.Groups {
		d.leave(group, now)
	}
	d.state.Groups = nil
}

// reportAll puts into the outbox what matters to a group.
func (d *run) reportAll(group membership, changes []devicefsm.Change, at time.Time) {
	i := feedAt(d.settings.Groups, group.Kind)
	if i < 0 {
		return // no worker of the run has a model of such groups any more
	}
	f := d.settings.Groups[i]
	id, err := device.New(group.Kind, group.Name)
	if err != nil {
		return
	}
	for _, c := range changes {
		if !f.Feed.Has(c) {
			continue
		}
		d.state.Outbox.Last++
		d.state.Outbox.List = append(d.state.Outbox.List, groupReport{
			N: d.state.Outbox.Last, To: id, Model: f.Model,
			Aggregator: aggregate.IndexOf(string(d.state.Device), f.By.Aggregators),
			Message:    device.Message{Channel: device.ChannelMembers, Name: c.Name, Data: c.Report(d.member(), d.model.Name()), Time: at},
		})
	}
	if extra := len(d.state.Outbox.List) - maxOutbox; extra > 0 {
		d.notCarriedOut(at, fmt.Sprintf("%d reports to %s are dropped: %d wait already", extra, d.state.Outbox.List[0].To, maxOutbox))
		d.state.Outbox.List = slices.Delete(d.state.Outbox.List, 0, extra)
	}
}

// sendReports sends what is in the outbox, in its order. Where a signal keeps failing, an
// activity takes over, and the run goes on meanwhile.
func (d *run) sendReports(ctx workflow.Context) {
	if d.deleted {
		d.reporting = nil // what it sends is sent again: there is no later run
	}
	for len(d.state.Outbox.List) > 0 && d.reporting == nil {
		s, last, err := d.nextReports()
		if err != nil {
			d.reportsFailed(ctx, last, err)
			continue
		}
		// What was decided is sent also when the workflow is being cancelled.
		sendCtx, _ := workflow.NewDisconnectedContext(ctx)
		if err := aggregate.Send(sendCtx, s); err == nil {
			d.accepted(last)
			continue
		}
		if !d.deleted {
			d.reporting = &reporting{future: aggregate.SendPatiently(ctx, s, 0), last: last}
			return
		}
		if err := aggregate.SendPatiently(sendCtx, s, lastReports).Get(sendCtx, nil); err != nil {
			d.reportsFailed(ctx, d.state.Outbox.Last, err)
			continue
		}
		d.accepted(last)
	}
}

// reporting is an activity that sends reports.
type reporting struct {
	future workflow.Future
	last   uint64 // number of the last one
}

// nextReports are the first reports of the outbox that go to one place, and the number of
// the last of them.
func (d *run) nextReports() (s aggregate.Signal, last uint64, err error) {
	list := d.state.Outbox.List
	first := &list[0]
	reports := aggregate.Reports{From: string(d.state.Device), Epoch: d.state.Outbox.Epoch}
	for i := range list[:min(len(list), maxReports)] {
		if list[i].target() != first.target() {
			break
		}
		value, err := json.Marshal(list[i].Message)
		if err != nil {
			return s, list[i].N, fmt.Errorf("write a report: %w", err)
		}
		last = list[i].N
		reports.List = append(reports.List, aggregate.Report{N: last, Value: value})
	}
	input, err := json.Marshal(Input{Device: first.To, Model: first.Model})
	if err != nil {
		return s, last, fmt.Errorf("write what starts group %s: %w", first.To, err)
	}
	s, err = aggregate.To(aggregate.Receiver{
		Workflow: WorkflowID(first.To), Type: WorkflowType, Signal: SignalEvents, Input: input,
	}, first.Aggregator, reports)
	return s, last, err
}

// accepted removes what is accepted from the outbox.
func (d *run) accepted(last uint64) {
	d.state.Outbox.List = slices.DeleteFunc(d.state.Outbox.List, func(r groupReport) bool { return r.N <= last })
}

// reportsFailed gives up reports that are never accepted.
func (d *run) reportsFailed(ctx workflow.Context, last uint64, err error) {
	d.notCarriedOut(workflow.Now(ctx), fmt.Sprintf("reports to group %s are dropped: %s", d.state.Outbox.List[0].To, cause(err)))
	d.accepted(last)
}

// reported takes the end of the activity that sends reports.
func (d *run) reported(ctx workflow.Context, f workflow.Future) {
	last := d.reporting.last
	d.reporting = nil
	if err := f.Get(ctx, nil); err != nil {
		if len(d.state.Outbox.List) > 0 && aggregate.IsFinal(err) {
			d.reportsFailed(ctx, last, err)
		}
		return // or they are sent again
	}
	d.accepted(last)
}
