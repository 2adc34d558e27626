package device

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/devicefsm/plan"
)

// movedChart is a random chart, of which there are two versions.
type movedChart struct {
	states []string // of each, what it does, with S0 to S3 for states and D1 to D3 for delays
	second map[string]string
}

func drawMovedChart(t *rapid.T) movedChart {
	pick := func(label string, list ...string) string { return rapid.SampledFrom(list).Draw(t, label) }
	n := rapid.IntRange(2, 4).Draw(t, "states")
	target := func() string { return fmt.Sprintf("S%d", rapid.IntRange(0, n-1).Draw(t, "target")) }
	c := movedChart{second: map[string]string{}}
	for range n {
		var on []string
		for _, event := range []string{"a", "b", "c", "p", "w.closed"} {
			if rapid.Bool().Draw(t, "reacts") {
				continue
			}
			parts := []string{"guard: " + pick("guard", "'true'", "'!has(event.x) || event.x > LEVEL'", "'context.n < 3'")}
			if rapid.IntRange(0, 3).Draw(t, "stays") > 0 {
				parts = append(parts, "target: "+target())
			}
			if rapid.Bool().Draw(t, "acts") {
				parts = append(parts, "actions: "+pick("action", "{assign: {n: 'context.n + 1'}}", "{raise: {event: c, delay: 4m}}", "{assign: {n: 0}}"))
			}
			on = append(on, fmt.Sprintf("%q: {%s}", event, strings.Join(parts, ", ")))
		}
		does := []string{"on: {" + strings.Join(on, ", ") + "}"}
		if len(on) == 0 {
			does = []string{"on: {other: S0}"}
		}
		if rapid.Bool().Draw(t, "timer") {
			does = append(does, fmt.Sprintf("after: {D%d: %s}", rapid.IntRange(1, 3).Draw(t, "delay"), pick("fires", target(), "{actions: {assign: {n: 'context.n + 10'}}}")))
		}
		c.states = append(c.states, strings.Join(does, ", "))
	}
	c.second["LEVEL"] = pick("level", "1", "2")
	c.second["LAST"] = pick("last step", "event.x > 1", "event.x > 0")
	c.second["D1"], c.second["D2"], c.second["D3"] = pick("first delay", "2m", "7m"), pick("second delay", "5m", "11m"), "9m"
	return c
}

// load is the first version or the second one, whose states have other names.
func (c movedChart) load(t *testing.T, second bool) *devicefsm.Model {
	t.Helper()
	words, prefix := map[string]string{"LEVEL": "1", "LAST": "event.x > 1", "D1": "2m", "D2": "5m", "D3": "9m"}, "s"
	if second {
		maps.Copy(words, c.second)
		prefix = "t"
	}
	var b strings.Builder
	b.WriteString("model: moved\nevents: {a: {channel: events, name: a}}\n")
	b.WriteString("patterns: {p: {sequence: [{event: a, times: 2}, {event: b, where: 'LAST'}], within: 20m}}\n")
	b.WriteString("windows: {w: {event: a, aggregate: count, over: 6m}}\ncontext: {n: 0}\ninitial: S0\nstates:\n")
	for i, does := range c.states {
		fmt.Fprintf(&b, "  S%d: {%s}\n", i, does)
	}
	text := b.String()
	for _, word := range slices.Sorted(maps.Keys(words)) {
		text = strings.ReplaceAll(text, word, words[word])
	}
	for i := range c.states {
		text = strings.ReplaceAll(text, fmt.Sprintf("S%d", i), fmt.Sprintf("%s%d", prefix, i))
	}
	return modelOf(t, text)
}

