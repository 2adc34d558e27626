package device

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/measure"
	"devicetwin/workflows/aggregate"
)

const memberSource = `
model: pump
liveness: {silent_after: 5m}
events:
  hot:  {channel: events, name: hot}
  cold: {channel: events, name: cold}
initial: fine
states:
  fine: {on: {hot: overheated, tick: other}}
  overheated: {on: {cold: fine}}
  other: {on: {tick: fine}}
`

const groupSource = `
model: site
members: {by: site, aggregators: 4}
events:
  hot:    {channel: members, name: entered, when: "msg.state == 'overheated'"}
  cold:   {channel: members, name: left, when: "msg.state == 'overheated'"}
  silent: {channel: members, name: silent}
  alive:  {channel: members, name: alive}
alarms:
  heat: {begins: hot, ends: cold}
initial: up
states:
  up: {on: {heat: alarmed, silent: {actions: {log: "'silent'"}}, alive: {actions: {log: "'alive'"}}}}
  alarmed: {on: {heat.ended: up}}
`

// post is what a member's signals to aggregators come to.
type post struct {
	signals []aggregate.Signal
	fail    func(attempt int) error
	attempt int
}

func (p *post) Signal(_ context.Context, s aggregate.Signal) error {
	p.attempt++
	if p.fail != nil {
		if err := p.fail(p.attempt); err != nil {
			return err
		}
	}
	p.signals = append(p.signals, s)
	return nil
}

// reports are the reports of all signals, as text.
func (p *post) reports(t *testing.T) []string {
	t.Helper()
	var list []string
	for _, s := range p.signals {
		for _, one := range reportsOf(t, s).List {
			var m device.Message
			if err := json.Unmarshal(one.Value, &m); err != nil {
				t.Fatal(err)
			}
			list = append(list, strings.TrimSpace(fmt.Sprintf("%s #%d %s %s %v", strings.TrimPrefix(s.Workflow, "aggregator:"), one.N, m.Channel, m.Name, m.Data["state"])))
		}
	}
	return list
}

// reportsOf are the reports of a signal.
func reportsOf(t *testing.T, s aggregate.Signal) (r aggregate.Reports) {
	t.Helper()
	if err := json.Unmarshal(s.Arg, &r); err != nil {
		t.Fatalf("read the reports of a signal: %v", err)
	}
	return r
}

// inputsOf are the inputs with which a signal starts an aggregator, and that one its group.
func inputsOf(t *testing.T, s aggregate.Signal) (aggregator aggregate.Input, group Input) {
	t.Helper()
	if err := json.Unmarshal(s.Input, &aggregator); err != nil {
		t.Fatalf("read the input of an aggregator: %v", err)
	}
	if err := json.Unmarshal(aggregator.To.Input, &group); err != nil {
		t.Fatalf("read the input of a group: %v", err)
	}
	return aggregator, group
}

func newMember(t *testing.T, runEvents int) (*harness, *post) {
	t.Helper()
	return newMemberOf(t, memberSource, runEvents)
}

// withoutLiveness is a member that is never silent.
var withoutLiveness = strings.Replace(memberSource, "liveness: {silent_after: 5m}\n", "", 1)

func newMemberOf(t *testing.T, src string, runEvents int) (*harness, *post) {
	t.Helper()
	h := newHarnessFor(t, modelOf(t, src), runEvents)
	h.workflow.Groups = NewGroupModels(modelOf(t, groupSource))
	p := &post{}
	h.RegisterActivityWithOptions(p.Signal, activity.RegisterOptions{Name: aggregate.ActivitySignal})
	return h, p
}

func birthAt(site string) device.Message {
	return device.Message{Channel: device.ChannelStatus, Data: map[string]any{"status": "boot", "site": site}}
}

func happens(name string) device.Message {
	return device.Message{Channel: device.ChannelEvents, Name: name}
}

// aggregatorOf is the prefix of the aggregator to which the test's device reports.
func aggregatorOf(group string) string {
	return strings.TrimPrefix(aggregate.WorkflowID(WorkflowID(device.ID("site/"+group)), aggregate.IndexOf(testDevice, 4)), "aggregator:")
}

