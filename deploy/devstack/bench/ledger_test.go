package bench

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	twinclient "devicetwin/workflows/client"
	deviceworkflow "devicetwin/workflows/device"
)

// twinOf applies what a device published, as its workflow would.
func twinOf(t *testing.T, file string, channel device.Channel, said []string) deviceworkflow.View {
	t.Helper()
	raw, err := files.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	model, err := devicefsm.Load(file, raw)
	if err != nil {
		t.Fatal(err)
	}
	now := time.UnixMilli(0).UTC()
	var v deviceworkflow.View
	v.Snapshot, _ = model.Start(now)
	for _, text := range said {
		m := device.Message{Channel: channel, Epoch: 1, Time: now, Data: map[string]any{}}
		if channel == device.ChannelEvents {
			m.Name = "tick"
			if _, err := fmt.Sscanf(text, `{"epoch":1,"seq":%d,`, &m.Seq); err != nil {
				t.Fatal(err)
			}
		} else {
			var temperature float64
			if _, err := fmt.Sscanf(text, `{"epoch":1,"seq":%d,"temperature":%f}`, &m.Seq, &temperature); err != nil {
				t.Fatal(err)
			}
			m.Data["temperature"] = temperature
		}
		v.Delivery.Admit(m)
		name, ok := model.Classify(m)
		if !ok {
			t.Fatalf("%s is not an event", text)
		}
		v.Snapshot, _ = model.Step(v.Snapshot, devicefsm.Event{Name: name, Data: m.Data, Time: now, Alive: true})
	}
	v.StateName = model.StateName(v.Snapshot)
	return v
}

func speak(a *account, say speech, n int) (said []string) {
	for range n {
		a.due = append(a.due, 0)
		said = append(said, string(say(a, nil)))
	}
	return said
}

// The ledger accepts only a workflow that applied everything.
func TestCountsAll(t *testing.T) {
	a := newAccounts("dev", 1, "events/tick")[0]
	said := speak(a, tick, 20)
	twin := func(said ...string) deviceworkflow.View { return twinOf(t, "counter.yaml", device.ChannelEvents, said) }
	if fault := countsAll(a, twin(said...)); fault != "" {
		t.Errorf("all applied: %s", fault)
	}
	reordered := append(append([]string{}, said...), said[18])
	reordered[18], reordered[20] = reordered[19], reordered[18]
	reordered = append(reordered[:19], reordered[20])
	for name, said := range map[string][]string{
		"the last is lost": said[:19],
		"one is lost":      append(append([]string{}, said[:5]...), said[6:]...),
		"out of order":     reordered,
		"applied twice":    append(append([]string{}, said...), said[19]),
	} {
		if countsAll(a, twin(said...)) == "" {
			t.Errorf("%s: no fault", name)
		}
	}
}

func TestCrossesAll(t *testing.T) {
	a := newAccounts("dev", 1, "telemetry")[0]
	said := speak(a, reading, 2000)
	if n := len(a.crossings); n < 5 || n > 60 || a.excursions == 0 {
		t.Fatalf("%d of 2000 messages change the class", n)
	}
	twin := func(said ...string) deviceworkflow.View {
		return twinOf(t, "threshold.yaml", device.ChannelTelemetry, said)
	}
	if fault := crossesAll(a, twin(said...)); fault != "" {
		t.Errorf("all applied: %s", fault)
	}
	var filtered []string // what a bridge passes on that leaves out repetitions
	for _, seq := range a.crossings {
		filtered = append(filtered, said[seq-1])
	}
	if fault := crossesAll(a, twin(filtered...)); fault != "" {
		t.Errorf("crossings applied: %s", fault)
	}
	for i := range filtered {
		if crossesAll(a, twin(append(append([]string{}, filtered[:i]...), filtered[i+1:]...)...)) == "" {
			t.Errorf("crossing %d of %d is lost: no fault", i+1, len(filtered))
		}
	}
}

func TestExamine(t *testing.T) {
	a := newAccounts("dev", 1, "telemetry")[0]
	speak(a, tick, 5)
	log := func(numbers ...uint64) (log twinclient.Applied) {
		for _, seq := range numbers {
			log.Entries = append(log.Entries, twinclient.AppliedEntry{Epoch: 1, Seq: seq, Durable: time.UnixMilli(int64(seq))})
		}
		return log
	}
	for _, test := range []struct {
		log  twinclient.Applied
		want string
	}{
		{log(1, 2, 4, 5), ""},
		{log(1, 2, 2), "message 2 is applied twice"},
		{log(1, 3, 2), "message 2 is applied after 3"},
		{log(5, 6), "message 6 of epoch 1 was never sent"},
	} {
		when, fault := examine(a, test.log)
		if !strings.HasSuffix(fault, test.want) || (fault == "") != (test.want == "") {
			t.Errorf("fault %q, want %q", fault, test.want)
		}
		if test.want == "" && when[4] != time.UnixMilli(4) {
			t.Errorf("message 4 was durable at %v", when[4])
		}
	}
}

func TestDurable(t *testing.T) {
	d := &durable{}
	if !math.IsNaN(d.latency(0.5)) {
		t.Error("a latency of nothing")
	}
	for i := range 100 {
		d.at = append(d.at, time.UnixMilli(int64(i)))
		d.delays = append(d.delays, delay{late: time.Duration(i+1) * time.Millisecond})
	}
	if n := d.between(time.UnixMilli(10), time.UnixMilli(20)); n != 10 {
		t.Errorf("%d between", n)
	}
	if p50, p99 := d.latency(0.5), d.latency(0.99); p50 != 51 || p99 != 100 {
		t.Errorf("p50 %v, p99 %v", p50, p99)
	}
}