// drawMovedPlan moves each state to the one with its number, or holds the device, and does anything
// with the rest.
func drawMovedPlan(t *rapid.T, old, new *devicefsm.Model) *plan.Plan {
	p := plan.Derive(old, new)
	for _, path := range old.States() {
		p.States[path] = []string{"t" + path[1:]}
		if rapid.IntRange(0, 9).Draw(t, "hold") == 0 {
			p.States[path] = []string{devicefsm.PlanHold}
		}
	}
	delays := map[string]string{} // of the new states
	for _, s := range new.Outline().States[1:] {
		if len(s.Timers) > 0 {
			delays[s.Path] = s.Timers[0]
		}
	}
	p.Timers, p.NewTimers = map[string]devicefsm.PlanItem{}, map[string]string{}
	for _, s := range old.Outline().States[1:] {
		for _, delay := range s.Timers {
			do := rapid.SampledFrom([]string{"keep", "keep", "scale", "restart", "fire", "drop"}).Draw(t, "timer")
			p.Timers[s.Path+" after "+delay] = devicefsm.PlanItem{Do: do, As: "t" + s.Path[1:] + " after " + delays["t"+s.Path[1:]]}
			if do == devicefsm.PlanDrop {
				p.Timers[s.Path+" after "+delay] = devicefsm.PlanItem{Do: do}
			}
		}
	}
	p.Context = map[string]string{"n": rapid.SampledFrom([]string{devicefsm.PlanKeep, "context.n + 100"}).Draw(t, "context")}
	p.Patterns["p"] = devicefsm.PlanItem{Do: rapid.SampledFrom([]string{devicefsm.PlanKeep, devicefsm.PlanKeep, devicefsm.PlanDrop}).Draw(t, "pattern")}
	p.Windows["w"] = devicefsm.PlanItem{Do: rapid.SampledFrom([]string{devicefsm.PlanKeep, devicefsm.PlanDrop}).Draw(t, "window")}
	for name := range p.Raises { // each for itself
		p.Raises[name] = rapid.SampledFrom([]string{devicefsm.PlanKeep, devicefsm.PlanDrop, devicefsm.PlanFire}).Draw(t, "raise")
	}
	for range 2 {
		_, faults := devicefsm.NewMigration(old, new, p)
		for _, f := range faults {
			if f.Part == "new_timers" {
				p.NewTimers[f.Key] = rapid.SampledFrom([]string{devicefsm.PlanStart, devicefsm.PlanSkip}).Draw(t, "new timer")
			}
		}
	}
	read, err := plan.Read("plan.yaml", plan.Write(p, old, new), old, new)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return read
}

// movedStep is a message of a device, some time after the one before. Again says that the bridge was
// killed before it heard that it had arrived, and sends it a second time.
type movedStep struct {
	after time.Duration
	name  string
	x     float64
	again bool
}

func drawMovedSteps(t *rapid.T, label string, most int) []movedStep {
	list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) movedStep {
		return movedStep{
			after: time.Duration(rapid.IntRange(1, 300).Draw(t, "after")) * time.Second,
			name:  rapid.SampledFrom([]string{"a", "a", "a", "b", "c"}).Draw(t, "name"),
			x:     float64(rapid.IntRange(0, 3).Draw(t, "x")), again: rapid.IntRange(0, 4).Draw(t, "again") == 0,
		}
	}), 0, most).Draw(t, label)
	for i := range list { // delays are whole minutes: nothing is due just when something comes
		list[i].after += time.Duration(i+1) * 41 * time.Millisecond
	}
	return list
}

// pureDevice is a device without a workflow.
type pureDevice struct {
	model *devicefsm.Model
	s     *devicefsm.Snapshot
	now   time.Time
}

func (p *pureDevice) pass(to time.Time) {
	for {
		due, ok := p.model.NextDeadline(p.s)
		if !ok || due.After(to) {
			p.now = to
			return
		}
		if due.After(p.now) {
			p.now = due
		}
		p.s, _ = p.model.Step(p.s, devicefsm.Event{Arrived: p.now})
	}
}

func (p *pureDevice) hear(m device.Message) {
	p.pass(m.Time)
	name, _ := p.model.Classify(m)
	p.s, _ = p.model.Step(p.s, devicefsm.Event{Name: name, Data: m.Data, Time: m.Time, Arrived: m.Time, Alive: m.Alive()})
}

