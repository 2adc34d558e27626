package discovery

import (
	"container/list"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode"

	clip "devicetwin/internal/text"
)

// Options are what is learned from, and what may be read.
type Options struct {
	Prefix string // of the topics of configs, such as homeassistant
	Depth  int    // of JSON in payloads
	// Reads reports whether a topic may be read. Of one that may not be, why is what to do; "" if
	// there is nothing to do, because it is read in another way.
	Reads func(topic string) (may bool, why string)
	// Sends is why nothing may be sent to a topic; "" if it may.
	Sends func(topic string) (why string)
	// Absent reports whether a string stands for a missing value.
	Absent func(text string) bool
	// Note gets each thing in configs that is not read, once, and why; nil: nobody does.
	Note func(note string)
}

// limits bound what is learned.
type limits struct {
	configs     int
	configBytes int // of the payloads of configs, together
	ofDevice    int // entities of one device
	onTopic     int // reads of one topic
	notes       int
	kept        keptLimits
}

func defaultLimits() limits {
	return limits{
		configs: 20_000, configBytes: 16 << 20, ofDevice: 1000, onTopic: 1000, notes: 1000,
		kept: keptLimits{topics: 20_000, bytes: 16 << 20, payload: 64 << 10},
	}
}

// Learner is what was learned. It may be used from any goroutine.
type Learner struct {
	options Options
	limits  limits

	mutex   sync.Mutex
	configs map[string]*config // by topic
	bytes   int                // of all configs
	devices map[key]*device
	topics  map[string]*use
	kept    kept
	noted   map[string]bool
}

// config is what was read from a topic.
type config struct {
	digest   [sha256.Size]byte
	bytes    int
	entities []*entity
}

// use is what is read on a topic.
type use struct {
	reads     []reading
	available []availableOn
}

type reading struct {
	entity *entity
	read   *read
}

type availableOn struct {
	device *device
	heard  *heard
	topic  int // among its topics
}

// New begins with nothing learned.
func New(o Options) *Learner { return newLearner(o, defaultLimits()) }

func newLearner(o Options, l limits) *Learner {
	return &Learner{
		options: o, limits: l, configs: map[string]*config{}, devices: map[key]*device{}, topics: map[string]*use{}, noted: map[string]bool{},
		kept: kept{limits: l.kept, all: map[string]*list.Element{}},
	}
}

// IsConfig reports whether a topic is one of configs.
func (l *Learner) IsConfig(topic string) bool {
	_, ok := placeOf(topic, l.options.Prefix)
	return ok
}

// Knows reports whether something is read on a topic.
func (l *Learner) Knows(topic string) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.topics[topic] != nil
}

