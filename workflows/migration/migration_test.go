package migration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"devicetwin/device"
)

// fleet are devices by id: what a plan makes of each.
type fleet struct {
	mu       sync.Mutex
	left     []device.ID // that run the old model, as search attributes say
	refuse   map[device.ID]error
	busy     map[device.ID]int // attempts that fail
	moved    map[device.ID][]string
	announce []Change
	lists    int
	hidden   map[device.ID]int // lists in which the device is not yet found
	at       []time.Time
}

func newFleet(n int) *fleet {
	f := &fleet{refuse: map[device.ID]error{}, busy: map[device.ID]int{}, moved: map[device.ID][]string{}, hidden: map[device.ID]int{}}
	for i := range n {
		f.left = append(f.left, device.ID(fmt.Sprintf("pump-%03d", i)))
	}
	return f
}

func (f *fleet) ListModel(_ context.Context, hash, query string, limit int, cursor []byte) ([]device.ID, []byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if hash != "old" || query != "Site = 'north'" {
		return nil, nil, fmt.Errorf("model %s, query %s", hash, query)
	}
	if cursor == nil {
		f.lists++
	}
	var found []device.ID
	for _, id := range f.left {
		if string(id) > string(cursor) && (f.hidden[id] == 0 || f.hidden[id] < f.lists) {
			found = append(found, id)
		}
	}
	if len(found) <= limit {
		return found, nil, nil
	}
	return found[:limit], []byte(found[limit-1]), nil
}

func (f *fleet) MoveDevice(_ context.Context, id device.ID, by device.By, plan json.RawMessage, hash, note string) (from, to string, already bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = append(f.at, time.Now())
	if string(plan) != `{"plan":1}` || hash != "plan-hash" || note != "why" || by.Who != "ann" {
		return "", "", false, fmt.Errorf("plan %s %s, note %s, by %s", plan, hash, note, by.Who)
	}
	if f.busy[id] > 0 {
		f.busy[id]--
		return "", "", false, fmt.Errorf("ask: %w", device.ErrUnavailable)
	}
	if err := f.refuse[id]; err != nil {
		return "", "", false, fmt.Errorf("migrate device %s: %w", id, err)
	}
	f.left = slices.DeleteFunc(slices.Clone(f.left), func(left device.ID) bool { return left == id })
	already = len(f.moved[id]) > 0 && !slices.Contains(f.moved[id], by.ID)
	f.moved[id] = append(f.moved[id], by.ID)
	if id == "pump-000" {
		return "overheated", "hot", already, nil
	}
	return "online", "online", already, nil
}

func (f *fleet) Announce(_ context.Context, c Change) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.announce = append(f.announce, c)
	return nil
}

func testInput() Input {
	return Input{
		ID: "m1", Query: "Site = 'north'", Words: "site:north", Plan: json.RawMessage(`{"plan":1}`), Hash: "plan-hash",
		Model: "pump", From: "old", To: "new", Who: "ann", Note: "why", Rate: 1000,
	}
}

func newEnvironment(t *testing.T, f *fleet) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: 20 * time.Second})
	Register(env, &Activities{Devices: f})
	return env
}

// result is that of the workflow.
func result(t *testing.T, env *testsuite.TestWorkflowEnvironment) Progress {
	t.Helper()
	var p Progress
	if !env.IsWorkflowCompleted() || env.GetWorkflowError() != nil {
		t.Fatalf("the workflow ended: %t, %v", env.IsWorkflowCompleted(), env.GetWorkflowError())
	}
	if err := env.GetWorkflowResult(&p); err != nil {
		t.Fatal(err)
	}
	return p
}

