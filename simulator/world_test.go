package simulator

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/wire"
)

// testModel calls relevant what the model pump does.
type testModel struct{}

func (testModel) Name() string { return "pump" }
func (testModel) Hash() string { return "0123abcd" }

func (testModel) Relevant(m device.Message) bool { return relevantToPumps(m) }

func (testModel) Pass(_ *devicefsm.Filter, m device.Message) bool { return relevantToPumps(m) }

func relevantToPumps(m device.Message) bool {
	if m.Channel != device.ChannelTelemetry {
		return true
	}
	code, _ := m.Data["code"].(float64)
	temperature, _ := m.Data["temperature"].(float64)
	return code >= 100 || temperature > 90
}

// world stands for broker, bridge and workflows: it takes what the devices
// publish, applies it, and reprovisions. Tests set its faults.
type world struct {
	mutex  sync.Mutex
	twins  map[string]*worldTwin
	broken sabotage
	down   bool // refuses connections

	stalled bool // what arrives is kept for later, while timers go on
	slow    bool // the same, but for each device only from a birth on that is waited for
	kept    []func()
	// forgetful takes the copy of a message that was left out for a new one.
	forgetful bool
	naive     bool          // applies everything
	within    time.Duration // of the pattern; 10 minutes
	byArrival bool          // takes no notice of the devices' clocks
	sift      Model         // if there is one, it says which of the readings are applied
	letter    func([]byte)  // where dead letters go
	tasmota   Reader        // if there is one, the devices are plugs that it reads
	alarms    wrongAlarms
}

// wrongAlarms is what a world gets wrong about the alarms of a site.
type wrongAlarms struct {
	mute    bool // none is raised
	deaf    bool // nothing is explained
	blind   bool // the outage is not seen, only the silence
	lasting bool // what was raised stays
	broken  bool // nobody answers
	old     int  // outages of earlier runs
}

// sabotage is what goes wrong. The counts say at which occurrence in the fleet,
// from 1.
type sabotage struct {
	lose, double, swap, invent int  // of the relevant messages
	mute                       int  // of the matches: no command
	babble                     int  // of the relevant messages: a command out of nothing
	stutter                    bool // each command is delivered twice
	resend                     bool // another command at once after each birth
}

type worldTwin struct {
	world    *world
	id       string
	link     *worldLink
	queued   [][2]string // commands for a device that is offline
	applied  []Applied
	seen     map[number]bool
	boots    []time.Time
	state    string
	attempts int
	commands int
	latest   string
	timer    *time.Timer
	held     bool
	filter   devicefsm.Filter
	reported string
	clock    time.Time // the latest time that the device gave
	born     map[string]any
	messages int
}

func newWorld(broken sabotage) *world {
	return &world{twins: map[string]*worldTwin{}, broken: broken}
}

func (w *world) twin(id string) *worldTwin {
	t, ok := w.twins[id]
	if !ok {
		t = &worldTwin{world: w, id: id, seen: map[number]bool{}, state: "online"}
		w.twins[id] = t
	}
	return t
}

// worldLink is a connection; its goroutine is the way to the service.
type worldLink struct {
	twin    *worldTwin
	receive func(string, []byte)
	will    Utterance
	gone    chan struct{}
	once    sync.Once
	packets chan worldPacket
}

type worldPacket struct {
	topic   string
	payload []byte
	done    chan struct{}
}

func (p worldPacket) Done() <-chan struct{} { return p.done }
func (p worldPacket) Error() error          { return nil }

func (w *world) dial(ctx context.Context, c call) (link, error) {
	if !pause(ctx, 3*time.Millisecond) {
		return nil, ctx.Err()
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.down {
		return nil, fmt.Errorf("connection refused")
	}
	t := w.twin(c.client)
	l := &worldLink{twin: t, receive: c.receive, will: c.will, gone: make(chan struct{}), packets: make(chan worldPacket, 100)}
	t.link = l
	go l.carry()
	for _, q := range t.queued {
		go c.receive(q[0], []byte(q[1]))
	}
	t.queued = nil
	return l, nil
}

// carry brings packets to the service one after another. When the link breaks,
// the one under way arrives, but its PUBACK does not.
func (l *worldLink) carry() {
	for {
		select {
		case <-l.gone:
			return
		case p := <-l.packets:
			time.Sleep(2 * time.Millisecond)
			l.twin.world.arrive(l.twin.id, p.topic, p.payload)
			select {
			case <-l.gone:
				return
			default:
				close(p.done)
			}
		}
	}
}

func (l *worldLink) publish(u Utterance) token {
	p := worldPacket{u.Topic, u.Payload, make(chan struct{})}
	l.packets <- p
	return p
}

func (l *worldLink) lost() <-chan struct{} { return l.gone }
func (l *worldLink) leave()                { l.end() }

// cut lets the broker publish the last will, of plugs only: the others number theirs not.
func (l *worldLink) cut() {
	l.end()
	if l.twin.world.tasmota != nil {
		time.AfterFunc(5*time.Millisecond, func() { l.twin.world.arrive(l.twin.id, l.will.Topic, l.will.Payload) })
	}
}

func (l *worldLink) end() {
	l.once.Do(func() {
		close(l.gone)
		w := l.twin.world
		w.mutex.Lock()
		defer w.mutex.Unlock()
		if l.twin.link == l {
			l.twin.link = nil
		}
	})
}

// arrive is bridge and workflow in one.
func (w *world) arrive(id, topic string, payload []byte) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	t := w.twin(id)
	t.held = t.held || w.slow && strings.Contains(string(payload), "credential")
	if w.stalled || t.held {
		w.kept = append(w.kept, func() { w.handle(id, topic, payload) })
		return
	}
	w.handle(id, topic, payload)
}

