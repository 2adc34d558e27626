package devicefsm_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"devicetwin/devicefsm"
	"devicetwin/devicefsm/plan"
)

// randomPlan is a derived plan whose holes are filled by chance, and of which some states go
// somewhere else.
func randomPlan(t *rapid.T, old, new *devicefsm.Model) *plan.Plan {
	p := plan.Derive(old, new)
	targets := []string{devicefsm.PlanHold, devicefsm.PlanInitial}
	for _, s := range new.Outline().States[1:] {
		if !s.IsHistory() {
			targets = append(targets, s.Path)
		}
	}
	target := func() []string { return []string{rapid.SampledFrom(targets).Draw(t, "image")} }
	for _, s := range old.Outline().States[1:] {
		if to, given := p.States[s.Path]; given && (to == nil || rapid.IntRange(0, 5).Draw(t, "other image") == 0) {
			p.States[s.Path] = target()
		}
	}
	for name := range p.Entry { // each for itself
		p.Entry[name] = rapid.SampledFrom([]string{devicefsm.PlanRun, devicefsm.PlanSkip}).Draw(t, "entry")
	}
	p.Always = rapid.SampledFrom([]string{devicefsm.PlanHold, devicefsm.PlanTake}).Draw(t, "always")
	var faults []devicefsm.PlanFault
	for range 4 {
		if _, faults = devicefsm.NewMigration(old, new, p); len(faults) == 0 {
			break
		}
		for _, f := range faults {
			switch f.Part {
			case "regions":
				p.Regions[f.Key] = devicefsm.PlanInitial
			case "new_timers", "new_invocations":
				part := map[string]map[string]string{"new_timers": p.NewTimers, "new_invocations": p.NewInvocations}[f.Part]
				if part[f.Key] == "" {
					part[f.Key] = rapid.SampledFrom([]string{devicefsm.PlanStart, devicefsm.PlanSkip}).Draw(t, "new")
				} else {
					delete(part, f.Key)
				}
			case "timers":
				p.Timers[f.Key] = devicefsm.PlanItem{Do: devicefsm.PlanDrop}
			case "invocations":
				p.Invocations[f.Key] = devicefsm.PlanItem{Do: devicefsm.PlanCancel}
			default:
				t.Fatalf("%+v", f)
			}
		}
	}
	read, err := plan.Read("plan.yaml", plan.Write(p, old, new), old, new)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return read
}

// place is a snapshot without what counts on: when its latest transition was, and the numbers of ids.
func place(t *rapid.T, s *devicefsm.Snapshot) string {
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatalf("%v", err)
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatalf("%v", err)
	}
	delete(all, "tr")
	delete(all, "n")
	return fmt.Sprint(all)
}

// A device that goes to another model and back by the inverse plan is where it was, or what it has
// lost is named: by the check, before any device is moved, or by the migration.
func TestThereAndBackOrNamed(t *testing.T) {
	same, named, held := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		src := devicefsm.RandomModel(t)
		old, err := devicefsm.Load("old.yaml", []byte(src))
		if err != nil {
			t.Skip("a sequence that means nothing")
		}
		other := devicefsm.RenamedStates(src)
		if rapid.Bool().Draw(t, "another model") {
			other = devicefsm.RandomModel(t)
		}
		new, err := devicefsm.Load("new.yaml", []byte(other))
		if err != nil {
			t.Skip("a sequence that means nothing")
		}
		p := randomPlan(t, old, new)
		report := p.Check()
		if report.Incomplete != "" {
			t.Skip(report.Incomplete)
		}
		says := func(part string) bool {
			return slices.ContainsFunc(report.Lost, func(l string) bool { return strings.Contains(l, part) })
		}
		inverse, _ := p.Inverse()
		back, faults := devicefsm.NewMigration(new, old, inverse)
		if len(faults) > 0 {
			if !says("the way back: " + faults[0].Message) {
				t.Fatalf("the way back has faults that nobody names: %+v\n%s", faults, report)
			}
			return
		}
		s, started := old.Start(time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC))
		s, now, lived := devicefsm.LiveOn(old, s, time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC), devicefsm.RandomLife(t))
		if devicefsm.Endless(append(lived, started)) {
			t.Skip("it did not come to rest before")
		}
		in := devicefsm.MigrationInput{At: now}
		was := strings.ReplaceAll(old.StateName(s), ",", ", ")
		moved, err := p.Migration.Apply(s, in)
		if err != nil {
			held++
			return
		}
		again, err := back.Apply(moved.Snapshot, in)
		var refused *devicefsm.Held
		if errors.As(err, &refused) {
			byData := strings.Contains(refused.Reason, "eventless") || strings.Contains(refused.Reason, "come to rest")
			if !byData && !says(fmt.Sprintf("%q has no way back", was)) && !says("taken on arrival") {
				t.Fatalf("from %q it does not come back: %v; lost %q\n%s\n%s", was, err, report.Lost, src, other)
			}
			named++
			return
		}
		if err != nil {
			t.Fatalf("%v", err)
		}
		lost := slices.Concat(report.Lost, moved.Lost, again.Lost)
		switch {
		case place(t, s) == place(t, again.Snapshot):
			same++
		case len(lost) > 0:
			named++
		default:
			t.Fatalf("it comes back from %q as\n%s\nwas\n%s\nand nothing is lost\n%s\n%s", was, place(t, again.Snapshot), place(t, s), src, other)
		}
	})
	if same == 0 || named == 0 || held == 0 {
		t.Errorf("%d came back as they were, %d lost something that was named, %d were held", same, named, held)
	}
}