func TestAMemberReportsWhatMatters(t *testing.T) {
	h, p := newMember(t, 0)
	h.at(time.Second, happens("hot")) // it has no group yet
	h.at(2*time.Second, birthAt("north"))
	h.at(3*time.Second, happens("cold"), happens("tick"), happens("tick"))
	h.at(4*time.Second, happens("hot"), happens("cold"))
	h.at(10*time.Minute, happens("tick")) // it was silent, and is in a state that does not matter
	h.at(11*time.Minute, happens("hot"))
	view := h.runUntil(12 * time.Minute)
	at := aggregatorOf("north")
	want := []string{
		at + " #1 members entered overheated", // it joins
		at + " #2 members left overheated",
		at + " #3 members entered overheated", at + " #4 members left overheated",
		at + " #5 members silent <nil>", at + " #6 members alive <nil>",
	}
	if got := p.reports(t); !slices.Equal(got, want) {
		t.Fatalf("reports %q, want %q", got, want)
	}
	if n := len(view.Outbox.List); n != 0 || len(view.Groups) != 1 || view.Groups[0].Name != "north" {
		t.Errorf("%d reports wait, groups %+v", n, view.Groups)
	}
}

func TestAMemberMovesToAnotherGroup(t *testing.T) {
	h, p := newMember(t, 0)
	h.at(time.Second, birthAt("north"), happens("hot"))
	h.at(2*time.Second, birthAt("south"))
	h.at(3*time.Second, birthAt("no such id"))
	h.at(4*time.Second, happens("cold"))
	view := h.runUntil(time.Minute)
	north, south := aggregatorOf("north"), aggregatorOf("south")
	want := []string{
		north + " #1 members entered overheated", north + " #2 members left overheated",
		south + " #3 members entered overheated", south + " #4 members left overheated",
	}
	if got := p.reports(t); !slices.Equal(got, want) {
		t.Errorf("reports %q, want %q", got, want)
	}
	if len(view.Groups) != 0 || len(view.Reports) != 1 || !strings.Contains(view.Reports[0].Detail, `in no group of kind site: `) {
		t.Errorf("groups %+v, faults %+v", view.Groups, view.Reports)
	}
}

func TestTheInputsStartTheGroup(t *testing.T) {
	h, p := newMember(t, 0)
	h.at(time.Second, birthAt("north"), happens("hot"))
	h.runUntil(time.Minute)
	if len(p.signals) != 1 {
		t.Fatalf("%d signals", len(p.signals))
	}
	s := p.signals[0]
	in, group := inputsOf(t, s)
	if s.Type != aggregate.WorkflowType || s.Name != aggregate.SignalReports || in.To.Type != WorkflowType || in.To.Signal != SignalEvents ||
		in.To.Workflow != WorkflowID("site/north") || in.Index != aggregate.IndexOf(testDevice, 4) || group.Device != "site/north" || group.Model != modelOf(t, groupSource).Hash() {
		t.Errorf("%s %s %+v %+v", s.Type, s.Name, in, group)
	}
}

// A device goes on while its reports are not accepted, keeps them in their order over
// continue-as-new, and signals again what it does not know to be accepted.
func TestReportsWaitForTheirReceiver(t *testing.T) {
	h, p := newMemberOf(t, withoutLiveness, 6)
	p.fail = func(int) error { return errors.New("unavailable") }
	h.at(time.Second, birthAt("north"), happens("hot"))
	h.at(2*time.Hour, happens("cold"), happens("hot"))
	h.at(3*time.Hour, happens("cold"), happens("hot"))
	h.RegisterDelayedCallback(func() {
		if v := h.view(); v.StateName != "overheated" || len(v.Outbox.List) != 3 {
			t.Errorf("state %s, %d reports wait", v.StateName, len(v.Outbox.List))
		}
	}, 2*time.Hour+time.Minute)
	h.run(Input{Device: testDevice, Model: h.model.Hash()})
	in := h.nextInput()
	again, p2 := newMemberOf(t, withoutLiveness, 0)
	again.state = in.State
	again.at(time.Second, happens("cold"))
	again.runUntil(time.Minute)
	at := aggregatorOf("north")
	want := []string{
		at + " #1 members entered overheated", at + " #2 members left overheated", at + " #3 members entered overheated",
		at + " #4 members left overheated", at + " #5 members entered overheated", at + " #6 members left overheated",
	}
	if got := p2.reports(t); !slices.Equal(got, want) {
		t.Errorf("reports %q, want %q", got, want)
	}
}

func TestTheOutboxIsBounded(t *testing.T) {
	h, p := newMemberOf(t, withoutLiveness, 0)
	p.fail = func(int) error { return errors.New("unavailable") }
	h.at(time.Second, birthAt("north"))
	for i := range maxOutbox/2 + 5 {
		h.at(time.Hour+time.Duration(i)*time.Second, happens("hot"), happens("cold"))
	}
	view := h.runUntil(2 * time.Hour)
	if n := len(view.Outbox.List); n != maxOutbox || view.Outbox.List[0].N != 11 {
		t.Errorf("%d reports wait, the first is #%d", n, view.Outbox.List[0].N)
	}
	if last := view.Reports[len(view.Reports)-1]; !strings.Contains(last.Detail, "reports to site/north are dropped: 256 wait already") {
		t.Errorf("fault %+v", last)
	}
}

