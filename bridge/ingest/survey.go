package ingest

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"time"

	"devicetwin/device"
)

// Survey is what a look at all devices finds.
type Survey struct {
	// Talkers are the devices with the most messages since the survey before, most first.
	Talkers []Talker
	// Groups are the devices by what they have in common, the largest first. Those for which
	// there is no room are one group for each model, whose site and firmware are Other.
	Groups []Group
}

// Other is the site and the firmware of devices that are not counted separately.
const Other = "other"

// Talker is a device that sends much.
type Talker struct {
	ID              device.ID
	Model, Site     string  // "" if it is not known
	Messages, Bytes float64 // a second, of payload; with what is refused or left out
	Share           float64 // of the messages of all devices, up to 1
}

// Group are devices of one model, site and firmware; "" is what is not known.
type Group struct {
	Model, Site, Firmware string
	Connections
}

// Connections are how many devices are in which state of their connection.
type Connections struct {
	Offline int // by their last will, and no message since
	Silent  int // for longer than their model allows
	Online  int // all others
}

func (c Connections) all() int { return c.Offline + c.Silent + c.Online }

// Survey looks at all devices, and lists at most so many talkers and groups. It counts from
// the survey before, so that one caller may ask, one survey after the other. It waits for
// Run to begin, until ctx ends; then, and after the end of Run, it finds nothing.
func (i *Ingest) Survey(ctx context.Context, now time.Time, talkers, groups int) Survey {
	s := newSurvey(now, talkers)
	if !i.whenItRuns(ctx, func(c *core) { c.traits.begin() }) || !i.eachDevice(ctx, s.look) {
		return Survey{}
	}
	var found Survey
	i.whenItRuns(ctx, func(c *core) { found = s.end(c, groups) })
	return found
}

// devicesAtOnce is how many devices are looked at before messages have their turn.
const devicesAtOnce = 256

// eachDevice calls look with every device. Devices that are new meanwhile may be left
// out. False: not all were looked at.
func (i *Ingest) eachDevice(ctx context.Context, look func(*core, *deviceState)) bool {
	next, stop := iter.Pull(i.core.devices.inParts(devicesAtOnce))
	defer stop()
	for more := true; more; {
		looked := i.whenItRuns(ctx, func(c *core) {
			var part []*deviceState
			part, more = next()
			for _, d := range part {
				look(c, d)
			}
		})
		if !looked {
			return false
		}
	}
	return true
}

// inParts are all devices, some at a time; between them, the table may change.
func (t *deviceTable) inParts(size int) iter.Seq[[]*deviceState] {
	return func(yield func([]*deviceState) bool) {
		part := make([]*deviceState, 0, size)
		for _, d := range t.byID {
			if part = append(part, d); len(part) < size {
				continue
			}
			if !yield(part) {
				return
			}
			part = part[:0]
		}
		yield(part)
	}
}

// survey is one that is being made.
type survey struct {
	now     time.Time
	talkers *leading[talking]
	all     uint64 // messages
	groups  map[groupKey]*Connections
}

type groupKey struct {
	model  string
	traits uint32
}

type talking struct {
	device *deviceState
	traffic
}

func newSurvey(now time.Time, talkers int) *survey {
	louder := func(a, b talking) int {
		return cmp.Or(cmp.Compare(b.messages, a.messages), cmp.Compare(b.bytes, a.bytes), cmp.Compare(a.device.id, b.device.id))
	}
	return &survey{now: now, groups: map[groupKey]*Connections{}, talkers: newLeading(talkers, louder)}
}

func (s *survey) look(c *core, d *deviceState) {
	if t := d.traffic.take(); t.messages > 0 {
		s.all += uint64(t.messages)
		s.talkers.add(talking{d, t})
	}
	if d.id.Kind() != device.KindDevice {
		return // it has no connection
	}
	key := groupKey{d.modelName(), d.traits}
	in := s.groups[key]
	if in == nil {
		in = new(Connections)
		s.groups[key] = in
	}
	switch {
	case d.offline:
		in.Offline++
	case d.silent(s.now):
		in.Silent++
	default:
		in.Online++
	}
}

// modelName is that under which the device's telemetry goes.
func (d *deviceState) modelName() string {
	if d.models == nil {
		return ""
	}
	return d.models.start.Name()
}

func (s *survey) end(c *core, groups int) Survey {
	found := Survey{Groups: s.grouped(c, groups)}
	seconds := s.now.Sub(c.surveyed).Seconds()
	c.surveyed = s.now
	for _, t := range s.talkers.list() {
		if seconds <= 0 {
			break // the clock was set back
		}
		found.Talkers = append(found.Talkers, Talker{
			ID: t.device.id, Model: t.device.modelName(), Site: c.traits.of(t.device.traits).site,
			Messages: float64(t.messages) / seconds, Bytes: float64(t.bytes) / seconds,
			Share: float64(t.messages) / float64(s.all),
		})
	}
	seen := map[uint32]bool{}
	for key := range s.groups {
		seen[key.traits] = true
	}
	c.traits.keep(seen)
	return found
}

// grouped are the groups by their names: the largest, and what is left of each model.
func (s *survey) grouped(c *core, limit int) []Group {
	var all []Group
	rest := map[string]*Group{}
	for key, in := range s.groups {
		of := c.traits.of(key.traits)
		all = append(all, Group{key.model, of.site, of.firmware, *in})
	}
	slices.SortFunc(all, compareGroups)
	kept := all[:0:0]
	for n, g := range all {
		if n < limit && (g.Site != Other || g.Firmware != Other) {
			kept = append(kept, g)
			continue
		}
		r := rest[g.Model]
		if r == nil {
			r = &Group{Model: g.Model, Site: Other, Firmware: Other}
			rest[g.Model] = r
		}
		r.Offline, r.Silent, r.Online = r.Offline+g.Offline, r.Silent+g.Silent, r.Online+g.Online
	}
	for _, r := range rest {
		kept = append(kept, *r)
	}
	slices.SortFunc(kept, compareGroups)
	return kept
}

func compareGroups(a, b Group) int {
	return cmp.Or(cmp.Compare(b.all(), a.all()), cmp.Compare(a.Model, b.Model), cmp.Compare(a.Site, b.Site), cmp.Compare(a.Firmware, b.Firmware))
}