func (p *pureDevice) move(to *devicefsm.Model, g *devicefsm.Migration, at time.Time) (devicefsm.Migrated, error) {
	p.pass(at)
	moved, err := g.Apply(p.s, devicefsm.MigrationInput{At: at})
	if err == nil {
		p.model, p.s = to, moved.Snapshot
	}
	return moved, err
}

// looks is what a snapshot says without clocks: where they are depends on when a worker had time.
func looks(t *rapid.T, s *devicefsm.Snapshot) string {
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatalf("%v", err)
	}
	var all map[string]any
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatalf("%v", err)
	}
	for _, clock := range []string{"t", "dt", "lag", "tr"} {
		delete(all, clock)
	}
	timers, _ := all["timers"].([]any)
	for _, x := range timers {
		delete(x.(map[string]any), "l")
	}
	return text(all)
}

// movedRun plays steps in a run of a device's workflow, and asks for a migration behind them, twice.
type movedRun struct {
	*twinHarness
	heard []device.Message // with the times at which they came
	asked *asked
	at    time.Time // of the question
}

func (r *movedRun) play(steps []movedStep, m *Migrate) {
	at := time.Duration(0)
	for _, s := range steps {
		at += s.after
		r.RegisterDelayedCallback(func() {
			list := []device.Message{{Channel: device.ChannelEvents, Name: s.name, Data: map[string]any{"x": s.x}}}
			list[0].Time = r.Now().UTC().Truncate(time.Millisecond)
			r.seq++
			list[0].Epoch, list[0].Seq = 1, r.seq
			r.heard = append(r.heard, list[0])
			batch := device.Batch{ID: fmt.Sprintf("batch-%d", r.seq), Messages: list}
			r.SignalWorkflow(SignalEvents, batch)
			if s.again {
				r.SignalWorkflow(SignalEvents, batch)
			}
		}, at)
	}
	if m != nil {
		op := Operation{ID: "move " + m.Plan.To[:12], Migrate: m}
		r.RegisterDelayedCallback(func() { r.at = r.Now() }, at+500*time.Millisecond)
		r.asked = r.operate(at+500*time.Millisecond, op, op)
	}
}

// watch cancels the run after a time, and says what it looks like then, and when that is.
func (r *movedRun) watch(after time.Duration) (view *View, at *time.Time) {
	view, at = &View{}, &time.Time{}
	r.RegisterDelayedCallback(func() {
		*view, *at = r.view(), r.Now()
		r.CancelWorkflow()
	}, after)
	return view, at
}

func lengthOf(steps []movedStep) (all time.Duration) {
	for _, s := range steps {
		all += s.after
	}
	return all
}

