package plan_test

import (
	"errors"
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
