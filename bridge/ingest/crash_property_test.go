package ingest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"devicetwin/bridge/history"
	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/recordlog"
	"devicetwin/wire"
	"devicetwin/wire/dialect"
	workflow "devicetwin/workflows/device"
)

// Whatever happens to the bridge's process, its log, its connections and the workflows: each
// message that matters is applied exactly once, in the order of its device; nothing that was
// acknowledged is lost; and what is left out could have done nothing.
func TestWhateverCrashesEachMessageIsAppliedOnce(t *testing.T) {
	var models []Model
	for _, text := range plants {
		models = append(models, modelOf(t, text))
	}
	total := new(crashTotals)
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, models, total)
		defer w.close()
		w.live()
		w.recorded(w.p.dir, true)
	})
	t.Logf("%+v", *total)
	if total.leftOut == 0 || total.killed == 0 || total.again == 0 || total.workflows == 0 || total.stopped == 0 || total.forgotten == 0 {
		t.Error("that shows little")
	}
}

// crashTotals say how much a property has seen.
type crashTotals struct {
	messages, reports, leftOut, killed, stopped, lostSessions, elsewhere, workflows int
	again                                                                           int // messages that workflows dropped
	forgotten                                                                       int // acknowledgements that the broker lost
}

// sentMessage is one that a device has published.
type sentMessage struct {
	place          int // among those of its device
	device         string
	topic, payload string
	packet         uint64
	sent           bool // to the bridge, on this connection or before
	marked         bool // and then once more, as a repetition
	atBroker       bool
	acknowledged   bool      // by a bridge, whether the broker received that or not
	lost           bool      // with the session, before it was in the log
	elsewhere      bool      // another process had it
	received       time.Time // for the log that there is; zero: it was not
}

// world is a fleet, its broker, a bridge that crashes, and a Temporal.
type world struct {
	*rapid.T
	total  *crashTotals
	models []Model
	dir    string // of all folders
	dirs   int
	change func(*Config)

	p         *process
	accepted  bool // mode
	connected bool
	read      int // signals of the process
	inFlight  map[string]sentSignal
	taking    *checkpoint
	older     []byte // a checkpoint from before

	queue   []*sentMessage            // at the broker, oldest first
	heard   []*sentMessage            // acknowledged to it on this connection, perhaps on its way
	packets map[uint64]bool           // in use
	strays  map[uint64]bool           // in use, by what is delivered again although it was acknowledged
	all     map[string][]*sentMessage // by device
	fleet   []*thing

	others  int
	otherAt int64
	ended   []endedAt // deletions that the bridge knows of, and the ends of the log then
	log     []string
}

type endedAt struct {
	id device.ID
	at int64
}

// thing is a device and its workflow.
type thing struct {
	name     string
	numbered bool
	epoch    int
	seq      int
	last     string
	state    [3]int // that it reports

	running *life
	deleted bool // and the bridge was not told
	runs    int
	began   *machine // the same as running's, with everything since it began
	fed     int
}

// life is one workflow of a device.
type life struct {
	*machine
	run     string
	batch   string
	state   workflow.Delivery
	applied []int
}

func newWorld(t *rapid.T, models []Model, total *crashTotals) *world {
	dir, err := os.MkdirTemp(tmpfs(), "crash-")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		T: t, total: total, dir: dir, inFlight: map[string]sentSignal{}, packets: map[uint64]bool{}, strays: map[uint64]bool{}, all: map[string][]*sentMessage{},
	}
	w.accepted = rapid.Bool().Draw(t, "acknowledges what is accepted")
	bytes := rapid.SampledFrom([]int{1, 2000, 1 << 20}).Draw(t, "window bytes")
	batch := rapid.IntRange(1, 4).Draw(t, "batch")
	if w.accepted {
		bytes = 1 << 20
	}
	w.change = func(c *Config) {
		c.AckAccepted, c.WindowBytes, c.BatchMessages, c.QuotaRate, c.Window = w.accepted, bytes, batch, 0, 50
		c.FaultInterval, c.RecognizedFor = time.Hour, 24*time.Hour
	}
	w.models = models[rapid.IntRange(0, 1).Draw(t, "first model"):]
	for i := range rapid.IntRange(1, 3).Draw(t, "devices") {
		w.fleet = append(w.fleet, &thing{name: fmt.Sprint("d", i), numbered: rapid.Bool().Draw(t, "numbered"), epoch: 1, last: `"t":95`})
	}
	w.start(w.folder())
	return w
}

