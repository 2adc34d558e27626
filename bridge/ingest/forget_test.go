package ingest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"devicetwin/device"
)

// Nothing is remembered of a device that was erased, unless something of it is on its way;
// what it sends next is signalled, though it says the same.
func TestErasedDevicesAreForgotten(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	b.hot("d", 0)
	if b.devices.drop("d") || b.devices.drop("nobody") || b.devices.byID["d"] == nil {
		t.Fatal("a device was forgotten of which a message is on its way")
	}
	b.accept("d")
	if !b.devices.drop("d") {
		t.Error("it is not forgotten")
	}
	if n := len(b.devices.byID) + b.devices.order.Len(); n != 0 {
		t.Fatalf("%d devices are remembered", n)
	}
	b.hot("d", 0)
	if s := b.out.signals[len(b.out.signals)-1]; s.device != "d" || len(s.batch.Messages) != 1 {
		t.Errorf("signalled %+v", s)
	}
	k := b.beginCheckpoint(b.now)
	b.accept("d")
	b.devices.drop("d")
	b.stepCheckpoint(k, checkpointStep)
	if len(k.part) > 0 {
		t.Errorf("the checkpoint has %s", k.part)
	}
}

// Whoever erases devices is not held up by an Ingest that never runs, or has ended.
func TestForgettingDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, _ := newReportIngest(t, func(context.Context, device.Delivery) error { return nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		in.Forget(ctx, "d") // it does not run
		cancel()
		running, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { in.Run(running, t.Context()); close(done) }()
		in.Forget(t.Context(), "d", "e")
		stop()
		<-done
		in.Forget(t.Context(), "d")
	})
}
