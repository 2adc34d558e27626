package device

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/workflow"

	"devicetwin/devicefsm"
	"devicetwin/devicefsm/calendar"
)

const movedModel = `
model: moved
events: {boot: {channel: status}, reading: {channel: telemetry}, pause: {channel: events, name: pause}}
patterns: {crash_loop: {sequence: [{event: boot, times: 3}], within: 10m}}
context: {attempts: 0, gone: 1}
initial: online
states:
  online: {on: {crash_loop: fixing, reading: {guard: "event.temperature > 90", target: overheated}, pause: paused}}
  overheated: {after: {5m: online}, on: {crash_loop: fixing}}
  fixing:
    entry: {assign: {attempts: "context.attempts + 1"}}
    invoke: {src: reprovision, onDone: online, onError: paused}
  paused: {on: {boot: online}}
`

// movedTo is the second version: a state has another name and lasts longer, and the context
// another key.
var movedTo = strings.NewReplacer("overheated", "hot", "5m: online", "10m: online", "gone: 1", "limit: 3", "> 90", "> 80").Replace(movedModel)

// planTo is the plan from one of them to the other.
func planTo(from, to *devicefsm.Model) devicefsm.Plan {
	keep := devicefsm.PlanItem{Do: devicefsm.PlanKeep}
	return devicefsm.Plan{
		Model: "moved", From: from.Hash(), To: to.Hash(),
		States:      map[string][]string{"online": {"online"}, "overheated": {"hot"}, "fixing": {"fixing"}, "paused": {devicefsm.PlanHold}},
		Context:     map[string]string{"attempts": devicefsm.PlanKeep, "gone": devicefsm.PlanDrop, "limit": "context.attempts + 3"},
		Entry:       map[string]string{"fixing": devicefsm.PlanSkip},
		Timers:      map[string]devicefsm.PlanItem{"overheated after 5m": {Do: devicefsm.PlanKeep, As: "hot after 10m"}},
		Invocations: map[string]devicefsm.PlanItem{"fixing invoke reprovision": keep},
		Patterns:    map[string]devicefsm.PlanItem{"crash_loop": keep},
	}
}

// planBack is the way back.
func planBack(from, to *devicefsm.Model) devicefsm.Plan {
	p := planTo(to, from)
	p.From, p.To = from.Hash(), to.Hash()
	p.States = map[string][]string{"online": {"online"}, "hot": {"overheated"}, "fixing": {"fixing"}, "paused": {"paused"}}
	p.Context = map[string]string{"attempts": devicefsm.PlanKeep, "limit": devicefsm.PlanDrop, "gone": "1"}
	p.Timers = map[string]devicefsm.PlanItem{"hot after 10m": {Do: devicefsm.PlanKeep, As: "overheated after 5m"}}
	return p
}

// newMoving is a harness of a device of the first version, on a worker that has both.
func newMoving(t *testing.T) (h *twinHarness, to *devicefsm.Model) {
	t.Helper()
	h = newTwinHarness(t, movedModel, 0)
	to = modelOf(t, movedTo)
	models := NewRegistry(h.model, to)
	h.workflow.Models, h.activities.Models = models, models
	return h, to
}

// next is a harness of the run that continues this one.
func (h *twinHarness) next() *twinHarness {
	h.t.Helper()
	in := h.nextInput()
	again := &twinHarness{harness: newHarnessFor(h.t, h.model, 0), wire: h.wire, ids: h.ids}
	again.workflow.Models, again.activities.Models, again.activities.Publisher = h.workflow.Models, h.activities.Models, h.wire
	model, ok := h.workflow.Models.ByHash(in.Model)
	if !ok || in.State.Model != in.Model {
		h.t.Fatalf("the next run is given model %s, and its state %s", in.Model, in.State.Model)
	}
	again.model, again.state, again.seq = model, in.State, h.seq
	again.SetStartTime(h.Now())
	return again
}