// Wherever in the life of a device it is moved, to another version and back by the inverse plan, and
// whatever is delivered or asked a second time: the workflow, which continues as new behind each
// migration, has what the pure state machine and Apply have. A device that is refused is not changed.
func TestAMigrationIsThatOfTheStateMachine(t *testing.T) {
	moved, refused, returned, lostSome := 0, 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		chart := drawMovedChart(rt)
		old, new := chart.load(t, false), chart.load(t, true)
		if old.Hash() == new.Hash() {
			rt.Skip("the versions are one")
		}
		there := drawMovedPlan(rt, old, new)
		inverse, lost := there.Inverse()
		back, faults := devicefsm.NewMigration(new, old, inverse)
		if len(faults) > 0 {
			rt.Fatalf("the way back: %+v", faults)
		}
		first, second, third := drawMovedSteps(rt, "before", 10), drawMovedSteps(rt, "between", 6), drawMovedSteps(rt, "after", 6)

		models := NewRegistry(old, new)
		h := &twinHarness{harness: newHarnessFor(t, old, 0), wire: &sentLog{}}
		h.workflow.Models, h.activities.Models, h.activities.Publisher = models, models, h.wire
		h.SetStartTime(t0)
		pure := &pureDevice{model: old, now: t0}
		pure.s, _ = old.Start(t0)

		steady := "" // what the device was before the last migration, if nothing was due about then
		// leg plays steps and a migration, and compares. It returns the next run, or nil if the device stays.
		leg := func(h *twinHarness, steps []movedStep, p devicefsm.Plan, g *devicefsm.Migration, to *devicefsm.Model) *twinHarness {
			r := &movedRun{twinHarness: h}
			r.play(steps, &Migrate{Plan: p})
			view, viewed := r.watch(lengthOf(steps) + time.Second) // the run has ended before, if the device was moved
			h.run(Input{Device: h.id, Model: h.model.Hash(), State: h.state})
			for _, m := range r.heard {
				pure.hear(m)
			}
			if len(r.asked.results) != 2 {
				rt.Fatalf("results %s, %v", text(r.asked.results), r.asked.err)
			}
			did, again := r.asked.results[0], r.asked.results[1]
			if !viewed.IsZero() {
				_, err := pure.move(to, g, r.at)
				pure.pass(*viewed)
				before := looks(rt, pure.s)
				if err == nil || did.Refused == nil || did.Refused.Message != err.Error() {
					rt.Fatalf("the workflow: %s, the state machine: %v", text(did), err)
				}
				if got := looks(rt, view.Snapshot); got != before || view.Model != h.model.Hash() || len(view.Migrations) != len(statesMigrations(h.state)) {
					rt.Fatalf("it was refused (%v), and is\n%s\nwas\n%s", err, got, before)
				}
				refused++
				return nil
			}
			if did.Migrated == nil || again.Migrated == nil || did.Migrated.ID != again.Migrated.ID {
				rt.Fatalf("results %s", text(r.asked.results))
			}
			pure.pass(did.Migrated.At)
			was, pending := pure.s, looks(rt, pure.s)
			made, err := pure.move(to, g, did.Migrated.At)
			if err != nil {
				rt.Fatalf("the workflow: %s, the state machine: %v", text(did), err)
			}
			pure.pass(did.Migrated.At) // what is due now
			next := h.next()
			if got, want := looks(rt, next.state.Snapshot), looks(rt, pure.s); got != want || next.state.Model != to.Hash() {
				rt.Fatalf("after the migration\n%s\nwant\n%s", got, want)
			}
			if !slices.Equal(did.Migrated.Lost, boundedLost(made.Lost)) {
				rt.Fatalf("lost %q, want %q", did.Migrated.Lost, made.Lost)
			}
			moved++
			lost = append(lost, made.Lost...)
			steady = pending
			if due, ok := h.model.NextDeadline(was); ok && !due.After(did.Migrated.At.Add(2*time.Second)) {
				steady = ""
			}
			return next
		}

		next := leg(h, first, there.Plan, there.Migration, new)
		if next == nil {
			return
		}
		before := steady
		last := leg(next, second, inverse, back, old)
		if last == nil {
			return
		}
		returned++
		if len(lost) > 0 {
			lostSome++
		} else if got := looks(rt, pure.s); len(second) == 0 && before != "" && steady != "" && got != before {
			rt.Fatalf("there and back, and nothing is lost\n%s\nwas\n%s", got, before)
		}
		r := &movedRun{twinHarness: last}
		r.play(third, nil)
		view, viewed := r.watch(lengthOf(third) + 10*time.Second)
		last.run(Input{Device: last.id, Model: last.model.Hash(), State: last.state})
		for _, m := range r.heard {
			pure.hear(m)
		}
		pure.pass(*viewed)
		if got, want := looks(rt, view.Snapshot), looks(rt, pure.s); got != want {
			rt.Fatalf("in the end\n%s\nwant\n%s", got, want)
		}
		all := uint64(len(first) + len(second) + len(third))
		if view.Delivery.Applied != all || len(view.Migrations) != 2 || view.Runs != 2 {
			rt.Fatalf("%d messages applied, want %d; %d migrations, %d runs", view.Delivery.Applied, all, len(view.Migrations), view.Runs)
		}
	})
	if moved == 0 || refused == 0 || returned == 0 || lostSome == 0 {
		t.Errorf("%d were moved, %d refused, %d came back, %d of them with something lost", moved, refused, returned, lostSome)
	}
}

func statesMigrations(s *State) []Migration {
	if s == nil {
		return nil
	}
	return s.Migrations
}
