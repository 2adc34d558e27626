package ingest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
)

// namedBench is a bridge for pumps and tanks that name themselves.
func namedBench(t *testing.T, change func(*Config)) (b *bench, pump, tank string) {
	p, k := variant(t, "pump", 90, 80), variant(t, "tank", 50, 40)
	cfg := DefaultConfig()
	cfg.ModelFromBirth, cfg.RetainedBirths = true, true
	if change != nil {
		change(&cfg)
	}
	return newBench(cfg, p, k), p.Hash(), k.Hash()
}

// said is what a delivery says of the device's model.
func (s sentSignal) said() string {
	var models []string
	for _, m := range s.batch.Messages {
		models = append(models, m.Model)
	}
	return fmt.Sprintf("starts %q provisional %t, says %q", s.model, s.provisional, models)
}

func (b *bench) retained(topic, payload string) {
	b.receive(b.w, topic, Arrival{Payload: []byte(payload), At: b.now, Retained: true, Ack: func() { b.acked = append(b.acked, "retained") }})
}

// A device that speaks before it names its model, or misspells it, begins with the
// default one, and its workflow hears of the model when it is named.
func TestTheWorkflowHearsOfTheModel(t *testing.T) {
	b, pump, tank := namedBench(t, nil)
	told := 0
	want := func(what, want string) {
		t.Helper()
		b.acceptAll()
		var got []string
		for _, s := range b.out.signals[told:] {
			got = append(got, s.said())
		}
		told = len(b.out.signals)
		if g := strings.Join(got, "; "); g != want {
			t.Errorf("%s: %s, want %s", what, g, want)
		}
	}
	status := func(payload string) { b.deliver("devices/d/status", payload, "", false) }
	b.deliver("devices/d/telemetry", `{"t":60}`, "", false)
	want("before a birth", `starts "" provisional true, says [""]`)
	status(`{"status":"boot","model":"tnak"}`)
	want("misspelled", `starts "" provisional true, says [""]`)
	status(`{"status":"boot","model":["tank"]}`)
	want("not a name", `starts "" provisional true, says [""]`)
	if last := b.out.signals[told-1].batch.Messages[0]; len(last.Faults) != 1 || last.Faults[0].Value != `["tank"]` {
		t.Errorf("not a name: faults %+v", last.Faults)
	}
	status(`{"status":"boot"}`)
	want("no name", `starts "" provisional true, says [""]`)
	status(`{"status":"boot","model":"tank"}`)
	want("named", fmt.Sprintf("starts %q provisional false, says [%[1]q]", tank))
	b.deliver("devices/d/telemetry", `{"t":61}`, "", false)
	want("afterwards", fmt.Sprintf(`starts %q provisional false, says [""]`, tank))
	status(`{"status":"boot","model":"` + pump + `"}`)
	want("another one, by hash", fmt.Sprintf(`starts "" provisional false, says [%q]`, pump))

	if n := b.counts.UnknownModels.Load(); n != 2 {
		t.Errorf("%d unknown models, want 2", n)
	}
}

// What names the model may not be delivered: the next message that is does then.
func TestTheModelIsNotLostWithItsMessage(t *testing.T) {
	b, _, tank := namedBench(t, func(c *Config) { c.QuotaRate, c.QuotaBurst = 1, 1 })
	b.deliver("devices/d/telemetry", `{"t":60}`, "", false)
	b.acceptAll()
	b.deliver("devices/d/status", `{"status":"boot","model":"tank"}`, "", false) // beyond the quota
	b.acceptAll()
	b.advance(5 * time.Second)
	b.attend(b.now)
	b.deliver("devices/d/telemetry", `{"t":30}`, "", false)
	if m := b.out.signals[len(b.out.signals)-1].batch.Messages[0]; m.Model != tank || m.Channel != device.ChannelTelemetry {
		t.Errorf("beyond the quota: %+v", m)
	}

	b, _, tank = namedBench(t, nil)
	b.deliver("devices/d/status", `{"status":"boot","model":"tank"}`, "", false)
	b.fail("d", errPermanent)
	b.deliver("devices/d/telemetry", `{"t":60}`, "", false)
	last := b.out.signals[len(b.out.signals)-1]
	for _, m := range last.batch.Messages {
		if m.Channel == device.ChannelTelemetry && m.Model != tank {
			t.Errorf("refused permanently: %+v", m)
		}
	}
}

// A retained birth says which model the device has, and nothing else: it is old.
func TestModelsFromRetainedBirths(t *testing.T) {
	b, _, tank := namedBench(t, func(c *Config) { c.ModelRules = []string{"fixed-*=pump"} })
	b.retained("devices/d/status", `{"status":"boot","model":"tank"}`)
	b.retained("devices/d/telemetry", `{"t":99}`)
	b.retained("devices/fixed-1/status", `{"status":"boot","model":"tank"}`)
	b.retained("devices/d/status", `nonsense`)
	if len(b.out.signals) > 0 || len(b.out.points) > 0 || len(b.out.letters) > 0 || b.acks() != "retained retained retained retained" {
		t.Fatalf("signals %v, points %v, dead letters %v, acknowledged %s", b.out.signals, b.out.points, b.out.letters, b.acks())
	}
	if n, ignored := b.counts.RetainedModels.Load(), b.counts.Ignored.Load(); n != 1 || ignored != 4 {
		t.Errorf("%d models, %d ignored", n, ignored)
	}
	send := func(id string) string {
		b.deliver("devices/"+id+"/telemetry", `{"t":99}`, "", false)
		b.acceptAll()
		return b.out.signals[len(b.out.signals)-1].said()
	}
	if got, want := send("d"), fmt.Sprintf("starts %q provisional false, says [%[1]q]", tank); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := send("fixed-1"); got != `starts "" provisional false, says [""]` {
		t.Errorf("a rule is stronger: %s", got)
	}
	if got := send("e"); got != `starts "" provisional true, says [""]` {
		t.Errorf("one that said nothing: %s", got)
	}
	b.retained("devices/e/status", `{"status":"boot","model":"tank"}`)
	if got, want := send("e"), fmt.Sprintf("starts %q provisional false, says [%[1]q]", tank); got != want {
		t.Errorf("after its first message: %s, want %s", got, want)
	}
	b.deliver("devices/d/status", `{"status":"boot","model":"pump"}`, "", false)
	b.acceptAll()
	b.retained("devices/d/status", `{"status":"boot","model":"tank"}`)
	if got := send("d"); strings.Contains(got, tank) {
		t.Errorf("what the device said itself is newer: %s", got)
	}
	b.retained("devices/f/status", `{"status":"boot","model":"tnak"}`)
	if n := b.counts.Faults[device.FaultUnknownModel].Load(); n != 1 {
		t.Errorf("%d faults for a misspelled retained birth", n)
	}
}