// A migration is announced, waits, goes through all devices, those too that are found late or are
// busy, and says that it is over.
func TestAMigrationGoesThroughAllDevices(t *testing.T) {
	f := newFleet(230)
	f.refuse["pump-005"] = device.Refuse(409, "state \"paused\" has no image")
	f.refuse["pump-105"] = device.Refuse(409, "state \"paused\" has no image")
	f.refuse["pump-200"] = device.Refuse(412, "the device runs another model")
	f.refuse["pump-201"] = device.ErrUnknown
	f.hidden["pump-050"] = 1 // in the first list
	env := newEnvironment(t, f)
	began := env.Now()
	var waiting Progress
	env.RegisterDelayedCallback(func() {
		value, err := env.QueryWorkflow(QueryProgress)
		if err == nil {
			err = value.Get(&waiting)
		}
		if err != nil || len(f.at) > 0 || len(f.announce) != 1 {
			t.Errorf("before it begins: %v, %d devices, %d announcements", err, len(f.at), len(f.announce))
		}
	}, KnownFor)
	env.ExecuteWorkflow(WorkflowType, testInput())
	p := result(t, env)
	if waiting.Phase != PhaseAnnounced || waiting.Begins.Sub(began) < KnownFor+10*time.Second || waiting.Plan != "plan-hash" || waiting.Words != "site:north" {
		t.Errorf("while it waited: %+v", waiting)
	}
	if p.Phase != PhaseDone || p.Moved != 226 || p.Refused != 3 || p.Pass != 3 || p.Ended.IsZero() {
		t.Errorf("progress %+v", p)
	}
	if p.Gone != 3 { // it stays in the list of this fleet, in each pass
		t.Errorf("%d devices were deleted", p.Gone)
	}
	if want := []Image{{"online", "online", 225, "pump-001"}, {"overheated", "hot", 1, "pump-000"}}; !reflect.DeepEqual(p.Images, want) {
		t.Errorf("images %+v, want %+v", p.Images, want)
	}
	if want := []Reason{{409, "state \"paused\" has no image", 2}, {412, "the device runs another model", 1}}; !reflect.DeepEqual(p.Reasons, want) {
		t.Errorf("reasons %+v, want %+v", p.Reasons, want)
	}
	if len(p.Refusals) != 3 || p.Refusals[0].Device != "pump-005" || p.Refusals[2].Device != "pump-200" {
		t.Errorf("refusals %+v", p.Refusals)
	}
	for id, by := range f.moved {
		if len(by) != 1 {
			t.Errorf("%s was moved %d times", id, len(by))
		}
	}
	if by := f.moved["pump-050"]; !slices.Equal(by, []string{"migration/m1/2"}) {
		t.Errorf("what was found late was moved by %q", by)
	}
	want := []Change{{ID: "m1", Model: "pump", From: "old", To: "new"}, {ID: "m1", Model: "pump", From: "old", To: "new", Over: true}}
	if !slices.Equal(f.announce, want) {
		t.Errorf("announced %+v, want %+v", f.announce, want)
	}
}

// A page that an activity repeats, because its worker was killed, counts each device once.
func TestAPageThatIsRepeated(t *testing.T) {
	f := newFleet(20)
	env := newEnvironment(t, f)
	attempts := 0
	env.OnActivity(ActivityMigrate, mock.Anything, mock.Anything).Return(func(ctx context.Context, r PageRequest) (PageResult, error) {
		a := &Activities{Devices: f}
		if attempts++; attempts == 1 {
			r.Devices = r.Devices[:7]
			if _, err := a.Page(ctx, r); err != nil {
				return PageResult{}, err
			}
			return PageResult{}, errors.New("the worker was killed")
		}
		return a.Page(ctx, r)
	})
	env.ExecuteWorkflow(WorkflowType, testInput())
	if p := result(t, env); p.Moved != 20 || p.Already != 0 {
		t.Errorf("%d moved, %d moved before", p.Moved, p.Already)
	}
}

// A migration that is stopped moves nobody else, and says that it is over.
func TestAMigrationIsStopped(t *testing.T) {
	for name, after := range map[string]time.Duration{"while it waits": time.Minute, "at once": 0} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(10)
			env := newEnvironment(t, f)
			env.RegisterDelayedCallback(env.CancelWorkflow, after)
			env.ExecuteWorkflow(WorkflowType, testInput())
			p := result(t, env)
			if p.Phase != PhaseStopped || p.Moved != 0 || len(f.moved) > 0 {
				t.Errorf("progress %+v", p)
			}
			if n := len(f.announce); n > 0 && !f.announce[n-1].Over {
				t.Errorf("announced %+v", f.announce)
			}
		})
	}
}

