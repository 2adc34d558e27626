package ingest

import (
	"container/heap"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// fleetRun is a core with a model of a Temporal server and of a fleet, in
// simulated time. The server works on one signal at a time.
type fleetRun struct {
	*bench
	service time.Duration // of the server, for each signal
	transit time.Duration // to the server and back

	broker   fifo[string] // devices whose messages were not taken yet
	events   eventHeap
	taken    int // signals that the server was given
	serverAt time.Time
	messages int
	worst    time.Duration // of a message from its arrival to acceptance, since reset
	byDevice map[string]int
}

func newFleetRun(cfg Config) *fleetRun {
	return &fleetRun{
		bench: newBench(cfg, testModel{}), service: 2500 * time.Microsecond, transit: 2 * time.Millisecond,
		byDevice: map[string]int{}, serverAt: epoch,
	}
}

// publish makes a device publish at equal intervals for a time from now.
func (r *fleetRun) publish(device string, phase, every, lasting time.Duration) {
	end := r.now.Add(lasting)
	var one func()
	next := r.now.Add(phase)
	one = func() {
		r.broker.push(device)
		if next = next.Add(every); next.Before(end) {
			r.events.add(next, one)
		}
	}
	r.events.add(next, one)
}

// run lets time pass.
func (r *fleetRun) run(lasting time.Duration) {
	end := r.now.Add(lasting)
	for {
		for r.broker.len() > 0 && !r.full(r.w) {
			r.messages++
			r.hot(r.broker.pop(), r.messages)
		}
		r.serve()
		r.acks()
		r.acked = r.acked[:0]
		at, step := end, (func())(nil)
		if len(r.events) > 0 && !r.events[0].at.After(at) {
			at, step = r.events[0].at, r.events[0].do
		}
		if alarm, ok := r.next(); ok && alarm.Before(at) {
			r.advance(max(0, alarm.Sub(r.now)))
			continue
		}
		if step == nil {
			r.advance(end.Sub(r.now))
			return
		}
		heap.Pop(&r.events)
		r.now = at
		step()
	}
}

// serve gives the server what the core has signalled meanwhile.
func (r *fleetRun) serve() {
	for _, s := range r.out.signals {
		if r.serverAt.Before(r.now) {
			r.serverAt = r.now
		}
		r.serverAt = r.serverAt.Add(r.service)
		r.taken++
		r.events.add(r.serverAt.Add(r.transit), func() {
			r.worst = max(r.worst, r.now.Sub(s.batch.Messages[0].Time))
			r.byDevice[s.device] += len(s.batch.Messages)
			r.accept(s.device)
		})
	}
	r.out.signals, r.out.points = r.out.signals[:0], r.out.points[:0]
}

// measured is what run(lasting) brought.
type measured struct {
	signals, messages int
	worst             time.Duration
}

func (r *fleetRun) measure(lasting time.Duration) measured {
	r.worst, r.byDevice = 0, map[string]int{}
	before := r.taken
	r.run(lasting)
	m := measured{signals: r.taken - before, worst: r.worst}
	for _, n := range r.byDevice {
		m.messages += n
	}
	return m
}

type simulatedEvent struct {
	at time.Time
	n  int // order of those at the same time
	do func()
}

type eventHeap []simulatedEvent

func (h *eventHeap) add(at time.Time, do func()) {
	heap.Push(h, simulatedEvent{at, len(*h), do})
}
func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at.Before(h[j].at) || h[i].at.Equal(h[j].at) && h[i].n < h[j].n
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(e any)   { *h = append(*h, e.(simulatedEvent)) }
func (h *eventHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}

func TestNoLingerWhileTheServerIsIdle(t *testing.T) {
	r := newFleetRun(DefaultConfig())
	r.publish("d", 0, 20*time.Millisecond, time.Minute)
	m := r.measure(time.Minute)
	if r.pacer.linger != 0 || m.messages != 3000 || m.signals != 3000 || m.worst > 5*time.Millisecond {
		t.Errorf("50 messages a second: linger %v, %+v", r.pacer.linger, m)
	}
}

// Fifty devices with 20 messages a second each want 1,000 signals of a server
// that can do 400.
func TestLingerGrowsWithLatencyAndGoesWithIt(t *testing.T) {
	r := newFleetRun(DefaultConfig())
	for i := range 50 {
		r.publish(fmt.Sprint("d", i), time.Duration(i)*time.Millisecond, 50*time.Millisecond, time.Minute)
	}
	r.run(10 * time.Second)
	for range 5 {
		m := r.measure(10 * time.Second)
		t.Logf("linger %v, limit %d, %+v", r.pacer.linger, r.pacer.inFlight(), m)
		if r.pacer.linger < 20*time.Millisecond || m.messages < 9900 || m.signals > 3900 || m.worst > 600*time.Millisecond {
			t.Errorf("loaded: linger %v, %+v", r.pacer.linger, m)
		}
	}
	// Another device that speaks rarely does not rest.
	r.publish("rare", 10*time.Second, time.Hour, time.Hour)
	for i := range 50 {
		r.publish(fmt.Sprint("d", i), time.Duration(i)*time.Millisecond, 50*time.Millisecond, 20*time.Second)
	}
	r.run(10 * time.Second)
	r.hot("rare", 1)
	if r.devices.byID["rare"].place == resting {
		t.Error("a device that was quiet has to rest")
	}
	r.run(20 * time.Second)
	if r.pacer.linger != 0 || !r.idle() {
		t.Errorf("idle again: linger %v", r.pacer.linger)
	}
}

// Slowness that does not come from the bridge's signals is not a reason to hold
// them back.
func TestSlowNeighboursAreNoCongestion(t *testing.T) {
	r := newFleetRun(DefaultConfig())
	for i := range 30 {
		r.publish(fmt.Sprint("d", i), time.Duration(i)*33*time.Millisecond, time.Second, time.Minute)
	}
	r.run(10 * time.Second)
	r.transit = 100 * time.Millisecond
	m := r.measure(40 * time.Second)
	if r.pacer.linger != 0 || r.pacer.inFlight() < limitLeast || m.messages < 1190 || m.worst > 120*time.Millisecond {
		t.Errorf("linger %v, limit %d, %+v", r.pacer.linger, r.pacer.inFlight(), m)
	}
}

// A thousand devices as fast as the window lets them: the server is kept busy,
// without a queue in it, and every device gets the same.
func TestSaturatedServerIsSharedEqually(t *testing.T) {
	r := newFleetRun(DefaultConfig())
	for i := range 1000 {
		r.publish(fmt.Sprintf("d%03d", i), time.Duration(i)*200*time.Microsecond, 400*time.Millisecond, 70*time.Second)
	}
	r.run(20 * time.Second)
	m := r.measure(50 * time.Second)
	t.Logf("linger %v, limit %d, %+v", r.pacer.linger, r.pacer.inFlight(), m)
	if m.signals < 50*380 || m.messages < 3*m.signals {
		t.Errorf("%+v", m)
	}
	if n := r.pacer.inFlight(); n > 2*limitLeast {
		t.Errorf("up to %d signals in flight at a server that does one at a time", n)
	}
	least, most := m.messages, 0
	for _, n := range r.byDevice {
		least, most = min(least, n), max(most, n)
	}
	if len(r.byDevice) != 1000 || most > least*5/4 {
		t.Errorf("%d devices, from %d to %d messages", len(r.byDevice), least, most)
	}
}

func TestFullBatchesAndFullWindowsDoNotRest(t *testing.T) {
	cfg := DefaultConfig()
	cfg.BatchMessages, cfg.Window = 3, 10
	b := newBench(cfg, testModel{})
	b.pacer.linger, b.pacer.newsAt = time.Second, b.now
	for id := 1; id <= 3; id++ {
		b.hot("d", id)
	}
	b.accept("d") // 2 and 3 rest
	if b.resting.len() != 1 || b.idle() {
		t.Fatalf("%d rest", b.resting.len())
	}
	if at, ok := b.next(); !ok || !at.Equal(epoch.Add(time.Second)) {
		t.Fatalf("next at %v", at)
	}
	b.hot("d", 4)
	if got := b.out.signals[1].ids(); got != "2 3 4" || b.resting.len() != 0 {
		t.Fatalf("full batch: %s", got)
	}
	b.hot("e", 5)
	b.accept("e")
	b.hot("e", 6)
	if b.resting.len() != 1 {
		t.Fatal("e does not rest")
	}
	for id := 7; !b.full(b.w); id++ {
		b.hot("d", id)
	}
	if got := b.out.signals[len(b.out.signals)-1]; got.device != "e" || b.resting.len() != 0 {
		t.Errorf("full window: %s rests", got.device)
	}
	b = newBench(cfg, testModel{})
	b.pacer.linger, b.pacer.newsAt = time.Second, b.now
	b.hot("d", 1)
	b.accept("d")
	b.hot("d", 2)
	b.hurry(b.now)
	if len(b.out.signals) != 2 {
		t.Error("rests while the bridge stops")
	}
}

// Whatever a server does, both bounds stay in their range, and silence ends a
// linger.
func TestPacerStaysInBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 100).Draw(t, "most")
		longest := time.Duration(rapid.IntRange(0, 2000).Draw(t, "longest")) * time.Millisecond
		p := newPacer(most, longest, false)
		now := epoch
		for range rapid.IntRange(1, 300).Draw(t, "signals") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "pause")) * time.Millisecond)
			p.bound = rapid.Bool().Draw(t, "bound")
			p.accepted(time.Duration(rapid.IntRange(0, 10_000).Draw(t, "took"))*time.Millisecond, now)
			if p.linger < 0 || p.linger > longest || p.inFlight() < 1 || p.inFlight() > most {
				t.Fatalf("linger %v of %v, limit %d of %d", p.linger, longest, p.inFlight(), most)
			}
		}
		for steps := 0; ; steps++ {
			at, ok := p.next()
			if !ok {
				break
			}
			if steps > 20 {
				t.Fatal("linger does not end")
			}
			now = now.Add(max(0, at.Sub(now)))
			p.quiet(now)
		}
	})
}

// A server that became slower permanently is the new measure after two periods.
func TestLeastTimeIsForgotten(t *testing.T) {
	p := newPacer(64, time.Second, false)
	now := epoch
	feed := func(took, lasting time.Duration) {
		for end := now.Add(lasting); now.Before(end); now = now.Add(20 * time.Millisecond) {
			for range 10 { // at once
				p.accepted(took, now)
			}
		}
	}
	feed(3*time.Millisecond, 10*time.Second)
	feed(50*time.Millisecond, 30*time.Second)
	if p.linger != time.Second {
		t.Errorf("congested: linger %v", p.linger)
	}
	feed(50*time.Millisecond, 2*leastPeriod+10*time.Second)
	if p.linger != 0 {
		t.Errorf("used to it: linger %v", p.linger)
	}
}