// tmpfs is a folder in memory, if there is one: the property forces little to the disk itself.
func tmpfs() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

func (w *world) close() {
	w.p.log.Close()
	os.RemoveAll(w.dir)
}

func (w *world) folder() string {
	w.dirs++
	dir := filepath.Join(w.dir, fmt.Sprint(w.dirs))
	if err := os.Mkdir(dir, 0o700); err != nil {
		w.Fatal(err)
	}
	return dir
}

// start starts a process on a folder.
func (w *world) start(dir string) {
	p, err := tryProcess(dir, w.change, nil, wire.DefaultConfig(), w.models...)
	if err != nil {
		w.Fatal(err)
	}
	if w.p != nil {
		p.now = w.p.now
	}
	p.t = w.T
	p.dialect = reporting(w.T)
	w.p, w.read, w.inFlight, w.connected, w.taking = p, 0, map[string]sentSignal{}, false, nil
	p.close(p.w, p.now)
	p.w = nil
}

func (w *world) live() {
	n := rapid.IntRange(20, 150).Draw(w.T, "steps")
	for range n {
		w.p.now = w.p.now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(w.T, "ms")) * time.Millisecond)
		w.p.elapsed(w.p.now)
		w.step(rapid.IntRange(0, 99).Draw(w.T, "what"))
		w.collect()
	}
	w.settle()
}

func (w *world) step(n int) {
	thing := rapid.SampledFrom(w.fleet).Draw(w.T, "device")
	switch {
	case n < 33:
		w.publish(thing)
	case n < 35:
		w.forgotten(thing)
	case n < 55:
		w.deliver(rapid.IntRange(1, 5).Draw(w.T, "messages"))
	case n < 65:
		w.flush()
	case n < 77:
		w.answer(rapid.IntRange(0, 9).Draw(w.T, "how"))
	case n < 80:
		w.hear(rapid.IntRange(1, 20).Draw(w.T, "acknowledgements"))
	case n < 83:
		w.reconnect(true)
	case n < 84:
		w.reconnect(false)
	case n < 88:
		w.checkpoint()
	case n < 90:
		w.stop()
	case n < 94:
		w.kill()
	case n < 96:
		w.delete(thing)
	case n < 98:
		w.tell(thing)
	case n < 99:
		w.elsewhere()
	default:
		w.settle()
	}
}

// publish lets a device say something.
func (w *world) publish(d *thing) {
	object := func(members string) string {
		i := len(w.all[d.name])
		if !d.numbered {
			return fmt.Sprintf(`{"i":%d,%s}`, i, members)
		}
		d.seq++
		return fmt.Sprintf(`{"i":%d,"epoch":%d,"seq":%d,%s}`, i, d.epoch, d.seq, members)
	}
	if d.numbered && rapid.IntRange(0, 19).Draw(w.T, "restart") == 0 {
		d.epoch, d.seq = d.epoch+1, 0
	}
	channel, members := "telemetry", []string{d.last}
	switch rapid.IntRange(0, 11).Draw(w.T, "kind") {
	case 0, 1, 2:
		d.last = fmt.Sprintf(`"t":%d`, 55+10*rapid.IntRange(0, 4).Draw(w.T, "t"))
		members = []string{d.last}
	case 3:
		members = []string{fmt.Sprintf(`"h":%d`, 35+10*rapid.IntRange(0, 2).Draw(w.T, "h"))}
	case 4:
		members = []string{`"x":1`}
	case 5:
		channel, members = "events/door", []string{`"open":true`}
	case 6:
		members = []string{`"h":55`, d.last, `"t":65`}
	case 8, 9:
		w.report(d)
		return
	case 7:
		channel, members = "status", []string{rapid.SampledFrom([]string{`"status":"boot"`, `"status":"offline"`}).Draw(w.T, "status")}
	}
	w.say(d, channel, object, members...)
}

