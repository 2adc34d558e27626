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

// groupFeed is what a run knows of the groups of one kind: it is recorded in the run.
type groupFeed struct {
	Kind device.Kind `json:"kind"`
	// Model is the hash of the model that a group is started with.
	Model string               `json:"model"`
	By    devicefsm.Membership `json:"by"`
	Feed  devicefsm.Feed       `json:"feed"`
}

// feedsOf derives what the groups of these models hear of a member. Models of one kind and
// one membership are versions of each other: a group may run any of them, and is started
// with the first one.
func feedsOf(groups []*devicefsm.Model, member *devicefsm.Model) []groupFeed {
	if _, isGroup := member.Members(); isGroup {
		return nil // groups are not members of groups
	}
	var feeds []groupFeed
	for _, g := range groups {
		by, ok := g.Members()
		if !ok {
			continue
		}
		feed := g.Feed(member)
		at := slices.IndexFunc(feeds, func(f groupFeed) bool { return f.Kind == g.Kind() })
		switch {
		case at < 0:
			feeds = append(feeds, groupFeed{Kind: g.Kind(), Model: g.Hash(), By: by, Feed: feed})
		case feeds[at].By == by:
			feeds[at].Feed = feeds[at].Feed.Joined(feed)
		}
	}
	return feeds
}

// membership is a group that the device is a member of.
type membership struct {
	Kind device.Kind `json:"kind"`
	Name string      `json:"name"`
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
	if len(d.settings.Groups) > 0 {
		d.reportMoves()
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
	if d.newFeeds {
		d.newFeeds = false
		d.recordFeeds(ctx)
	}
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
			d.join(membership{f.Kind, name}, now)
		}
	}
}

// join reports the states in which the device is.
func (d *run) join(group membership, now time.Time) {
	d.state.Groups = append(slices.Clone(d.state.Groups), group)
	changes := d.model.Changes("", d.model.StateName(d.state.Snapshot))
	if d.state.Snapshot.Silent() {
		changes = append(changes, devicefsm.Change{Name: device.MemberSilent})
	}
	d.reportAll(group, changes, now)
}

// leave reports that the device is in none of them anymore.
func (d *run) leave(group membership, now time.Time) {
	changes := d.model.Changes(d.model.StateName(d.state.Snapshot), "")
	if d.state.Snapshot.Silent() {
		changes = append(changes, devicefsm.Change{Name: device.MemberAlive})
	}
	d.reportAll(group, changes, now)
}

// leaveAllGroups is for the end of the workflow, and of its model.
func (d *run) leaveAllGroups(now time.Time) {
	d.reportMoves()
	for _, group := range d.state.Groups {
		d.leave(group, now)
	}
	d.state.Groups = nil
}

// reportAll puts into the outbox what matters to a group.
func (d *run) reportAll(group membership, changes []devicefsm.Change, at time.Time) {
	i := slices.IndexFunc(d.settings.Groups, func(f groupFeed) bool { return f.Kind == group.Kind })
	if i < 0 {
		return // the worker that began the run has no model of such groups any more
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

// recordFeeds records again what groups hear of the device, whose model has changed.
func (d *run) recordFeeds(ctx workflow.Context) {
	var feeds []groupFeed
	recorded := workflow.SideEffect(ctx, func(workflow.Context) any { return feedsOf(d.groups, d.model) })
	if err := recorded.Get(&feeds); err != nil {
		panic(fmt.Sprintf("device %s: read what its groups hear of it: %v", d.state.Device, err)) // the task fails, and is tried again
	}
	d.settings.Groups = feeds
}
