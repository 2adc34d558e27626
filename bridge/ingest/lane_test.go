package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"devicetwin/device"
	"devicetwin/internal/figures"
	"devicetwin/wire"
)

// laneModel is a source of one stream: it keeps what is not acknowledged, and
// delivers it again, in order, on the next lane.
type laneModel struct {
	t       *rapid.T
	b       *bench
	name    string
	lane    *Lane
	unacked []int // in the order of delivery
	next    int
	done    map[int]bool // may be acknowledged
}

func (m *laneModel) send(id int, again bool) {
	lane := m.lane
	m.unacked = append(m.unacked, id)
	m.b.receive(lane, "devices/"+m.device(id)+"/telemetry", Arrival{
		Payload: fmt.Appendf(nil, `{"hot":1,"id":%d}`, id), Again: again, At: m.b.now,
		Ack: func() {
			if lane != m.lane {
				m.t.Fatalf("%d acknowledged on a lane %s that was closed", id, m.name)
			}
			if len(m.unacked) == 0 || m.unacked[0] != id || !m.done[id] {
				m.t.Fatalf("%s: acknowledged %d of %v, accepted %v", m.name, id, m.unacked, m.done[id])
			}
			m.unacked = m.unacked[1:]
		},
	})
}

// device is one of two of the lane.
func (m *laneModel) device(id int) string { return fmt.Sprint(m.name, id%2) }

func (m *laneModel) publish() {
	if !m.b.full(m.lane) {
		m.next++
		m.send(m.next, false)
	}
}

// reopen loses the lane: what is not acknowledged is delivered again.
func (m *laneModel) reopen() {
	m.b.close(m.lane, m.b.now)
	m.lane = m.b.lane(m.name)
	again := m.unacked
	m.unacked = nil
	for _, id := range again {
		m.send(id, true)
	}
}

// Each of several lanes is acknowledged in its own order, whatever happens on the
// others, and each device's messages reach its workflow in order.
func TestLanesProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := DefaultConfig()
		cfg.Window = rapid.IntRange(1, 8).Draw(t, "window")
		cfg.BatchMessages = rapid.IntRange(1, 4).Draw(t, "batch")
		cfg.QuotaRate = 0
		cfg.StuckAfter = 0 // else what waits behind failures becomes dead letters
		b := newBench(cfg, testModel{})
		b.close(b.w, b.now)
		sources := map[string]*laneModel{}
		for _, name := range []string{"a", "b", "c"} {
			sources[name] = &laneModel{t: t, b: b, name: name, lane: b.lane(name), done: map[int]bool{}}
		}
		var seen = map[string][]int{}
		result := func(which int, err error) {
			var busy []*deviceState
			for _, d := range b.devices.byID {
				if d.place == inFlight {
					busy = append(busy, d)
				}
			}
			if len(busy) == 0 {
				return
			}
			slices.SortFunc(busy, func(a, b *deviceState) int { return strings.Compare(string(a.id), string(b.id)) })
			d := busy[which%len(busy)]
			if err == nil {
				for _, it := range d.work.batch {
					id := int(it.message.Data["id"].(float64))
					sources[string(d.id[:1])].done[id] = true
					if list := seen[string(d.id)]; !slices.Contains(list, id) {
						seen[string(d.id)] = append(list, id)
					}
				}
			}
			b.signalled(string(d.id), err, b.now)
		}
		source := func(t *rapid.T) *laneModel {
			return sources[rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "lane")]
		}
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) { source(t).publish() },
			"accept":  func(t *rapid.T) { result(rapid.IntRange(0, 5).Draw(t, "which"), nil) },
			"fail":    func(t *rapid.T) { result(rapid.IntRange(0, 5).Draw(t, "which"), errDown) },
			"reopen":  func(t *rapid.T) { source(t).reopen() },
			"wait":    func(*rapid.T) { b.advance(time.Second) },
			"":        func(*rapid.T) { b.acks() },
		})
		for range 1000 {
			b.acks()
			if b.idle() {
				break
			}
			b.advance(10 * time.Second)
			result(0, nil)
		}
		for name, m := range sources {
			if len(m.unacked) > 0 {
				t.Fatalf("lane %s: %v was never acknowledged", name, m.unacked)
			}
		}
		for name, ids := range seen {
			if !slices.IsSorted(ids) {
				t.Fatalf("workflow %s saw %v", name, ids)
			}
		}
		if b.held != 0 || b.heldBytes != 0 {
			t.Fatalf("%d held", b.held)
		}
	})
}

