package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/internal/figures"
	"devicetwin/internal/recordlog"
	"devicetwin/wire"
)

// Tests of an Ingest with a log on the disk, in real time: what waits for a disk cannot be in
// a bubble of synctest.

// temporal accepts what it is given, unless it is down.
type temporal struct {
	mutex sync.Mutex
	down  bool
	took  map[device.ID][]string
	calls int
	last  map[string]int64 // position, by log and device
	wrong string
}

func (s *temporal) Deliver(ctx context.Context, d device.Delivery) (string, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.calls++
	if s.down {
		return "", errDown
	}
	for _, m := range d.Batch.Messages {
		key := d.Batch.Log + string(d.ID)
		if m.Pos <= s.last[key] {
			s.wrong = fmt.Sprintf("position %d after %d", m.Pos, s.last[key])
		}
		s.last[key] = m.Pos
		s.took[d.ID] = append(s.took[d.ID], fmt.Sprint(m.Data["id"]))
	}
	return "run", nil
}

func (s *temporal) all(id device.ID) []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.took[id])
}

func (s *temporal) set(down bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.down = down
}

func newTemporal() *temporal {
	return &temporal{took: map[device.ID][]string{}, last: map[string]int64{}}
}

// running is an Ingest that runs on a log.
type running struct {
	*Ingest
	t       *testing.T
	log     *recordlog.Log
	dialect *wire.Standard
	cancel  context.CancelFunc
	done    chan struct{}
	lane    *Lane

	mutex sync.Mutex
	acked []int
}