// stall keeps what arrives for a while, as when the bridge is down.
func (w *world) stall(length time.Duration) { w.keep(&w.stalled, length) }

// slowBirths keeps births back for a while, and what comes after them.
func (w *world) slowBirths(length time.Duration) { w.keep(&w.slow, length) }

func (w *world) keep(what *bool, length time.Duration) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	*what = true
	time.AfterFunc(length, func() {
		w.mutex.Lock()
		defer w.mutex.Unlock()
		*what = false
		for _, t := range w.twins {
			t.held = false
		}
		for _, handle := range w.kept {
			handle()
		}
		w.kept = nil
	})
}

// outage cuts all links and refuses new ones for a while.
func (w *world) outage(length time.Duration) {
	w.mutex.Lock()
	w.down = true
	var links []*worldLink
	for _, t := range w.twins {
		if t.link != nil {
			links = append(links, t.link)
		}
	}
	w.mutex.Unlock()
	for _, l := range links {
		l.end()
	}
	time.AfterFunc(length, func() {
		w.mutex.Lock()
		defer w.mutex.Unlock()
		w.down = false
	})
}

func (w *world) handle(id, topic string, payload []byte) {
	t := w.twin(id)
	if w.tasmota != nil {
		w.handlePlug(t, topic, payload)
		return
	}
	var data map[string]any
	if json.Unmarshal(payload, &data) != nil {
		w.refuse(topic, payload)
		return
	}
	if t.messages++; data["firmware"] != nil {
		t.born = data
	}
	m := device.Message{Data: data, Time: time.Now()}
	parts := strings.Split(topic, "/")
	m.Channel = device.Channel(parts[2])
	if m.Channel == "commands" {
		m.Channel, m.Name = device.ChannelAck, parts[3]
	}
	m.Time = t.timeOf(data, m.Time)
	epoch, numbered := data["epoch"].(float64)
	if !numbered {
		if w.applies(t, m) {
			t.apply(number{}, digestOf(topic, payload))
			t.step(m)
		}
		return
	}
	n := number{int64(epoch), uint64(data["seq"].(float64))}
	m.Epoch, m.Seq = n.epoch, n.seq
	if n.seq == 1 && t.seen[number{n.epoch, 2}] && data["status"] == "boot" { // a numbering begins again
		maps.DeleteFunc(t.seen, func(s number, _ bool) bool { return s.epoch == n.epoch })
	}
	if t.seen[n] {
		return
	}
	t.seen[n] = !w.forgetful
	if !w.applies(t, m) {
		return
	}
	t.seen[n] = true
	t.apply(n, 0)
	t.step(m)
}

// refuse makes a dead letter of what cannot be read.
func (w *world) refuse(topic string, payload []byte) {
	letter, _ := json.Marshal(map[string]any{"topic": topic, "reason": "bad_payload", "payload_base64": payload})
	w.letter(letter)
}

// timeOf is the time of a message as an event: what the device says, unless its clock
// must be wrong, and never before what it said earlier.
func (t *worldTwin) timeOf(data map[string]any, now time.Time) time.Time {
	ms, ok := data["ts"].(float64)
	at := time.UnixMilli(int64(ms))
	if !ok || t.world.byArrival || at.Sub(now) > 5*time.Minute || now.Sub(at) > 365*24*time.Hour {
		return now
	}
	if at.Before(t.clock) {
		at = t.clock
	}
	t.clock = at
	return at
}

// digestOf is that by which the service knows a message without a number.
func digestOf(topic string, payload []byte) uint64 {
	dialect, _ := wire.New(wire.DefaultConfig())
	received, err := dialect.Decode(topic, payload, false, time.Now())
	if err != nil {
		panic(err)
	}
	digest, err := strconv.ParseUint(received[0].Message.Digest, 16, 64)
	if err != nil {
		panic(err)
	}
	return digest
}

