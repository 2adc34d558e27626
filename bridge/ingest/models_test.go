package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/figures"
)

// variant is the model tank under another name and with other thresholds.
func variant(t *testing.T, name string, high, low int) *devicefsm.Model {
	t.Helper()
	text := strings.Replace(tank, "model: tank", "model: "+name, 1)
	text = strings.Replace(text, "> 90", fmt.Sprint("> ", high), 1)
	return modelOf(t, strings.Replace(text, "< 80", fmt.Sprint("< ", low), 1))
}

// temperature delivers a reading and returns how often and with which model the
// device was signalled because of it.
func (b *bench) temperature(device string, degrees int) string {
	before := len(b.out.signals)
	b.deliver("devices/"+device+"/telemetry", fmt.Sprintf(`{"t":%d}`, degrees), "", false)
	b.acceptAll()
	if n := len(b.out.signals) - before; n != 1 {
		return fmt.Sprint(n)
	}
	return "1 " + b.out.signals[before].model
}

func TestModelsByRule(t *testing.T) {
	pump, tank := variant(t, "pump", 90, 80), variant(t, "tank", 50, 40)
	old := variant(t, "tank", 30, 20)
	cfg := DefaultConfig()
	cfg.ModelRules = []string{"tank-old-*=" + old.Hash(), "tank-*=tank"}
	b := newBench(cfg, pump, tank, old)
	type step struct {
		device  string
		degrees int
		want    string
	}
	for i, s := range []step{
		{"p", 95, "1 "}, {"p", 96, "0"}, {"p", 85, "0"},
		{"tank-1", 45, "1 " + tank.Hash()}, // its workflow may run the old version
		{"tank-1", 48, "0"},
		{"tank-1", 60, "1 " + tank.Hash()},
		{"tank-1", 61, "0"},
		{"tank-old-1", 60, "1 " + old.Hash()},
		{"tank-old-1", 10, "1 " + old.Hash()},
	} {
		if got := b.temperature(s.device, s.degrees); got != s.want {
			t.Errorf("step %d, %s at %d: %q, want %q", i, s.device, s.degrees, got, s.want)
		}
	}
}

