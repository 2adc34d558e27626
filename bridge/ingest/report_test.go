package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"devicetwin/device"
	"devicetwin/internal/figures"
)

func pointFault(detail string) device.Fault {
	return device.Fault{Topic: "telemetry", Reason: device.FaultPoint, Detail: detail}
}

func TestAFaultFromElsewhereIsReported(t *testing.T) {
	b := faultBench(nil)
	b.reportElsewhere(reported{"d", pointFault("a")}, b.now)
	b.dispatch(b.now)
	s := b.out.signals
	if len(s) != 1 || s[0].device != "d" || !s[0].existing || s[0].batch.Messages[0].Faults[0].At != b.now {
		t.Fatalf("delivered %+v", s)
	}
	b.accept("d")
	late := pointFault("b")
	late.At, late.Count = b.now.Add(-time.Hour), 7
	b.reportElsewhere(reported{"d", late}, b.now)
	b.dispatch(b.now)
	b.advance(time.Minute)
	if got := b.reports(t); got != "a x1, b x7" {
		t.Errorf("reported %q", got)
	}
	if at := b.out.signals[1].batch.Messages[0].Faults[0].At; at != late.At {
		t.Errorf("at %v, want %v", at, late.At)
	}
	if n := b.counts.Faults[device.FaultPoint].Load(); n != 8 {
		t.Errorf("counted %d, want 8", n)
	}
}

// Nobody delivers to a device of another bridge, which does so at the same time.
func TestAFaultOfAnotherPartitionIsOnlyCounted(t *testing.T) {
	b := faultBench(func(c *Config) { c.Partition = Partition{Index: 1, Of: 2} })
	mine, others := 0, 0
	for n := range 20 {
		id := device.ID(fmt.Sprint("d", n))
		if b.cfg.Partition.Owns(id.Name()) {
			mine++
		} else {
			others++
		}
		b.reportElsewhere(reported{id, pointFault("a")}, b.now)
	}
	b.dispatch(b.now)
	if mine == 0 || others == 0 || len(b.out.signals) != mine {
		t.Errorf("%d signals; %d devices are its own, %d are not", len(b.out.signals), mine, others)
	}
	if dropped, all := b.counts.FaultReportsDropped.Load(), b.counts.Faults[device.FaultPoint].Load(); dropped != uint64(others) || all != 20 {
		t.Errorf("%d dropped of %d, want %d of 20", dropped, all, others)
	}
}

// sinkFunc takes deliveries.
type sinkFunc func(context.Context, device.Delivery) error

func (f sinkFunc) Deliver(ctx context.Context, d device.Delivery) (string, error) {
	return "run", f(ctx, d)
}

func newReportIngest(t *testing.T, sink sinkFunc) (*Ingest, *Counts) {
	t.Helper()
	counts := NewCounts(figures.NewSet("test_"))
	in, err := New(DefaultConfig(), Deps{Model: faultyModel{}, Sink: sink, Counts: counts, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return in, counts
}

// Whoever reports is never held up: not before there is anybody to listen, not while
// deliveries hang, and not after the end. Each fault is delivered, or counted.
func TestReportingNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const reporters, each = 8, 1000
		var mu sync.Mutex
		delivered, hanging := uint64(0), make(chan struct{})
		in, counts := newReportIngest(t, func(_ context.Context, d device.Delivery) error {
			<-hanging
			mu.Lock()
			defer mu.Unlock()
			for _, m := range d.Batch.Messages {
				for _, f := range m.Faults {
					delivered += max(1, f.Count)
				}
			}
			return nil
		})
		burst := func() {
			var all sync.WaitGroup
			for r := range reporters {
				all.Go(func() {
					for range each {
						in.Report(device.ID(fmt.Sprint("d", r)), pointFault("a"))
					}
				})
			}
			all.Wait()
		}
		burst()
		if n := counts.FaultReportsDropped.Load(); n != reporters*each-maxReported {
			t.Errorf("%d dropped before the beginning, want all but %d", n, maxReported)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { in.Run(ctx, t.Context()); close(ended) }()
		burst()
		synctest.Wait()
		burst()
		close(hanging)
		synctest.Wait()
		stop()
		<-ended
		burst()
		all, dropped := counts.Faults[device.FaultPoint].Load(), counts.FaultReportsDropped.Load()
		if all != 4*reporters*each || delivered+dropped != all || delivered < maxReported {
			t.Errorf("%d faults, %d delivered, %d dropped", all, delivered, dropped)
		}
	})
}

// What was reported before the end is delivered before it.
func TestWhatWasReportedIsDeliveredBeforeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		devices := map[device.ID]bool{}
		in, counts := newReportIngest(t, func(_ context.Context, d device.Delivery) error {
			mu.Lock()
			defer mu.Unlock()
			devices[d.ID] = true
			return nil
		})
		for n := range 100 {
			in.Report(device.ID(fmt.Sprint("d", n)), pointFault("a"))
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		in.Run(ctx, t.Context())
		if n := counts.FaultReportsDropped.Load(); len(devices) != 100 || n != 0 {
			t.Errorf("faults of %d devices delivered, %d dropped", len(devices), n)
		}
	})
}