// A long migration is continued as new, and goes on where it was.
func TestALongMigrationIsContinued(t *testing.T) {
	f := newFleet(250)
	in := testInput()
	in.State = &State{Announced: true, InPass: 3, Cursor: []byte("pump-099"), Progress: Progress{ID: "m1", Phase: PhaseMoving, Pass: 1, Report: Report{Moved: 100}}}
	env := newEnvironment(t, f)
	env.SetContinueAsNewSuggested(true)
	env.ExecuteWorkflow(WorkflowType, in)
	var next *workflow.ContinueAsNewError
	if !errors.As(env.GetWorkflowError(), &next) {
		t.Fatalf("ended with %v", env.GetWorkflowError())
	}
	var handed Input
	if err := converter.GetDefaultDataConverter().FromPayloads(next.Input, &handed); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(handed, in) {
		t.Fatalf("the next run is given %+v, want %+v", handed, in)
	}
	env = newEnvironment(t, f)
	env.ExecuteWorkflow(WorkflowType, handed)
	if p := result(t, env); p.Moved != 100+250 || p.Pass != 3 || len(f.announce) != 1 {
		t.Errorf("progress %+v, announced %+v", p, f.announce)
	}
}

// A device that does not answer is asked again; one that never does is reported.
func TestDevicesThatDoNotAnswer(t *testing.T) {
	f := newFleet(3)
	f.busy["pump-001"] = 1
	f.refuse["pump-002"] = device.Refuse(409, "held")
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	a := &Activities{Devices: f}
	env.RegisterActivity(a.Page)
	value, err := env.ExecuteActivity(a.Page, PageRequest{Devices: f.left, Plan: json.RawMessage(`{"plan":1}`), Hash: "plan-hash", Note: "why", Who: "ann", Key: "k", Rate: 100})
	if err != nil {
		t.Fatal(err)
	}
	var r PageResult
	if err := value.Get(&r); err != nil || r.Moved != 2 || len(r.Refusals) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, err := range []error{device.ErrUnavailable, device.Refuse(503, "no model"), device.Refuse(429, "too much waits"), errors.New("anything")} {
		if !mayPass(err) {
			t.Errorf("%v is not tried again", err)
		}
	}
	for _, err := range []error{device.ErrUnknown, device.Refuse(409, "held"), device.Refuse(412, "another model")} {
		if mayPass(fmt.Errorf("migrate: %w", err)) {
			t.Errorf("%v is tried again", err)
		}
	}
}

