package ingest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"devicetwin/device"
)

// leases is a core whose devices were all heard at the beginning.
func leases(devices int, change func(*Config)) *bench {
	cfg := DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	b := newBench(cfg, testModel{silentAfter: 10 * time.Minute, tolerance: 2 * time.Minute})
	for i := range devices {
		b.cold(i, "first")
	}
	b.acceptAll()
	b.acks()
	b.acked, b.out.signals = nil, nil
	return b
}

func (b *bench) cold(i int, name string) {
	b.deliver(fmt.Sprintf("devices/d%d/telemetry", i), `{"temperature":20}`, name, false)
}

func TestAnEarlyRenewalHoldsNothingUp(t *testing.T) {
	b := leases(1, nil)
	b.now = b.now.Add(2*time.Minute - time.Millisecond)
	b.cold(0, "early")
	if b.acks() != "early" || b.inFlight != 1 {
		t.Fatalf("acknowledged %q with %d signals under way", b.acks(), b.inFlight)
	}
	b.acceptAll()
	b.now = b.now.Add(time.Minute)
	b.cold(0, "renewed")
	if len(b.out.signals) != 1 || b.acks() != "early renewed" {
		t.Errorf("%d signals, acknowledged %q", len(b.out.signals), b.acks())
	}
}

// What waited too long for its turn is due like any other.
func TestARenewalThatComesTooLateIsWaitedFor(t *testing.T) {
	b := leases(1, nil)
	b.outage = outage{on: true, until: b.now.Add(time.Hour)}
	for _, at := range []time.Duration{119 * time.Second, time.Second, time.Second} {
		b.now = b.now.Add(at)
		b.cold(0, fmt.Sprint(b.now.Sub(epoch)))
	}
	if b.acks() != "1m59s" {
		t.Fatalf("acknowledged %q while Temporal is unavailable", b.acks())
	}
	b.outage = outage{}
	b.dispatch(b.now)
	b.acceptAll()
	if len(b.out.signals) != 1 || b.acks() != "1m59s 2m0s 2m1s" || !b.idle() {
		t.Errorf("%d signals, acknowledged %q", len(b.out.signals), b.acks())
	}
}

func TestAnEarlyRenewalGivesWay(t *testing.T) {
	b := leases(20, func(c *Config) { c.SignalsInFlight = 16 })
	b.now = b.now.Add(2*time.Minute - time.Millisecond)
	for i := range 20 {
		b.cold(i, "")
	}
	if b.inFlight != 2 {
		t.Errorf("%d early renewals under way, want an eighth of 16", b.inFlight)
	}
	b.now = b.now.Add(time.Millisecond / 2)
	heard := b.now
	for i := range 20 {
		b.cold(i, "")
	}
	for i := range 4 {
		b.hot("urgent", i)
	}
	b.hot("d19", 5)
	b.accept(b.out.signals[0].device)
	b.accept(b.out.signals[1].device)
	var got []string
	for _, s := range b.out.signals[2:] {
		got = append(got, s.device)
	}
	if !slices.Equal(got[:2], []string{"urgent", "d19"}) {
		t.Errorf("then came %v", got)
	}
	if ids := b.out.signals[3].ids(); ids != device.MessageSeen+" 5" {
		t.Errorf("d19 says %s: its renewal goes with what is urgent", ids)
	}
	b.acceptAll()
	for _, s := range b.out.signals[4:] {
		if s.ids() == device.MessageSeen && !s.batch.Messages[0].Time.Equal(heard) {
			t.Errorf("%s: last message at %v, want %v", s.device, s.batch.Messages[0].Time, heard)
		}
	}
	said := map[string]int{}
	for _, s := range b.out.signals {
		said[s.device]++
	}
	for i := range 20 {
		if n := said[fmt.Sprint("d", i)]; n != 1 {
			t.Errorf("d%d was signalled %d times", i, n)
		}
	}
	if b.renewals.len() != 0 || len(b.devices.byID) != 21 {
		t.Errorf("%d wait, %d devices", b.renewals.len(), len(b.devices.byID))
	}
}