func migrate(p devicefsm.Plan, note string) Operation {
	hash, _ := p.Hash()
	return Operation{Migrate: &Migrate{Plan: p, Hash: hash, Note: note}}
}

// runToNext runs until the run is continued as new.
func (h *twinHarness) runToNext() *twinHarness {
	h.t.Helper()
	h.run(Input{Device: h.id, Model: h.model.Hash(), State: h.state})
	return h.next()
}

// Timers, partial matches, tags, desired properties with their deadlines and commands that wait go
// on in the new model, and all of it comes back.
func TestAMigration(t *testing.T) {
	h, to := newMoving(t)
	h.at(time.Second, boot(), boot(), reading(95))
	h.operate(2*time.Second,
		Operation{Tags: &TagChanges{Set: map[string]*string{"line": pointer("3")}}},
		Operation{Desire: &Desire{Patch: json.RawMessage(`{"fan":"high"}`), Within: time.Hour}},
		Operation{Command: &Order{Name: "first", TTL: time.Hour}}, Operation{Command: &Order{Name: "second", TTL: time.Hour}},
	)
	p := planTo(h.model, to)
	hash, _ := p.Hash()
	asked := h.operate(2*time.Minute, migrate(p, "runs too hot"))
	old := h.model
	var at time.Time
	h.RegisterDelayedCallback(func() { at = h.Now() }, 2*time.Minute)
	next := h.runToNext()
	r := asked.only(t).Migrated
	if r == nil || r.Already || r.States != (EventTaken{From: "overheated", To: "hot"}) || r.From != old.Hash() || r.To != to.Hash() || r.Plan != hash || r.Note != "runs too hot" {
		t.Fatalf("result %s", text(asked.results))
	}
	s := next.state
	if s.Model != to.Hash() || s.Attributes.ModelHash != to.Hash() || !slices.Equal(s.Attributes.States, []string{"hot"}) {
		t.Errorf("model %s, attributes %+v", s.Model, s.Attributes)
	}
	why := s.Why[len(s.Why)-1]
	if why.Event != devicefsm.EventMigration || why.From != "overheated" || why.To != "hot" || why.Model != to.Hash() || why.Cause.Kind != CauseOperation ||
		why.Cause.Name != "migrate" || why.Cause.Who != "ann" || why.Cause.ID == "" || why.Migration == nil || why.Migration.From != old.Hash() ||
		why.Migration.To != to.Hash() || why.Migration.Plan != hash || why.Migration.Note != "runs too hot" || !why.At.Equal(at.Truncate(time.Millisecond)) {
		t.Errorf("why %s, at %v", text(why), at)
	}
	if got := text(s.Snapshot.Context()); got != `{"attempts":0,"limit":3}` {
		t.Errorf("context %s", got)
	}
	if !maps.Equal(s.Tags, map[string]string{"line": "3"}) || len(s.Convergence) != 1 || s.Commands.Flight == nil || len(s.Commands.Waiting) != 1 {
		t.Errorf("tags %v, deadlines %v, commands %s", s.Tags, s.Convergence, text(s.Commands))
	}
	if due, ok := to.NextDeadline(s.Snapshot); !ok || due.Sub(at).Round(time.Second) != 3*time.Minute+time.Second {
		t.Errorf("the timer is due %v after the migration, want what was left of 5m", due.Sub(at))
	}

	// The third boot completes the crash loop that began in the old model.
	next.OnActivity(ActivityReprovision, mock.Anything, mock.Anything).Return(Reprovisioned{Credential: "c", Command: "c"}, nil).After(time.Hour)
	next.at(time.Minute, boot())
	back := next.operate(2*time.Minute, migrate(planBack(to, old), ""))
	after := next.runToNext()
	if r := back.only(t).Migrated; r == nil || r.States != (EventTaken{From: "fixing", To: "fixing"}) {
		t.Fatalf("back: %s", text(back.results))
	}
	if v := after.state; v.Model != old.Hash() || len(v.Invocations) != 1 || text(v.Snapshot.Context()) != `{"attempts":1,"gone":1}` || len(v.Migrations) != 2 {
		t.Errorf("model %s, activities %v, context %s, migrations %s", v.Model, v.Invocations, text(v.Snapshot.Context()), text(v.Migrations))
	}
	if why := after.state.Why[len(after.state.Why)-1]; why.From != "fixing" || why.To != "fixing" || why.Migration == nil || why.Migration.To != old.Hash() {
		t.Errorf("a migration without another state: %s", text(why))
	}
	// The activity goes on under its id, and its end counts.
	ids := []string{}
	after.OnActivity(ActivityReprovision, mock.Anything, mock.Anything).Return(func(_ context.Context, in Invocation) (Reprovisioned, error) {
		ids = append(ids, in.ID+" "+in.Model)
		return Reprovisioned{Credential: in.ID, Command: in.ID}, nil
	})
	want := commandOf(View{State: *after.state}) + " " + old.Hash()
	view := after.runUntil(time.Minute)
	if view.StateName != "online" || !slices.Equal(ids, []string{want}) {
		t.Errorf("state %s, activities %q, want %q", view.StateName, ids, want)
	}
}