// Learn reads a config. The messages are those of states that came before it. The error is what keeps it from
// being read; then what an earlier one on its topic said still holds.
func (l *Learner) Learn(topic string, payload []byte) ([]Message, error) {
	p, ok := placeOf(topic, l.options.Prefix)
	if !ok {
		return nil, fmt.Errorf("%s is not a topic of configs", topic)
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if len(payload) == 0 {
		l.forget(topic)
		return nil, nil
	}
	digest := sha256.Sum256(payload)
	configs, bytes := len(l.configs), l.bytes // without the one that it replaces
	if known := l.configs[topic]; known != nil {
		if known.digest == digest {
			return nil, nil
		}
		configs, bytes = configs-1, bytes-known.bytes
	}
	entities, err := readConfig(p, payload, l.options.Depth)
	if err != nil {
		return nil, err
	}
	if configs >= l.limits.configs || bytes+len(payload) > l.limits.configBytes {
		l.note("", fmt.Sprintf("config %s is left out: there are %d others with %d bytes, the limits are %d and %d", topic, configs, bytes, l.limits.configs, l.limits.configBytes))
		return nil, errors.New("there are too many configs")
	}
	l.forget(topic)
	c := &config{digest: digest, bytes: len(payload)}
	for _, e := range entities {
		if l.add(e) {
			c.entities = append(c.entities, e)
		}
	}
	l.configs[topic] = c
	l.bytes += c.bytes
	return l.catchUp(c.entities), nil
}

// forget removes what was learned from a topic.
func (l *Learner) forget(topic string) {
	c := l.configs[topic]
	if c == nil {
		return
	}
	for _, e := range c.entities {
		l.detach(e)
	}
	l.bytes -= c.bytes
	delete(l.configs, topic)
}

// add finds the device of an entity, which may show that two devices are one.
func (l *Learner) add(e *entity) bool {
	var found []*device
	entities := 1
	for _, k := range e.owner.keys {
		if d := l.devices[k]; d != nil && !slices.Contains(found, d) {
			found = append(found, d)
			entities += len(d.entities)
		}
	}
	if entities > l.limits.ofDevice {
		l.note("", fmt.Sprintf("%s %s of device %s is left out: the device has %d entities, the limit is %d", e.component, e.object, e.owner.name, entities-1, l.limits.ofDevice))
		return false
	}
	d := newDevice()
	if len(found) > 0 {
		d = slices.MaxFunc(found, func(a, b *device) int { return len(a.entities) - len(b.entities) })
	}
	for _, other := range found {
		if other == d {
			continue
		}
		for moved := range maps.Clone(other.entities) {
			l.detach(moved)
			l.attach(moved, d)
		}
	}
	l.attach(e, d)
	for _, fault := range e.faults {
		l.note("", fmt.Sprintf("%s %s of device %s: %s", e.component, e.object, d.id, fault))
	}
	return true
}

// attach makes an entity one of a device, and its topics read.
func (l *Learner) attach(e *entity, d *device) {
	d.add(e)
	for _, k := range e.owner.keys {
		l.devices[k] = d
	}
	for i := range e.reads {
		if u := l.use(e.reads[i].topic, e); u != nil {
			u.reads = append(u.reads, reading{e, &e.reads[i]})
		}
	}
	if e.availability == nil {
		return
	}
	h, isNew := d.hears(e.availability)
	if !isNew {
		return
	}
	for i, t := range h.topics {
		u := l.use(t.topic, e)
		if u == nil {
			continue
		}
		u.available = append(u.available, availableOn{d, h, i})
		if k := l.kept.get(t.topic); k != nil {
			h.hear(i, l.payload(k.payload))
		}
	}
}

// use is what is read on a topic; nil: it is not read.
func (l *Learner) use(topic string, e *entity) *use {
	if may, why := l.options.Reads(topic); !may {
		if why != "" {
			l.note(topic, fmt.Sprintf("topic %s of %s %s of device %s: %s", topic, e.component, e.object, e.owner.name, why))
		}
		return nil
	}
	u := l.topics[topic]
	if u == nil {
		u = new(use)
		l.topics[topic] = u
	}
	if len(u.reads)+len(u.available) >= l.limits.onTopic {
		l.note(topic, fmt.Sprintf("topic %s of %s %s of device %s is not read for it: %d others read it, which is the limit", topic, e.component, e.object, e.owner.name, l.limits.onTopic))
		return nil
	}
	return u
}

// detach makes an entity one of no device, and its topics no longer read.
func (l *Learner) detach(e *entity) {
	gone, unheard := e.device.remove(e)
	for _, k := range gone {
		delete(l.devices, k)
	}
	for i := range e.reads {
		l.unuse(e.reads[i].topic, func(u *use) {
			u.reads = slices.DeleteFunc(u.reads, func(r reading) bool { return r.entity == e })
		})
	}
	if unheard == nil {
		return
	}
	for _, t := range unheard.topics {
		l.unuse(t.topic, func(u *use) {
			u.available = slices.DeleteFunc(u.available, func(a availableOn) bool { return a.heard == unheard })
		})
	}
}

func (l *Learner) unuse(topic string, change func(*use)) {
	u := l.topics[topic]
	if u == nil {
		return
	}
	if change(u); len(u.reads)+len(u.available) == 0 {
		delete(l.topics, topic)
	}
}

// note notes something, once for each topic, or each note without one.
func (l *Learner) note(topic, text string) {
	once := topic
	if once == "" {
		once = text
	}
	if l.options.Note == nil || l.noted[once] || len(l.noted) > l.limits.notes {
		return
	}
	l.noted[once] = true
	if len(l.noted) > l.limits.notes {
		text = "there is more that is not read; no further notes follow"
	}
	l.options.Note(printable(clip.Clip(text, maxNote)))
}

// maxNote bounds a note, in bytes.
const maxNote = 600

// Describe says, for people, what was learned from the config on a topic.
func (l *Learner) Describe(topic string) string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	c := l.configs[topic]
	if c == nil || len(c.entities) == 0 {
		return "no entity"
	}
	var all []string
	for _, e := range c.entities {
		text := fmt.Sprintf("%s of device %s, a %s", e.name, e.device.id, e.component)
		topics := map[string]bool{}
		for _, r := range e.reads {
			topics[r.topic] = true
		}
		if len(topics) > 0 {
			text += ", on " + strings.Join(slices.Sorted(maps.Keys(topics)), ", ")
		}
		all = append(all, text)
	}
	return printable(strings.Join(all, "; "))
}

// printable is a string without what would control a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

func (l *Learner) payload(raw []byte) *payload {
	return newPayload(string(raw), l.options.Depth)
}

// Message is what a payload says of a device.
type Message struct {
	// Device is the device's first identifier, as it is.
	Device string
	Kind   Kind
	// Name is that of the entity of an event.
	Name string
	// Data has values of JSON; numbers are json.Number where they came as strings. That of Status is empty.
	Data   map[string]any
	Online bool // of Status
	// Relayed says that the topic is of several devices: what they have in common, such as a gateway, speaks
	// of them.
	Relayed bool
	Kept    bool // it is a state that came before its config
	// Commands are what is known of what the device can be sent: in messages that are seldom, of Status
	// and Reported, and in all of devices without them. See Encode.
	Commands map[string]string
}

// Kind says what a message is.
type Kind byte

// The kinds of messages, in the order in which a payload's are given.
const (
	Status   Kind = iota // whether the device is available
	Values               // of entities
	Reported             // those of entities to which something can be sent
	Event
)