func TestAnEarlyRenewalThatFails(t *testing.T) {
	b := leases(1, nil)
	b.now = b.now.Add(2*time.Minute - time.Millisecond)
	b.cold(0, "early")
	b.fail("d0", errDown)
	b.advance(time.Minute)
	b.accept("d0")
	if len(b.out.signals) != 2 || b.out.signals[0].batch.ID != b.out.signals[1].batch.ID {
		t.Errorf("tried with %v", b.out.signals)
	}
	b.now = b.now.Add(time.Minute - time.Millisecond)
	b.cold(0, "again")
	b.fail("d0", errPermanent)
	if len(b.out.letters) != 0 || !b.idle() || b.acks() != "early again" {
		t.Errorf("%d dead letters, acknowledged %q", len(b.out.letters), b.acks())
	}
}

func TestNobodyWaitsForEarlyRenewalsAtTheEnd(t *testing.T) {
	b := leases(20, func(c *Config) { c.SignalsInFlight = 16 })
	b.now = b.now.Add(2*time.Minute - time.Millisecond)
	for i := range 20 {
		b.cold(i, "")
	}
	b.hurry(b.now)
	b.acceptAll()
	if len(b.out.signals) != 2 || !b.idle() {
		t.Errorf("%d signals", len(b.out.signals))
	}
}

func TestEarlyRenewalsAreSpread(t *testing.T) {
	var ages []time.Duration
	for i := range 1000 {
		ages = append(ages, earliest(device.ID(fmt.Sprint("device-", i)), 2*time.Minute))
	}
	slices.Sort(ages)
	for i, want := range map[int]time.Duration{0: 90 * time.Second, 250: 97 * time.Second, 500: 105 * time.Second, 750: 112 * time.Second, 999: 120 * time.Second} {
		if off := (ages[i] - want).Abs(); off > 3*time.Second {
			t.Errorf("the %d. of 1000 devices renews from %v on, want about %v", i, ages[i], want)
		}
	}
	if ages[0] < 90*time.Second || ages[999] > 2*time.Minute {
		t.Errorf("from %v to %v", ages[0], ages[999])
	}
}

func TestLivenessIsRenewedOncePerTolerance(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{silentAfter: 5 * time.Minute, tolerance: 30 * time.Second})
	cold := func() {
		b.deliver("devices/d/telemetry", `{"temperature":20}`, "", false)
		for b.inFlight > 0 {
			b.accept("d")
		}
	}
	for range 121 { // two minutes, one message a second
		cold()
		b.now = b.now.Add(time.Second)
	}
	for i, s := range b.out.signals {
		if s.ids() != device.MessageSeen {
			t.Errorf("signalled %s", s.ids())
		}
		if i == 0 {
			continue
		}
		at, before := s.batch.Messages[0].Time, b.out.signals[i-1].batch.Messages[0].Time
		if between := at.Sub(before); between < 22*time.Second || between > 30*time.Second {
			t.Errorf("renewed after %v", between)
		}
	}
	n := len(b.out.signals)
	if n < 5 || n > 6 {
		t.Fatalf("%d renewals in two minutes", n)
	}
	b.hot("d", 1)
	b.accept("d")
	for range 22 {
		b.now = b.now.Add(time.Second)
		cold()
	}
	if got := len(b.out.signals); got != n+1 {
		t.Errorf("%d signals more, want 1: a relevant message renews too", got-n)
	}
	b.deliver("devices/d/status", `{"status":"offline"}`, "", false)
	b.accept("d")
	b.now = b.now.Add(8 * time.Second)
	cold()
	if got := len(b.out.signals); got != n+3 {
		t.Errorf("%d signals more, want 3: a last will does not renew", got-n)
	}
}

func TestSilenceShorterThanToleranceEndsAtOnce(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{silentAfter: 5 * time.Second, tolerance: time.Minute})
	for _, pause := range []time.Duration{0, time.Second, 6 * time.Second, time.Second} {
		b.now = b.now.Add(pause)
		b.deliver("devices/d/telemetry", `{}`, "", false)
		for !b.idle() {
			b.accept("d")
		}
	}
	if n := len(b.out.signals); n != 2 {
		t.Errorf("%d renewals, expected the first message and the one after the silence", n)
	}
}
