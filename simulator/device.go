package simulator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

// Bounds of what a device keeps.
const (
	maxOutbox = 1000 // drafts; a full outbox delays the plan
	maxInbox  = 256  // commands not read yet
	maxIDs    = 256  // of commands seen, to know a repeated delivery
)

// player is one simulated device. Its goroutine owns all but the fields below
// the mutexes.
type player struct {
	id    string
	fleet *fleet

	plan     *Plan
	next     Act // of the plan
	planned  bool
	started  time.Time
	answers  answers
	match    *matcher
	filter   devicefsm.Filter // of what has to be applied; never reset
	level    crossing
	before   duty           // of the message before
	reported map[string]any // by the device, the last of each property
	jitter   *rand.Rand     // of reconnects; not part of the plan
	identity Identity
	model    Model
	names    map[string]string // the model and the parent that it names at birth

	voice       Voice
	credentials credentials
	subscribed  bool
	greeting    draft // the first message over the next link
	link        link
	place       int // of the greeting in the outbox: after what was recorded before it

	last     number // the highest number given out
	epoch    int64  // on the wire, of the present numbering
	events   eventClock
	outbox   []draft  // in order
	inflight []flight // published, in order, without PUBACK
	later    []delayed
	ids      []string // of the latest commands, oldest first
	poisons  int
	parted   bool      // the goodbye at the end of the run is on its way or sent
	pending  time.Time // a sequence was completed then, and no command has come; for the display
	waits    bool      // for a command or to obey it; for the display

	inboxMutex sync.Mutex
	inbox      []Command
	wake       chan struct{} // something is in the inbox, or the fleet wants something

	mutex   sync.Mutex
	account account
	facts   []fact
	busy    bool // has something to do besides waiting
	part    bool // the fleet wants the goodbye
	absent  bool // the run ended before the device started
}

// flight is something to publish whose PUBACK has not come. Of a draft's, only as many are
// published at once as the window of unacknowledged ones has.
type flight struct {
	draft     draft
	said      Utterance
	parts     []part // none of a draftCopy
	attempts  int
	token     token // nil: not published over this link
	published time.Time
	ts        time.Time // what the payload says
}

// part is a message of a flight, as the ledger has it.
type part struct {
	message device.Message // with its number on the wire, if it has one
	number  number
	duty    duty
	crosses bool // the scenario's level
	counts  bool // as a step of the expected sequence
	digest  uint64
}

// delayed is a draft whose time has not come.
type delayed struct {
	due    time.Time
	drafts []draft
}

func newDevice(f *fleet, index int, start, length time.Duration) *player {
	o := f.options
	id := o.deviceID(index)
	d := &player{
		id: id, fleet: f,
		plan:        NewPlan(o.Scenario, PlanOptions{Seed: o.Seed, Device: index, Rate: o.Rate, Length: length, Start: start, Ramp: f.ramp()}),
		answers:     newAnswers(o.Scenario, o.Seed, index),
		match:       newMatcher(o.Scenario.Expect),
		level:       crossing{level: o.Scenario.Expect.Level},
		jitter:      stream(o.Seed, index, "reconnect"),
		credentials: credentials{o.Username, o.Password},
		started:     f.started.Add(start),
		last:        number{epoch: f.started.Unix()},
		wake:        make(chan struct{}, 1),
		busy:        true,
	}
	d.identity = d.plan.Identity
	d.model, d.names = o.Model, map[string]string{}
	if file := d.plan.profile.Model; file != "" {
		d.model = o.Models[file]
		d.names["model"] = d.model.Name()
	}
	if gateway := d.identity.Gateway; gateway > 0 {
		d.names["parent"] = o.deviceID(gateway - 1)
	}
	d.voice = o.Speech.Voice(device.ID(id), d.identity)
	d.epoch = d.last.epoch
	if d.identity.Unnumbered {
		d.account.bare = newBareAccount()
	}
	d.greeting = d.birth("boot", "")
	d.next, d.planned = d.plan.Next()
	return d
}

// birth is the first message over a link. A credential makes it the birth that a
// reprovisioning waits for.
func (d *player) birth(status, credential string) draft {
	data := map[string]any{"status": status}
	for key, value := range map[string]string{"firmware": d.identity.Firmware, "site": d.identity.Site, "credential": credential} {
		if value != "" {
			data[key] = value
		}
	}
	for key, value := range d.names {
		data[key] = value
	}
	return draft{kind: draftGreeting, channel: device.ChannelStatus, data: data}
}

// parting is how an episode over a link ended.
type parting struct {
	kind draftKind // draftReconnect, draftLeave; draftGreeting: the link was lost or cut
	down time.Duration
	next *draft // the greeting over the next link; nil: back online
	cut  bool   // by the device itself
	keep bool   // what is recorded meanwhile is sent before the greeting
}

// run plays the device until the context ends.
func (d *player) run(ctx context.Context) {
	if !pause(ctx, time.Until(d.started)) {
		return
	}
	if d.fleet.over() {
		d.mutex.Lock()
		d.absent = true
		d.mutex.Unlock()
		return
	}
	for first := true; ; first = false {
		if !d.connect(ctx) {
			return
		}
		d.fleet.connected.Add(1)
		if !first {
			d.fleet.count.reconnects.Add(1)
		}
		end := d.serve(ctx)
		d.fleet.connected.Add(-1)
		if ctx.Err() != nil {
			d.link.leave()
			return
		}
		d.setBusy(true)
		if !d.away(ctx, end) {
			return
		}
	}
}

