package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"devicetwin/bridge/ingest"
	"devicetwin/mqtt"
	"devicetwin/mqtt/mqtttest"
)

func TestMessagesAreAcknowledgedOnceAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRig(t, DefaultConfig())
		if got := fmt.Sprint(r.broker.Last().Subscribed()); got != "[devices/# $aws/things/+/shadow/#]" {
			t.Errorf("subscribed to %s", got)
		}
		if err := r.Ready(); err != nil {
			t.Errorf("ready: %v", err)
		}
		for id := 1; id <= 5; id++ {
			r.deliver("d", id, false)
		}
		if got := r.acks(); got != "" {
			t.Errorf("acknowledged before acceptance: %s", got)
		}
		time.Sleep(10 * time.Millisecond)
		if got := r.acks(); got != "1 2 3 4 5" {
			t.Errorf("acknowledged: %s", got)
		}
		s := r.counts
		if s.Received.Load() != 5 || s.Events.Load() != 5 || s.Deliveries.Load() != 2 || s.Window.Load() != 0 || s.Devices.Load() != 1 {
			t.Errorf("stats: %+v", s)
		}
		r.end()
		if !r.broker.Last().Closed() {
			t.Error("connection left open")
		}
	})
}

func TestTemporalOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRig(t, DefaultConfig())
		r.temp.setDown(true)
		for id := 1; id <= 100; id++ {
			r.deliver(fmt.Sprint("d", id%10), id, false)
		}
		time.Sleep(10 * time.Minute)
		if err := r.Ready(); err == nil {
			t.Error("ready while temporal is unavailable")
		}
		if got := r.acks(); got != "" {
			t.Errorf("acknowledged: %s", got)
		}
		if n := r.temp.attempts; n > 300 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		r.temp.setDown(false)
		time.Sleep(20 * time.Second)
		if got := r.acks(); len(strings.Fields(got)) != 100 || !strings.HasPrefix(got, "1 2 3 4 5 6") {
			t.Errorf("acknowledged: %s", got)
		}
		if n, m := r.logs.count("Temporal is not accepting signals"), r.logs.count("Temporal accepts signals again"); n != 1 || m != 1 {
			t.Errorf("the log says %d times that temporal is unavailable and %d times that it is available", n, m)
		}
		r.end()
	})
}

func TestReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := mqtttest.Plan{ConnectErr: fmt.Errorf("connection refused")}
		r := startRig(t, DefaultConfig(), mqtttest.Plan{}, refused, refused, refused, mqtttest.Plan{Present: true}, mqtttest.Plan{})
		r.temp.takes = 5 * time.Second
		r.deliver("d", 1, false)
		r.deliver("d", 2, false)
		first := r.broker.Last()
		first.Lose(fmt.Errorf("EOF"))
		synctest.Wait()
		if err := r.Ready(); err == nil {
			t.Error("ready without a broker")
		}
		time.Sleep(20 * time.Second)
		if n := r.broker.Count(); n != 5 {
			t.Fatalf("%d connections", n)
		}
		if err := r.Ready(); err != nil {
			t.Errorf("ready: %v", err)
		}
		// The first connection's acknowledgements are void; the broker delivers again.
		r.deliver("d", 1, true)
		r.deliver("d", 2, true)
		r.deliver("d", 3, false)
		time.Sleep(5 * time.Minute)
		if got := r.acks(); got != "1 2 3" {
			t.Errorf("acknowledged: %s", got)
		}
		if got := r.temp.got(); got != "d:1 d:2 d:3" {
			t.Errorf("signalled: %s", got)
		}
		if n, m := r.logs.count("lost the connection to the broker"), r.logs.count("reconnected to the broker"); n != 1 || m != 1 {
			t.Errorf("the log says %d times lost and %d times back", n, m)
		}
		if n := r.logs.count("has lost the session"); n != 0 {
			t.Error("the session was present")
		}
		r.broker.Last().Lose(fmt.Errorf("EOF"))
		time.Sleep(20 * time.Second)
		if n := r.logs.count("has lost the session"); n != 1 || r.counts.sessionsLost.Load() != 1 {
			t.Error("a lost session goes unnoticed")
		}
		if s := r.counts; s.connects.Load() != 3 || s.connectsLost.Load() != 2 || s.Repeated.Load() != 2 {
			t.Errorf("stats: %+v", s)
		}
		r.end()
	})
}

func TestTwoWithOneClientIDDoNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRig(t, DefaultConfig())
		for range 1000 {
			r.broker.Last().Lose(fmt.Errorf("taken over"))
			time.Sleep(100 * time.Millisecond)
		}
		if n := r.broker.Count(); n > 25 {
			t.Errorf("%d connections in 100 s", n)
		}
		r.end()
	})
}

func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.Window = 10
		r := startRig(t, cfg)
		r.temp.setDown(true)
		var taken atomic.Int64
		var enough atomic.Bool
		go func() {
			conn := r.broker.Last()
			for !enough.Load() {
				conn.Deliver(mqtt.Message{Topic: "devices/d/telemetry", Payload: []byte(`{"hot":1}`), At: time.Now()})
				taken.Add(1)
			}
		}()
		synctest.Wait()
		if want := cfg.Window + 256; int(taken.Load()) != want {
			t.Errorf("took %d messages, expected %d", taken.Load(), want)
		}
		enough.Store(true)
		if s := r.counts; int(s.Window.Load()) != cfg.Window {
			t.Errorf("window %d", s.Window.Load())
		}
		r.temp.setDown(false)
		time.Sleep(time.Minute)
		if s := r.counts; s.Window.Load() != 0 || s.Events.Load() != uint64(taken.Load()) {
			t.Errorf("afterwards: %+v", s)
		}
		r.end()
	})
}

func TestSharedSubscriptionsAreProbed(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Subscribe = []string{"$share/bridges/devices/#"}
	t.Run("delivers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			broker := &mqtttest.Broker{}
			b, err := New(cfg, Deps{Model: testModel{}, Sink: &fakeSink{}, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			b.dial, b.probe = broker.Dial, (&retainer{}).Dial
			ctx, stop := context.WithCancel(t.Context())
			go func() {
				time.Sleep(time.Second)
				if b.Ready() != nil {
					t.Error("not ready after a good probe")
				}
				stop()
			}()
			if err := b.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("swallows", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			broker := &mqtttest.Broker{Plans: []mqtttest.Plan{{ConnectErr: fmt.Errorf("refused")}, {}}}
			b, err := New(cfg, Deps{Model: testModel{}, Sink: &fakeSink{}, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			b.dial, b.probe = broker.Dial, broker.Dial
			err = b.Run(t.Context())
			if err == nil || !strings.Contains(err.Error(), "shared subscriptions") {
				t.Errorf("run: %v", err)
			}
			if n := broker.Count(); n != 2 {
				t.Errorf("%d connections, expected two probes", n)
			}
		})
	})
}

func TestStuckDeviceInARunningBridge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := stuckConfig()
		r := startRig(t, cfg)
		r.temp.failing = "bad"
		for id := range 1000 {
			device := "good"
			if id%10 == 5 {
				device = "bad"
			}
			r.deliver(device, id, false)
		}
		time.Sleep(2 * time.Minute)
		if got := strings.Fields(r.acks()); len(got) != 1000 {
			t.Errorf("%d acknowledged", len(got))
		}
		if s := r.counts; s.DeadLetters[ingest.ReasonQuota].Load() != 100 || s.Events.Load() != 900 || s.Quarantined.Load() != 1 {
			t.Errorf("stats: %+v", s)
		}
		began := time.Now()
		r.end()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

func TestRetainedMessagesAreNoInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRig(t, DefaultConfig())
		r.deliver("d", 1, false)
		r.broker.Last().Deliver(mqtt.Message{
			Topic: "devices/d/status", Payload: []byte(`{"status":"boot"}`), Retained: true, At: time.Now().UTC(),
			Ack: func() { r.acked = append(r.acked, "retained") },
		})
		r.broker.Last().Deliver(mqtt.Message{Topic: "devices/d/status", Payload: []byte(`nonsense`), Retained: true, At: time.Now().UTC()})
		time.Sleep(time.Second)
		if s := r.counts; s.Ignored.Load() != 2 || s.Events.Load() != 1 || s.Value("dead_letters_total") != 0 || r.acks() != "1 retained" {
			t.Errorf("acknowledged %q, stats: %+v", r.acks(), s)
		}
		r.end()
	})
}

func TestPartitionOfASharedSubscription(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Partition = ingest.Partition{Index: 1, Of: 3}
	cfg.Subscribe = []string{"$share/bridges/devices/#"}
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "partition 1/3") {
		t.Errorf("a share of a shared subscription: %v", err)
	}
}