// Devices are moved no faster than they may be.
func TestTheRateIsKept(t *testing.T) {
	f := newFleet(10)
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	a := &Activities{Devices: f}
	env.RegisterActivity(a.Page)
	began := time.Now()
	if _, err := env.ExecuteActivity(a.Page, PageRequest{Devices: f.left, Plan: json.RawMessage(`{"plan":1}`), Hash: "plan-hash", Note: "why", Who: "ann", Key: "k", Rate: 50}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 180*time.Millisecond {
		t.Errorf("10 devices at 50 a second took %v", took)
	}
}

// What is said of moves: which are under way, when the last one was over, and of which versions a
// bridge has to know.
func TestChangesOfMoves(t *testing.T) {
	at := func(minutes int) time.Time {
		return time.Date(2026, 11, 30, 8, minutes, 0, 0, time.UTC)
	}
	var moves []Move
	change := func(minutes int, c Change) { moves = changed(moves, c, at(minutes)) }
	want := func(what string, list ...Move) {
		t.Helper()
		if !reflect.DeepEqual(moves, list) {
			t.Errorf("%s: %+v, want %+v", what, moves, list)
		}
	}
	change(1, Change{ID: "a", Model: "pump", From: "1", To: "2"})
	change(1, Change{ID: "a", Model: "pump", From: "1", To: "2"}) // an activity that is repeated
	want("one begins", Move{Model: "pump", Open: []string{"a"}, Versions: []string{"1", "2"}})
	before := moves
	change(2, Change{ID: "b", Model: "pump", From: "2", To: "3"})
	change(3, Change{ID: "a", Model: "pump", From: "1", To: "2", Over: true})
	want("another one goes on", Move{Model: "pump", Open: []string{"b"}, Until: at(3), Versions: []string{"1", "3", "2"}})
	if !reflect.DeepEqual(before, []Move{{Model: "pump", Open: []string{"a"}, Versions: []string{"1", "2"}}}) {
		t.Errorf("the list before has changed: %+v", before)
	}
	change(4, Change{ID: "b", Model: "pump", From: "2", To: "3", Over: true})
	want("all are over", Move{Model: "pump", Open: []string{}, Until: at(4), Versions: []string{"3"}})
	for i := range maxMoves {
		change(5+i, Change{ID: "c", Model: fmt.Sprint("model-", i), From: "x", To: "y", Over: true})
	}
	if len(moves) != maxMoves || moves[0].Model != "model-0" {
		t.Errorf("%d models, the first is %s", len(moves), moves[0].Model)
	}
	for i := range maxVersions + 3 {
		change(300, Change{ID: fmt.Sprint(i), Model: "model-7", From: fmt.Sprint("v", i), To: fmt.Sprint("v", i+1)})
	}
	if m := moves[7]; len(m.Versions) != maxVersions || m.Versions[maxVersions-1] != fmt.Sprint("v", maxVersions+3) || len(m.Open) != maxVersions+3 {
		t.Errorf("%+v", m)
	}
}

// The memo has what the workflow knows, and the next run begins with it.
func TestMovesAreInTheMemo(t *testing.T) {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	Register(env, &Activities{})
	var memo []Move
	env.OnUpsertMemo(mock.MatchedBy(func(m map[string]any) bool {
		memo, _ = m[MemoMoves].([]Move)
		return true
	})).Return(nil)
	for i := range moveChanges {
		env.RegisterDelayedCallback(func() {
			env.UpdateWorkflowNoRejection(UpdateMove, fmt.Sprint("u", i), t, Change{ID: fmt.Sprint(i), Model: "pump", From: "1", To: "2", Over: i%2 == 1})
		}, time.Duration(i)*time.Second)
	}
	env.ExecuteWorkflow(MovesType, MovesInput{Moves: []Move{{Model: "valve", Open: []string{"x"}}}})
	var next *workflow.ContinueAsNewError
	if !errors.As(env.GetWorkflowError(), &next) {
		t.Fatalf("ended with %v", env.GetWorkflowError())
	}
	var handed MovesInput
	if err := converter.GetDefaultDataConverter().FromPayloads(next.Input, &handed); err != nil {
		t.Fatal(err)
	}
	if len(memo) != 2 || memo[0].Model != "valve" || memo[1].Model != "pump" || len(memo[1].Open) == 0 || len(handed.Moves) != 2 || len(handed.Moves[1].Open) != len(memo[1].Open) {
		t.Errorf("memo %+v, next %+v", memo, handed.Moves)
	}
}

// What cannot be a migration is refused before it is started.
func TestInputsAreChecked(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Input)
		ok     bool
	}{
		"a migration":       {func(*Input) {}, true},
		"of all devices":    {func(in *Input) { in.Query = "" }, true},
		"to itself":         {func(in *Input) { in.To = in.From }, false},
		"of no model":       {func(in *Input) { in.Model = "" }, false},
		"without a plan":    {func(in *Input) { in.Plan = nil }, false},
		"without a rate":    {func(in *Input) { in.Rate = 0 }, false},
		"too fast":          {func(in *Input) { in.Rate = MaxRate + 1 }, false},
		"of a negative one": {func(in *Input) { in.Rate = -1 }, false},
	} {
		in := testInput()
		tt.change(&in)
		if refused := in.Check(); (refused == nil) != tt.ok {
			t.Errorf("%s: %v", name, refused)
		}
	}
}