// A device that cannot be moved stays as it was, and the refusal says why.
func TestMigrationsThatAreRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		code    int
		says    string
		change  func(p *devicefsm.Plan, m *Migrate)
		state   string // in which the device is
		without bool   // the worker has not the new model
	}{
		"another model":            {code: 412, says: "and the plan is for", change: func(p *devicefsm.Plan, _ *Migrate) { p.From = strings.Repeat("0", 64) }},
		"the new one already":      {code: 412, says: "was not moved there by this plan", change: func(p *devicefsm.Plan, _ *Migrate) { p.From, p.To = p.To, p.From }},
		"to itself":                {code: 422, says: "to itself", change: func(p *devicefsm.Plan, _ *Migrate) { p.To = p.From }},
		"another hash of the plan": {code: 400, says: "has the hash", change: func(_ *devicefsm.Plan, m *Migrate) { m.Hash = "0123456789abcdef" }},
		"too large":                {code: 413, says: "the limit is", change: func(p *devicefsm.Plan, _ *Migrate) { p.Context["limit"] = strings.Repeat("1", MaxPlan) }},
		"of another model":         {code: 422, says: "the plan is for model pump", change: func(p *devicefsm.Plan, _ *Migrate) { p.Model = "pump" }},
		"holes":                    {code: 422, says: `state "overheated" has no image`, change: func(p *devicefsm.Plan, _ *Migrate) { delete(p.States, "overheated") }},
		"many faults":              {code: 422, says: "and 6 more", change: func(p *devicefsm.Plan, _ *Migrate) { *p = devicefsm.Plan{From: p.From, To: p.To} }},
		"a state that is held":     {code: 409, says: `state "paused" has no image`, state: "paused"},
		"an expression that fails": {code: 409, says: `context key "limit"`, change: func(p *devicefsm.Plan, _ *Migrate) { p.Context["limit"] = "context.nothing + 1" }},
		"events that are not at hand": {code: 409, says: "not at hand", change: func(p *devicefsm.Plan, _ *Migrate) {
			p.Patterns["crash_loop"] = devicefsm.PlanItem{Do: devicefsm.PlanReplay}
		}},
		"a worker without the new one": {code: 503, says: "ask again", without: true},
	} {
		t.Run(name, func(t *testing.T) {
			h, to := newMoving(t)
			if tt.without {
				h.workflow.Models = NewRegistry(h.model)
			}
			p := planTo(h.model, to)
			m := &Migrate{Plan: p}
			if tt.change != nil {
				tt.change(&m.Plan, m)
			}
			h.at(time.Second, boot(), boot())
			if tt.state == "paused" {
				h.at(2*time.Second, happens("pause"))
			}
			var before, between, view View
			h.RegisterDelayedCallback(func() { before = h.view() }, 3*time.Second)
			var tried OperationResult
			h.RegisterDelayedCallback(func() { tried = h.try(*m) }, 4*time.Second)
			h.RegisterDelayedCallback(func() { between = h.view() }, 5*time.Second)
			a := h.operate(6*time.Second, Operation{ID: "m", Migrate: m})
			view = h.runUntil(10 * time.Second)
			r := a.only(t)
			if code(r) != tt.code || !strings.Contains(r.Refused.Message, tt.says) {
				t.Errorf("refused %s, want %d and %q", text(r), tt.code, tt.says)
			}
			if !reflect.DeepEqual(tried, r) {
				t.Errorf("tried: %s\nmigrated: %s", text(tried), text(r))
			}
			if text(before) != text(between) {
				t.Errorf("a dry run changes the device:\n%s\n%s", text(before), text(between))
			}
			view.Requests, view.Origin = nil, before.Origin
			if text(before) != text(view) {
				t.Errorf("the device is not as it was:\n%s\n%s", text(before), text(view))
			}
		})
	}
}

