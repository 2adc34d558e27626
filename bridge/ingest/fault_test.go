package ingest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
)

// faultyModel knows no event but "door", and fails on telemetry that is not hot.
type faultyModel struct{ testModel }

func (faultyModel) Relevant(m device.Message) bool {
	_, hot := m.Data["hot"]
	return hot || m.Channel == device.ChannelStatus || m.Name == "door"
}

func (f faultyModel) Explain(m device.Message) []device.Fault {
	if m.Channel == device.ChannelEvents {
		return []device.Fault{{Reason: device.FaultUnknownEvent, Detail: m.Name}}
	}
	return []device.Fault{{Reason: device.FaultExpression, Detail: "temp is a string"}}
}

// faultBench is a core that explains every message that is left out.
func faultBench(change func(*Config)) *bench {
	cfg := DefaultConfig()
	cfg.SettledFor = 0
	if change != nil {
		change(&cfg)
	}
	return newBench(cfg, faultyModel{})
}

func (b *bench) unknownEvent(id string, n int) {
	b.deliver(fmt.Sprintf("devices/%s/events/e%d", id, n), `{}`, fmt.Sprint(n), false)
}

// reports are the faults in the messages that were delivered, "reason detail xN".
func (b *bench) reports(t *testing.T) string {
	t.Helper()
	var list []string
	for _, s := range b.out.signals {
		for _, m := range s.batch.Messages {
			if m.Name != device.MessageFault {
				continue
			}
			if m.Channel != device.ChannelSystem || m.Alive() || m.Time.IsZero() {
				t.Errorf("%+v is not a report", m)
			}
			for _, f := range m.Faults {
				if f.At.IsZero() || f.Topic == "" {
					t.Errorf("%+v is not complete", f)
				}
				list = append(list, fmt.Sprintf("%s x%d", f.Detail, max(1, f.Count)))
			}
		}
	}
	return strings.Join(list, ", ")
}

func TestTheFirstFaultIsReportedAtOnceAndFurtherOnesTogether(t *testing.T) {
	b := faultBench(nil)
	b.unknownEvent("d", 1)
	if got := b.reports(t); got != "e1 x1" || b.acks() != "1" {
		t.Fatalf("reported %q, acknowledged %q", got, b.acks())
	}
	if s := b.out.signals[0]; !s.existing {
		t.Error("a report starts a workflow")
	}
	b.accept("d")
	for _, n := range []int{2, 2, 3} {
		b.unknownEvent("d", n)
	}
	b.advance(time.Minute - time.Millisecond)
	if got := b.reports(t); got != "e1 x1" {
		t.Fatalf("reported %q before the minute is over", got)
	}
	if at, ok := b.next(); !ok || !at.Equal(epoch.Add(time.Minute)) {
		t.Errorf("wakes at %v", at)
	}
	b.advance(time.Millisecond)
	if got := b.reports(t); got != "e1 x1, e2 x2, e3 x1" || len(b.out.signals) != 2 {
		t.Fatalf("reported %q in %d signals", got, len(b.out.signals))
	}
	b.accept("d")
	b.advance(time.Minute)
	if b.devices.byID["d"].faults != nil || b.quiet.len() != 0 || b.reporting != 0 || !b.idle() {
		t.Error("a device without faults has memory for them")
	}
	if n := b.counts.Faults[device.FaultUnknownEvent].Load(); n != 4 {
		t.Errorf("counted %d of 4", n)
	}
}

func TestFaultsRideOnTheNextMessage(t *testing.T) {
	b := faultBench(nil)
	b.unknownEvent("d", 1)
	b.accept("d")
	b.unknownEvent("d", 2)
	b.advance(2 * time.Second)
	b.hot("d", 7)
	if s := b.out.signals[len(b.out.signals)-1]; s.ids() != device.MessageFault+" 7" || s.existing {
		t.Errorf("delivered %s, to an existing workflow only: %v", s.ids(), s.existing)
	}
}

func TestFaultsAreBounded(t *testing.T) {
	b := faultBench(nil)
	b.unknownEvent("d", 0)
	b.accept("d")
	for n := range 1000 {
		b.unknownEvent("d", n+1)
	}
	b.deliver("devices/d/telemetry", `{"temp":"95"}`, "t", false)
	d := b.devices.byID["d"]
	if len(d.faults.held) != maxHeldFaults {
		t.Fatalf("%d are held", len(d.faults.held))
	}
	total := uint64(0)
	for _, f := range d.faults.held {
		total += max(1, f.Count)
	}
	if total != 1001 {
		t.Errorf("%d are counted of 1001", total)
	}
}