// reporting is a dialect in which devices report their state. The time that they give is the place
// of the message.
func reporting(t interface{ Fatal(...any) }) wire.Dialect {
	reports, err := dialect.Load("reports.yaml", []byte(`
dialect: reports
time: {at: payload.place, unit: ms}
topics: [{topic: "reports/{id}/+", channel: reported, data: payload.state}]
`))
	if err != nil {
		t.Fatal(err)
	}
	topics := wire.DefaultConfig()
	topics.Lazy = true
	set, err := dialect.NewSet(topics, reports)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// report lets a device say what some of its state is, on one of two topics, mostly once more.
func (w *world) report(d *thing) {
	if rapid.IntRange(0, 2).Draw(w.T, "changes") == 0 {
		d.state = [3]int(rapid.SliceOfN(rapid.IntRange(0, 2), 3, 3).Draw(w.T, "state"))
	}
	w.sayReport(d, rapid.IntRange(0, 1).Draw(w.T, "part"))
}

// sayReport says a part of the state, which is all of it together.
func (w *world) sayReport(d *thing, part int) {
	value := []string{"1", "2", "null"}
	state := fmt.Sprintf([]string{`{"on":%s,"level":%s}`, `{"mode":%s,"level":%s}`}[part], value[d.state[2*part]], value[d.state[1]])
	place := len(w.all[d.name])
	m := &sentMessage{
		device: d.name, topic: fmt.Sprint("reports/", d.name, "/", part), atBroker: true, place: place,
		payload: fmt.Sprintf(`{"place":%d,"state":%s}`, epoch.UnixMilli()+int64(place), state),
	}
	w.all[d.name] = append(w.all[d.name], m)
	w.queue = append(w.queue, m)
	w.total.messages++
	w.note("%s %s", m.topic, m.payload)
}

// placeIn is the place of a message among those of its device; false: it is not one of them.
func placeIn(m device.Message) (int, bool) {
	if reportOf(&m) {
		return int(m.Sent.Sub(epoch).Milliseconds()), true
	}
	i, ok := m.Data["i"].(float64)
	return int(i), ok
}

// say publishes one payload, whose objects are one message of the broker.
func (w *world) say(d *thing, channel string, object func(string) string, members ...string) {
	topic := "devices/" + d.name + "/" + channel
	var objects []string
	first := len(w.all[d.name])
	for _, m := range members {
		objects = append(objects, object(m))
		w.all[d.name] = append(w.all[d.name], nil)
	}
	payload := objects[0]
	if len(objects) > 1 {
		payload = "[" + strings.Join(objects, ",") + "]"
	}
	received, err := w.p.dialect.Decode(topic, []byte(payload), false, w.p.now)
	if err != nil {
		w.Fatal(err)
	}
	m := &sentMessage{device: d.name, topic: topic, payload: payload, atBroker: true, place: first}
	for i := range received {
		w.all[d.name][first+i] = m
	}
	w.queue = append(w.queue, m)
	w.total.messages += len(members)
	w.note("%s %s", topic, payload)
}

// messagesOf are the messages of a device in a payload, complete.
func (w *world) messagesOf(m *sentMessage) []device.Message {
	received, err := w.p.dialect.Decode(m.topic, []byte(m.payload), false, m.received)
	if err != nil {
		w.Fatal(err)
	}
	var all []device.Message
	for i := range received {
		received[i].Complete()
		all = append(all, received[i].Message)
	}
	return all
}

// inFlightMax is how many messages the broker sends without an acknowledgement.
const inFlightMax = 12

// deliver lets the broker send what waits, as far as it may.
func (w *world) deliver(n int) {
	if !w.connected {
		w.reconnect(true)
	}
	unacknowledged := 0
	for _, m := range slices.Clone(w.queue) {
		if unacknowledged++; unacknowledged > inFlightMax || n == 0 || w.p.full(w.p.w) {
			return
		}
		if m.sent && w.packets[m.packet] {
			continue
		}
		n--
		w.send(m)
	}
}

func (w *world) send(m *sentMessage) {
	again := m.sent
	w.p.now = w.p.now.Add(time.Millisecond)
	if m.packet == 0 {
		packet := uint64(1)
		for w.used(packet) {
			packet++
		}
		m.packet = packet
	}
	m.sent, w.packets[m.packet] = true, true
	m.marked = m.marked || again
	if m.received.IsZero() {
		m.received = w.p.now
	}
	w.note("  broker sends %s, packet %d, again %v", m.payload, m.packet, again)
	lane := w.p.w
	w.p.receive(lane, m.topic, Arrival{Payload: []byte(m.payload), Again: again, At: w.p.now, Number: m.packet, Ack: func() {
		m.acknowledged = true
		w.heard = append(w.heard, m)
	}})
	w.p.acks()
}

func (w *world) used(packet uint64) bool {
	return w.strays[packet] || slices.ContainsFunc(w.queue, func(m *sentMessage) bool { return m.packet == packet })
}

// forgotten lets the broker deliver some of a device's messages again although it had the
// acknowledgements: long after that, under other numbers. If the device has said little, it says more first.
func (w *world) forgotten(d *thing) {
	if d.numbered {
		return
	}
	if len(w.alike(d)) < knownWell {
		for range knownWell + 2 {
			w.say(d, "telemetry", func(m string) string { return fmt.Sprintf(`{"i":%d,%s}`, len(w.all[d.name]), m) }, d.last)
		}
		w.drain()
	}
	if !w.connected {
		w.reconnect(true)
	}
	known := w.alike(d)
	for range rapid.IntRange(1, 5).Draw(w.T, "forgotten") {
		if len(known) < knownWell || w.p.full(w.p.w) {
			return
		}
		m := rapid.SampledFrom(known).Draw(w.T, "which")
		packet := uint64(1)
		for w.used(packet) {
			packet++
		}
		w.strays[packet] = true
		w.total.forgotten++
		w.p.now = w.p.now.Add(time.Millisecond)
		w.note("  broker sends %s once more, packet %d", m.payload, packet)
		w.p.receive(w.p.w, m.topic, Arrival{Payload: []byte(m.payload), Again: true, At: w.p.now, Number: packet, Ack: func() { delete(w.strays, packet) }})
		w.p.acks()
	}
}

// acknowledged is the telemetry of a device of which the broker has the acknowledgement.
func (w *world) acknowledged(d *thing) (known []*sentMessage) {
	for i, m := range w.all[d.name] {
		if m.place == i && strings.HasSuffix(m.topic, "/telemetry") && m.acknowledged && !m.atBroker && !m.lost && !m.elsewhere {
			known = append(known, m)
		}
	}
	return known
}

// alike are those of them that are like what the device said last, but for their digits, and that the
// broker never marked until then.
func (w *world) alike(d *thing) []*sentMessage {
	last := strings.Map(noDigit, fmt.Sprintf(`{"i":0,%s}`, d.last))
	return slices.DeleteFunc(w.acknowledged(d), func(m *sentMessage) bool { return m.marked || strings.Map(noDigit, m.payload) != last })
}

func noDigit(r rune) rune {
	if '0' <= r && r <= '9' {
		return -1
	}
	return r
}

// hear lets some acknowledgements reach the broker.
func (w *world) hear(n int) {
	w.p.acks()
	for ; n > 0 && len(w.heard) > 0; n-- {
		m := w.heard[0]
		w.heard = w.heard[1:]
		if at := slices.Index(w.queue, m); at >= 0 {
			w.queue = slices.Delete(w.queue, at, at+1)
			m.atBroker = false
			delete(w.packets, m.packet)
		}
	}
}

// disconnect loses the acknowledgements that are on their way.
func (w *world) disconnect() {
	if w.p.w != nil {
		w.p.close(w.p.w, w.p.now)
		w.p.w = nil
	}
	w.heard, w.connected = nil, false
	clear(w.packets)
	clear(w.strays)
}

func (w *world) reconnect(present bool) {
	w.disconnect()
	w.note("connected, session present %v", present)
	if !present {
		w.total.lostSessions++
		for _, m := range w.queue {
			m.atBroker = false
		}
		known := w.recorded(w.p.dir, true)
		for _, m := range w.queue {
			m.lost = !known[m.payload+m.device]
		}
		w.queue = nil
	}
	l := newLane(nil)
	w.p.open(l, "test")
	w.p.core.connected(l, present, w.p.now)
	w.p.attend(w.p.now)
	w.p.w, w.connected = l, true
}

// flush brings some of what was appended to the disk.
func (w *world) flush() {
	end := w.p.log.Stats().End
	if err := w.p.log.Wait(w.Context(), end); err != nil {
		w.Fatal(err)
	}
	if end > w.p.logged {
		w.p.upTo(rapid.Int64Range(w.p.logged, end).Draw(w.T, "on the disk"))
	}
	w.p.acks()
	w.p.ingest.signals.Commit(w.p.settledTo())
}

// collect takes the deliveries that were started.
func (w *world) collect() {
	for ; w.read < len(w.p.out.signals); w.read++ {
		s := w.p.out.signals[w.read]
		if _, busy := w.inFlight[s.device]; busy {
			w.fail("two deliveries in flight for " + s.device)
		}
		w.inFlight[s.device] = s
	}
	w.p.acks()
}

func (w *world) answer(how int) {
	w.collect()
	names := w.busy()
	if len(names) == 0 {
		return
	}
	s := w.inFlight[rapid.SampledFrom(names).Draw(w.T, "answered")]
	w.result(s, how)
}

func (w *world) busy() []string {
	var names []string
	for name := range w.inFlight {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (w *world) result(s sentSignal, how int) {
	delete(w.inFlight, s.device)
	if how == 9 {
		w.note("%s: %s fails", s.device, s.ids())
		w.p.fail(s.device, errDown)
		return
	}
	d := w.thing(s.device)
	err := w.take(d, s)
	run := ""
	if d.running != nil {
		run = d.running.run
	}
	if how == 8 && err == nil {
		w.note("%s: %s is accepted, which the bridge does not hear", s.device, s.ids())
		err = errDown
	}
	w.note("%s: %s from %s %v: run %s, %v", s.device, places(s.batch), s.batch.Log, positions(s.batch), run, err)
	w.p.takenBy(s.device, run, err, w.p.now)
	w.collect()
}

// places are those of a batch's messages among what their device sent, or their names.
func places(b device.Batch) (all []string) {
	for _, m := range b.Messages {
		if i, ok := placeIn(m); ok {
			all = append(all, fmt.Sprint(i))
		} else {
			all = append(all, m.Name)
		}
	}
	return all
}

func positions(b device.Batch) (all []int64) {
	for _, m := range b.Messages {
		all = append(all, m.Pos)
	}
	return all
}

func (w *world) thing(name string) *thing {
	for _, d := range w.fleet {
		if d.name == name {
			return d
		}
	}
	w.Fatal("no device ", name)
	return nil
}

// take is the workflow's part.
func (w *world) take(d *thing, s sentSignal) error {
	if d.running == nil {
		if s.existing {
			return device.ErrNoTwin
		}
		w.begin(d, s.batch.Messages)
	}
	l := d.running
	if s.batch.ID == l.batch {
		return nil
	}
	l.batch = s.batch.ID
	for _, sent := range s.batch.Messages {
		raw, err := json.Marshal(sent)
		var m device.Message
		if err == nil {
			err = json.Unmarshal(raw, &m)
		}
		if err != nil {
			w.Fatal(err)
		}
		if l.deliveredAgain(s.batch.Log, m.Pos) {
			w.total.again++
			continue
		}
		before := l.state.Applied
		if l.state.Receive(m); l.state.Applied == before {
			w.total.again++
			continue
		}
		if i, ok := placeIn(m); ok {
			if n := len(l.applied); n > 0 && l.applied[n-1] >= i {
				w.fail(fmt.Sprintf("%s: message %v is applied after %v", d.name, i, l.applied))
			}
			l.applied = append(l.applied, i)
			if reportOf(&m) {
				w.total.reports++
			}
		}
		l.machine.take(m)
	}
	return nil
}

// deliveredAgain is what a workflow knows of logs.
func (l *life) deliveredAgain(log string, pos int64) bool {
	if log == "" || pos <= 0 {
		return false
	}
	last := workflow.LogPosition{Log: log}
	if at := slices.IndexFunc(l.state.Logs, func(p workflow.LogPosition) bool { return p.Log == log }); at >= 0 {
		last = l.state.Logs[at]
		l.state.Logs = slices.Delete(l.state.Logs, at, at+1)
	}
	again := pos <= last.Pos
	last.Pos = max(last.Pos, pos)
	l.state.Logs = append(l.state.Logs, last)
	l.state.Logs = l.state.Logs[max(0, len(l.state.Logs)-4):]
	return again
}

// begin starts a workflow, and the machine that is given everything since.
func (w *world) begin(d *thing, messages []device.Message) {
	model := rapid.SampledFrom(w.models).Draw(w.T, "model").(*devicefsm.Model)
	d.runs++
	w.total.workflows++
	d.running = &life{machine: newMachine(model), run: fmt.Sprint("run-", d.runs)}
	d.deleted = false
	d.began = newMachine(model)
	d.fed = len(w.all[d.name])
	for _, m := range messages {
		if i, ok := placeIn(m); ok {
			d.fed = min(d.fed, i)
		} else if !isReport(&m) {
			d.fed = min(d.fed, w.since(d, m.Time))
		}
	}
}

// since is where the messages of a device begin that were received after a time.
func (w *world) since(d *thing, at time.Time) int {
	for i, m := range w.all[d.name] {
		if !m.lost && (m.received.IsZero() || m.received.After(at)) {
			return i
		}
	}
	return len(w.all[d.name])
}

func (w *world) delete(d *thing) {
	if d.running != nil {
		w.note("%s is deleted", d.name)
		d.running, d.deleted = nil, true
	}
}

func (w *world) tell(d *thing) {
	if d.deleted {
		w.note("the bridge hears that %s was deleted", d.name)
		w.p.ended(device.ID(d.name))
		w.ended = append(w.ended, endedAt{device.ID(d.name), w.p.log.Stats().End})
		d.deleted = false
	}
}

// checkpoint goes on with a checkpoint.
func (w *world) checkpoint() {
	if w.taking == nil {
		w.taking = w.p.beginCheckpoint(w.p.now)
		return
	}
	if !w.p.stepCheckpoint(w.taking, 1) {
		return
	}
	w.write(w.taking)
	w.taking = nil
}

func (w *world) write(k *checkpoint) {
	path := filepath.Join(w.p.dir, checkpointName)
	if b, err := os.ReadFile(path); err == nil {
		w.older = b
	}
	if err := w.p.ingest.writeCheckpoint(w.Context(), k); err != nil {
		w.Fatal(err)
	}
	w.note("a checkpoint from %d to %d", k.head.From, k.head.UpTo)
}

// stop ends the process gracefully, mostly when nothing waits any more, and starts another.
func (w *world) stop() {
	w.total.stopped++
	if rapid.IntRange(0, 3).Draw(w.T, "abandoned") > 0 {
		w.drain()
	}
	w.flushAll()
	w.disconnect()
	w.note("stopped; accepted %v", w.accepted)
	w.p.ingest.closeLog()
	if err := w.p.log.Close(); err != nil {
		w.Fatal(err)
	}
	w.restart(w.p.dir)
}

func (w *world) restart(dir string) {
	if rapid.IntRange(0, 3).Draw(w.T, "other models") == 0 {
		w.models = append(slices.Clone(w.models[1:]), w.models[0])
	}
	if rapid.IntRange(0, 5).Draw(w.T, "other mode") == 0 {
		w.accepted = !w.accepted
	}
	w.start(dir)
	w.check()
}

// kill ends the process at once. What is not known to be on the disk may be torn.
func (w *world) kill() {
	w.total.killed++
	w.p.acks()
	w.disconnect()
	logged := w.p.logged
	for _, s := range w.inFlight { // Temporal may have it, or not
		if rapid.Bool().Draw(w.T, "arrived") {
			w.note("%s: %s is accepted, and the bridge is killed", s.device, places(s.batch))
			_ = w.take(w.thing(s.device), s)
		}
	}
	old := w.p
	if err := old.log.Wait(w.Context(), old.log.Stats().End); err != nil {
		w.Fatal(err)
	}
	dir := w.folder()
	old.killedTo(dir, func(most int64) int64 { return rapid.Int64Range(0, most).Draw(w.T, "torn") })
	if rapid.Bool().Draw(w.T, "cursor on the disk") {
		for name, c := range map[string]*recordlog.Cursor{"signals": old.ingest.signals, "checkpoint": old.ingest.checkpoints} {
			text := fmt.Sprintln(min(logged, c.Committed()))
			if err := os.WriteFile(filepath.Join(dir, "cursor-"+name), []byte(text), 0o600); err != nil {
				w.Fatal(err)
			}
		}
	}
	w.damageCheckpoint(dir)
	old.log.Close()
	w.note("killed; %d was on the disk; accepted %v", logged, w.accepted)
	known := w.recorded(dir, false)
	for _, list := range w.all {
		for _, m := range list {
			if m.lost || m.elsewhere || known[m.payload+m.device] {
				continue
			}
			if m.atBroker {
				m.received = time.Time{}
				continue
			}
			if m.acknowledged {
				w.fail(fmt.Sprintf("%s was acknowledged, and is not in the log", m.payload))
			}
			m.lost = true
		}
	}
	w.restart(dir)
	for _, e := range w.ended { // who watches for ends reports the last ones again
		if e.at > logged {
			w.p.ended(e.id)
		}
	}
}

func (w *world) damageCheckpoint(dir string) {
	path := filepath.Join(dir, checkpointName)
	b, err := os.ReadFile(path)
	if err != nil {
		return
	}
	switch rapid.IntRange(0, 9).Draw(w.T, "checkpoint") {
	case 0:
		w.note("no checkpoint")
		err = os.Remove(path)
	case 1:
		w.note("a damaged checkpoint")
		b[rapid.IntRange(0, len(b)-1).Draw(w.T, "byte")] ^= 0x55
		err = os.WriteFile(path, b, 0o600)
	case 2:
		if w.older != nil {
			w.note("an older checkpoint")
			err = os.WriteFile(path, w.older, 0o600)
		}
	}
	if err != nil {
		w.Fatal(err)
	}
}

// recorded are the payloads in a log, with their devices: each is there once.
func (w *world) recorded(dir string, live bool) map[string]bool {
	if live { // as it would be if it were stopped now
		if err := w.p.log.Wait(w.Context(), w.p.log.Stats().End); err != nil {
			w.Fatal(err)
		}
	}
	known := map[string]bool{}
	copied := w.folder()
	copyLog(w.T, dir, copied)
	l, err := recordlog.Open(recordlog.Config{Dir: copied, MaxBytes: 64 << 20}, w.p.core.log)
	if err != nil {
		w.Fatal(err)
	}
	defer l.Close()
	c, err := l.Cursor("test", recordlog.Loses)
	if err != nil {
		w.Fatal(err)
	}
	for {
		e, ok, err := c.TryNext()
		if err != nil {
			w.Fatal(err)
		}
		if !ok {
			return known
		}
		if e.Kind == history.KindArrival {
			a, err := history.ReadArrival(e.Data, e.At)
			if err != nil {
				w.Fatal(err)
			}
			key := string(a.Payload) + string(a.Messages[0].ID)
			if known[key] { // its points too
				w.fail("recorded twice: " + key)
			}
			known[key] = true
		}
	}
}

// elsewhere is another process that takes the session for a while.
func (w *world) elsewhere() {
	w.drain()
	w.disconnect()
	w.total.elsewhere++
	w.others++
	log := fmt.Sprint("other-", w.others)
	w.note("%s takes the session", log)
	for range rapid.IntRange(1, 6).Draw(w.T, "messages elsewhere") {
		w.publish(rapid.SampledFrom(w.fleet).Draw(w.T, "device elsewhere"))
	}
	for _, m := range w.queue {
		d := w.thing(m.device)
		m.received = w.p.now
		var batch device.Batch
		batch.ID, batch.Log = fmt.Sprint(log, "-", m.place), log
		for _, message := range w.messagesOf(m) {
			w.otherAt++
			message.Pos = w.otherAt
			batch.Messages = append(batch.Messages, message)
		}
		_ = w.take(d, sentSignal{device: m.device, batch: batch})
		m.elsewhere = true
	}
	w.queue = nil
	w.p.core.elsewhere(w.p.now)
	w.flushAll()
}

// flushAll brings everything to the disk.
func (w *world) flushAll() {
	for {
		end := w.p.log.Stats().End
		if err := w.p.log.Wait(w.Context(), end); err != nil {
			w.Fatal(err)
		}
		w.p.upTo(end)
		w.collect()
		if w.p.log.Stats().End == end {
			return
		}
	}
}

// drain lets everything succeed.
func (w *world) drain() {
	for try := 0; ; try++ {
		if try == 1000 {
			w.fail("it does not come to an end")
		}
		w.deliver(100)
		w.flushAll()
		w.hear(100)
		for _, name := range w.busy() {
			w.result(w.inFlight[name], 0)
		}
		w.p.now = w.p.now.Add(2 * time.Second)
		w.p.elapsed(w.p.now)
		w.collect()
		if len(w.queue) == 0 && len(w.inFlight) == 0 && w.p.idle() {
			return
		}
	}
}

// settle lets everything succeed, and looks where the workflows are.
func (w *world) settle() {
	w.drain()
	for _, d := range w.fleet {
		w.tell(d)
		for _, members := range []string{`"t":99`, `"h":99`} {
			w.say(d, "telemetry", func(m string) string {
				i := len(w.all[d.name])
				if !d.numbered {
					return fmt.Sprintf(`{"i":%d,%s}`, i, m)
				}
				d.seq++
				return fmt.Sprintf(`{"i":%d,"epoch":%d,"seq":%d,%s}`, i, d.epoch, d.seq, m)
			}, members)
		}
		w.sayReport(d, 0)
		w.sayReport(d, 1)
	}
	w.drain()
	w.flushAll()
	for _, d := range w.fleet {
		if d.running == nil {
			w.fail("no workflow of " + d.name + " was started")
		}
		if value := fmt.Sprint(d.running.model.Value(d.running.snapshot)); strings.Contains(value, "cool") || strings.Contains(value, "dry") {
			w.fail(d.name + " is in state " + value + " with everything too high")
		}
		for ; d.fed < len(w.all[d.name]); d.fed++ {
			m := w.all[d.name][d.fed]
			if m.lost {
				continue
			}
			for i, message := range w.messagesOf(m) {
				if m.place+i == d.fed {
					d.began.take(message)
				}
			}
		}
		if got, want := d.running.String(), d.began.String(); got != want {
			w.fail(fmt.Sprintf("%s is in\n%s\nwith every message it would be in\n%s", d.name, got, want))
		}
	}
	w.total.leftOut += int(w.p.counts.Messages.Load() - w.p.counts.Relevant.Load())
	w.check()
	if w.p.backlog != 0 || w.p.pendingBytes != 0 || w.p.records.len() != 0 || w.p.unlogged.len() != 0 || w.p.settledTo() != w.p.appended {
		w.fail(fmt.Sprintf("left: backlog %d, %d bytes, %d records, %d unlogged, settled to %d of %d",
			w.p.backlog, w.p.pendingBytes, w.p.records.len(), w.p.unlogged.len(), w.p.settledTo(), w.p.appended))
	}
}

// check looks at what holds at any time.
func (w *world) check() {
	if to := w.p.settledTo(); to > w.p.logged || w.p.records.len() > 0 && to > w.p.records.head().start {
		w.fail(fmt.Sprintf("settled to %d, on the disk %d", to, w.p.logged))
	}
	if !w.accepted && w.p.held > 0 && w.p.unlogged.len() == 0 && w.p.blocked.len() == 0 {
		w.fail(fmt.Sprintf("%d arrivals are held and nothing waits for the disk", w.p.held))
	}
}

func (w *world) note(format string, args ...any) {
	now := epoch
	if w.p != nil {
		now = w.p.now
	}
	w.log = append(w.log, now.Format("04:05.000 ")+fmt.Sprintf(format, args...))
}

func (w *world) fail(what string) {
	w.Helper()
	w.Fatalf("%s\n%s", what, strings.Join(w.log[max(0, len(w.log)-60):], "\n"))
}