// gate is a sink that holds back the deliveries of one device until it is opened.
type gate struct {
	device device.ID
	open   chan struct{}
}

func (g *gate) Deliver(ctx context.Context, d device.Delivery) (string, error) {
	if d.ID != g.device {
		return "run", nil
	}
	select {
	case <-g.open:
		return "run", nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// rig is a running Ingest with lanes.
type rig struct {
	t       *testing.T
	ingest  *Ingest
	dialect *wire.Standard
	stop    func()

	mu    sync.Mutex
	acked map[string][]string // by lane
}

func startIngest(t *testing.T, cfg Config, sink Sink) *rig {
	t.Helper()
	i, err := New(cfg, Deps{
		Model: testModel{}, Sink: sink, Counts: NewCounts(figures.NewSet("test_")), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	dialect, err := wire.New(wire.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, ingest: i, dialect: dialect, acked: map[string][]string{}}
	ctx, cancel := context.WithCancel(t.Context())
	abandon, giveUp := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { i.Run(ctx, abandon); close(ended) }()
	r.stop = func() { cancel(); time.AfterFunc(time.Second, giveUp); <-ended; giveUp() }
	return r
}

// deliver hands a message to a lane, in at most a second.
func (r *rig) deliver(l *Lane, name, id string, n int) error {
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Second)
	defer cancel()
	payload := fmt.Appendf(nil, `{"hot":1,"id":%d}`, n)
	received, err := r.dialect.Decode("devices/"+id+"/telemetry", payload, false, time.Now())
	return l.Deliver(ctx, Arrival{Origin: id, Payload: payload, At: time.Now(), Ack: func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.acked[name] = append(r.acked[name], fmt.Sprint(n))
	}}, received, err)
}

func (r *rig) acks(name string) string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.acked[name], " ")
}

func TestOneLaneIsBlockedWhileTheOtherFlows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.Window, cfg.SignalTimeout = 10, time.Hour
		g := &gate{device: "slow", open: make(chan struct{})}
		r := startIngest(t, cfg, g)
		a, b := r.ingest.Open("a"), r.ingest.Open("b")
		a.Online(false)
		b.Online(false)
		taken := 0
		for r.deliver(a, "a", "slow", taken) == nil {
			taken++
		}
		if taken != cfg.Window+laneRoom {
			t.Errorf("lane a took %d messages", taken)
		}
		for n := range 500 { // b flows
			if err := r.deliver(b, "b", "fast", n); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if got := strings.Fields(r.acks("b")); len(got) != 500 || got[0] != "0" || got[499] != "499" || r.acks("a") != "" {
			t.Errorf("%d acknowledged on b, on a %q", len(got), r.acks("a"))
		}
		b.Close()
		if err := r.deliver(b, "b", "fast", 500); err == nil {
			t.Error("a closed lane takes messages")
		}
		close(g.open)
		time.Sleep(time.Minute)
		got := strings.Fields(r.acks("a"))
		if len(got) != taken || got[0] != "0" || got[taken-1] != fmt.Sprint(taken-1) {
			t.Errorf("%d of %d acknowledged on a", len(got), taken)
		}
		r.stop()
		<-a.Sent()
		if r.ingest.Open("c") != nil {
			t.Error("a lane was opened after the end")
		}
	})
}

func TestAMessageOfSeveralDevices(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	hot := func(id device.ID, n float64) wire.Received {
		return wire.Received{ID: id, Message: device.Message{Channel: device.ChannelEvents, Name: "x", Data: map[string]any{"id": n}, Time: b.now}}
	}
	b.core.receive(b.w, arrived{
		Arrival{Origin: "gateway", At: b.now, Ack: func() { b.acked = append(b.acked, "gateway") }},
		[]wire.Received{hot("d1", 1), hot("d2", 2), hot("d2", 3), hot("d1", 4)}, nil,
	}, b.now)
	b.out.take(b.core)
	if len(b.out.signals) != 2 || b.out.signals[0].device != "d1" || b.out.signals[1].device != "d2" {
		t.Fatalf("%+v", b.out.signals)
	}
	if one, two := b.out.signals[0].ids(), b.out.signals[1].ids(); one != "1 4" || two != "2 3" {
		t.Errorf("to d1 %s, to d2 %s", one, two)
	}
	b.accept("d1")
	if got := b.acks(); got != "" {
		t.Errorf("acknowledged %q before every device's messages were accepted", got)
	}
	b.accept("d2")
	if got := b.acks(); got != "gateway" || !b.idle() || b.held != 0 {
		t.Errorf("acknowledged %q", got)
	}
}
