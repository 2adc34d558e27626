package ingest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/twin"
	"devicetwin/wire"
)

// plants are versions of one model: which one a workflow runs, the bridge does not know.
var plants = []string{`
model: plant
liveness: {silent_after: 10m, tolerance: 1m}
events: {reading: {channel: telemetry, when: "has(msg.t)"}, damp: {channel: telemetry, when: "has(msg.h)"}}
type: parallel
states:
  heat:
    initial: cool
    states:
      cool: {on: {reading: {guard: "event.t > 90", target: hot}}}
      hot:  {on: {reading: {guard: "event.t < 80", target: cool}}}
  water:
    initial: dry
    states:
      dry: {on: {damp: {guard: "event.h > 50", target: wet}}}
      wet: {on: {damp: {guard: "event.h < 40", target: dry}}}
`, `
model: plant
events: {reading: {channel: telemetry, when: "has(msg.t)"}}
initial: cool
states:
  cool: {on: {reading: {guard: "event.t > 70", target: hot}}}
  hot:  {on: {reading: {guard: "event.t < 60", target: cool}}}
`, `
model: plant
events: {damp: {channel: telemetry, when: "has(msg.h)"}, door: {channel: events, name: door}}
initial: dry
states:
  dry: {on: {damp: {guard: "event.h > 50", target: wet}, door: wet}}
  wet: {on: {damp: {guard: "event.h < 40", target: dry}, door: dry}}
`}

// machine is the state machine of a workflow, or what it would be with every message.
type machine struct {
	model    *devicefsm.Model
	snapshot *devicefsm.Snapshot
	did      []string // transitions
	reported twin.Document
}

func newMachine(m *devicefsm.Model) *machine {
	snapshot, _ := m.Start(epoch)
	return &machine{model: m, snapshot: snapshot}
}

func (m *machine) take(msg device.Message) {
	if reportOf(&msg) {
		if next, _, refused := twin.Update(m.reported, msg.Twin.Payload, msg.Time, twin.DefaultLimits()); refused == nil {
			m.reported = next
		}
		return
	}
	name, ok := m.model.Classify(msg)
	if !ok {
		return
	}
	snapshot, outcome := m.model.Step(m.snapshot, devicefsm.Event{Name: name, Data: msg.Data, Time: msg.Time})
	m.snapshot = snapshot
	for _, t := range outcome.Transitions {
		m.did = append(m.did, fmt.Sprintf("%v %v -> %v", t.Event, t.From, t.To))
	}
}

func (m *machine) String() string {
	return fmt.Sprintf("%v, reports %s, after %s", m.model.Value(m.snapshot), reportedIn(m.reported), strings.Join(m.did, ", "))
}

// reportedIn are the reported properties of a twin.
func reportedIn(d twin.Document) string {
	payload, refused := twin.Get(d, "d", []byte("{}"), epoch, twin.DefaultLimits())
	if refused != nil {
		return "nothing"
	}
	var document struct {
		State struct {
			Reported json.RawMessage `json:"reported"`
		} `json:"state"`
	}
	if err := json.Unmarshal(payload, &document); err != nil {
		return err.Error()
	}
	return string(document.State.Reported)
}

// lives is a device whose workflow is deleted again and again, between a bridge and a
// Temporal.
type lives struct {
	*testing.T
	seed   uint64
	random *rand.Rand
	bench  *bench
	models []*devicefsm.Model

	sent []device.Message // all messages so far
	seq  int
	last string

	workflow *machine // nil: there is none
	whole    *machine // what it would be with every message since it began
	fed      int      // messages that whole was given
	run      int
	batch    string // the last one that it took
	deleted  bool   // and the bridge was not told
	log      []string
}

// What is left out could have done nothing, whatever workflows begin and end: each
// workflow ends where it would be if it had been given every message since the one with which it
// began.
func TestWhatIsLeftOutCouldHaveDoneNothingInAnyWorkflow(t *testing.T) {
	var models []*devicefsm.Model
	for _, text := range plants {
		models = append(models, modelOf(t, text))
	}
	leftOut, began := 0, 0
	for seed := range uint64(500) {
		use := [][]*devicefsm.Model{models, models[:1], models[1:]}[seed%3]
		l := newLives(t, use, seed)
		l.live(100)
		leftOut += len(l.sent) - int(l.bench.counts.Relevant.Load())
		began += l.run
	}
	t.Logf("%d messages left out, %d workflows began", leftOut, began)
	if leftOut < 5000 || began < 1000 {
		t.Errorf("%d messages left out, %d workflows began: that shows little", leftOut, began)
	}
}

func newLives(t *testing.T, models []*devicefsm.Model, seed uint64) *lives {
	var further []Model
	for _, m := range models[1:] {
		further = append(further, m)
	}
	cfg := DefaultConfig()
	cfg.QuotaRate, cfg.BatchMessages = 0, 3
	cfg.StartOnAny = seed%5 == 0
	return &lives{
		T: t, seed: seed, random: rand.New(rand.NewPCG(seed, 7)), models: models, last: `"t":95`,
		bench: newBenchOf(cfg, true, wire.DefaultConfig(), models[0], further...),
	}
}

func (l *lives) live(steps int) {
	for range steps {
		l.bench.advance(time.Duration(1+l.random.IntN(3000)) * time.Millisecond)
		switch n := l.random.IntN(20); {
		case n < 11:
			l.send()
		case n < 16:
			l.answer(l.random.IntN(10))
		case n == 16 && l.workflow != nil:
			l.note("deleted")
			l.workflow, l.deleted = nil, true
		case n == 17 && l.deleted:
			l.note("the bridge hears of it")
			l.bench.ended("d")
			l.deleted = false
		case n == 18:
			l.bench.advance(time.Duration(l.random.IntN(90)) * time.Second) // leases come due
		case n == 19 && l.random.IntN(4) == 0:
			l.bench.reconnect()
		}
		l.check()
	}
	l.settle()
}