// away is the time between two links.
func (d *player) away(ctx context.Context, end parting) bool {
	greeting := d.birth("online", "")
	if end.next != nil {
		greeting = *end.next
	}
	// A greeting that did not get out is still due: it may be the birth that a
	// reprovisioning waits for.
	d.place = 0
	if i := slices.IndexFunc(d.outbox, func(o draft) bool { return o.kind == draftGreeting }); i >= 0 {
		if old := d.outbox[i]; end.next == nil || old.id != "" {
			greeting = old
		}
		d.outbox = slices.Delete(d.outbox, i, i+1)
		d.place = i
	}
	d.greeting = greeting
	wait := end.down
	switch {
	case end.kind == draftReconnect || end.kind == draftLeave:
		d.link.leave()
	case end.cut:
		d.link.cut()
	default:
		d.link.leave() // frees what the client holds of a lost connection
		// Those that lose their connection together come back one after another.
		lost := d.fleet.lost.Add(1)
		defer d.fleet.lost.Add(-1)
		spread := min(float64(lost)/d.fleet.options.ConnectRate, 60)
		wait = time.Duration(d.jitter.Float64() * spread * float64(time.Second))
	}
	if !pause(ctx, wait) {
		return false
	}
	if end.keep {
		d.record(time.Now())
	}
	return true
}

// connect makes a link, however long that takes; false: the run is over.
func (d *player) connect(ctx context.Context) bool {
	will, err := d.voice.Will()
	if err == nil {
		err = d.noteWill(will)
	}
	if err != nil {
		d.fleet.fail(fmt.Errorf("device %s: last will: %w", d.id, err))
	}
	for wait := 200 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		l, err := d.fleet.dial(ctx, call{
			client: d.id, credentials: d.credentials,
			will: will, filter: d.voice.Filter(), subscribed: d.subscribed,
			receive: d.receive,
		})
		if err == nil {
			d.link, d.subscribed = l, true
			d.fleet.reached()
			break
		}
		if ctx.Err() != nil {
			return false
		}
		d.fleet.unreachable(fmt.Errorf("device %s: %w", d.id, err))
		if !pause(ctx, wait/2+time.Duration(d.jitter.Float64()*float64(wait))) {
			return false
		}
	}
	// First again what has no PUBACK, then the greeting, then what else waits.
	for i := range d.inflight {
		d.inflight[i].token = nil
	}
	d.outbox = slices.Insert(d.outbox, min(d.place, len(d.outbox)), d.greeting)
	return true
}

// serve lives on one link until it ends.
func (d *player) serve(ctx context.Context) parting {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := time.Now()
		d.read(now)
		if end, over := d.takeDue(now); over {
			return end
		}
		if end, over := d.send(); over {
			return end
		}
		d.summarize()
		if due, ok := d.nextDue(); ok {
			timer.Reset(max(0, time.Until(due)))
		} else {
			timer.Stop()
		}
		var acknowledged <-chan struct{}
		if len(d.inflight) > 0 {
			acknowledged = d.inflight[0].token.Done()
		}
		select {
		case <-ctx.Done():
			return parting{}
		case <-d.link.lost():
			return parting{kind: draftGreeting}
		case <-acknowledged:
			if err := d.acknowledge(); err != nil {
				d.fleet.unreachable(fmt.Errorf("device %s: publish: %w", d.id, err))
				return parting{kind: draftGreeting}
			}
		case <-timer.C:
		case <-d.wake:
		}
	}
}

// depart is the device's going offline by its plan.
func (d *player) depart(act Act, cut bool) parting {
	if !d.pending.IsZero() {
		d.pending = time.Time{}
		d.mutex.Lock()
		d.note(fact{kind: factOffline, at: time.Now()})
		d.mutex.Unlock()
	}
	end := parting{kind: draftLeave, down: act.Down, cut: cut}
	if cut {
		end.kind = draftGreeting
		// The time that the device itself loses is not the service's.
		for i := range d.inflight {
			d.inflight[i].published = time.Time{}
		}
	}
	if act.LoseCounter || act.Restart {
		d.renumber(act.LoseCounter)
		boot := d.birth("boot", "")
		end.next = &boot
	}
	if act.Kind == ActBacklog {
		end.keep = true
		d.date(time.Now())
	}
	return end
}

// note records a fact for the oracle. The caller holds the mutex.
func (d *player) note(f fact) {
	if d.fleet.admit() {
		d.facts = append(d.facts, f)
	}
}

func (d *player) setBusy(busy bool) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.busy = busy
}

// receive is the link's handler: it only enqueues.
func (d *player) receive(topic string, payload []byte) {
	c, err := d.voice.Hear(topic, payload, time.Now())
	if err == nil {
		d.inboxMutex.Lock()
		if len(d.inbox) < maxInbox {
			d.inbox = append(d.inbox, c)
		} else {
			err = errors.New("more commands than the device can queue")
		}
		d.inboxMutex.Unlock()
	}
	if err != nil {
		d.fleet.fail(fmt.Errorf("device %s: %w", d.id, err))
		return
	}
	d.nudge()
}

func (d *player) nudge() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// pause waits, and reports whether the context is still alive.
func pause(ctx context.Context, wait time.Duration) bool {
	if wait <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