// try asks for a dry run.
func (h *twinHarness) try(m Migrate) OperationResult {
	h.t.Helper()
	value, err := h.QueryWorkflow(QueryMigration, MigrationQuestion{Migrate: m, At: h.Now()})
	if err != nil {
		h.t.Fatal(err)
	}
	var r OperationResult
	if err := value.Get(&r); err != nil {
		h.t.Fatal(err)
	}
	return r
}

// A dry run says what the migration then does: also of what becomes due before it.
func TestADryRunSaysWhatHappens(t *testing.T) {
	h, to := newMoving(t)
	h.at(time.Second, boot(), reading(95))
	m := Migrate{Plan: planTo(h.model, to)}
	var at, later OperationResult
	h.RegisterDelayedCallback(func() { at = h.try(m) }, time.Minute)
	h.RegisterDelayedCallback(func() {
		value, err := h.QueryWorkflow(QueryMigration, MigrationQuestion{Migrate: m, At: h.Now().Add(time.Hour)})
		if err == nil {
			err = value.Get(&later)
		}
		if err != nil {
			t.Error(err)
		}
	}, time.Minute)
	a := h.operate(time.Minute+time.Second, Operation{ID: "m", Who: "ann", Migrate: &m})
	h.runToNext()
	done := a.only(t)
	if at.Migrated == nil || done.Migrated == nil || at.Migrated.States != done.Migrated.States || at.Migrated.States.To != "hot" {
		t.Errorf("tried %s, migrated %s", text(at), text(done))
	}
	if later.Migrated == nil || later.Migrated.States.To != "online" {
		t.Errorf("an hour later: %s, want that the timer has fired", text(later))
	}
}

// What is asked twice is done once: by its id, and by its plan.
func TestAMigrationIsDoneOnce(t *testing.T) {
	h, to := newMoving(t)
	h.at(time.Second, boot())
	p := planTo(h.model, to)
	one := migrate(p, "once")
	one.ID = "one"
	same := h.operate(time.Minute, one, one, Operation{ID: "two", Migrate: one.Migrate}, Operation{ID: "three", Tags: &TagChanges{Set: map[string]*string{"a": pointer("b")}}})
	next := h.runToNext()
	if len(same.results) != 4 || same.results[0].Migrated == nil || same.results[0].Migrated.Already || same.results[1].Migrated == nil ||
		same.results[2].Migrated == nil || !same.results[2].Migrated.Already || same.results[2].Migrated.ID != "one" || same.results[3].Refused != nil {
		t.Fatalf("results %s", text(same.results))
	}
	again := next.operate(time.Minute, one, Operation{ID: "four", Migrate: one.Migrate}, Operation{ID: "five", Migrate: &Migrate{Plan: p, Note: "another note"}})
	view := next.runUntil(2 * time.Minute)
	for i, r := range again.results {
		if r.Migrated == nil || r.Migrated.ID != "one" || r.Migrated.Already != (i > 0) {
			t.Errorf("again, %d: %s", i, text(r))
		}
	}
	if len(view.Migrations) != 1 || view.Runs != 1 || view.Tags["a"] != "b" {
		t.Errorf("migrations %s, %d runs, tags %v", text(view.Migrations), view.Runs, view.Tags)
	}
}

