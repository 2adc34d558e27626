package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"devicetwin/device"
)

// A checkpoint is what is remembered of devices and streams, as a file next to the log. It
// is taken between inputs, some devices at a time; each device has the position in the log
// up to which it knows what came. So the log is rolled forward from where the checkpoint
// began.

// checkpointName is that of the file.
const checkpointName = "checkpoint"

const (
	checkpointVersion = 1
	checkpointStep    = 256       // devices at a time
	checkpointPart    = 512 << 10 // bytes
)

// checkpointHead is its first part.
type checkpointHead struct {
	Version int `json:"version"`
	// From: all before it is in the states of the devices. UpTo: nothing after it is.
	From int64 `json:"from"`
	UpTo int64 `json:"to"`
	// Unacknowledged: what came before it was acknowledged, and the source does not deliver
	// it again.
	Unacknowledged int64         `json:"unacknowledged"`
	Scope          string        `json:"scope,omitempty"` // see history.Begin
	At             time.Time     `json:"at"`
	Streams        []savedStream `json:"streams,omitempty"`
	// Accepted is what was accepted last, before From.
	Accepted Accepted `json:"accepted,omitzero"`
	// Recognized is what came before From, as savedText writes it.
	Recognized string `json:"recognized,omitempty"`
}

type savedStream struct {
	Name       string `json:"name"`
	Continuity uint32 `json:"continuity"`
}

// savedDevice is a device in a checkpoint.
type savedDevice struct {
	ID         device.ID `json:"id"`
	Position   int64     `json:"at"`
	Model      string    `json:"model,omitempty"` // hash of the one that it has named
	Unsaid     bool      `json:"unsaid,omitempty"`
	Site       string    `json:"site,omitempty"`
	Firmware   string    `json:"firmware,omitempty"`
	Begun      bool      `json:"begun,omitempty"`
	Offline    bool      `json:"offline,omitempty"`
	Run        uint64    `json:"run,omitempty"`
	Heard      int64     `json:"heard,omitempty"` // Unix ms, as all times
	Renewed    int64     `json:"renewed,omitempty"`
	Epoch      int64     `json:"epoch,omitempty"`
	Seq        uint64    `json:"seq,omitempty"`
	FirstEpoch int64     `json:"first_epoch,omitempty"`
	FirstSeq   uint64    `json:"first_seq,omitempty"`
	Sent       uint32    `json:"sent,omitempty"` // of Seq, Unix seconds
	FirstSent  uint32    `json:"first_sent,omitempty"`
	Elsewhere  bool      `json:"elsewhere,omitempty"`
	Fallen     uint64    `json:"fallen,omitempty"`
	Topic      uint8     `json:"topic,omitempty"`
	Same       bool      `json:"same,omitempty"`
	Continuity uint32    `json:"continuity,omitempty"`
	Passed     int64     `json:"passed,omitempty"`
	// Filters are those of the models with the hash Of.
	Of      string        `json:"of,omitempty"`
	Filters [][]byte      `json:"filters,omitempty"`
	LeftOut *savedLeftOut `json:"out,omitempty"`
	// Vars are hashes of the variables of its address that its workflow was sent, and Awake is
	// of that address.
	Vars  map[string]uint64 `json:"vars,omitempty"`
	Awake time.Duration     `json:"awake,omitempty"`
	// Given are the reports of its state that its workflow was given, on the continuity Reports.
	Given   []savedProperty `json:"given,omitempty"`
	Reports uint32          `json:"reports,omitempty"`
}

type savedProperty struct {
	Report uint64 `json:"r"`
	Name   uint32 `json:"n"`
	At     uint32 `json:"t"`
}

type savedLeftOut struct {
	Spans   []device.Span    `json:"spans,omitempty"`
	Digests []uint64         `json:"digests,omitempty"`
	Sent    int64            `json:"ts,omitempty"`
	Restart *device.Restart  `json:"restart,omitempty"`
	Late    []device.Message `json:"late,omitempty"`
}