// What is known of a device that is moved alone does not touch the others of its model.
func TestMovesOfOneDevice(t *testing.T) {
	at := func(minutes int) time.Time { return time.Date(2026, 3, 1, 12, minutes, 0, 0, time.UTC) }
	var moves []Move
	change := func(minutes int, c Change) {
		c.Model, c.From, c.To = "pump", "1", "2"
		moves = changed(moves, c, at(minutes))
	}
	change(1, Change{ID: "a", Device: "pump-1"})
	change(1, Change{ID: "a", Device: "pump-1"}) // an activity that is repeated
	change(2, Change{ID: "b"})
	before := moves
	change(3, Change{ID: "a", Device: "pump-1", Over: true})
	want := []Move{{Model: "pump", Open: []string{"b"}, Versions: []string{"1", "2"}, Devices: []MovedDevice{{ID: "pump-1", Open: []string{}, Until: at(3), Versions: []string{"2"}}}}}
	if !reflect.DeepEqual(moves, want) {
		t.Errorf("%+v, want %+v", moves, want)
	}
	if d := before[0].Devices[0]; len(d.Open) != 1 || !d.Until.IsZero() {
		t.Errorf("the list before has changed: %+v", before)
	}

	// Of too many, those that were moved first count as all devices, and open ones last.
	change(4, Change{ID: "b", Over: true})
	for i := range maxDevices - 1 {
		change(5+i, Change{ID: fmt.Sprint("m", i), Device: device.ID(fmt.Sprint("pump-x", i))})
	}
	if n := len(moves[0].Devices); n != maxDevices || !moves[0].Until.Equal(at(4)) {
		t.Fatalf("%d devices, the model until %v", n, moves[0].Until)
	}
	change(300, Change{ID: "late", Device: "pump-late"})
	m := moves[0]
	if len(m.Devices) != maxDevices || m.Devices[0].ID != "pump-x0" || len(m.Open) != 0 || !m.Until.Equal(at(4)) {
		t.Errorf("%d devices, the first is %s; the model is open for %v, until %v", len(m.Devices), m.Devices[0].ID, m.Open, m.Until)
	}
	change(301, Change{ID: "later", Device: "pump-later"})
	if m = moves[0]; len(m.Devices) != maxDevices || !slices.Equal(m.Open, []string{"m0"}) {
		t.Errorf("%d devices; the model is open for %v, want m0", len(m.Devices), m.Open)
	}
	change(302, Change{ID: "m0", Device: "pump-x0", Over: true})
	if m = moves[0]; len(m.Open) != 0 || !m.Until.Equal(at(302)) {
		t.Errorf("the model is open for %v, until %v", m.Open, m.Until)
	}
	// A model is not forgotten for another one while a device of it is moved alone.
	for i := range maxMoves {
		moves = changed(moves, Change{ID: "c", Model: fmt.Sprint("model-", i), From: "x", To: "y", Over: true}, at(400+i))
	}
	if len(moves) != maxMoves || moves[0].Model != "pump" || moves[1].Model != "model-1" {
		t.Errorf("%d models, the first are %s and %s", len(moves), moves[0].Model, moves[1].Model)
	}
}

// One device is moved without a list, after bridges had the time to learn of this device alone, and once.
func TestAMigrationOfOneDevice(t *testing.T) {
	for name, refuse := range map[string]error{"moved": nil, "refused": device.Refuse(409, "state \"paused\" has no image")} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(3)
			if refuse != nil {
				f.refuse["pump-001"] = refuse
			}
			env := newEnvironment(t, f)
			began := env.Now()
			env.RegisterDelayedCallback(func() {
				f.mu.Lock()
				defer f.mu.Unlock()
				if len(f.at) > 0 || len(f.announce) != 1 {
					t.Errorf("%d devices were asked, and %d changes announced, before bridges know of it", len(f.at), len(f.announce))
				}
			}, KnownFor+10*time.Second)
			in := testInput()
			in.Query, in.Words, in.Device = "WorkflowId = 'device/pump-001'", "id:pump-001", "pump-001"
			env.ExecuteWorkflow(WorkflowType, in)
			p := result(t, env)
			if p.Phase != PhaseDone || p.Device != "pump-001" || p.Begins.Sub(began) < KnownFor || p.Moved+p.Refused != 1 || (p.Refused == 1) != (refuse != nil) || p.Already != 0 {
				t.Errorf("progress %+v", p)
			}
			if f.lists != 0 || len(f.at) != 1 || len(f.left) != 3-p.Moved {
				t.Errorf("%d lists, %d attempts, %d devices have the old model", f.lists, len(f.at), len(f.left))
			}
			want := []Change{{ID: "m1", Model: "pump", From: "old", To: "new", Device: "pump-001"}, {ID: "m1", Model: "pump", From: "old", To: "new", Over: true, Device: "pump-001"}}
			if !slices.Equal(f.announce, want) {
				t.Errorf("announced %+v, want %+v", f.announce, want)
			}
		})
	}
}

