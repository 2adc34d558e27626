package ingest

import (
	"testing"

	"devicetwin/device"
)

// A version that is kept, because devices may still run it, needs its messages, and no
// device starts with it: not by default, by rule, or by the name or the hash in a birth.
func TestKeptModelsFilterAndStartNothing(t *testing.T) {
	now, old, gone := variant(t, "tank", 50, 40), variant(t, "tank", 30, 20), variant(t, "pump", 90, 80)
	of := func(a *assignment, id device.ID) *modelSet { return a.of(id) }
	holds := func(set *modelSet, m Model) bool {
		for _, p := range set.possible {
			if p.Hash() == m.Hash() {
				return true
			}
		}
		return false
	}
	byDefault, err := newAssignment(DefaultConfig(), nil, now, nil, old, gone)
	if err != nil {
		t.Fatal(err)
	}
	if set := of(byDefault, "tank-1"); set.start.Hash() != now.Hash() || !holds(set, old) || holds(set, gone) {
		t.Errorf("by default: starts with %s, of %d", set.start.Hash(), len(set.possible))
	}

	cfg := DefaultConfig()
	cfg.ModelRules = []string{"tank-*=tank"}
	byRule, err := newAssignment(cfg, nil, nil, []Model{now}, old, gone)
	if err != nil {
		t.Fatal(err)
	}
	if set := of(byRule, "tank-1"); set.start.Hash() != now.Hash() || !holds(set, old) || holds(set, gone) {
		t.Errorf("by rule: starts with %s, of %d", set.start.Hash(), len(set.possible))
	}
	for _, rule := range []string{"pump-*=pump", "tank-*=" + old.Hash()} {
		cfg.ModelRules = []string{rule}
		if _, err := newAssignment(cfg, nil, nil, []Model{now}, old, gone); err == nil {
			t.Errorf("rule %s gives a model that is only kept", rule)
		}
	}

	cfg = DefaultConfig()
	cfg.ModelFromBirth = true
	named, err := newAssignment(cfg, nil, nil, []Model{now}, old, gone)
	if err != nil {
		t.Fatal(err)
	}
	if set := named.named["tank"]; set.start.Hash() != now.Hash() || !holds(set, old) || !holds(set, gone) {
		t.Errorf("by birth: starts with %s, of %d", set.start.Hash(), len(set.possible))
	}
	for _, name := range []string{"pump", gone.Hash(), old.Hash()} {
		if named.named[name] != nil {
			t.Errorf("a birth can name %s, which is only kept", name)
		}
	}
}