func TestADeletedDeviceLeaves(t *testing.T) {
	for name, fail := range map[string]int{"at once": 0, "in an activity": 1} {
		t.Run(name, func(t *testing.T) {
			h, p := newMember(t, 0)
			h.at(time.Second, birthAt("north"), happens("hot"))
			h.RegisterDelayedCallback(func() {
				if fail > 0 {
					p.attempt = 0
					p.fail = func(n int) error {
						if n <= 5 {
							return errors.New("unavailable")
						}
						return nil
					}
				}
				h.UpdateWorkflowNoRejection(UpdateOperate, "u", t, Operations{List: []Operation{{ID: "1", Delete: true}}})
			}, time.Minute)
			h.run(Input{Device: testDevice, Model: h.model.Hash()})
			at := aggregatorOf("north")
			if got, want := p.reports(t), []string{at + " #1 members entered overheated", at + " #2 members left overheated"}; !slices.Equal(got, want) {
				t.Errorf("reports %q, want %q", got, want)
			}
		})
	}
}

// A device that was started before it named its model leaves with the old one, and joins with
// the new one: what its group hears of that is worked out again.
func TestAMemberWithAnotherModel(t *testing.T) {
	h, p := newMember(t, 0)
	h.workflow.Groups = NewGroupModels(modelOf(t, strings.Replace(groupSource, "when: \"msg.state == 'overheated'\"", "when: \"msg.state == 'overheated' || msg.state == 'burning'\"", -1)))
	other := modelOf(t, strings.Replace(memberSource, "overheated", "burning", -1))
	h.workflow.Models = NewRegistry(h.model, other)
	h.at(time.Second, birthAt("north"), happens("hot"))
	h.RegisterDelayedCallback(func() {
		m := happens("tick")
		m.Model = other.Hash()
		h.signal(m, happens("hot"))
	}, time.Minute)
	h.RegisterDelayedCallback(func() { h.signal(happens("tick"), happens("hot")) }, 2*time.Minute)
	h.RegisterDelayedCallback(h.CancelWorkflow, 4*time.Minute)
	h.run(Input{Device: testDevice, Model: h.model.Hash(), Provisional: true})
	at := aggregatorOf("north")
	want := []string{
		at + " #1 members entered overheated", at + " #2 members left overheated",
		at + " #3 members entered burning",
	}
	if got := p.reports(t); !slices.Equal(got, want) {
		t.Errorf("reports %q, want %q", got, want)
	}
}

// Without models of groups, a run records nothing of them.
func TestNoGroupsNoTrace(t *testing.T) {
	h := newHarnessFor(t, modelOf(t, memberSource), 0)
	h.at(time.Second, birthAt("north"), happens("hot"))
	view := h.runUntil(time.Minute)
	text, err := json.Marshal(view.State)
	if err != nil || strings.Contains(string(text), "outbox") || strings.Contains(string(text), "groups") {
		t.Errorf("state %s, error %v", text, err)
	}
	text, err = json.Marshal((&Workflow{}).settings())
	if err != nil || strings.Contains(string(text), "groups") {
		t.Errorf("settings %s, error %v", text, err)
	}
}

func TestVersionsOfAGroupAreOneFeed(t *testing.T) {
	member := modelOf(t, memberSource)
	second := strings.Replace(groupSource, "msg.state == 'overheated'", "msg.state == 'other'", 1)
	feeds := feedsOf([]*devicefsm.Model{modelOf(t, groupSource), member, modelOf(t, second)}, member)
	if len(feeds) != 1 || !slices.Equal(feeds[0].Feed.Entered, []string{"other", "overheated"}) || feeds[0].Model != modelOf(t, groupSource).Hash() {
		t.Errorf("%+v", feeds)
	}
	if got := feedsOf([]*devicefsm.Model{modelOf(t, groupSource)}, modelOf(t, second)); got != nil {
		t.Errorf("a group is a member: %+v", got)
	}
}