// settle ends a life: the bridge hears of the last deletion, and the device says
// once more what it said last.
func (l *lives) settle() {
	l.drain()
	l.bench.ended("d")
	l.deleted = false
	l.deliver("telemetry", `"t":99`)
	l.deliver("telemetry", `"h":99`)
	l.drain()
	if l.workflow == nil {
		l.fail("no workflow was started")
	}
	if value := fmt.Sprint(l.workflow.model.Value(l.workflow.snapshot)); strings.Contains(value, "cool") || strings.Contains(value, "dry") {
		l.fail("in state " + value + " with everything too high")
	}
	l.check()
}

func (l *lives) drain() {
	for l.inFlight() {
		l.answer(0)
		l.bench.advance(2 * time.Second)
	}
}

func (l *lives) inFlight() bool {
	d := l.bench.devices.byID["d"]
	return d != nil && d.place != idle && d.place != renewing
}

// send sends something. In every other life most messages repeat the one before.
func (l *lives) send() {
	if l.seed%2 == 0 && l.random.IntN(4) > 0 {
		l.deliver("telemetry", l.last)
		return
	}
	reading := fmt.Sprintf(`"t":%d`, 55+10*l.random.IntN(5))
	damp := fmt.Sprintf(`"h":%d`, 35+10*l.random.IntN(3))
	switch n := l.random.IntN(16); {
	case n < 6:
		l.last = reading
		l.deliver("telemetry", reading)
	case n < 9:
		l.last = damp
		l.deliver("telemetry", damp)
	case n < 11:
		l.deliver("telemetry", `"x":1`)
	case n == 11:
		l.deliver("events/door", `"open":true`)
	case n == 12: // behind another one in the same payload
		l.deliver("telemetry", damp, l.last)
	case n < 15:
		l.note("request")
		l.bench.deliver("devices/d/twin/update", `{"state":{"reported":{"a":1}}}`, "", false)
	default: // several at once
		l.deliver("telemetry", reading, damp, `"t":95`)
	}
}

func (l *lives) deliver(channel string, members ...string) {
	var objects []string
	for _, m := range members {
		l.seq++
		objects = append(objects, fmt.Sprintf(`{"seq":%d,"i":%d,%s}`, l.seq, len(l.sent)+len(objects), m))
	}
	payload := "[" + strings.Join(objects, ",") + "]"
	received, err := l.bench.dialect.Decode("devices/d/"+channel, []byte(payload), false, l.bench.now)
	if err != nil {
		l.Fatal(err)
	}
	for i := range received {
		received[i].Complete()
		l.sent = append(l.sent, received[i].Message)
	}
	l.note("%s %s", channel, payload)
	l.bench.deliver("devices/d/"+channel, payload, "", false)
}

// answer is the result of the delivery in flight: mostly, it is accepted.
func (l *lives) answer(how int) {
	d := l.bench.devices.byID["d"]
	if d == nil || d.place != inFlight {
		return
	}
	s := l.bench.out.signals[len(l.bench.out.signals)-1]
	if how == 9 {
		l.note("%s fails", s.ids())
		l.bench.fail("d", errDown)
		return
	}
	err := l.take(s)
	if how == 8 && err == nil {
		l.note("%s is accepted, which the bridge does not hear", s.ids())
		err = errDown
	}
	l.note("%s: run %d, %v", s.ids(), l.run, err)
	l.bench.takenBy("d", fmt.Sprint(l.run), err, l.bench.now)
}

// take is the workflow's part.
func (l *lives) take(s sentSignal) error {
	if l.workflow == nil {
		if s.existing {
			return device.ErrNoTwin
		}
		l.begin(s.batch.Messages)
	}
	if s.batch.ID == l.batch {
		return nil
	}
	l.batch = s.batch.ID
	for _, m := range s.batch.Messages {
		l.workflow.take(m)
	}
	return nil
}

// begin starts a workflow, and the machine that is given everything since.
func (l *lives) begin(messages []device.Message) {
	m := l.models[l.random.IntN(len(l.models))]
	l.workflow, l.whole, l.batch, l.deleted = newMachine(m), newMachine(m), "", false
	l.run++
	l.fed = len(l.sent)
	for _, msg := range messages {
		if !isReport(&msg) { // which is of the past
			l.fed = min(l.fed, l.place(msg))
		}
	}
}

// place is where a message stands among those that were sent. What is not one of them
// comes after those that had been sent by its time.
func (l *lives) place(m device.Message) int {
	if i, ok := m.Data["i"].(float64); ok {
		return int(i)
	}
	for i, sent := range l.sent {
		if sent.Time.After(m.Time) {
			return i
		}
	}
	return len(l.sent)
}

// check compares, when nothing is on its way.
func (l *lives) check() {
	if l.workflow == nil || l.inFlight() {
		return
	}
	for ; l.fed < len(l.sent); l.fed++ {
		l.whole.take(l.sent[l.fed])
	}
	if got, want := l.workflow.String(), l.whole.String(); got != want {
		l.fail(fmt.Sprintf("the workflow is in\n%s\nwith every message it would be in\n%s", got, want))
	}
}

func (l *lives) note(format string, args ...any) {
	l.log = append(l.log, l.bench.now.Format("04:05.000 ")+fmt.Sprintf(format, args...))
}

func (l *lives) fail(what string) {
	l.Helper()
	l.Fatalf("seed %d: %s\n%s", l.seed, what, strings.Join(l.log[max(0, len(l.log)-40):], "\n"))
}
