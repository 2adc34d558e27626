package device

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/workflows/aggregate"
)

// heardGroup is a group with an alarm of its silent members, too.
var heardGroup = strings.Replace(groupSource, "alarms:\n", "alarms:\n  silence: {begins: silent, ends: alive}\n", 1)

// newLateMember is a device whose worker has no model of groups, until that is set.
func newLateMember(t *testing.T, src string, runEvents int) (*harness, *post) {
	t.Helper()
	h, p := newMemberOf(t, src, runEvents)
	h.workflow.Groups = NewGroupModels()
	return h, p
}

// getModels gives the worker other models of groups after a time.
func (h *harness) getModels(after time.Duration, sources ...string) {
	var models []*devicefsm.Model
	for _, src := range sources {
		models = append(models, modelOf(h.t, src))
	}
	h.RegisterDelayedCallback(func() { h.workflow.Groups.Set(models...) }, after)
}

// A model of a group comes to a worker whose devices have been running for a while. Each
// learns of it when it does something, or its timer fires; the group knows then what each of
// them is, and hears of each later change once.
func TestAModelOfAGroupComesLate(t *testing.T) {
	type moment struct {
		at       time.Duration
		messages []device.Message
	}
	members := map[device.ID]struct {
		model   string
		moments []moment
		want    []string
	}{
		"pump-1": {withoutLiveness, []moment{{2 * time.Second, []device.Message{happens("hot")}}, {40 * time.Minute, []device.Message{happens("tick")}}},
			[]string{"#1 entered overheated"}},
		"pump-2": {withoutLiveness, []moment{ // what it does when it learns is not a change after that
			{2 * time.Second, []device.Message{happens("hot")}},
			{40 * time.Minute, []device.Message{happens("cold"), happens("hot")}},
			{50 * time.Minute, []device.Message{happens("cold")}},
		}, []string{"#1 entered overheated", "#2 left overheated"}},
		"pump-3": {memberSource, nil, []string{"#1 silent <nil>"}}, // it has nothing but a timer
		"pump-4": {withoutLiveness, []moment{
			{2 * time.Second, []device.Message{happens("hot")}},
			{40 * time.Minute, []device.Message{happens("cold")}},
			{50 * time.Minute, []device.Message{happens("hot"), happens("cold"), happens("hot")}},
		}, []string{"#1 entered overheated", "#2 left overheated", "#3 entered overheated"}},
		"pump-5": {withoutLiveness, []moment{{2 * time.Second, []device.Message{happens("hot")}}}, nil}, // nothing wakes it
	}
	shares := make([]*aggregate.State, 4)
	for i := range shares {
		shares[i] = &aggregate.State{Log: fmt.Sprintf("aggregator-%d-0123456789ab", i)}
	}
	for id, member := range members {
		h, p := newLateMember(t, member.model, 0)
		h.id = id
		h.at(time.Second, birthAt("north"))
		h.getModels(3*time.Minute, heardGroup)
		for _, m := range member.moments {
			h.at(m.at, m.messages...)
		}
		view := h.runUntil(time.Hour)
		var got []string
		for _, r := range p.reports(t) {
			_, r, _ = strings.Cut(r, " ")
			got = append(got, strings.Replace(r, "members ", "", 1))
		}
		if !slices.Equal(got, member.want) {
			t.Errorf("%s reports %q, want %q", id, got, member.want)
		}
		if joined := len(view.Groups) == 1 && view.Groups[0].Name == "north"; joined != (member.want != nil) || view.Outbox.Epoch == 0 && joined {
			t.Errorf("%s is a member of %+v, epoch %d", id, view.Groups, view.Outbox.Epoch)
		}
		for _, s := range p.signals {
			reports := reportsOf(t, s)
			share := shares[aggregate.IndexOf(string(id), len(shares))]
			share.Take(reports)
			share.Take(reports) // the member did not hear that it had arrived
		}
	}
	group := newHarnessFor(t, modelOf(t, heardGroup), 0)
	group.RegisterDelayedCallback(func() {
		for _, share := range shares {
			if b := share.Next(); len(b.Values) > 0 {
				group.SignalWorkflow(SignalEvents, b)
			}
		}
	}, time.Second)
	group.id = "site/north"
	view := group.runUntil(time.Minute)
	want := []devicefsm.Alarms{{Alarm: "heat", Raised: 2}, {Alarm: "silence", Raised: 1}}
	got := group.model.Alarms(view.Snapshot)
	slices.SortFunc(got, func(a, b devicefsm.Alarms) int { return strings.Compare(a.Alarm, b.Alarm) })
	if !reflect.DeepEqual(got, want) || view.StateName != "alarmed" || view.Delivery.Applied != 7 || view.Delivery.Duplicates != 0 {
		t.Errorf("the group has %+v, state %s, %d applied, %d duplicates", got, view.StateName, view.Delivery.Applied, view.Delivery.Duplicates)
	}
}