// A message that came before the migration is the old model's, and one behind it the new one's.
func TestAMigrationIsInOrderWithMessages(t *testing.T) {
	h, to := newMoving(t)
	h.at(time.Second, boot())
	a := &asked{}
	h.RegisterDelayedCallback(func() {
		h.signal(reading(85)) // means nothing to the old model
		h.operateNow(a, migrate(planTo(h.model, to), ""))
	}, time.Minute)
	next := h.runToNext()
	if r := a.only(t); r.Migrated == nil {
		t.Fatalf("%s", text(r))
	}
	if got := to.StateName(next.state.Snapshot); got != "online" {
		t.Errorf("state %s: a message before the migration was given to the new model", got)
	}
	next.at(time.Second, reading(85))
	if view := next.runUntil(2 * time.Second); view.StateName != "hot" || view.Delivery.Applied != 3 {
		t.Errorf("state %s, %d messages applied", view.StateName, view.Delivery.Applied)
	}
}

// What is due happens in the old model, at its own time, and not in the new one.
func TestWhatIsDueHappensBeforeAMigration(t *testing.T) {
	h, to := newMoving(t)
	old := h.model
	snapshot, _ := old.Start(t0)
	snapshot, _ = old.Step(snapshot, devicefsm.Event{Name: "reading", Data: map[string]any{"temperature": 95.0}, Time: t0.Add(time.Minute)})
	h.state = &State{Version: stateVersion, Device: testDevice, Model: old.Hash(), Instance: "test", Snapshot: snapshot}
	h.SetStartTime(t0.Add(10 * time.Hour)) // no worker ran meanwhile
	a := h.operate(0, migrate(planTo(old, to), ""))
	next := h.runToNext()
	if r := a.only(t); r.Migrated == nil || r.Migrated.States != (EventTaken{From: "online", To: "online"}) {
		t.Fatalf("%s", text(r))
	}
	why := next.state.Why
	if len(why) != 2 || why[0].Event != "after" || !why[0].At.Equal(t0.Add(6*time.Minute)) || why[0].Model != old.Hash() {
		t.Errorf("why %s", text(why))
	}
}

var t0 = time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)

// A run that a worker of an earlier release had when the operation came refused it, and says so
// when it is replayed.
func TestAMigrationThatAnEarlierReleaseRefused(t *testing.T) {
	h, to := newMoving(t)
	h.OnGetVersion(changeMigrate, workflow.DefaultVersion, workflow.Version(1)).Return(workflow.DefaultVersion)
	h.at(time.Second, boot())
	a := h.operate(time.Minute, migrate(planTo(h.model, to), ""))
	view := h.runUntil(2 * time.Minute)
	if r := a.only(t); code(r) != 400 || view.Model != h.model.Hash() {
		t.Errorf("%s", text(r))
	}
}

// The time zones of the new model are recorded by the migration; without them, the device stays.
func TestTimeZonesOfAMigration(t *testing.T) {
	zoned := strings.Replace(movedTo, "initial:", "zone: Europe/Berlin\ninitial:", 1)
	zoned = strings.Replace(zoned, "paused: {", "paused: {schedules: {daily: {at: \"06:00\"}}, ", 1)
	for _, fault := range []error{nil, errors.New("the database has no zone Europe/Berlin")} {
		h, _ := newMoving(t)
		to := modelOf(t, zoned)
		h.workflow.Models = NewRegistry(h.model, to)
		read := h.workflow.zoneDatabase()
		h.workflow.Zones = func(names []string, at time.Time) (calendar.Zones, error) {
			if fault != nil {
				return nil, fault
			}
			return read(names, at)
		}
		h.at(time.Second, boot())
		a := h.operate(time.Minute, migrate(planTo(h.model, to), ""))
		if fault != nil {
			view := h.runUntil(2 * time.Minute)
			if r := a.only(t); code(r) != 409 || !strings.Contains(r.Refused.Message, "Europe/Berlin") || view.Model != h.model.Hash() {
				t.Errorf("without zones: %s", text(r))
			}
			continue
		}
		next := h.runToNext()
		if r := a.only(t); r.Migrated == nil || next.state.ZonesAt.IsZero() {
			t.Errorf("with zones: %s, recorded at %v", text(r), next.state.ZonesAt)
		}
	}
}