// applies reports whether a message reaches the twin.
func (w *world) applies(t *worldTwin, m device.Message) bool {
	if m.Channel == device.ChannelTwin { // no filter of a bridge sees them, and what is said again is left out
		last := t.reported
		t.reported = fmt.Sprint(reportedBy(m))
		return t.reported != last
	}
	if w.sift == nil {
		return w.naive || relevantToPumps(m)
	}
	_, reading := m.Data["temperature"]
	return w.sift.Pass(&t.filter, m) || !reading && relevantToPumps(m)
}

// apply notes the message as applied, unless told to get it wrong.
func (t *worldTwin) apply(n number, digest uint64) {
	w := t.world
	entry := Applied{Epoch: n.epoch, Seq: n.seq, Digest: digest, Durable: time.Now().Add(3 * time.Millisecond), Signal: len(t.applied) + 1}
	due := func(at *int) bool {
		if *at == 0 {
			return false
		}
		*at--
		return *at == 0
	}
	if due(&w.broken.lose) {
		return
	}
	t.applied = append(t.applied, entry)
	if due(&w.broken.double) {
		t.applied = append(t.applied, entry)
	}
	if k := len(t.applied); k > 1 && due(&w.broken.swap) {
		t.applied[k-1], t.applied[k-2] = t.applied[k-2], t.applied[k-1]
	}
	if due(&w.broken.invent) {
		invented := Applied{Epoch: n.epoch, Seq: n.seq + 1e9}
		if digest != 0 {
			invented = Applied{Digest: digest + 1}
		}
		t.applied = append(t.applied, invented)
	}
	if due(&w.broken.babble) {
		t.command()
	}
}

// step is the model pump, in short.
func (t *worldTwin) step(m device.Message) {
	status, credential := m.Data["status"], m.Data["credential"]
	matched := false
	if m.Channel == device.ChannelStatus && status == "boot" {
		t.boots = append(t.boots, m.Time)
	}
	if m.Channel == device.ChannelTelemetry && m.Data["code"] == 117.0 {
		if k := len(t.boots); k >= 3 && m.Time.Sub(t.boots[k-3]) <= cmp.Or(t.world.within, 10*time.Minute) {
			matched, t.boots = true, nil
		}
	}
	switch {
	case matched && t.state == "online":
		if b := &t.world.broken; b.mute > 0 {
			if b.mute--; b.mute == 0 {
				return
			}
		}
		t.attempts = 0
		t.attempt()
	case t.state == "awaiting_birth" && status == "boot" && credential == t.latest:
		t.timer.Stop()
		t.state = "online"
		if t.world.broken.resend {
			t.command()
		}
	case t.state == "awaiting_birth" && m.Channel == device.ChannelAck && status == "rejected" && m.Data["id"] == t.latest:
		t.timer.Stop()
		t.attempt()
	}
}

func (t *worldTwin) attempt() {
	if t.attempts == 3 {
		t.state = "quarantined"
		return
	}
	t.attempts++
	t.state = "awaiting_birth"
	t.command()
	t.timer = time.AfterFunc(15*time.Second, func() {
		t.world.mutex.Lock()
		defer t.world.mutex.Unlock()
		t.attempt()
	})
}

// command sends the command reprovision on its way.
func (t *worldTwin) command() {
	t.commands++
	t.latest = fmt.Sprintf("%s.%d", t.id, t.commands)
	payload := fmt.Sprintf(`{"id":%q,"name":"reprovision","ts":%d,"data":{"credentials":{"id":%q,"username":%q,"password":"s"}}}`,
		t.latest, time.Now().UnixMilli(), t.latest, t.id)
	times := 1
	if t.world.broken.stutter {
		times = 2
	}
	topic := "devices/" + t.id + "/commands/reprovision"
	if t.world.tasmota != nil {
		topic, payload = "cmnd/"+t.id+"/Backlog", fmt.Sprintf("MqttUser %s; MqttPassword2 secret%d", t.id, t.commands)
	}
	time.AfterFunc(5*time.Millisecond, func() {
		t.world.mutex.Lock()
		l := t.link
		if l == nil {
			t.queued = append(t.queued, [2]string{topic, payload})
		}
		t.world.mutex.Unlock()
		for range times {
			if l != nil {
				l.receive(topic, []byte(payload))
			}
		}
	})
}

// Applied and States make the world the Twins of a run.
func (w *world) Applied(_ context.Context, device string) (AppliedLog, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	t := w.twin(device)
	return AppliedLog{Entries: append([]Applied(nil), t.applied...), Signals: len(t.applied), State: t.state}, nil
}

func (w *world) States(context.Context) (map[string]int, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	states := map[string]int{}
	for _, t := range w.twins {
		states[t.state]++
	}
	return states, nil
}

// watch is a watcher.
func (w *world) watch(_ context.Context, _ string, receive func([]byte)) (func(), error) {
	w.letter = receive
	return func() {}, nil
}