// While workers are upgraded, those with the model and those without it take turns. Whoever
// executes the run, it reports what happens.
func TestWorkersWithAndWithoutTheModelTakeTurns(t *testing.T) {
	h, p := newLateMember(t, withoutLiveness, 0)
	h.at(time.Second, birthAt("north"), happens("hot"))
	h.getModels(time.Minute, groupSource)
	h.at(2*time.Minute, happens("tick"))
	h.getModels(3 * time.Minute)
	h.at(4*time.Minute, happens("cold"))
	h.getModels(5*time.Minute, groupSource)
	h.at(6*time.Minute, happens("hot"))
	h.runUntil(time.Hour)
	at := aggregatorOf("north")
	want := []string{at + " #1 members entered overheated", at + " #2 members left overheated", at + " #3 members entered overheated"}
	if got := p.reports(t); !slices.Equal(got, want) {
		t.Errorf("reports %q, want %q", got, want)
	}
}

// A run that begins on a worker without the model reports nothing, until it learns of it
// again: then it is reported to the group how the device is other than it knows it.
func TestARunBeginsWithoutTheModel(t *testing.T) {
	for name, c := range map[string]struct {
		then []device.Message
		want []string
	}{
		"changed":        {[]device.Message{happens("cold"), happens("tick")}, []string{"left overheated"}},
		"there and back": {[]device.Message{happens("cold"), happens("hot")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h, p := newMemberOf(t, withoutLiveness, 2)
			h.at(time.Second, birthAt("north"), happens("hot"))
			h.run(Input{Device: testDevice, Model: h.model.Hash()})
			second, p2 := newLateMember(t, withoutLiveness, 3)
			second.seq = h.seq
			second.at(time.Minute, c.then...)
			second.at(2*time.Minute, happens("nothing"))
			second.run(h.nextInput())
			third, p3 := newLateMember(t, withoutLiveness, 0)
			third.state, third.seq = second.nextInput().State, second.seq
			third.getModels(time.Minute, groupSource)
			third.at(2*time.Minute, happens("nothing"))
			third.at(3*time.Minute, birthAt("south"))
			view := third.runUntil(time.Hour)
			north := aggregatorOf("north")
			want := []string{north + " #1 members entered overheated"}
			for i, w := range c.want {
				want = append(want, fmt.Sprintf("%s #%d members %s", north, i+2, w))
			}
			if c.want == nil {
				want = append(want, north+" #2 members left overheated", aggregatorOf("south")+" #3 members entered overheated")
			}
			got := slices.Concat(p.reports(t), p2.reports(t), p3.reports(t))
			if !slices.Equal(got, want) {
				t.Errorf("reports %q, want %q", got, want)
			}
			if len(view.Groups) != 1 || view.Groups[0].Name != "south" || view.Groups[0].Heard != nil {
				t.Errorf("groups %+v", view.Groups)
			}
		})
	}
}

