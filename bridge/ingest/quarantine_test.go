package ingest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
)

// stuckConfig has a small window and no quota but the time of a stuck device.
func stuckConfig() Config {
	cfg := quotaConfig(0, 0, 0)
	cfg.Window = 10
	return cfg
}

// attempt lets time pass until the core signals a device, and returns it.
func (b *bench) attempt(t *testing.T) string {
	t.Helper()
	for range 100 {
		if b.inFlight > 0 {
			return b.out.signals[len(b.out.signals)-b.inFlight].device
		}
		at, ok := b.next()
		if !ok {
			t.Fatal("nothing will happen")
		}
		b.advance(max(0, at.Sub(b.now)))
	}
	t.Fatal("nothing happens")
	return ""
}

// fill lets a good device talk until the lane has no room, from a message on, and returns
// how many messages came.
func (b *bench) fill(from int) (n int) {
	for ; !b.full(b.w); n++ {
		b.hot("good", from+n)
		if d := b.devices.byID["good"]; d.place == inFlight {
			b.accept("good")
		}
	}
	for b.devices.byID["good"].place == inFlight {
		b.accept("good")
	}
	return n
}

func TestOneStuckDeviceDoesNotHoldUpTheOthersForEver(t *testing.T) {
	b := newBench(stuckConfig(), testModel{})
	b.hot("good", 0)
	b.accept("good")
	b.hot("bad", 1)
	b.hot("bad", 2)
	n := b.fill(3)
	b.fail("bad", errDown)
	began := b.now
	for len(b.out.letters) == 0 {
		switch device := b.attempt(t); device {
		case "bad":
			b.fail("bad", errDown)
		case "good":
			if probe := len(b.out.signals[len(b.out.signals)-1].batch.Messages); probe != 0 {
				t.Fatalf("%d messages to find out whether temporal is well", probe)
			}
			b.accept("good")
		}
		if b.now.Sub(began) > time.Minute {
			t.Fatal("held up for a minute")
		}
	}
	if lasted := b.now.Sub(began); lasted < 30*time.Second {
		t.Errorf("given up after %v", lasted)
	}
	if letters := len(b.out.letters); letters != 2 || b.out.letters[1].Reason != ReasonQuota || !strings.Contains(b.out.letters[1].Detail, errDown.Error()) {
		t.Errorf("%d dead letters: %+v", letters, b.out.letters)
	}
	if got := strings.Fields(b.acks()); len(got) != 3+n || b.full(b.w) || b.quarantined != 1 {
		t.Errorf("acknowledged %s", got)
	}

	// From now on it holds up nobody, and its telemetry is still written.
	for id := range 30 {
		b.hot("bad", 1000+id)
		b.deliver("devices/bad/telemetry", `{"cold":1}`, "c", false)
	}
	if got := strings.Fields(b.acks()); len(got) != 63+n || len(b.out.letters) != 32 || len(b.out.points) != 63+n {
		t.Errorf("%d acknowledged, %d dead letters, %d points", len(got), len(b.out.letters), len(b.out.points))
	}
	for range 5 {
		if device := b.attempt(t); device != "bad" || len(b.out.signals[len(b.out.signals)-1].batch.Messages) != 0 {
			t.Fatalf("tried %s", device)
		}
		b.fail("bad", errDown)
		if b.outage.on || !b.idle() {
			t.Error("a stuck device is taken for an outage, or keeps the bridge from ending")
		}
	}
	b.attempt(t)
	b.accept("bad")
	b.hot("bad", 41)
	b.acceptAll()
	if got := b.out.signals[len(b.out.signals)-1].ids(); got != device.MessageFault+" 41" || b.quarantined != 0 || b.held != 0 {
		t.Errorf("well again: %s", got)
	}
}

func TestOutageIsNotTakenForAStuckDevice(t *testing.T) {
	b := newBench(stuckConfig(), testModel{})
	b.hot("good", 0)
	b.accept("good")
	for id := 1; !b.full(b.w); id++ {
		b.hot(fmt.Sprint("d", id%3), id)
	}
	for i := range 3 {
		b.fail(fmt.Sprint("d", i), errDown)
	}
	for end := b.now.Add(time.Hour); b.now.Before(end); {
		b.fail(b.attempt(t), errDown)
	}
	if len(b.out.letters) > 0 || b.quarantined > 0 {
		t.Errorf("%d dead letters in an outage", len(b.out.letters))
	}
	if n := len(b.out.signals); n > 1000 {
		t.Errorf("%d attempts in an hour", n)
	}
	for !b.idle() {
		b.accept(b.attempt(t))
	}
	if got := b.acks(); got != "0 1 2 3 4 5 6 7 8 9 10" || len(b.out.letters) != 0 {
		t.Errorf("acknowledged %s", got)
	}
}