// checkpoint is one that is being taken.
type checkpoint struct {
	head    checkpointHead
	needed  int64 // what comes before it is not needed any more
	marks   []mark
	devices []*deviceState
	parts   [][]byte
	part    []byte
}

// beginCheckpoint begins one, at a time between inputs.
func (c *core) beginCheckpoint(now time.Time) *checkpoint {
	k := &checkpoint{
		head:    checkpointHead{Version: checkpointVersion, From: c.appended, Unacknowledged: c.unacknowledged(), Scope: c.scope, At: now.UTC(), Accepted: c.lastAccepted},
		needed:  c.needed(),
		marks:   c.recognized.saved(),
		devices: make([]*deviceState, 0, len(c.devices.byID)),
	}
	for _, s := range c.streams {
		k.head.Streams = append(k.head.Streams, savedStream{s.name, s.continuity})
	}
	for at := c.devices.order.Back(); at != nil; at = at.Prev() {
		k.devices = append(k.devices, at.Value.(*deviceState))
	}
	return k
}

// unacknowledged is a position before all arrivals that the source may deliver again. If
// the log does not reach back that far any more, some of them are not known when they come.
func (c *core) unacknowledged() int64 {
	at := c.needed()
	if c.redeliverable.places.len() > 0 {
		at = min(at, c.redeliverable.places.head())
	}
	return at
}

// needed is the position of the oldest record whose arrival is not acknowledged.
func (c *core) needed() int64 {
	at := c.appended
	if c.unlogged.len() > 0 {
		at = c.unlogged.head().record.start
	}
	if c.cfg.AckAccepted && c.records.len() > 0 {
		at = min(at, c.records.head().start)
	}
	return at
}

// step takes some devices. It reports that there are no more.
func (c *core) stepCheckpoint(k *checkpoint, devices int) (done bool) {
	for range min(devices, len(k.devices)) {
		d := k.devices[0]
		k.devices = k.devices[1:]
		if c.devices.byID[d.id] != d { // it was forgotten meanwhile
			continue
		}
		text, err := json.Marshal(c.saved(d))
		if err != nil { // nothing in it cannot be encoded
			continue
		}
		if k.part == nil {
			k.part = make([]byte, 0, checkpointPart+4<<10)
		}
		k.part = append(append(k.part, text...), '\n')
		if len(k.part) >= checkpointPart {
			k.parts, k.part = append(k.parts, k.part), nil
		}
	}
	if len(k.devices) > 0 {
		return false
	}
	k.parts = append(k.parts, k.part)
	k.head.UpTo = c.appended
	return true
}

// content is what is written.
func (k *checkpoint) content() [][]byte {
	k.head.Recognized = savedText(k.marks)
	head, _ := json.Marshal(k.head) // nothing in it cannot be encoded
	return append([][]byte{head}, k.parts...)
}

func (c *core) saved(d *deviceState) savedDevice {
	f := &d.filter
	s := savedDevice{
		ID: d.id, Position: c.appended, Unsaid: d.unsaid, Begun: d.begun, Offline: d.offline, Run: d.run,
		Heard: unixMilli(d.heard), Renewed: unixMilli(d.renewed),
		Epoch: f.epoch, Seq: f.lastSeq, FirstEpoch: f.firstEpoch, FirstSeq: f.firstSeq,
		Sent: f.lastSent, FirstSent: f.firstSent, Elsewhere: f.elsewhere,
		Fallen: f.fallen.last, Topic: f.fallen.topic, Same: f.fallen.same,
		Continuity: f.continuity, Passed: f.passed,
	}
	if d.traits != otherTraits {
		is := c.traits.of(d.traits)
		s.Site, s.Firmware = is.site, is.firmware
	}
	if d.models != nil && d.models != c.models.of(d.id) {
		s.Model = d.models.start.Hash()
	}
	if f.holds() && (d.place == idle || d.place == renewing) && d.models != nil && len(f.further) == len(d.models.possible)-1 {
		s.Of = d.models.hash
		for i, model := range d.models.possible {
			s.Filters = append(s.Filters, model.AppendFilter(nil, &f.filters(len(d.models.possible))(i).Filter))
		}
	}
	if g := d.given; g != nil {
		s.Reports = g.continuity
		for _, p := range g.properties {
			s.Given = append(s.Given, savedProperty{p.report, p.name, p.at})
		}
	}
	if d.reach != nil {
		s.Vars, s.Awake = d.reach.vars, d.reach.awake
	}
	if l := d.leftOut; l != nil {
		s.LeftOut = &savedLeftOut{l.spans, l.digests, unixMilli(l.sent), l.restart, l.late}
	}
	return s
}

