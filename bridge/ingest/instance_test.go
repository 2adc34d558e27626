package ingest

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"devicetwin/device"
)

// A workflow that was deleted begins again with what is delivered next. What the one
// before was given, it does not know.
func TestANewWorkflowLearnsWhatIsRepeated(t *testing.T) {
	accept := func(r *readings, run string) {
		for r.inFlight > 0 {
			r.takenBy("d", run, nil, r.now)
		}
	}
	send := func(r *readings, run string, temperatures ...int) string {
		for _, c := range temperatures {
			r.seq++
			r.deliver("devices/d/telemetry", fmt.Sprintf(`{"epoch":1,"seq":%d,"t":%d}`, r.seq, c), "", false)
		}
		accept(r, run)
		return r.signalled()
	}
	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: signalled %q, want %q", what, got, want)
		}
	}

	r := newReadings(t, nil)
	want("the first", send(r, "run-1", 95, 96), "95")
	r.deliver("devices/d/twin/update", `{"state":{"reported":{"a":1}}}`, "", false)
	want("a request", send(r, "run-1"), device.MethodUpdate)
	want("the same workflow", send(r, "run-1", 97), "")
	r.deliver("devices/d/twin/update", `{"state":{"reported":{"a":2}}}`, "", false)
	want("a request that begins another", send(r, "run-2"), device.MethodUpdate)
	want("another workflow", send(r, "run-2", 98, 99), "98")

	r.advance(6 * time.Minute)
	want("a renewal that begins another", send(r, "run-3", 98), device.MessageSeen)
	want("another workflow", send(r, "run-3", 98, 99), "98")
	want("a crossing that begins another", send(r, "run-4", 75, 74), "75")

	r.deliver("devices/d/twin/update", `{"state":{"reported":{"a":3}}}`, "", false)
	want("while it is not known whether the request begins another", send(r, "run-4", 74, 73), device.MethodUpdate+" 74")
	want("it did not", send(r, "run-4", 72), "")

	r.ended("d")
	want("the bridge hears of an end", send(r, "run-5", 71, 70), "71")
	r.ended("nobody")
	want("of another device's", send(r, "run-5", 72), "")
}

// A device that was deleted is not started again to find out whether Temporal is well.
func TestAProbeStartsNoWorkflow(t *testing.T) {
	b := newBench(stuckConfig(), testModel{})
	b.hot("good", 0)
	b.accept("good")
	b.hot("bad", 1)
	b.fill(2)
	b.fail("bad", errDown)
	for b.attempt(t) == "bad" {
		b.fail("bad", errDown)
	}
	if s := b.out.signals[len(b.out.signals)-1]; s.device != "good" || len(s.batch.Messages) > 0 || !s.existing {
		t.Fatalf("tried with %+v", s)
	}
	b.fail("good", device.ErrNoTwin)
	if b.attempt(t) != "bad" {
		t.Error("a device without a workflow is tried again")
	}
}

// Whoever reports ends is not held up by an Ingest that never runs, or has ended.
func TestEndsAreNotReportedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, _ := newReportIngest(t, func(context.Context, device.Delivery) error { return nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		in.Ended(ctx, "d") // it does not run
		cancel()
		running, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { in.Run(running, t.Context()); close(done) }()
		in.Ended(t.Context(), "d", "e")
		stop()
		<-done
		in.Ended(t.Context(), "d")
	})
}
