package plan_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/devicefsm"
	"devicetwin/devicefsm/plan"
	"devicetwin/source"
)

const before = `
model: pump
events: {boot: {channel: status}, reading: {channel: telemetry}}
patterns: {crash_loop: {sequence: [{event: boot, times: 3}], within: 10m}}
context: {attempts: 0, gone: 1}
initial: online
states:
  online: {on: {crash_loop: fixing, reading: {guard: "event.temperature > 90", target: overheated}}}
  overheated: {after: {5m: online}, on: {crash_loop: fixing}}
  fixing:
    entry: {assign: {attempts: "context.attempts + 1"}}
    invoke: {src: reprovision, onDone: online, onError: quarantined}
  quarantined: {on: {boot: online}}
`

func after() string {
	return strings.NewReplacer("overheated", "hot", "5m: online", "10m: online", "gone: 1", "limit: 3",
		"quarantined: {on: {boot: online}}", "quarantined: {on: {boot: online}, after: {1d: online}}").Replace(before)
}

var t0 = time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)

func load(t testing.TB, src string) *devicefsm.Model {
	t.Helper()
	m, err := devicefsm.Load("model.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// What stays the same needs no person.
func TestThePlanOfOneModelIsComplete(t *testing.T) {
	m := load(t, before)
	text := plan.Write(plan.Derive(m, m), m, m)
	p, err := plan.Read("plan.yaml", text, m, m)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if r := p.Check(); !r.OK() || len(r.Lost) > 0 || r.Configurations < 4 {
		t.Errorf("%s", r)
	}
	if again, err := plan.Read("other.yaml", append([]byte("# a comment\n"), text...), m, m); err != nil || again.Hash != p.Hash || len(p.Hash) != 64 {
		t.Errorf("hash %q, %v", p.Hash, err)
	}
}

// Every hole of a derived plan is an error at its line; filled in, the plan leads there and back.
func TestHolesAreErrorsWithTheirPlaces(t *testing.T) {
	old, new := load(t, before), load(t, after())
	text := string(plan.Write(plan.Derive(old, new), old, new))
	for _, want := range []string{
		"overheated: hot # a guess", "overheated after 5m: {do: keep, as: hot after 10m}", "gone: drop", "limit: # FILL IN", "quarantined after 1d: # FILL IN",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	_, err := plan.Read("plan.yaml", []byte(text), old, new)
	var faults source.Faults
	if !errors.As(err, &faults) || len(faults) != strings.Count(text, "FILL IN") || len(faults) != 2 {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, f := range faults {
		if line := strings.Split(text, "\n")[f.Line-1]; !strings.Contains(line, "FILL IN") || f.Column != 3 {
			t.Errorf("%s", f)
		}
	}
	text = strings.Replace(text, "limit: #", "limit: context.attempts + 2 #", 1)
	text = strings.Replace(text, "after 1d: #", "after 1d: start #", 1)
	p, err := plan.Read("plan.yaml", []byte(text), old, new)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if r := p.Check(); !r.OK() || len(r.Lost) != 1 || !strings.Contains(r.Lost[0], `"gone"`) {
		t.Errorf("%s", r)
	}
	thereAndBack(t, old, new, p)
}

func thereAndBack(t *testing.T, old, new *devicefsm.Model, p *plan.Plan) {
	t.Helper()
	s, _ := old.Start(t0)
	s, _ = old.Step(s, devicefsm.Event{Name: "reading", Data: map[string]any{"temperature": 95.0}, Time: t0})
	moved, err := p.Migration.Apply(s, devicefsm.MigrationInput{At: t0})
	if err != nil {
		t.Fatal(err)
	}
	if new.StateName(moved.Snapshot) != "hot" || moved.Snapshot.Context()["limit"] != 2.0 {
		t.Errorf("%s, context %v", new.StateName(moved.Snapshot), moved.Snapshot.Context())
	}
	inverse, _ := p.Inverse()
	back, faults := devicefsm.NewMigration(new, old, inverse)
	if len(faults) > 0 {
		t.Fatalf("inverse: %+v", faults)
	}
	again, err := back.Apply(moved.Snapshot, devicefsm.MigrationInput{At: t0})
	if err != nil || old.StateName(again.Snapshot) != "overheated" {
		t.Fatal(err)
	}
	if due, _ := old.NextDeadline(again.Snapshot); !due.Equal(t0.Add(5 * time.Minute)) {
		t.Errorf("due %v", due)
	}
}

func TestFaultsOfAPlan(t *testing.T) {
	m := load(t, before)
	text := string(plan.Write(plan.Derive(m, m), m, m))
	for change, want := range map[[2]string]string{
		{"\nfrom: ", "\nfrom: x # "}:                        "the plan is for another model",
		{"  online: online", "  online: onlin"}:             `the new model has no state "onlin" (did you mean "online"?)`,
		{"  online: online", "  onlin: online"}:             `the model has no state "onlin"`,
		{"  attempts: keep", "  attempts: \"context.n +\""}: "expression",
		{"  attempts: keep", "  attempts: drop"}:            "cannot be dropped",
		{"crash_loop: keep", "crash_loop: kep"}:             "expected one of keep, replay, drop",
		{"always: hold", "always: maybe"}:                   "expected one of hold, take",
		{"always: hold", "sometimes: hold"}:                 "unknown key",
		{"  fixing: fixing", "  fixing: [fixing, online]"}:  "cannot be active together",
	} {
		changed := strings.Replace(text, change[0], change[1], 1)
		if changed == text {
			t.Errorf("the plan has no %q:\n%s", change[0], text)
			continue
		}
		_, err := plan.Read("plan.yaml", []byte(changed), m, m)
		var faults source.Faults
		if !errors.As(err, &faults) || !strings.Contains(err.Error(), want) || faults[0].Line == 0 {
			t.Errorf("%q: %v", change[1], err)
		}
	}
}

const twoRegions = `
initial: on
states:
  on:
    type: parallel
    states:
      pump: {initial: idle, states: {idle: {on: {run: running}}, running: {on: {halt: idle}}}}
      fan: {initial: off, states: {off: {on: {blow: blowing}}, blowing: {on: {calm: off}}}}
`

const oneRegion = `{initial: idle, states: {idle: {on: {run: running}}, running: {on: {halt: idle, blow: cooled}}, cooled: {on: {calm: running}}}}`

// States that become several, or one of several regions, come back, and what does not is named.
func TestTheInverseOfRegions(t *testing.T) {
	for _, c := range []struct {
		name, old, new string
		states         map[string][]string
		regions        map[string]string
		back           map[string][]string
		lost           []string
	}{
		{
			name: "a region is new", old: strings.NewReplacer(", blow: cooled", "", ", cooled: {on: {calm: running}}", "").Replace(oneRegion), new: twoRegions,
			states: map[string][]string{"idle": {"on.pump.idle"}, "running": {"on.pump.running"}}, regions: map[string]string{"on.fan": "initial"},
			back: map[string][]string{"on.pump.idle": {"idle"}, "on.pump.running": {"running"}, "on.fan.off": {"initial"}, "on.fan.blowing": {"initial"}},
		},
		{
			name: "one becomes two", old: `{initial: idle, states: {idle: {on: {cool: cooled}}, cooled: {on: {calm: idle}}}}`, new: twoRegions,
			states: map[string][]string{"idle": {"on.pump.idle", "on.fan.off"}, "cooled": {"on.pump.running", "on.fan.blowing"}},
			back:   map[string][]string{"on.pump.idle": {"idle"}, "on.pump.running": {"cooled"}, "on.fan.off": {"idle"}, "on.fan.blowing": {"cooled"}},
		},
		{
			name: "a state is the image of two", old: oneRegion, new: twoRegions,
			states:  map[string][]string{"idle": {"on.pump.idle"}, "running": {"on.pump.running"}, "cooled": {"on.pump.running", "on.fan.blowing"}},
			regions: map[string]string{"on.fan": "initial"},
			back:    map[string][]string{"on.pump.idle": {"idle"}, "on.pump.running": {"running"}, "on.fan.off": {"initial"}, "on.fan.blowing": {"cooled"}},
			lost: []string{
				`"cooled" has no way back from "on.pump.running, on.fan.blowing": two sources for one target: both "running" and "cooled" would be active in the chart`,
				`state "cooled": what it becomes does not lead back to it alone`,
			},
		},
		{
			name: "two regions become one state", old: strings.Replace(twoRegions, "off: {on: {blow: blowing}}, blowing: {on: {calm: off}}", "off: {}", 1), new: strings.NewReplacer(", blow: cooled", "", ", cooled: {on: {calm: running}}", "").Replace(oneRegion),
			states: map[string][]string{"on.pump.idle": {"idle"}, "on.pump.running": {"running"}, "on.fan.off": {"idle"}},
			back:   map[string][]string{"idle": {"on.fan.off", "on.pump.idle"}, "running": {"on.pump.running"}},
		},
	} {
		old, new := load(t, c.old), load(t, c.new)
		derived := plan.Derive(old, new)
		derived.States, derived.Regions = c.states, c.regions
		p, err := plan.Read("plan.yaml", plan.Write(derived, old, new), old, new)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		back, _ := p.Inverse()
		for path, want := range c.back {
			if got := back.States[path]; !slices.Equal(got, want) {
				t.Errorf("%s: %s comes back as %q, want %q", c.name, path, got, want)
			}
		}
		if _, faults := devicefsm.NewMigration(new, old, back); len(faults) > 0 {
			t.Errorf("%s: the way back: %+v", c.name, faults)
		}
		r := p.Check()
		if c.name == "two regions become one state" { // running and off are two sources for one target
			if len(r.Problems) != 1 || len(r.Lost) > 0 {
				t.Errorf("%s: %s", c.name, r)
			}
			continue
		}
		if !r.OK() || !slices.Equal(r.Lost, c.lost) {
			t.Errorf("%s: lost %q\n%s", c.name, r.Lost, r)
		}
	}
}

func TestCheckNamesWhatHasNoImageAndWhatIsLost(t *testing.T) {
	old := load(t, before)
	new := load(t, strings.Replace(before, "quarantined: {on: {boot: online}}", "quarantined: {always: online}", 1))
	derived := plan.Derive(old, new)
	derived.States["overheated"] = []string{"online"}
	derived.Timers["overheated after 5m"] = devicefsm.PlanItem{Do: devicefsm.PlanDrop}
	derived.States["fixing"] = []string{devicefsm.PlanHold}
	p, err := plan.Read("plan.yaml", plan.Write(derived, old, new), old, new)
	if err != nil {
		t.Fatal(err)
	}
	r := p.Check()
	text := r.String()
	for _, want := range []string{
		`"quarantined": an eventless transition would be taken on arrival`, "Held, so not moved:\n  \"fixing\"", `"overheated" comes back as "online"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	if r.OK() {
		t.Error("the plan is said to be proved")
	}
}
