package ingest

import (
	"fmt"
	"testing"
	"time"

	"devicetwin/device"
)

// New workflows begin at a rate, and hold up nobody who has one.
func TestTheBudgetOfNewWorkflows(t *testing.T) {
	cfg := DefaultConfig()
	cfg.StartRate = 10
	b := newBench(cfg, testModel{})
	for i := range 25 {
		b.hot(fmt.Sprint("d", i), i)
	}
	if n := len(b.out.signals); n != 1 {
		t.Fatalf("%d workflows are begun at once, want 1", n)
	}
	b.accept("d0")
	b.hot("d0", 100)
	b.hot("d3", 101)
	if n := len(b.out.signals); n != 2 || b.lastSignal().device != "d0" {
		t.Errorf("%d deliveries, the last to %s; want one to d0, which has a workflow", n, b.lastSignal().device)
	}
	if at, ok := b.next(); !ok || at.Sub(b.now) > 100*time.Millisecond {
		t.Errorf("something is to be done at %v, %v", at, ok)
	}
	b.accept("d0")
	began := map[string]bool{}
	for tick := range 30 {
		before := len(b.out.signals)
		b.advance(100 * time.Millisecond)
		if n := len(b.out.signals) - before; n > 1 {
			t.Errorf("%d workflows are begun in tick %d", n, tick)
		}
		for _, s := range b.out.signals[before:] {
			began[s.device] = true
			if s.device == "d3" && s.ids() != "3 101" {
				t.Errorf("d3 begins with %s, want 3 and what came while it waited", s.ids())
			}
			b.accept(s.device)
		}
	}
	if len(began) != 24 {
		t.Errorf("%d of 24 have begun", len(began))
	}
	if !b.idle() {
		t.Error("something waits")
	}
}

// A workflow that has ended is begun within the budget, and one attempt more costs nothing.
func TestTheBudgetCountsEachBeginningOnce(t *testing.T) {
	cfg := DefaultConfig()
	cfg.StartRate = 1
	b := newBench(cfg, testModel{})
	b.hot("d", 1)
	b.fail("d", errDown)
	b.advance(time.Minute)
	if n := len(b.out.signals); n != 2 {
		t.Fatalf("%d attempts, want 2", n)
	}
	b.accept("d")
	b.hot("e", 2) // the budget of this second
	b.accept("e")
	b.ended(device.ID("d"))
	b.hot("d", 3)
	if n := len(b.out.signals); n != 3 {
		t.Errorf("%d deliveries: the workflow of d begins again, beyond the budget", n)
	}
	b.advance(time.Second)
	if n := len(b.out.signals); n != 4 || b.lastSignal().device != "d" {
		t.Errorf("%d deliveries, want d as the fourth", n)
	}
}