// batchOf are reports of members as an aggregator passes them on.
func batchOf(log string, first int64, at time.Time, reports ...string) device.Batch {
	b := device.Batch{Log: log, First: first}
	for _, r := range reports {
		id, what, _ := strings.Cut(r, " ")
		name, state, _ := strings.Cut(what, " ")
		data := devicefsm.Change{Name: name, State: state}.Report(devicefsm.Member{ID: device.ID(id)}, "pump")
		b.Messages = append(b.Messages, device.Message{Channel: device.ChannelMembers, Name: name, Data: data, Time: at})
	}
	return b
}

func TestAGroupHearsEachReportOnce(t *testing.T) {
	h := newHarnessFor(t, modelOf(t, groupSource), 0)
	send := func(after time.Duration, log string, first int64, reports ...string) {
		h.RegisterDelayedCallback(func() { h.SignalWorkflow(SignalEvents, batchOf(log, first, h.Now().UTC(), reports...)) }, after)
	}
	send(1*time.Second, "aggregator-0-x", 1, "a entered overheated", "b entered overheated")
	send(2*time.Second, "aggregator-1-x", 1, "c entered overheated")
	send(3*time.Second, "aggregator-0-x", 1, "a entered overheated", "b entered overheated", "a left overheated") // in another batch
	for i := range keptLogs + 2 {
		send(time.Duration(4+i)*time.Second, fmt.Sprintf("aggregator-%d-x", i+2), 1, "d silent")
	}
	send(20*time.Second, "aggregator-0-x", 3, "a left overheated")
	var view View
	h.RegisterDelayedCallback(func() { view = h.view(); h.CancelWorkflow() }, time.Minute)
	h.run(Input{Device: "site/north", Model: h.model.Hash()})
	alarms := h.model.Alarms(view.Snapshot)
	if len(alarms) != 1 || alarms[0].Raised != 2 || view.StateName != "up" {
		t.Errorf("alarms %+v, state %s", alarms, view.StateName)
	}
	if view.Delivery.Duplicates != 3 || len(view.Delivery.Logs) != 0 || len(view.Delivery.Aggregators) != keptLogs+4 {
		t.Errorf("%d duplicates, %d aggregators", view.Delivery.Duplicates, len(view.Delivery.Aggregators))
	}
	raised, ended := 0, 0
	for _, p := range h.world.points {
		if p.Measurement != measure.Alarms {
			continue
		}
		switch {
		case p.Tags[measure.TagAlarm] != "heat" || !slices.Contains([]any{"a", "b", "c"}, p.Fields[measure.AlarmKey]):
			t.Errorf("point %+v", p)
		case p.Fields[measure.AlarmRaised] == int64(1):
			raised++
		case p.Fields[measure.AlarmEnded] == int64(1) && p.Fields[measure.AlarmSeconds] == 2.0:
			ended++
		}
	}
	if raised != 3 || ended != 1 {
		t.Errorf("points of %d alarms that were raised, and %d that ended", raised, ended)
	}
	if !view.Seen.IsZero() {
		t.Error("what members report shows that the group is up")
	}
}

// Of very many alarms at once there is one point: all points of a step leave in one activity.
func TestManyAlarmsAreOnePoint(t *testing.T) {
	h := newHarnessFor(t, modelOf(t, groupSource), 0)
	var reports []string
	for i := range maxAlarmPoints + 1 {
		reports = append(reports, fmt.Sprintf("pump-%d silent", i))
	}
	m := modelOf(t, "model: site\nmembers: {by: site}\nevents: {silent: {channel: members, name: silent}}\nalarms: {lost: {begins: silent, ends: back, settle: 1m}}\ninitial: up\nstates: {up: {}}\n")
	h.model, h.workflow.Models = m, NewRegistry(m)
	h.RegisterDelayedCallback(func() { h.SignalWorkflow(SignalEvents, batchOf("aggregator-0-x", 1, h.Now().UTC(), reports...)) }, time.Second)
	h.RegisterDelayedCallback(h.CancelWorkflow, time.Hour)
	h.run(Input{Device: "site/north", Model: m.Hash()})
	if n := h.world.count(measure.Alarms); n != 1 {
		t.Fatalf("%d points", n)
	}
	for _, p := range h.world.points {
		if p.Measurement == measure.Alarms && (p.Fields[measure.AlarmRaised] != int64(maxAlarmPoints+1) || p.Fields[measure.AlarmKey] != nil) {
			t.Errorf("point %+v", p)
		}
	}
}

