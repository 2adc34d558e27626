package replay

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/devicefsm/plan"
)

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func load(t testing.TB, text string) *devicefsm.Model {
	t.Helper()
	m, err := devicefsm.Load("model.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func models(all ...*devicefsm.Model) func(string) (*devicefsm.Model, bool) {
	return func(hash string) (*devicefsm.Model, bool) {
		i := slices.IndexFunc(all, func(m *devicefsm.Model) bool { return m.Hash() == hash })
		if i < 0 {
			return nil, false
		}
		return all[i], true
	}
}

// recorder is a device that writes down what it takes, as a workflow does: its timers fire a
// little late.
type recorder struct {
	t        testing.TB
	id       device.ID
	model    *devicefsm.Model
	snapshot *devicefsm.Snapshot
	now      time.Time
	texts    [][]byte
	n        uint64
	runs     int
	twin     map[string]any
}

const latency = 20 * time.Millisecond

func record(t testing.TB, id device.ID, m *devicefsm.Model) *recorder {
	r := &recorder{t: t, id: id, model: m, now: began}
	s, out := m.Start(began)
	r.take(Entry{Do: DoStart, Arrived: began, After: s}, s, out)
	return r
}

func (r *recorder) take(e Entry, after *devicefsm.Snapshot, out devicefsm.Outcome) {
	r.t.Helper()
	r.n++
	e.Device, e.N, e.Instance, e.Task, e.Model, e.Result = r.id, r.n, "life", r.now, r.model.Hash(), ResultOf(out)
	e.Runs = r.runs
	if r.n%10 == 1 {
		e.Before, e.Twin = r.snapshot, r.twin
	}
	r.snapshot = after
	raw, err := json.Marshal(e)
	if err != nil {
		r.t.Fatal(err)
	}
	r.texts = append(r.texts, raw)
}

func (r *recorder) step(e Entry) {
	r.t.Helper()
	s, out := r.model.Step(r.snapshot, devicefsm.Event{Name: e.Event, Data: e.Data, Time: e.Time, Arrived: e.Arrived, Alive: e.Alive, Twin: r.twin})
	r.take(e, s, out)
}

// pass lets timers fire up to a time.
func (r *recorder) pass(to time.Time) {
	r.t.Helper()
	for {
		at, ok := r.model.NextDeadline(r.snapshot)
		if !ok || at.Add(latency).After(to) {
			break
		}
		r.now = at.Add(latency)
		r.step(Entry{Arrived: r.now})
	}
	r.now = to
}

func (r *recorder) message(after time.Duration, channel device.Channel, name string, data map[string]any) {
	r.t.Helper()
	r.pass(r.now.Add(after))
	m := device.Message{Channel: channel, Name: name, Data: data, Time: r.now}
	event, _ := r.model.Classify(m)
	r.step(Entry{Channel: channel, Name: name, Event: event, Data: data, Time: r.now, Arrived: r.now, Alive: m.Alive()})
}

func (r *recorder) reading(after time.Duration, temperature float64) {
	r.t.Helper()
	r.message(after, device.ChannelTelemetry, "", map[string]any{"temperature": temperature})
}

func (r *recorder) migrate(p *plan.Plan, to *devicefsm.Model) {
	r.t.Helper()
	moved, err := p.Migration.Apply(r.snapshot, devicefsm.MigrationInput{At: r.now, Twin: r.twin})
	if err != nil {
		r.t.Fatal(err)
	}
	r.model = to
	r.take(Entry{Do: DoMigrate, Plan: &p.Plan, Arrived: r.now, After: moved.Snapshot}, moved.Snapshot, moved.Outcome)
}

// history is what is read of what was written.
func (r *recorder) history() []*Entry {
	r.t.Helper()
	var entries []*Entry
	for _, text := range r.texts {
		e := new(Entry)
		if err := json.Unmarshal(text, e); err != nil {
			r.t.Fatal(err)
		}
		entries = append(entries, e)
	}
	return entries
}

func (r *recorder) replay(c Config) *Report {
	r.t.Helper()
	all := New(c)
	all.Device(r.id, Order(r.history()))
	return all.Report()
}

func derived(new *devicefsm.Model) func(old *devicefsm.Model) (*devicefsm.Migration, devicefsm.Plan, error) {
	return func(old *devicefsm.Model) (*devicefsm.Migration, devicefsm.Plan, error) {
		p := plan.Derive(old, new)
		g, faults := devicefsm.NewMigration(old, new, p)
		if len(faults) > 0 {
			return nil, p, fmt.Errorf("%v", faults)
		}
		return g, p, nil
	}
}

// pump is a model with a pattern, a window, timers, liveness and notifications; the
// temperature is that from which on it is hot.
func pump(limit int) string {
	return fmt.Sprintf(`
model: pump
liveness: {silent_after: 30m, tolerance: 1m}
events: {boot: {channel: status}, reading: {channel: telemetry}}
patterns: {crash_loop: {sequence: [{event: boot, times: 3}], within: 10m}}
windows: {readings: {event: reading, value: event.temperature, aggregate: mean, over: 10m}}
context: {hot: 0}
initial: online
states:
  online: {on: {crash_loop: fixing, reading: {guard: "event.temperature > %d", target: hot}}}
  hot:
    entry: [{assign: {hot: "context.hot + 1"}}, {notify: {to: ops, data: {times: context.hot}}}]
    after: {5m: online}
    on: {crash_loop: fixing, device.silent: online}
  fixing: {after: {1m: online}}
`, limit)
}

// A day of a fleet is reproduced with the model that ran; with another limit, exactly those devices
// are different that an independent count finds.
func TestAnotherLimitChangesTheDevicesThatItHasTo(t *testing.T) {
	old, new := load(t, pump(90)), load(t, pump(85))
	random := rand.New(rand.NewPCG(1, 2))
	own, other := New(Config{Model: models(old)}), New(Config{Model: models(old), New: new, Moves: derived(new), Until: began.Add(24 * time.Hour)})
	const devices = 300
	var want []device.ID
	for i := range devices {
		r := record(t, device.ID(fmt.Sprintf("pump-%03d", i)), old)
		top := 60 + 31*random.Float64() // few of them get hot
		for at := time.Duration(0); at < 24*time.Hour; {
			wait := time.Duration(1+random.IntN(40)) * 7 * time.Minute / 5
			at += wait
			v := top * (0.5 + random.Float64()/2)
			r.reading(wait, v)
			if random.IntN(20) == 0 {
				for range 3 {
					r.message(time.Second, device.ChannelStatus, "", map[string]any{"status": "boot"})
					at += time.Second
				}
			}
		}
		r.pass(r.now.Add(2 * time.Hour))
		// The independent count: a reading between the limits, when the pump was not hot and not
		// being fixed, makes the difference. The entries say what it was.
		if differs(t, r.history(), 85, 90) {
			want = append(want, r.id)
		}
		own.Device(r.id, Order(r.history()))
		other.Device(r.id, Order(r.history()))
	}
	if got := own.Report(); got.Different > 0 || got.Devices != devices || got.Missing+got.Skipped > 0 || got.Entries < devices*50 {
		t.Errorf("with its own model: %+v", got)
	}
	report := other.Report()
	var got []device.ID
	for _, d := range report.Differences {
		if !slices.Contains(got, d.Device) {
			got = append(got, d.Device)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) || report.Different != len(want) || len(want) < 20 || len(want) > devices-20 {
		t.Errorf("%d devices are different: %v\nwant %d: %v", report.Different, got, len(want), want)
	}
	if n := report.Added["ops"]; n != len(want) || report.Added["hot"] != len(want) {
		t.Errorf("added %v, want ops and hot for %d devices", report.Added, len(want))
	}
	if g := report.Groups; len(g) < 2 || !slices.ContainsFunc(g, func(g Group) bool {
		return g.Kind == KindTransition && g.Recorded == "" && g.Replayed == "online -> hot" && g.First == want[0]
	}) {
		t.Errorf("groups %+v", g)
	}
}

// differs reports whether there is a reading between two limits while a pump is online, by the
// recorded changes of state alone.
func differs(t *testing.T, history []*Entry, low, high float64) bool {
	t.Helper()
	state := "online"
	for _, e := range history {
		// A timer that was due before the reading fires with it.
		before := state
		for _, m := range e.Transitions {
			if m.Time.Before(e.At()) {
				before = m.To
			}
		}
		if v, ok := e.Data["temperature"].(float64); ok && before == "online" && v > low && v <= high {
			return true
		}
		if n := len(e.Transitions); n > 0 {
			state = e.Transitions[n-1].To
		}
	}
	return false
}

// A migration in the middle is reproduced, and its new model is replayed from there on.
func TestAMigrationInTheMiddle(t *testing.T) {
	old := load(t, pump(90))
	new := load(t, strings.NewReplacer("hot:\n", "warm:\n", "target: hot", "target: warm", "> 90", "> 80").Replace(pump(90)))
	derive := plan.Derive(old, new)
	derive.States["hot"] = []string{"warm"}
	text := plan.Write(derive, old, new)
	p, err := plan.Read("plan.yaml", text, old, new)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	r := record(t, "pump-1", old)
	r.reading(time.Minute, 95)
	r.reading(time.Minute, 20)
	r.migrate(p, new)
	r.reading(time.Minute, 20) // the timer of the old model goes on
	r.pass(r.now.Add(10 * time.Minute))
	r.reading(time.Minute, 85)
	if name := r.model.StateName(r.snapshot); name != "warm" {
		t.Fatalf("the pump is %s", name)
	}
	if got := r.replay(Config{Model: models(old, new)}); got.Different > 0 || got.Skipped > 0 || got.Entries != uint64(r.n) {
		t.Errorf("with the models that ran: %+v", got)
	}
	moves := func(*devicefsm.Model) (*devicefsm.Migration, devicefsm.Plan, error) { return p.Migration, p.Plan, nil }
	// The old model did by then what the new one does, under another name.
	if got := r.replay(Config{Model: models(old, new), New: new, Moves: moves}); got.Different > 0 || got.Skipped > 0 || got.Devices != 1 {
		t.Errorf("with the new model: %+v", got)
	}
	if got := r.replay(Config{Model: models(new), New: new, Moves: moves}); got.Skipped == 0 || got.Different > 0 {
		t.Errorf("without the old model: %+v", got)
	}
}

// What was recorded wrongly is found.
func TestWhatIsNotReproduced(t *testing.T) {
	m := load(t, pump(90))
	r := record(t, "pump-1", m)
	r.reading(time.Minute, 95)
	r.pass(r.now.Add(10 * time.Minute))
	for range 12 {
		r.reading(time.Minute, 20)
	}
	for _, c := range []struct {
		name, kind string
		change     func(history []*Entry) []*Entry
	}{
		{"a transition", KindTransition, func(h []*Entry) []*Entry { h[1].Transitions[0].To = "fixing"; return h }},
		{"a notification", devicefsm.ActionNotify, func(h []*Entry) []*Entry { h[1].Actions[0].Name = "boss"; return h }},
		{"an id", KindResult, func(h []*Entry) []*Entry { h[1].Actions[0].ID = "notify-9"; return h }},
		{"an input", KindTransition, func(h []*Entry) []*Entry { h[1].Data["temperature"] = 20.0; return h }},
		{"a number that is wrong", KindState, func(h []*Entry) []*Entry { // one entry is not there, and no number says so
			for i := 5; i < len(h); i++ {
				h[i].N--
			}
			return slices.Delete(h, 4, 5)
		}},
	} {
		h := c.change(r.history())
		all := New(Config{Model: models(m)})
		all.Device("pump-1", Order(h))
		if got := all.Report(); got.Different != 1 || !slices.ContainsFunc(got.Differences, func(d Difference) bool { return d.Kind == c.kind }) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// What is missing is counted, and the device goes on where its snapshot is recorded again.
func TestEntriesThatAreMissing(t *testing.T) {
	m := load(t, pump(90))
	r := record(t, "pump-1", m)
	for range 29 {
		r.reading(time.Minute, 20)
	}
	h := slices.Delete(r.history(), 3, 5) // 4 and 5; the next snapshot is before 11
	all := New(Config{Model: models(m)})
	all.Device("pump-1", Order(h))
	if got := all.Report(); got.Missing != 2 || got.Skipped != 5 || got.Different > 0 || got.Entries != 3+20 {
		t.Errorf("%+v", got)
	}
}

// An attempt of a workflow task that failed may have written entries, and the next one fewer, or
// others.
func TestAttemptsThatFailed(t *testing.T) {
	entry := func(n uint64, task int, event string) *Entry {
		return &Entry{Device: "d", Instance: "life", N: n, Task: began.Add(time.Duration(task) * time.Second), Event: event}
	}
	list := []*Entry{
		entry(4, 30, "b4"), entry(1, 10, "1"), entry(2, 10, "2"),
		entry(3, 20, "a3"), entry(4, 20, "a4"), entry(5, 20, "a5"), // failed
		entry(3, 30, "b3"), entry(5, 40, "5"),
		{Device: "d", Instance: "earlier", N: 7, Task: began},
	}
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	var got []string
	for _, e := range Order(list) {
		got = append(got, fmt.Sprint(e.Instance, e.N, e.Event))
	}
	if want := []string{"earlier7", "life11", "life22", "life3b3", "life4b4", "life55"}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
	// The second one had one input less, and nothing followed.
	got = nil
	for _, e := range Order([]*Entry{entry(1, 10, "a1"), entry(2, 10, "a2"), entry(1, 20, "b1")}) {
		got = append(got, e.Event)
	}
	if !slices.Equal(got, []string{"b1"}) {
		t.Errorf("order %v, want b1 only", got)
	}
}

// What would be due in the new model after the last entry is a difference.
func TestATimerAfterTheLastEntry(t *testing.T) {
	old := load(t, pump(90))
	new := load(t, strings.Replace(pump(90), "fixing: {after: {1m: online}}", "fixing: {after: {1m: online}}\n  lost: {}", 1))
	later := load(t, strings.Replace(pump(90), "5m: online", "2h: online", 1))
	r := record(t, "pump-1", old)
	r.reading(time.Minute, 95)
	r.pass(r.now.Add(20 * time.Minute))
	until := r.now
	if got := r.replay(Config{Model: models(old), New: new, Moves: derived(new), Until: until}); got.Different > 0 {
		t.Errorf("a model that does the same: %+v", got)
	}
	got := r.replay(Config{Model: models(old), New: later, Moves: derived(later), Until: until})
	if got.Different != 1 || got.Differences[0].Recorded != "hot -> online" || got.Differences[0].Replayed != "" {
		t.Errorf("with a longer timer: %+v", got)
	}
	fixing := load(t, strings.Replace(pump(90), "  online: {on:", "  online: {after: {6h: fixing}, on:", 1))
	if got := r.replay(Config{Model: models(old), New: fixing, Moves: derived(fixing), Until: until.Add(24 * time.Hour)}); got.Different != 1 || got.Differences[0].Event != "after" {
		t.Errorf("with a timer after the last entry: %+v", got)
	}
	if got := r.replay(Config{Model: models(old), New: fixing, Moves: derived(fixing), Until: until}); got.Different > 0 {
		t.Errorf("with a timer that is not due: %+v", got)
	}
}

// Devices with a model of another name, or whose model is not at hand, are counted and left out.
func TestDevicesThatAreNotTried(t *testing.T) {
	m := load(t, pump(90))
	other := load(t, strings.Replace(pump(90), "model: pump", "model: fan", 1))
	r := record(t, "fan-1", other)
	r.reading(time.Minute, 95)
	if got := r.replay(Config{Model: models(m, other), New: m, Moves: derived(m)}); got.Others != 1 || got.Devices != 0 {
		t.Errorf("another name: %+v", got)
	}
	got := r.replay(Config{Model: models(m), New: m, Moves: derived(m)})
	if want := fmt.Sprintf("model %.12s is not at hand", other.Hash()); got.NotTried[want] != 1 || got.Devices != 0 {
		t.Errorf("an unknown model: %+v", got)
	}
}

// A difference that does no harm hides nothing: the device goes on in the new model, also behind its
// last entry, and counts once for all that.
func TestWhatIsNewBehindTheFirstDifference(t *testing.T) {
	old := load(t, pump(90))
	harmless := strings.NewReplacer("data: {times: context.hot}", "data: {times: context.hot, more: 1}")
	stuck := strings.NewReplacer("fixing: {after: {1m: online}}", "fixing: {after: {1m: quarantined}}\n  quarantined: {}")
	boots := func(r *recorder) {
		for range 3 {
			r.message(time.Second, device.ChannelStatus, "", map[string]any{"status": "boot"})
		}
	}
	run := func(rest func(*recorder), new *devicefsm.Model) *Report {
		r := record(t, "pump-1", old)
		r.reading(time.Minute, 95) // notifies: the first difference
		r.pass(r.now.Add(20 * time.Minute))
		rest(r)
		return r.replay(Config{Model: models(old), New: new, Moves: derived(new), Until: r.now})
	}
	both := load(t, stuck.Replace(harmless.Replace(pump(90))))
	for _, c := range []struct {
		name string
		rest func(*recorder)
		new  *devicefsm.Model
		want int
	}{
		{"an entry behind it", func(r *recorder) { boots(r); r.pass(r.now.Add(20 * time.Minute)) }, both, 1},
		{"twice", func(r *recorder) {
			for range 2 {
				boots(r)
				r.pass(r.now.Add(20 * time.Minute))
			}
		}, both, 1},
		{"a timer behind the last entry", func(r *recorder) { boots(r); r.now = r.now.Add(20 * time.Minute) }, both, 1},
		{"it does not come to it", func(r *recorder) { r.reading(time.Minute, 95) }, both, 0},
		{"the harmless one alone", func(r *recorder) { boots(r); r.pass(r.now.Add(20 * time.Minute)) }, load(t, harmless.Replace(pump(90))), 0},
	} {
		got := run(c.rest, c.new)
		if got.Added["quarantined"] != c.want || got.Different != 1 || got.Devices != 1 {
			t.Errorf("%s: quarantined for %d devices, want %d: %+v", c.name, got.Added["quarantined"], c.want, got)
		}
		if len(got.Groups) != 1 || got.Groups[0].Kind != devicefsm.ActionNotify || got.Groups[0].Devices != 1 {
			t.Errorf("%s: only the first difference is one: %+v", c.name, got.Groups)
		}
	}
	// What the device only gets later than it did is not new.
	later := load(t, strings.Replace(pump(90), "5m: online", "6m: online", 1))
	got := run(func(r *recorder) { r.reading(time.Minute, 95); r.pass(r.now.Add(20 * time.Minute)) }, later)
	if got.Different != 1 || len(got.Added) > 0 {
		t.Errorf("a longer timer: %+v", got)
	}
}

// A state to which the plan gives another name is not new, and one in which a state of the plan is
// can be named by each of its paths.
func TestWhatIsNewHasTheNamesOfThePlan(t *testing.T) {
	old := load(t, pump(90))
	text := strings.NewReplacer("hot:\n", "warm:\n", "target: hot", "target: warm", "data: {times: context.hot}", "data: {times: context.hot, more: 1}").Replace(pump(90))
	new := load(t, text)
	p := plan.Derive(old, new)
	p.States["hot"] = []string{"warm"}
	g, faults := devicefsm.NewMigration(old, new, p)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	r := record(t, "pump-1", old)
	r.reading(time.Minute, 95)
	r.pass(r.now.Add(20 * time.Minute))
	r.reading(time.Minute, 95)
	moves := func(*devicefsm.Model) (*devicefsm.Migration, devicefsm.Plan, error) { return g, p, nil }
	if got := r.replay(Config{Model: models(old), New: new, Moves: moves}); got.Different != 1 || len(got.Added) > 0 {
		t.Errorf("hot is warm by the plan: %+v", got)
	}
	nested := load(t, strings.NewReplacer("> 90", "> 80", "target: hot", "target: busy.hot",
		"  fixing: {after", "  busy: {initial: hot, states: {hot: {after: {5m: '#online'}}}}\n  fixing: {after", "online: {on", "online: {id: online, on").Replace(pump(90)))
	r = record(t, "pump-1", old)
	r.reading(time.Minute, 85)
	got := r.replay(Config{Model: models(old), New: nested, Moves: derived(nested)})
	if got.Added["busy"] != 1 || got.Added["busy.hot"] != 1 || len(got.Added) != 2 {
		t.Errorf("a state and the one that it is in: %+v", got)
	}
}

// Each region's state counts by its own name.
func TestWhatIsNewInRegions(t *testing.T) {
	if got, want := surplus(&Result{}, &Result{Transitions: []Move{{From: "a.x,b.y", To: "a.z,b.y"}}}, asIs), (map[string]int{"a.z": 1}); !maps.Equal(got, want) {
		t.Errorf("a move of one region: %v, want %v", got, want)
	}
	if got, want := surplus(&Result{}, &Result{Transitions: []Move{{From: "off", To: "on.a.z,on.b.y"}}}, asIs), (map[string]int{"on": 1, "on.a": 1, "on.b": 1, "on.a.z": 1, "on.b.y": 1}); !maps.Equal(got, want) {
		t.Errorf("a move into regions: %v, want %v", got, want)
	}
	if got := surplus(&Result{Transitions: []Move{{From: "off", To: "busy"}}}, &Result{Transitions: []Move{{From: "off", To: "busy.hot"}}}, asIs); len(got) > 0 {
		t.Errorf("a state in the image: %v", got)
	}
	if got := surplus(&Result{Transitions: []Move{{From: "on", To: "on"}}}, &Result{}, asIs); !maps.Equal(got, map[string]int{"on": -1}) {
		t.Errorf("a state that is entered again: %v", got)
	}
}

// Names has all that can count as new, and nothing else.
func TestNames(t *testing.T) {
	m := load(t, `
model: pump
events: {boot: {channel: status}}
patterns: {crash_loop: {sequence: [{event: boot, times: 3}], within: 10m}}
alarms: {broken: {begins: crash_loop, ends: boot}}
initial: online
states:
  online: {on: {crash_loop: busy}}
  busy:
    initial: work
    states:
      work: {invoke: {src: reprovision}, entry: [{command: restart}, {notify: {to: ops}}, {publish: {topic: "pumps/{id}"}}]}
      before: {type: history}
`)
	want := []string{"broken", "busy", "busy.work", "crash_loop", "online", "ops", "pumps/{id}", "reprovision", "restart"}
	if got := slices.Sorted(maps.Keys(Names(m))); !slices.Equal(got, want) {
		t.Errorf("names %v, want %v", got, want)
	}
}

// A worker of a release without numbers continues the run as new: they begin again, which is a gap
// and not a difference.
func TestNumbersThatBeginAgain(t *testing.T) {
	old, new := load(t, pump(90)), load(t, pump(85))
	days := func(r *recorder, n int) {
		for range n {
			r.reading(time.Minute, 95)
			r.reading(time.Minute, 20)
		}
	}
	for _, c := range []struct {
		name           string
		unseen         func(r *recorder) // what the earlier release takes without a journal
		lost           int               // entries at the begin of the new numbers
		missing, skips uint64
	}{
		{"nothing in between", func(*recorder) {}, 0, 0, 0},
		{"something in between", func(r *recorder) { days(r, 3) }, 0, 0, 0},
		{"the first new ones are lost", func(r *recorder) { days(r, 3) }, 4, 4, 6},
	} {
		r := record(t, "pump-1", old)
		days(r, 24)
		first := len(r.texts)
		c.unseen(r)
		r.texts = r.texts[:first]
		r.n, r.runs = 0, 3
		days(r, 11)
		second := len(r.texts)
		r.texts = slices.Delete(r.texts, first, first+c.lost)
		for _, config := range []Config{{Model: models(old)}, {Model: models(old), New: old, Moves: derived(old)}, {Model: models(old), New: new, Moves: derived(new)}} {
			got := r.replay(config)
			if got.Different > 0 || got.Restarts != 1 || got.Missing != c.missing || got.Skipped != c.skips || got.Entries != uint64(second-c.lost)-c.skips {
				t.Errorf("%s: %+v of %d entries", c.name, got, len(r.texts))
			}
		}
	}
	// The numbers that begin again happen to go on where the ones before ended.
	r := record(t, "pump-1", old)
	days(r, 4)
	first, n := len(r.texts), r.n
	r.reading(time.Minute, 95)
	r.pass(r.now.Add(2 * time.Minute))
	r.texts, r.n, r.runs = r.texts[:first], n, 1
	days(r, 20)
	if got := r.replay(Config{Model: models(old)}); got.Different > 0 || got.Restarts != 1 || got.Missing != n {
		t.Errorf("a number that seems to follow: %+v", got)
	}
}

// A workflow that is reset takes inputs again, under their numbers, from some entry on: what it had
// taken after that is undone.
func TestAWorkflowThatIsReset(t *testing.T) {
	m := load(t, pump(90))
	for _, back := range []int{1, 7, 30} {
		r := record(t, "pump-1", m)
		for range 12 {
			r.reading(time.Minute, 95)
			r.reading(time.Minute, 20)
		}
		is, n, kept := r.snapshot, r.n, len(r.texts)
		for range back {
			r.reading(time.Minute, 95)
			r.reading(7*time.Minute, 20)
		}
		undone := len(r.texts) - kept
		r.snapshot, r.n = is, n
		for range 12 {
			r.reading(30*time.Second, 95)
		}
		for _, mixed := range []bool{false, true} {
			h := r.history()
			if mixed {
				rand.New(rand.NewPCG(5, 6)).Shuffle(len(h), func(i, j int) { h[i], h[j] = h[j], h[i] })
			}
			all := New(Config{Model: models(m)})
			all.Device("pump-1", Order(h))
			if got := all.Report(); got.Different > 0 || got.Missing+got.Skipped+got.Restarts > 0 || got.Entries != uint64(len(r.texts)-undone) {
				t.Errorf("%d undone of %d: %+v", undone, len(r.texts), got)
			}
		}
	}
}
