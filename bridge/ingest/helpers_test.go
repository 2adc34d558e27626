package ingest

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/figures"
	"devicetwin/wire"
)

// testModel finds everything relevant but telemetry without a "hot" key and
// what it is told to leave out.
type testModel struct {
	silentAfter, tolerance time.Duration
	ignoreGaps             bool
	oneByOne               bool // its workflow may have no room
}

func (testModel) Name() string { return "pump" }
func (testModel) Hash() string { return "pump-hash" }

func (testModel) Kind() device.Kind { return device.KindDevice }

// kindsOf are the models of other kinds than devices.
func kindsOf(models []Model) map[device.Kind]Model {
	kinds := map[device.Kind]Model{}
	for _, m := range models {
		if m.Kind() != device.KindDevice {
			kinds[m.Kind()] = m
		}
	}
	return kinds
}

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

func (testModel) Reads() (names []string, all bool) { return []string{"hot"}, false }

// Pass knows of no settled classes; see the tests of sight for those.
func (m testModel) Pass(_ *devicefsm.Filter, msg device.Message) bool { return m.Relevant(msg) }

func (m testModel) OneByOne() bool                      { return m.oneByOne }
func (m testModel) MayLeaveOut(msg device.Message) bool { return !m.Relevant(msg) }

func (testModel) AppendFilter(b []byte, _ *devicefsm.Filter) []byte { return b }

func (testModel) ReadFilter(b []byte) (f devicefsm.Filter, rest []byte, err error) { return f, b, nil }

func (testModel) Explain(device.Message) []device.Fault { return nil }

func (m testModel) Liveness() (time.Duration, time.Duration) { return m.silentAfter, m.tolerance }

// sentSignal is one attempt that the core started.
type sentSignal struct {
	device      string
	model       string
	batch       device.Batch
	existing    bool
	provisional bool
	oneByOne    bool
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

// recorder is what a core under test wanted to have done.
type recorder struct {
	signals   []sentSignal
	letters   []DeadLetter
	answers   []string
	points    []string
	questions []Question
	silent    bool        // points are not written down
	before    func(*core) // reads what is only in the log
	publishes bool        // dead letters and rejections wait to be published
	waiting   []*entry
}

func (r *recorder) take(c *core) {
	if r.before != nil {
		r.before(c)
	}
	for _, d := range c.out.deliveries {
		r.signals = append(r.signals, sentSignal{string(d.ID), d.Model, d.Batch, !d.Start, d.Provisional, d.OneByOne})
	}
	for _, p := range c.out.points {
		if r.silent {
			break
		}
		r.points = append(r.points, fmt.Sprintf("%s %s %d", p.ID, p.Object, p.Time.UnixNano()))
	}
	r.questions = append(r.questions, c.out.questions...)
	var done []*entry
	for _, l := range c.out.letters {
		r.letters = append(r.letters, l.value)
		done = append(done, l.entry)
	}
	for _, x := range c.out.rejections {
		topic, payload := wire.RejectRequest(x.value.ID, x.value.Request, x.value.Code, x.value.At)
		r.answers = append(r.answers, topic+" "+string(payload))
		done = append(done, x.entry)
	}
	c.out.reset()
	if r.publishes {
		r.waiting = append(r.waiting, done...)
		return
	}
	for _, e := range done {
		c.published(e)
	}
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// bench is a core with everything around it under control.
type bench struct {
	*core
	dialect wire.Dialect
	out     *recorder
	w       *Lane
	now     time.Time
	acked   []string
}

func newBench(cfg Config, model Model, others ...Model) *bench {
	return newBenchOf(cfg, true, wire.DefaultConfig(), model, others...)
}

func newBenchOf(cfg Config, wholeDevices bool, topics wire.Config, model Model, others ...Model) *bench {
	models, err := newAssignment(cfg, kindsOf(others), model, ofKind(others, device.KindDevice))
	if err != nil {
		panic(err)
	}
	if cfg.Partition.Of > 1 {
		topics.Mine = cfg.Partition.Owns
	}
	topics.Lazy = true
	dialect, err := wire.New(topics)
	if err != nil {
		panic(err)
	}
	wait := func(attempt int) time.Duration { return time.Second << min(attempt, 3) }
	b := &bench{
		core:    newCore(cfg, models, wholeDevices, NewCounts(figures.NewSet("test_")), slog.New(slog.DiscardHandler), wait),
		dialect: dialect, out: &recorder{}, now: epoch,
	}
	b.reconnect()
	return b
}

// reconnect closes the lane, if there is one, and opens the next.
func (b *bench) reconnect() {
	if b.w != nil {
		b.close(b.w, b.now)
	}
	b.w = b.lane("test")
	b.attend(b.now)
}

// lane opens a lane on which messages come in.
func (b *bench) lane(stream string) *Lane {
	l := newLane(nil)
	b.open(l, stream)
	b.connected(l, false, b.now)
	return l
}

// receive hands what was published to the core.
func (b *bench) receive(l *Lane, topic string, a Arrival) {
	a.Origin = topic
	received, err := b.dialect.Decode(topic, a.Payload, a.Again, a.At)
	b.core.receive(l, arrived{a, received, err}, b.now)
	b.out.take(b.core)
}

// deliver hands a payload to the core; name is what acks call it.
func (b *bench) deliver(topic, payload, name string, dup bool) {
	b.receive(b.w, topic, Arrival{
		Payload: []byte(payload), Again: dup, At: b.now,
		Ack: func() { b.acked = append(b.acked, name) },
	})
}

// hot delivers a relevant telemetry message that is its own name.
func (b *bench) hot(device string, id int) {
	b.deliver("devices/"+device+"/telemetry", fmt.Sprintf(`{"hot":1,"id":%d}`, id), fmt.Sprint(id), false)
}

// acks sends what was released and returns all acknowledgements so far.
func (b *bench) acks() string {
	for _, l := range b.lanes {
		for _, ack := range l.outbox {
			ack()
		}
		l.outbox = nil
	}
	return strings.Join(b.acked, " ")
}

func (b *bench) signalled(id string, err error, now time.Time) { b.takenBy(id, "run", err, now) }

// takenBy is the result of a delivery: the run of the workflow that took it, or the error.
func (b *bench) takenBy(id, run string, err error, now time.Time) {
	b.delivered(device.ID(id), run, err, now)
	b.out.take(b.core)
}

func (b *bench) elapsed(now time.Time) {
	b.core.elapsed(now)
	b.out.take(b.core)
}

func (b *bench) dispatch(now time.Time) {
	b.core.dispatch(now)
	b.out.take(b.core)
}

func (b *bench) hurry(now time.Time) {
	b.core.hurry(now)
	b.out.take(b.core)
}

func (b *bench) ended(id device.ID) { b.core.ended(id, b.now) }

func (b *bench) accept(device string)          { b.signalled(device, nil, b.now) }
func (b *bench) fail(device string, err error) { b.signalled(device, err, b.now) }

func (b *bench) advance(d time.Duration) {
	b.now = b.now.Add(d)
	b.elapsed(b.now)
}

var errDown = errors.New("temporal is down")

// errPermanent is a sink's refusal that no repetition changes.
var errPermanent = device.Refuse(413, "no such namespace")