func TestModelsByBirth(t *testing.T) {
	pump, tank := variant(t, "pump", 90, 80), variant(t, "tank", 50, 40)
	cfg := DefaultConfig()
	cfg.ModelFromBirth, cfg.ModelRules = true, []string{"fixed-*=pump"}
	b := newBench(cfg, pump, tank)
	birth := func(device, model string) {
		b.deliver("devices/"+device+"/status", fmt.Sprintf(`{"status":"boot","model":%q}`, model), "", false)
		b.acceptAll()
	}
	want := func(what, device string, degrees int, want string) {
		t.Helper()
		if got := b.temperature(device, degrees); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	want("unknown: everything", "d", 85, "1 ")
	want("unknown: everything", "d", 85, "1 ")
	birth("d", "tank")
	if got := b.out.signals[len(b.out.signals)-1].model; got != tank.Hash() {
		t.Errorf("the birth itself starts %q", got)
	}
	want("a tank, that might have been started as a pump", "d", 60, "1 "+tank.Hash())
	want("settled for both", "d", 61, "0")
	birth("d", "boiler")
	want("a model that this bridge has not", "d", 61, "1 ")
	want("a model that this bridge has not", "d", 61, "1 ")
	birth("d", pump.Hash())
	want("by hash", "d", 85, "1 ")
	want("by hash", "d", 85, "0")
	birth("fixed-1", "tank")
	want("a rule is stronger", "fixed-1", 85, "0")
	if n := b.counts.UnknownModels.Load(); n != 1 {
		t.Errorf("%d births with unknown models", n)
	}
	if p := b.out.points[len(b.out.points)-1]; len(b.out.points) != 9 {
		t.Errorf("%d points, the last %s", len(b.out.points), p)
	}
}

// Without a default model, nothing is started for a device that no rule matches
// and that has not named one; what its workflow, if it has one, does not take is a
// dead letter.
func TestNoDefaultModel(t *testing.T) {
	if _, err := newAssignment(DefaultConfig(), nil, nil, nil); err == nil {
		t.Error("neither a model nor rules nor births, and no error")
	}
	pump, tank := variant(t, "pump", 90, 80), variant(t, "tank", 50, 40)
	cfg := DefaultConfig()
	cfg.ModelFromBirth, cfg.ModelRules = true, []string{"tank-*=tank"}
	b := newBench(cfg, nil, pump, tank)
	send := func(id string) sentSignal {
		b.deliver("devices/"+id+"/telemetry", `{"t":99}`, "m", false)
		return b.out.signals[len(b.out.signals)-1]
	}
	if s := send("tank-1"); s.existing || s.model != tank.Hash() {
		t.Errorf("by rule: %+v", s)
	}
	b.acceptAll()
	if s := send("d"); !s.existing || s.model != "" {
		t.Errorf("without a model: %+v", s)
	}
	b.accept("d") // it has a workflow
	if len(b.out.letters) != 0 || len(b.out.points) != 1 {
		t.Errorf("dead letters %v, points %v", b.out.letters, b.out.points)
	}
	send("d")
	b.fail("d", device.ErrNoTwin)
	if len(b.out.letters) != 1 || !strings.Contains(fmt.Sprint(b.out.letters[0].Refused), "no model for this device") {
		t.Errorf("dead letters %+v", b.out.letters)
	}
	b.deliver("devices/d/status", `{"status":"boot","model":"pump"}`, "m", false)
	if s := b.out.signals[len(b.out.signals)-1]; s.existing || s.model != pump.Hash() {
		t.Errorf("after the birth: %+v", s)
	}
	b.acceptAll()
	if acks := b.acks(); !b.idle() || acks != "m m m m" {
		t.Errorf("acknowledged %q", acks)
	}
}

func TestLivenessOfSeveralVersions(t *testing.T) {
	strict := modelOf(t, strings.Replace(tank, "silent_after: 10m, tolerance: 5m", "silent_after: 1m, tolerance: 10s", 1))
	k := newModelSet(strict, []Model{modelOf(t, tank), strict, testModel{}})
	if k.silentAfter.String() != "1m0s" || k.tolerance.String() != "10s" {
		t.Errorf("renewed for %v, %v", k.silentAfter, k.tolerance)
	}
}

func TestStartOnAnyMessage(t *testing.T) {
	for _, any := range []bool{false, true} {
		cfg := DefaultConfig()
		cfg.StartOnAny = any
		b := newBench(cfg, testModel{})
		for range 3 {
			b.deliver("devices/d/telemetry", `{"cold":1}`, "", false)
			b.acceptAll()
		}
		want := 0
		if any {
			want = 1
		}
		if n := len(b.out.signals); n != want {
			t.Errorf("start on any %t: %d signals of 3 irrelevant messages", any, n)
		}
	}
}

func TestModelRulesAreChecked(t *testing.T) {
	cfg := DefaultConfig()
	cfg.ModelRules = []string{"pump-*", "=pump", "[=pump", "a="}
	if err := cfg.Validate(); err == nil || strings.Count(err.Error(), "model rule") != 4 {
		t.Errorf("bad rules: %v", err)
	}
	cfg.ModelRules = []string{"a=pump", "b=nothing", "c=none"}
	deps := Deps{Model: testModel{}, Sink: noSink{}, Counts: NewCounts(figures.NewSet("test_")), Log: slog.New(slog.DiscardHandler)}
	if _, err := New(cfg, deps); err == nil || strings.Count(err.Error(), "no model") != 2 || !strings.Contains(err.Error(), "there is pump") {
		t.Errorf("unknown models: %v", err)
	}
}

type noSink struct{}

func (noSink) Deliver(context.Context, device.Delivery) (string, error) { return "run", nil }
