package bridge

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/mqtt"
)

// testModel finds everything relevant but telemetry without a "hot" key and
// what it is told to leave out.
type testModel struct {
	silentAfter, tolerance time.Duration
	ignoreGaps             bool
}

func (testModel) Name() string { return "pump" }
func (testModel) Hash() string { return "pump-hash" }

func (m testModel) Relevant(msg device.Message) bool {
	switch msg.Channel {
	case device.ChannelTelemetry:
		_, hot := msg.Data["hot"]
		return hot
	case device.ChannelSystem:
		return msg.Name == device.EventSequenceGap && !m.ignoreGaps
	}
	return true
}

// Pass knows of no settled classes; see the tests of sight for those.
func (m testModel) Pass(_ *devicefsm.Filter, msg device.Message) bool { return m.Relevant(msg) }

func (m testModel) MayLeaveOut(msg device.Message) bool { return !m.Relevant(msg) }

func (m testModel) Liveness() (time.Duration, time.Duration) { return m.silentAfter, m.tolerance }

// sentSignal is one attempt that the core started.
type sentSignal struct {
	device   string
	model    string
	batch    device.Batch
	existing bool
}

// ids are the "id" values of a batch's messages, or their names.
func (s sentSignal) ids() string {
	var ids []string
	for _, m := range s.batch.Messages {
		if id, ok := m.Data["id"]; ok {
			ids = append(ids, fmt.Sprint(id))
		} else {
			ids = append(ids, m.Name)
		}
	}
	return strings.Join(ids, " ")
}

// recorder is the effects of a core under test.
type recorder struct {
	signals   []sentSignal
	letters   []DeadLetter
	answers   []string
	points    []string
	publishes bool // dead letters wait to be published
	waiting   []*entry
}

func (r *recorder) signal(device, model string, b device.Batch, existing bool) {
	r.signals = append(r.signals, sentSignal{device, model, b, existing})
}

func (r *recorder) answer(topic string, payload []byte, e *entry) bool {
	r.answers = append(r.answers, topic+" "+string(payload))
	if r.publishes {
		r.waiting = append(r.waiting, e)
	}
	return r.publishes
}

func (r *recorder) letter(l DeadLetter, e *entry) bool {
	r.letters = append(r.letters, l)
	if r.publishes {
		r.waiting = append(r.waiting, e)
	}
	return r.publishes
}

func (r *recorder) point(device, _ string, data map[string]any, at time.Time) {
	r.points = append(r.points, fmt.Sprintf("%s %v %d", device, data, at.UnixNano()))
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// bench is a core with everything around it under control.
type bench struct {
	*core
	out   *recorder
	w     *window
	now   time.Time
	acked []string
}

func newBench(cfg Config, model Model, others ...Model) *bench {
	kinds, err := newKinds(cfg, model, others)
	if err != nil {
		panic(err)
	}
	dialect, err := Deps{}.dialect(cfg)
	if err != nil {
		panic(err)
	}
	out := &recorder{}
	wait := func(attempt int) time.Duration { return time.Second << min(attempt, 3) }
	b := &bench{core: newCore(cfg, dialect, kinds, out, newCounters(), slog.New(slog.DiscardHandler), wait), out: out, now: epoch}
	b.reconnect()
	return b
}

// reconnect loses the connection, if there is one, and opens the next.
func (b *bench) reconnect() {
	if b.w != nil {
		b.closed(b.w)
	}
	b.w = newWindow()
	b.opened(b.w)
	b.connected(false)
	b.attend(b.now)
}

// deliver hands a payload to the core; name is what acks call it.
func (b *bench) deliver(topic, payload, name string, dup bool) {
	b.receive(delivery{b.w, mqtt.Message{
		Topic: topic, Payload: []byte(payload), Dup: dup, At: b.now,
		Ack: func() { b.acked = append(b.acked, name) },
	}}, b.now)
}

// hot delivers a relevant telemetry message that is its own name.
func (b *bench) hot(device string, id int) {
	b.deliver("devices/"+device+"/telemetry", fmt.Sprintf(`{"hot":1,"id":%d}`, id), fmt.Sprint(id), false)
}

// acks sends what was released and returns all acknowledgements so far.
func (b *bench) acks() string {
	if b.w != nil {
		for _, ack := range b.w.outbox {
			ack()
		}
		b.w.outbox = nil
	}
	return strings.Join(b.acked, " ")
}

func (b *bench) accept(device string)          { b.signalled(device, nil, b.now) }
func (b *bench) fail(device string, err error) { b.signalled(device, err, b.now) }

func (b *bench) advance(d time.Duration) {
	b.now = b.now.Add(d)
	b.elapsed(b.now)
}

var errDown = errors.New("temporal is down")

type permanentError struct{}

func (permanentError) Error() string   { return "no such namespace" }
func (permanentError) Permanent() bool { return true }

// logLines is a log to be looked at.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	return len(p), nil
}

func (l *logLines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, line := range l.lines {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

func (l *logLines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