// Groups hear what has changed, and nothing of what stays.
func TestGroupsHearOfAMigration(t *testing.T) {
	src := strings.Replace(memberSource, "liveness: {silent_after: 5m}\n", "", 1)
	for name, tt := range map[string]struct {
		to    func(string) string
		image string
		want  []string
	}{
		"the state stays":                     {func(s string) string { return strings.Replace(s, "initial:", "context: {n: 1}\ninitial:", 1) }, "overheated", nil},
		"the state has another name":          {func(s string) string { return strings.ReplaceAll(s, "overheated", "boiling") }, "boiling", []string{"left overheated"}},
		"it goes into another state of these": {func(s string) string { return strings.Replace(s, "initial:", "context: {n: 1}\ninitial:", 1) }, "", []string{"left overheated"}},
	} {
		t.Run(name, func(t *testing.T) {
			h, p := newMemberOf(t, src, 0)
			to := modelOf(t, tt.to(src))
			h.workflow.Models = NewRegistry(h.model, to)
			plan := devicefsm.Plan{From: h.model.Hash(), To: to.Hash(), States: map[string][]string{}, Context: map[string]string{}}
			for _, s := range h.model.States() {
				plan.States[s] = []string{s}
			}
			image := tt.image
			if image == "" {
				for _, s := range to.States() {
					if s != "overheated" {
						image = s
						break
					}
				}
			}
			plan.States["overheated"] = []string{image}
			if strings.Contains(tt.to(src), "context: {n: 1}") {
				plan.Context["n"] = "1"
			}
			h.at(time.Second, birthAt("north"), happens("hot"))
			a := &asked{}
			h.RegisterDelayedCallback(func() {
				h.UpdateWorkflow(UpdateOperate, "", a, Operations{List: []Operation{{ID: "m", Who: "ann", Migrate: &Migrate{Plan: plan}}}})
			}, time.Minute)
			h.run(Input{Device: testDevice, Model: h.model.Hash()})
			in := h.nextInput()
			if r := a.only(t); r.Migrated == nil {
				t.Fatalf("%s", text(r))
			}
			got := p.reports(t)
			at := aggregatorOf("north")
			want := []string{at + " #1 members entered overheated"}
			for i, w := range tt.want {
				want = append(want, fmt.Sprintf("%s #%d members %s", at, i+2, w))
			}
			if !slices.Equal(got, want) {
				t.Errorf("reports %q, want %q", got, want)
			}
			if len(in.State.Groups) != 1 || in.State.Groups[0].Name != "north" {
				t.Errorf("groups %+v", in.State.Groups)
			}
		})
	}
}

// A device that answers later than the plan came in is found by the id of the operation.
func TestResultsOfMigrationsFit(t *testing.T) {
	op := Operation{Migrate: &Migrate{}}
	if !op.Fits(OperationResult{Migrated: &Migrated{}}) || op.Fits(OperationResult{Tags: map[string]string{}}) || (Operation{Delete: true}).Fits(OperationResult{Migrated: &Migrated{}}) {
		t.Error("results of migrations are confused with others")
	}
	kept := OperationResult{Migrated: &Migrated{Migration: Migration{Plan: "p", Note: "n"}, Lost: []string{"x"}}}.short()
	if kept.Migrated.Plan != "p" || kept.Migrated.Note != "" || kept.Migrated.Lost != nil {
		t.Errorf("kept: %+v", kept.Migrated)
	}
}