// The run of a device knows nothing of its group, because it began on a worker without the model. The
// worker has got it when the device leaves, and that is the first thing that happens since.
func TestADeviceLeavesAGroupOfWhichItsRunKnowsNothing(t *testing.T) {
	burning := strings.ReplaceAll(withoutLiveness, "overheated", "burning")
	tag := "north"
	operation := func(op Operation) func(*harness) {
		return func(h *harness) {
			op.ID = "1"
			h.UpdateWorkflow(UpdateOperate, "", &asked{}, Operations{List: []Operation{op}})
		}
	}
	north, south := aggregatorOf("north"), aggregatorOf("south")
	for name, c := range map[string]struct {
		then   func(*harness)
		before []device.Message // while the worker has not the model
		want   []string
	}{
		"deleted":              {operation(Operation{Delete: true}), nil, []string{north + " #2 members left overheated"}},
		"changed, and deleted": {operation(Operation{Delete: true}), []device.Message{happens("cold")}, []string{north + " #2 members left overheated"}},
		"moved, and deleted":   {operation(Operation{Delete: true}), []device.Message{birthAt("south")}, []string{north + " #2 members left overheated"}},
		"moved":                {func(h *harness) { h.signal(happens("nothing")) }, []device.Message{birthAt("south")}, []string{north + " #2 members left overheated", south + " #3 members entered overheated"}},
		"moved now":            {func(h *harness) { h.signal(birthAt("south")) }, nil, []string{north + " #2 members left overheated", south + " #3 members entered overheated"}},
		"an operation on it":   {operation(Operation{Tags: &TagChanges{Set: map[string]*string{"line": &tag}}}), []device.Message{birthAt("south")}, []string{north + " #2 members left overheated", south + " #3 members entered overheated"}},
		"named another model": {func(h *harness) {
			m := happens("nothing")
			m.Model = modelOf(t, burning).Hash()
			h.signal(m, happens("hot"))
		}, nil, []string{north + " #2 members left overheated"}},
		"migrated":              {operation(Operation{Migrate: &Migrate{Plan: renamed(t, withoutLiveness, burning, "overheated", "burning")}}), nil, []string{north + " #2 members left overheated"}},
		"changed, and migrated": {operation(Operation{Migrate: &Migrate{Plan: renamed(t, withoutLiveness, burning, "overheated", "burning")}}), []device.Message{happens("cold")}, []string{north + " #2 members left overheated"}},
	} {
		t.Run(name, func(t *testing.T) {
			h, p := newMemberOf(t, withoutLiveness, 2)
			h.at(time.Second, birthAt("north"), happens("hot"))
			h.run(Input{Device: testDevice, Model: h.model.Hash(), Provisional: true})
			second, p2 := newLateMember(t, withoutLiveness, 0)
			second.workflow.Models = NewRegistry(h.model, modelOf(t, burning))
			second.seq = h.seq
			if c.before != nil {
				second.at(time.Second, c.before...)
			}
			second.getModels(time.Minute, groupSource)
			second.RegisterDelayedCallback(func() { c.then(second) }, 2*time.Minute)
			second.RegisterDelayedCallback(second.CancelWorkflow, time.Hour)
			second.run(h.nextInput())
			want := append([]string{north + " #1 members entered overheated"}, c.want...)
			if got := slices.Concat(p.reports(t), p2.reports(t)); !slices.Equal(got, want) {
				t.Errorf("reports %q, want %q", got, want)
			}
		})
	}
}

// renamed is a plan for a model of which one state gets another name.
func renamed(t *testing.T, from, to, was, is string) devicefsm.Plan {
	t.Helper()
	old := modelOf(t, from)
	plan := devicefsm.Plan{From: old.Hash(), To: modelOf(t, to).Hash(), States: map[string][]string{}, Context: map[string]string{}}
	for _, s := range old.States() {
		plan.States[s] = []string{s}
	}
	plan.States[was] = []string{is}
	return plan
}

// Where the worker knows nothing of the group either, there is a fault.
func TestAGroupThatHearsNothingOfALeaveIsAFault(t *testing.T) {
	h, _ := newMemberOf(t, withoutLiveness, 2)
	h.at(time.Second, birthAt("north"), happens("hot"))
	h.run(Input{Device: testDevice, Model: h.model.Hash(), Provisional: true})
	other := modelOf(t, strings.ReplaceAll(withoutLiveness, "overheated", "burning"))
	second, p := newLateMember(t, withoutLiveness, 0)
	second.workflow.Models, second.state, second.seq = NewRegistry(h.model, other), h.nextInput().State, h.seq
	second.RegisterDelayedCallback(func() {
		m := happens("hot")
		m.Model = other.Hash()
		second.signal(m)
	}, time.Minute)
	view := second.runUntil(time.Hour)
	if n := len(p.signals); n != 0 || len(view.Reports) != 1 || !strings.Contains(view.Reports[0].Detail, "group site/north does not hear that the device has left it") {
		t.Errorf("%d signals, faults %+v", n, view.Reports)
	}
	if view.Model != other.Hash() || len(view.Groups) != 0 {
		t.Errorf("model %s, groups %+v", view.Model, view.Groups)
	}
}

