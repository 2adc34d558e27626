package ingest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
)

var errFull = fmt.Errorf("deliver: %w", device.ErrNoRoom)

// A workflow without room holds up what is behind its device, for however long: nothing is
// rejected, nobody is quarantined, and Temporal is not taken to be down.
func TestADeviceWithoutRoomHoldsUpTheLane(t *testing.T) {
	b := newBench(stuckConfig(), testModel{oneByOne: true})
	b.hot("good", 0)
	b.accept("good")
	b.hot("full", 1)
	n := b.fill(2)
	b.fail("full", errFull)
	first := b.out.signals[slices.IndexFunc(b.out.signals, func(s sentSignal) bool { return s.device == "full" })]
	asked := 0
	for began := b.now; b.now.Sub(began) < time.Hour; {
		if device := b.attempt(t); device != "full" {
			t.Fatalf("a delivery to %s", device)
		}
		asked++
		b.fail("full", errFull)
	}
	if asked < 600 || asked > 1000 { // every 5 seconds, and more often at first
		t.Errorf("asked %d times in an hour", asked)
	}
	if len(b.out.letters) > 0 || b.quarantined > 0 || b.outage.on || b.acks() != "0" || !b.full(b.w) {
		t.Errorf("%d dead letters, %d quarantined, outage %v, acknowledged %q", len(b.out.letters), b.quarantined, b.outage.on, b.acks())
	}
	if failures := b.counts.DeliveryFailures.Load(); failures > 0 || b.counts.NoRoom.Load() != uint64(asked)+1 {
		t.Errorf("%d failures, %d times no room", failures, b.counts.NoRoom.Load())
	}
	last := b.out.signals[len(b.out.signals)-1]
	if last.batch.ID != first.batch.ID || last.ids() != "1" {
		t.Errorf("delivered at last: %+v; at first %+v", last, first)
	}
	b.attempt(t)
	b.accept("full")
	if got := strings.Fields(b.acks()); len(got) != 2+n || b.full(b.w) {
		t.Errorf("%d of %d are acknowledged when there is room", len(got), 2+n)
	}
}

// Others are delivered to while one has no room, and it is asked again within a moment.
func TestNoRoomIsOfOneDevice(t *testing.T) {
	b := newBench(quotaConfig(0, 0, 0), testModel{oneByOne: true})
	b.hot("full", 1)
	b.fail("full", errFull)
	b.hot("full", 2)
	b.hot("good", 3)
	if last := b.out.signals[len(b.out.signals)-1]; last.device != "good" || !last.oneByOne {
		t.Fatalf("delivered %+v", last)
	}
	b.accept("good")
	if at, ok := b.next(); !ok || at.Sub(b.now) > roomAskedFirst {
		t.Errorf("asked again at %v, %v", at, ok)
	}
	if got := b.attempt(t); got != "full" {
		t.Fatalf("delivered to %s", got)
	}
	if again := b.out.signals[len(b.out.signals)-1]; again.ids() != "1" {
		t.Errorf("delivered again: %s", again.ids())
	}
	b.accept("full")
	b.attempt(t)
	if next := b.out.signals[len(b.out.signals)-1]; next.device != "full" || next.ids() != "2" {
		t.Errorf("then %s of %s", next.ids(), next.device)
	}
}

// Only what may be processed one by one is asked for.
func TestWhoIsAskedForRoom(t *testing.T) {
	b := newBench(quotaConfig(0, 0, 0), testModel{})
	b.hot("d", 1)
	if b.out.signals[0].oneByOne {
		t.Error("a device is asked for room whose model processes nothing")
	}
}