func TestReportsOfADeviceWithoutWorkflowAreDropped(t *testing.T) {
	b := faultBench(nil)
	b.unknownEvent("d", 1)
	b.fail("d", device.ErrNoTwin)
	if n := b.counts.FaultReportsDropped.Load(); n != 1 || !b.idle() || len(b.out.letters) != 0 || b.reporting != 0 {
		t.Errorf("%d dropped, %d dead letters, %d on their way", n, len(b.out.letters), b.reporting)
	}
}

func TestReportsDoNotFillTheQueues(t *testing.T) {
	b := faultBench(nil)
	b.outage = outage{on: true, until: b.now.Add(time.Hour)}
	for n := range maxReporting + 100 {
		b.unknownEvent(fmt.Sprint("d", n), 1)
	}
	if b.reporting != maxReporting {
		t.Errorf("%d reports wait", b.reporting)
	}
	if len(strings.Fields(b.acks())) != maxReporting+100 {
		t.Error("a report holds up an acknowledgement")
	}
}

func TestFaultsAreReportedBeforeTheEnd(t *testing.T) {
	b := faultBench(nil)
	b.unknownEvent("d", 1)
	b.accept("d")
	b.unknownEvent("d", 2)
	b.hurry(b.now)
	if got := b.reports(t); got != "e1 x1, e2 x1" {
		t.Errorf("reported %q", got)
	}
}

func TestAMessageOverQuotaIsReported(t *testing.T) {
	b := faultBench(func(c *Config) { c.QuotaRate, c.QuotaBurst = 1, 1 })
	b.hot("d", 1)
	b.hot("d", 2)
	b.accept("d")
	b.advance(time.Second)
	if got := b.reports(t); !strings.Contains(got, "quota: more than 1 messages a second") {
		t.Errorf("reported %q", got)
	}
}

// strictModel is a model by another name, which knows no event either.
type strictModel struct {
	faultyModel
	name string
}

func (m strictModel) Name() string { return m.name }
func (m strictModel) Hash() string { return m.name + "-hash" }
func (m strictModel) Explain(device.Message) []device.Fault {
	return []device.Fault{{Reason: device.FaultUnknownEvent, Detail: m.name + " does not know it"}}
}

// Of a device that may run several models, the fault is that of the model that it named.
func TestAFaultIsThatOfTheModelThatTheDeviceNamed(t *testing.T) {
	cfg := DefaultConfig()
	cfg.SettledFor, cfg.ModelFromBirth = 0, true
	for _, name := range []string{"a", "b", "c"} {
		b := newBench(cfg, strictModel{name: "a"}, strictModel{name: "b"}, strictModel{name: "c"})
		b.deliver("devices/d/status", `{"status":"boot","model":"`+name+`"}`, "1", false)
		b.accept("d")
		b.unknownEvent("d", 2)
		if got, want := b.reports(t), name+" does not know it x1"; got != want {
			t.Errorf("reported %q, want %q", got, want)
		}
	}
}

// The names of many models are not pushed out of a clipped fault by their long hashes.
func TestAnUnknownModelIsAnsweredWithNamesFirst(t *testing.T) {
	b := newBench(func() Config { c := DefaultConfig(); c.ModelFromBirth = true; return c }(), strictModel{name: "pump"}, strictModel{name: "charger"})
	b.deliver("devices/d/status", `{"status":"boot","model":"pmup"}`, "1", false)
	if got, want := b.out.signals[0].batch.Messages[0].Faults[0].Detail, `model "pmup" is not loaded; there is charger, pump, charger-hash, pump-hash`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestABirthWithAnUnknownModelCarriesItsFault(t *testing.T) {
	b := faultBench(func(c *Config) { c.ModelFromBirth = true })
	b.deliver("devices/d/status", `{"status":"online","model":"pmup"}`, "1", false)
	faults := b.out.signals[0].batch.Messages[0].Faults
	if len(faults) != 1 || faults[0].Reason != device.FaultUnknownModel || faults[0].Detail != `model "pmup" is not loaded; there is pump, pump-hash` || faults[0].Value != `"pmup"` {
		t.Errorf("carries %+v", faults)
	}
	if n := b.counts.Faults[device.FaultUnknownModel].Load(); n != 1 {
		t.Errorf("counted %d", n)
	}
}