// A later version of the group's model wants to hear of another state: of the devices that are
// in it already, too, whether the run learns of it or begins with it.
func TestAGroupWantsToHearMore(t *testing.T) {
	second := strings.ReplaceAll(groupSource, `"msg.state == 'overheated'"`, `"msg.state == 'overheated' || msg.state == 'other'"`)
	for name, runEvents := range map[string]int{"in a run": 0, "at its end": 2} {
		t.Run(name, func(t *testing.T) {
			h, p := newMemberOf(t, withoutLiveness, runEvents)
			h.at(time.Second, birthAt("north"), happens("tick"))
			first := h
			if runEvents > 0 {
				h.run(Input{Device: testDevice, Model: h.model.Hash()})
				h, p = newMemberOf(t, withoutLiveness, 0)
				h.state, h.seq = first.nextInput().State, first.seq
				h.workflow.Groups.Set(modelOf(t, second))
			} else {
				h.getModels(2*time.Minute, second)
			}
			h.at(3*time.Minute, happens("nothing"))
			h.at(4*time.Minute, happens("tick"))
			h.runUntil(time.Hour)
			at := aggregatorOf("north")
			want := []string{at + " #1 members entered other", at + " #2 members left other"}
			if got := p.reports(t); !slices.Equal(got, want) {
				t.Errorf("reports %q, want %q", got, want)
			}
		})
	}
}

// Groups are started with the version that the worker has, an hour after the run learned of
// another one.
func TestAnotherVersionStartsGroups(t *testing.T) {
	second := strings.Replace(groupSource, "up:", "well:", 1)
	second = strings.ReplaceAll(strings.Replace(second, "initial: up", "initial: well", 1), "heat.ended: up", "heat.ended: well")
	h, p := newMemberOf(t, withoutLiveness, 0)
	h.at(time.Second, birthAt("north"), happens("hot"))
	h.getModels(time.Minute, second)
	h.at(30*time.Minute, happens("cold"), happens("hot"))
	h.at(2*time.Hour, birthAt("south"))
	h.runUntil(3 * time.Hour)
	var models []string
	for _, s := range p.signals {
		_, group := inputsOf(t, s)
		models = append(models, fmt.Sprint(group.Device, " ", group.Model[:8]))
	}
	was, is := modelOf(t, groupSource).Hash()[:8], modelOf(t, second).Hash()[:8]
	if want := []string{"site/north " + was, "site/north " + was, "site/north " + is, "site/south " + is}; !slices.Equal(models, want) {
		t.Errorf("groups are started with %q, want %q", models, want)
	}
}

// By the rules before, a run learns nothing until it ends.
func TestEarlierRunsLearnNothing(t *testing.T) {
	d := &run{settings: runSettings{Rules: rulesOrigin}, groups: NewGroupModels(modelOf(t, groupSource)), model: modelOf(t, memberSource)}
	d.learnGroups(nil)
	if d.begun || d.settings.Groups != nil {
		t.Errorf("a run under rules %d has learned %+v", rulesOrigin, d.settings.Groups)
	}
	start, _ := d.model.StartIn(nil, time.Time{})
	d = &run{
		settings: runSettings{Rules: rulesGroups}, groups: d.groups, model: d.model,
		state:      &State{Snapshot: start, Groups: []membership{{Kind: "site", Name: "north"}}},
		learnFeeds: func(func() []groupFeed) { t.Errorf("a run under rules %d learns when it leaves a group", rulesGroups) },
	}
	d.leaveAllGroups(time.Time{})
	if d.state.Groups != nil || d.state.Reports != nil {
		t.Errorf("groups %+v, faults %+v", d.state.Groups, d.state.Reports)
	}
}

func TestWhatIsLearned(t *testing.T) {
	feed := func(kind device.Kind, model string, entered ...string) groupFeed {
		return groupFeed{Kind: kind, Model: model, By: devicefsm.Membership{Site: true}, Feed: devicefsm.Feed{Entered: entered}}
	}
	known := []groupFeed{feed("site", "1", "a", "c")}
	for name, c := range map[string]struct {
		worker   []groupFeed
		versions bool
		want     []groupFeed
		news     bool
	}{
		"nothing":              {nil, true, known, false},
		"the same":             {known, true, known, false},
		"less":                 {[]groupFeed{feed("site", "1", "a")}, true, known, false},
		"another kind":         {[]groupFeed{feed("line", "2")}, false, []groupFeed{known[0], feed("line", "2")}, true},
		"more":                 {[]groupFeed{feed("site", "2", "b")}, false, []groupFeed{feed("site", "1", "a", "b", "c")}, true},
		"another version":      {[]groupFeed{feed("site", "2", "c")}, true, []groupFeed{feed("site", "2", "a", "c")}, true},
		"another version soon": {[]groupFeed{feed("site", "2", "c")}, false, known, false},
	} {
		if got := learned(known, c.worker, c.versions); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		if got := isNews(known, c.worker, c.versions); got != c.news {
			t.Errorf("%s: news %v", name, got)
		}
		if again := learned(known, c.worker, c.versions); isNews(again, c.worker, c.versions) {
			t.Errorf("%s: there is news after it was learned", name)
		}
	}
}
