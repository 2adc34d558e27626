package ingest

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"devicetwin/device"
	"devicetwin/internal/figures"
)

// reassign gives the core other models.
func (b *bench) reassign(t *testing.T, to Assignment) {
	t.Helper()
	a, err := to.assignment(b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.assign(a)
}

// A new version of a model is asked about from the next message on, and what is remembered of the
// devices of other models stays.
func TestAVersionIsAdded(t *testing.T) {
	tank, other, pump := variant(t, "tank", 90, 80), variant(t, "tank", 50, 40), variant(t, "pump", 90, 80)
	models := func(more ...Model) Assignment {
		return Assignment{Model: tank, Models: append([]Model{tank, pump}, more...), Rules: []string{"pump-*=pump"}}
	}
	cfg := DefaultConfig()
	cfg.ModelRules = models().Rules
	b := newBench(cfg, tank, pump)
	want := func(what, id string, degrees int, want string) {
		t.Helper()
		if got := b.temperature(id, degrees); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	want("at first", "tank-1", 85, "1 ")
	want("at first", "pump-1", 85, "1 "+pump.Hash())
	want("settled", "tank-1", 85, "0")
	want("settled", "pump-1", 85, "0")
	b.reassign(t, models())
	want("nothing new", "tank-1", 85, "0")
	b.reassign(t, models(other))
	want("of another model", "pump-1", 85, "0")
	want("the new version has not seen it", "tank-1", 85, "1 ")
	want("settled for both", "tank-1", 85, "0")
	want("only the new version goes by it", "tank-1", 35, "1 ")
	want("only the new version goes by it", "tank-1", 60, "1 ")
	// It becomes the default: who was there is not signalled for that.
	next := models(other)
	next.Model = other
	b.reassign(t, next)
	want("the default is another one", "tank-1", 60, "0")
	want("a new device", "tank-2", 60, "1 "+other.Hash())
	// Removed, and there again: the versions are the same.
	b.reassign(t, Assignment{Model: other, Models: []Model{pump, other, tank}, Rules: next.Rules})
	want("the order does not matter", "tank-2", 60, "0")
	b.reassign(t, Assignment{Model: other, Models: []Model{pump}, Rules: next.Rules})
	want("the first version is gone", "tank-1", 60, "1 "+other.Hash())
	if n := len(b.out.letters); n > 0 {
		t.Errorf("%d dead letters", n)
	}
}

// A model that cannot be read starts devices, and nothing of those that may run it is left out.
func TestAModelThatCannotBeRead(t *testing.T) {
	tank, other, pump := variant(t, "tank", 90, 80), variant(t, "tank", 50, 40), variant(t, "pump", 90, 80)
	stand := Unread("tank", other.Hash(), device.KindDevice)
	cfg := DefaultConfig()
	cfg.ModelRules = []string{"pump-*=pump"}
	b := newBench(cfg, tank, pump)
	b.implied = "" // as with Deps.NameModels
	for _, id := range []string{"tank-1", "pump-1", "tank-1", "pump-1"} {
		b.temperature(id, 85)
	}
	b.reassign(t, Assignment{Model: stand, Models: []Model{tank, pump}, Rules: cfg.ModelRules})
	for range 3 {
		if got := b.temperature("tank-1", 85); got != "1 "+other.Hash() {
			t.Errorf("left out, although its model is not read: %q", got)
		}
	}
	if got := b.temperature("pump-1", 85); got != "0" {
		t.Errorf("of another model: %q", got)
	}
	if n := len(b.out.points); n != 8 || !strings.HasPrefix(b.out.points[n-2], "tank-1 ") {
		t.Errorf("%d points: %v", n, b.out.points)
	}
	b.reassign(t, Assignment{Model: other, Models: []Model{tank, pump}, Rules: cfg.ModelRules})
	for n, want := range []string{"1 " + other.Hash(), "0"} {
		if got := b.temperature("tank-1", 85); got != want {
			t.Errorf("reading %d after the model is read: %q, want %q", n, got, want)
		}
	}
}

// Devices that named their models keep them, and a name stands for the default version.
func TestNamesAfterAnAssignment(t *testing.T) {
	pump, tank, other := variant(t, "pump", 90, 80), variant(t, "tank", 50, 40), variant(t, "tank", 30, 20)
	cfg := DefaultConfig()
	cfg.ModelFromBirth = true
	b := newBench(cfg, pump, tank)
	b.implied = ""
	birth := func(id, model string) string {
		b.deliver("devices/"+id+"/status", `{"status":"boot","model":"`+model+`"}`, "", false)
		b.acceptAll()
		return b.out.signals[len(b.out.signals)-1].model
	}
	if got := birth("named", "tank"); got != tank.Hash() {
		t.Errorf("starts with %q", got)
	}
	b.temperature("unnamed", 85)
	if s := b.out.signals[len(b.out.signals)-1]; !s.provisional || s.model != pump.Hash() {
		t.Errorf("%+v", s)
	}
	both := Assignment{Model: pump, Models: []Model{tank, other}, Defaults: []Model{pump, other}}
	b.reassign(t, both)
	if got := b.temperature("named", 45); got != "1 "+tank.Hash() {
		t.Errorf("it named the version before: %q", got)
	}
	if got := b.temperature("named", 45); got != "0" {
		t.Errorf("settled: %q", got)
	}
	b.temperature("unnamed", 85)
	if s := b.out.signals[len(b.out.signals)-1]; !s.provisional {
		t.Errorf("it has not named a model: %+v", s)
	}
	if got := birth("next", "tank"); got != other.Hash() {
		t.Errorf("the name stands for %q, want the default %q", got, other.Hash())
	}
	if got := birth("by-hash", tank.Hash()); got != tank.Hash() {
		t.Errorf("the hash stands for %q", got)
	}
	b.reassign(t, Assignment{Model: pump, Models: []Model{other}, Defaults: []Model{pump, other}})
	if got := b.temperature("named", 45); got != "1 "+other.Hash() {
		t.Errorf("its version is gone, the name is there: %q", got)
	}
	b.reassign(t, Assignment{Model: pump, Rules: []string{"named=pump"}})
	if got := b.temperature("named", 95); got != "1 "+pump.Hash() {
		t.Errorf("a rule is stronger: %q", got)
	}
}

// A faulty assignment changes nothing, and nobody waits for a bridge that has ended.
func TestAssignFails(t *testing.T) {
	tank := variant(t, "tank", 90, 80)
	i, err := New(DefaultConfig(), Deps{Model: tank, Sink: newTemporal(), Counts: NewCounts(figures.NewSet("test_")), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Assign(t.Context(), Assignment{Model: tank, Rules: []string{"a=boiler"}}); err == nil || !strings.Contains(err.Error(), `no model "boiler"`) {
		t.Errorf("%v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := i.Assign(ended, Assignment{Model: tank}); !errors.Is(err, context.Canceled) {
		t.Errorf("before Run: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); i.Run(ctx, t.Context()) }()
	if err := i.Assign(t.Context(), Assignment{Model: tank}); err != nil {
		t.Error(err)
	}
	stop()
	<-done
	if err := i.Assign(t.Context(), Assignment{Model: tank}); !errors.Is(err, ErrEnded) {
		t.Errorf("after Run: %v", err)
	}
}