// TestTenThousandMembers: all members of a large group report at once, by way of 16
// aggregators, some of it twice. What the group and its aggregators hand on when a run ends
// fits into a payload of Temporal, which takes 2 MiB, many times over.
func TestTenThousandMembers(t *testing.T) {
	const members, aggregators = 10_000, 16
	src := `
model: site
members: {by: site, aggregators: 16}
events:
  silent: {channel: members, name: silent, when: "msg.model == 'pump'"}
  alive:  {channel: members, name: alive, when: "msg.model == 'pump'"}
  down:   {channel: members, name: entered}
alarms:
  outage:  {begins: down, ends: up}
  silence: {begins: silent, ends: alive, settle: 10m, explained_by: outage}
context: {heard: 0}
initial: up
states: {up: {on: {silent: {actions: [{assign: {heard: "context.heard + 1"}}]}}}}
`
	h := newHarnessFor(t, modelOf(t, src), 2*members)
	shares := make([]*aggregate.State, aggregators)
	for i := range shares {
		shares[i] = &aggregate.State{Log: fmt.Sprintf("aggregator-%d-0123456789ab", i)}
	}
	report := func(id string, n uint64, c devicefsm.Change, model string) {
		m := device.Message{Channel: device.ChannelMembers, Name: c.Name, Data: c.Report(devicefsm.Member{ID: device.ID(id)}, model), Time: h.Now().UTC()}
		value, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		r := aggregate.Reports{From: id, Epoch: 1, List: []aggregate.Report{{N: n, Value: value}}}
		share := shares[aggregate.IndexOf(id, aggregators)]
		share.Take(r)
		if n%3 == 0 {
			share.Take(r)
		}
	}
	send := func() {
		for _, share := range shares {
			for batch := share.Next(); len(batch.Values) > 0; batch = share.Next() {
				h.SignalWorkflow(SignalEvents, batch)
				if batch.First%5 == 0 { // it does not know that it was taken
					h.SignalWorkflow(SignalEvents, batch)
				}
				share.Accepted(len(batch.Values), h.Now())
			}
		}
	}
	h.RegisterDelayedCallback(func() {
		for i := range members {
			report(fmt.Sprintf("pump-%05d", i), uint64(i%7+1), devicefsm.Change{Name: device.MemberSilent}, "pump")
		}
		report("gateway", 1, devicefsm.Change{Name: device.MemberEntered, State: "down"}, "gateway")
		send()
	}, time.Second)
	var view View
	h.RegisterDelayedCallback(func() { view = h.view(); h.CancelWorkflow() }, time.Hour)
	began := time.Now()
	h.run(Input{Device: "site/north", Model: h.model.Hash()})
	took := time.Since(began)
	got := h.model.Alarms(view.Snapshot)
	want := []devicefsm.Alarms{{Alarm: "outage", Raised: 1}, {Alarm: "silence", Explained: members}}
	if view.Snapshot.Context()["heard"] != float64(members) {
		t.Errorf("the group has %v reports of %d", view.Snapshot.Context()["heard"], members)
	}
	if !slices.Equal(got, want) {
		t.Errorf("alarms %+v, want %+v", got, want)
	}
	state, err := json.Marshal(view.State)
	if err != nil || len(state) > 1<<20 {
		t.Errorf("the group's state has %d bytes, error %v", len(state), err)
	}
	largest := 0
	for _, share := range shares {
		text, err := json.Marshal(share)
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, len(text))
	}
	if largest > 64<<10 {
		t.Errorf("an aggregator's state has %d bytes", largest)
	}
	t.Logf("%d reports in %v, state of the group %d bytes, of an aggregator at most %d", members, took, len(state), largest)
}

// A tag that an operator sets makes the device a member, and one that is removed ends that.
func TestATagMakesAMember(t *testing.T) {
	h, p := newMemberOf(t, withoutLiveness, 0)
	h.workflow.Groups = NewGroupModels(modelOf(t, strings.Replace(groupSource, "{by: site, aggregators: 4}", "{tag: line}", 1)))
	set := func(value *string) {
		h.UpdateWorkflow(UpdateOperate, "", &asked{}, Operations{List: []Operation{{ID: fmt.Sprint(h.Now().UnixNano()), Tags: &TagChanges{Set: map[string]*string{"line": value}}}}})
	}
	h.at(time.Second, happens("hot"))
	line := "l2"
	h.RegisterDelayedCallback(func() { set(&line) }, 2*time.Second)
	h.RegisterDelayedCallback(func() { set(nil) }, time.Minute)
	h.at(2*time.Minute, happens("cold"))
	h.runUntil(time.Hour)
	if got, want := p.reports(t), []string{"site/l2/0 #1 members entered overheated", "site/l2/0 #2 members left overheated"}; !slices.Equal(got, want) {
		t.Errorf("reports %q, want %q", got, want)
	}
}