func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMilli(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// readHead reads the first part of a checkpoint. An error: it cannot be used.
func readHead(parts [][]byte, begin, end int64) (h checkpointHead, err error) {
	if err := json.Unmarshal(parts[0], &h); err != nil {
		return h, fmt.Errorf("its head: %w", err)
	}
	switch {
	case h.Version != checkpointVersion:
		return h, fmt.Errorf("its version is %d; expected %d", h.Version, checkpointVersion)
	case h.From < begin:
		return h, errors.New("it is older than the log")
	case h.UpTo > end:
		return h, errors.New("it is newer than the log")
	}
	return h, nil
}

// load takes over a device of a checkpoint.
func (c *core) load(s *savedDevice) {
	if !c.cfg.Partition.Owns(s.ID.Name()) { // another bridge has delivered to it since
		return
	}
	d := c.device(s.ID)
	if set := c.models.named[s.Model]; set != nil && c.models.of(d.id) == c.models.unnamed {
		d.models = set // unless a rule gives it another one by now
	}
	d.position, d.unsaid, d.begun, d.offline, d.run = s.Position, s.Unsaid, s.Begun, s.Offline, s.Run
	d.heard, d.renewed = fromMilli(s.Heard), fromMilli(s.Renewed)
	d.traits = c.traits.number(traits{s.Site, s.Firmware})
	d.filter = filterState{
		epoch: s.Epoch, lastSeq: s.Seq, firstEpoch: s.FirstEpoch, firstSeq: s.FirstSeq,
		lastSent: s.Sent, firstSent: s.FirstSent, elsewhere: s.Elsewhere,
		fallen: fallenRun{s.Fallen, s.Topic, s.Same}, continuity: s.Continuity, passed: s.Passed,
	}
	if s.Vars != nil || s.Awake != 0 {
		known := d.reaching()
		known.vars, known.awake = s.Vars, s.Awake
	}
	if l := s.LeftOut; l != nil {
		d.leftOut = &leftOut{l.Spans, l.Digests, fromMilli(l.Sent), l.Restart, l.Late}
	}
	if len(s.Given) > 0 {
		d.given = &given{continuity: s.Reports}
		for _, p := range last(s.Given, maxGiven) {
			d.given.properties = append(d.given.properties, givenProperty{p.Report, p.Name, p.At})
		}
	}
	c.loadFilters(d, s)
}

// loadFilters takes over what the filters remembered, if the models are the same.
func (c *core) loadFilters(d *deviceState, s *savedDevice) {
	if s.Of == "" || s.Of != d.models.hash || len(s.Filters) != len(d.models.possible) {
		return
	}
	filter := d.filter.filters(len(s.Filters))
	for i, b := range s.Filters {
		f, _, err := d.models.possible[i].ReadFilter(b)
		if err != nil {
			d.filter.forget()
			return
		}
		filter(i).Filter = f
	}
}

// hashOf is 64 bits of a string, such as the id of a run; never 0, which stands for no string.
func hashOf(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	return max(1, h.Sum64())
}