// When all migrations of single devices are over, none is open, also of a model of which more
// devices are moved than are remembered alone, and whatever is announced twice.
func TestNoMigrationOfOneDeviceStaysOpen(t *testing.T) {
	const many = maxDevices + 40
	change := func(i int, id string, over bool) Change {
		return Change{ID: fmt.Sprint(id, i), Model: "pump", From: "1", To: "2", Over: over, Device: device.ID(fmt.Sprint("pump-", i))}
	}
	for name, more := range map[string]func(tell func(Change)) (ends []Change){
		"announced once":              func(func(Change)) []Change { return nil },
		"an announcement is repeated": func(tell func(Change)) []Change { tell(change(0, "m", false)); return nil },
		"an end is repeated":          func(func(Change)) []Change { return []Change{change(0, "m", true), change(many-1, "m", true)} },
		"two of a device": func(tell func(Change)) []Change {
			tell(change(0, "back", false))
			return []Change{change(0, "back", true)}
		},
		"two of a device, the second is over soon": func(tell func(Change)) []Change {
			tell(change(0, "back", false))
			tell(change(0, "back", true))
			return nil
		},
		"two of each device": func(tell func(Change)) (ends []Change) {
			for i := range many {
				tell(change(i, "back", false))
				ends = append(ends, change(i, "back", true))
			}
			return ends
		},
	} {
		t.Run(name, func(t *testing.T) {
			var moves []Move
			at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			tell := func(c Change) {
				at = at.Add(time.Second)
				moves = changed(moves, c, at)
			}
			for i := range many {
				tell(change(i, "m", false))
			}
			if len(moves[0].Open) != many-maxDevices {
				t.Fatalf("%d migrations count as those of all devices, want %d", len(moves[0].Open), many-maxDevices)
			}
			ends := more(tell)
			for i := range many {
				// Until its end is announced, a migration is open in one place or the other.
				d := change(i, "m", true).Device
				one := slices.IndexFunc(moves[0].Devices, func(m MovedDevice) bool { return m.ID == d })
				if len(moves[0].Open) == 0 && (one < 0 || len(moves[0].Devices[one].Open) == 0) {
					t.Fatalf("nothing says that %s is to be moved", d)
				}
				tell(change(i, "m", true))
			}
			for _, c := range ends {
				tell(c)
			}
			if open := moves[0].Open; len(open) > 0 {
				t.Errorf("the model is open for %q", open)
			}
			for _, d := range moves[0].Devices {
				if len(d.Open) > 0 {
					t.Errorf("%s is open for %q", d.ID, d.Open)
				}
			}
		})
	}
}

// A device that counts as all does so until its migration is over, and then all have to forget.
func TestTheEndOfADeviceThatCountsAsAll(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	joined := []Move{{Model: "pump", Open: []string{"m"}, Versions: []string{"1", "2"}, Devices: []MovedDevice{{ID: "pump-2", Open: []string{"x"}}}}}
	again := changed(joined, Change{ID: "m", Model: "pump", From: "1", To: "2", Device: "pump-1"}, at)
	if !reflect.DeepEqual(again, joined) {
		t.Errorf("announced again: %+v, want %+v", again, joined)
	}
	back := changed(joined, Change{ID: "back", Model: "pump", From: "2", To: "1", Device: "pump-1"}, at)
	over := changed(back, Change{ID: "m", Model: "pump", From: "1", To: "2", Over: true, Device: "pump-1"}, at)
	want := []Move{{Model: "pump", Open: []string{}, Until: at, Versions: []string{"2"}, Devices: []MovedDevice{
		{ID: "pump-2", Open: []string{"x"}},
		{ID: "pump-1", Open: []string{"back"}, Until: at, Versions: []string{"1", "2"}},
	}}}
	if !reflect.DeepEqual(over, want) {
		t.Errorf("over: %+v, want %+v", over, want)
	}
}