func run(t *testing.T, dir string, sink Sink, change func(*Config)) *running {
	t.Helper()
	cfg := DefaultConfig()
	cfg.QuotaRate, cfg.RetryMin, cfg.RetryMax = 0, time.Millisecond, 10*time.Millisecond
	if change != nil {
		change(&cfg)
	}
	quiet := slog.New(slog.DiscardHandler)
	log, err := recordlog.Open(recordlog.Config{Dir: dir, MaxBytes: 16 << 20}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	i, err := New(cfg, Deps{Model: testModel{}, WholeDevices: true, Sink: sink, Journal: log, Name: "b", Counts: NewCounts(figures.NewSet("test_")), Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Ingest: i, t: t, log: log, dialect: standardDialect(t), cancel: cancel, done: make(chan struct{})}
	go func() { defer close(r.done); i.Run(ctx, context.Background()) }()
	r.lane = i.Open("test")
	r.lane.Online(true)
	t.Cleanup(func() { cancel(); <-r.done; log.Close() })
	return r
}

func standardDialect(t *testing.T) *wire.Standard {
	cfg := wire.DefaultConfig()
	cfg.Lazy = true
	d, err := wire.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// publish delivers a message whose acknowledgement is noted under a number.
func (r *running) publish(topic, payload string, n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	at := time.Now().UTC().Truncate(time.Millisecond)
	received, err := r.dialect.Decode(topic, []byte(payload), false, at)
	return r.lane.Deliver(ctx, Arrival{Origin: topic, Payload: []byte(payload), At: at, Number: uint64(n%60000 + 1), Ack: func() {
		r.mutex.Lock()
		defer r.mutex.Unlock()
		r.acked = append(r.acked, n)
	}}, received, err)
}

func (r *running) acknowledged() []int {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return slices.Clone(r.acked)
}

func (r *running) stop() {
	r.t.Helper()
	r.cancel()
	select {
	case <-r.done:
	case <-time.After(20 * time.Second):
		r.t.Fatal("it does not stop")
	}
	if err := r.log.Close(); err != nil {
		r.t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not in time: " + what)
		}
	}
}

// With a window of one message, each waits for the disk; nothing but the disk wakes the lane.
func TestALaneGoesOnWhenTheDiskHasCaughtUp(t *testing.T) {
	bothModes(t, func(t *testing.T, accepted bool) {
		r := run(t, t.TempDir(), newTemporal(), func(c *Config) { c.Window, c.AckAccepted = 1, accepted })
		const n = 2 * laneRoom
		for i := range n {
			if err := r.publish("devices/d/telemetry", `{}`, i); err != nil {
				t.Fatalf("message %d: %v", i, err)
			}
		}
		eventually(t, "everything is acknowledged", func() bool { return len(r.acknowledged()) == n })
		if got := r.acknowledged(); !slices.IsSorted(got) {
			t.Errorf("acknowledged %v", got)
		}
	})
}

// When the last messages are acknowledged, the figures say so, although nothing else comes.
func TestFiguresAfterTheLastAcknowledgement(t *testing.T) {
	r := run(t, t.TempDir(), newTemporal(), nil)
	for i := range 100 {
		if err := r.publish("devices/d/telemetry", `{}`, i); err != nil {
			t.Fatal(err)
		}
	}
	counts := r.core.counts
	eventually(t, "nothing waits, by the figures", func() bool {
		return len(r.acknowledged()) == 100 && counts.Window.Load() == 0 && counts.Held.Load() == 0
	})
}

// What waits only for the disk keeps nobody from stopping once it is there, although nothing
// else happens.
func TestStopBeforeTheLastMessageIsOnTheDisk(t *testing.T) {
	bothModes(t, func(t *testing.T, accepted bool) {
		for n := range 5 {
			r := run(t, t.TempDir(), newTemporal(), func(c *Config) { c.AckAccepted = accepted })
			if err := r.publish("devices/d/telemetry", `{"n":1}`, n); err != nil {
				t.Fatal(err)
			}
			r.stop()
		}
	})
}

// In mode logged, an outage of Temporal keeps nobody from stopping, and everything is
// delivered after the start.
func TestStopDuringAnOutage(t *testing.T) {
	sink, dir := newTemporal(), t.TempDir()
	sink.set(true)
	r := run(t, dir, sink, nil)
	const n, devices = 200, 7
	for i := range n {
		if err := r.publish(fmt.Sprintf("devices/d%d/telemetry", i%devices), fmt.Sprintf(`{"hot":1,"id":%d}`, i), i); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "everything is acknowledged", func() bool { return len(r.acknowledged()) == n })
	eventually(t, "the outage is noticed", func() bool { return r.core.counts.Outage.Load() })
	began := time.Now()
	r.stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v to stop", took)
	}
	sink.set(false)
	r = run(t, dir, sink, nil)
	if r.Before() == "" || r.Before() == r.Instance() {
		t.Errorf("the process before was %q, this one is %q", r.Before(), r.Instance())
	}
	for d := range devices {
		id := device.ID(fmt.Sprint("d", d))
		var want []string
		for i := d; i < n; i += devices {
			want = append(want, fmt.Sprint(i))
		}
		eventually(t, "what waits is delivered", func() bool { return len(sink.all(id)) >= len(want) })
		if got := sink.all(id); !slices.Equal(got, want) {
			t.Errorf("%s: delivered %v, want %v", id, got, want)
		}
	}
	if sink.wrong != "" {
		t.Error(sink.wrong)
	}
	eventually(t, "the backlog is empty", func() bool { return r.core.counts.Backlog.Load() == 0 })
	r.stop()
	calls := sink.calls
	r = run(t, dir, sink, nil)
	if err := r.publish("devices/d1/telemetry", `{"x":1}`, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is acknowledged", func() bool { return len(r.acknowledged()) == 1 })
	r.stop()
	if sink.calls != calls {
		t.Errorf("%d deliveries after a restart with nothing new", sink.calls-calls)
	}
}

// Many lanes, checkpoints, questions and stops at once, for the race detector; each message is
// delivered once and in order.
func TestEverythingAtOnceWithALog(t *testing.T) {
	sink, dir := newTemporal(), t.TempDir()
	sent := 0
	for range 3 {
		r := run(t, dir, sink, func(c *Config) { c.WindowBytes, c.Window = 3000, 20 })
		var asking sync.WaitGroup
		asking.Go(func() {
			for range 50 {
				r.Silent(time.Now())
				r.Ended(context.Background(), "d3")
				r.do(func(*core) { r.saver.lastAt = time.Now().Add(-time.Minute) }) // a checkpoint is due
			}
		})
		for range 500 {
			if err := r.publish(fmt.Sprintf("devices/d%d/telemetry", sent%5), fmt.Sprintf(`{"hot":1,"id":%d}`, sent), sent); err != nil {
				t.Fatal(err)
			}
			if sent++; sent%100 == 0 {
				sink.set(sent%200 == 0)
			}
		}
		sink.set(false)
		asking.Wait()
		eventually(t, "everything is acknowledged", func() bool { return len(r.acknowledged()) == 500 })
		r.stop()
		if got := r.acknowledged(); len(got) != 500 || !slices.IsSorted(got) {
			t.Fatalf("%d acknowledged, in order %v", len(got), slices.IsSorted(got))
		}
	}
	for d := range 5 {
		got := sink.all(device.ID(fmt.Sprint("d", d)))
		for i, id := range got {
			if id != fmt.Sprint(5*i+d) {
				t.Fatalf("d%d: delivered %v", d, got)
			}
		}
		if len(got) != sent/5 {
			t.Errorf("d%d: %d of %d are delivered", d, len(got), sent/5)
		}
	}
	if sink.wrong != "" {
		t.Error(sink.wrong)
	}
}

// What others append while no messages come does not keep the log full.
func TestALogFilledByOthersTakesMessages(t *testing.T) {
	r := run(t, t.TempDir(), newTemporal(), nil)
	if err := r.publish("devices/d/telemetry", `{}`, 1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is acknowledged", func() bool { return len(r.acknowledged()) == 1 })
	for _, size := range []int{64 << 10, 0} {
		lines := recordlog.Record{Kind: 2, At: time.Now(), Data: make([]byte, size)}
		for filled := int64(0); filled < 2*r.log.MaxBytes(); filled += int64(max(size, 1<<10)) {
			_, end, err := r.log.AppendAt(lines)
			if err != nil {
				t.Logf("at %d of %d bytes: %v", r.log.Stats().Durable, r.log.MaxBytes(), err)
				break
			}
			if size > 0 {
				eventually(t, "it is on the disk", func() bool { return r.log.Durable() >= end })
			}
		}
	}
	if err := r.publish("devices/d/telemetry", `{}`, 2); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the next one is acknowledged", func() bool { return len(r.acknowledged()) == 2 })
}
