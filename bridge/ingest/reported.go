package ingest

import (
	"hash/fnv"
	"math"
	"slices"
	"time"

	"devicetwin/device"
	"devicetwin/internal/jsonobject"
)

// Devices of other ecosystems publish what their state is again and again. What a device reports
// once more cannot change its twin, as long as its workflow was given nothing else of the same
// properties: merging it again gives what there is. So it is left out, until Config.SettledFor has
// passed since it was given. Its device is up nevertheless, which renews the lease; where a signal is
// due for that, it is the report.
//
// It may do something, and is not left out, where
//
//   - the workflow may be another one than the one that was given it (see instance.go): what is
//     remembered goes where that of the filters goes, and while anything of the device is on its way
//     to a workflow, nothing is left out;
//   - somebody else changed the reported state by a message that came by this bridge: a request of
//     the shadow protocol. What comes by the HTTP API, the bridge does not see; then SettledFor
//     says how late a report is that is equal to the last one.
//   - it says more than the state: how the device is reached otherwise than before, or a fault.

// maxGiven bounds the properties of a device that are remembered, 16 bytes each.
const maxGiven = 64

// given are the reports that the workflow of a device was given, by the top-level properties in them.
type given struct {
	properties []givenProperty
	continuity uint32 // of the stream: what came in between is not known
}

// givenProperty is a property, with the last report that had it.
type givenProperty struct {
	report uint64 // hashed, with all that it says
	name   uint32 // hashed
	at     uint32 // s since 1970
}

// reportsAgain reports whether a message only says of a device's state what its workflow was given.
func (c *core) reportsAgain(d *deviceState, continuity uint32, m *device.Message) bool {
	switch {
	case !c.sifts || !reportOf(m) || d.given == nil:
		return false
	case d.given.continuity != continuity || d.place != idle && d.place != renewing:
		return false
	case len(m.Faults) > 0 || c.reaches(d, m) || c.signalled(d, m):
		return false
	}
	report, names := hashReport(m), reportedNames(m)
	again := 0
	for name := range names {
		if i := d.given.index(name); i < 0 || d.given.properties[i].report != report || !c.settled(d.given.properties[i].at, m.Time) {
			return false
		}
		again++
	}
	return again > 0
}

// reportOf reports whether a message says what the state of a device is, and is not answered.
func reportOf(m *device.Message) bool {
	return m.Channel == device.ChannelTwin && m.Name == device.MethodUpdate && m.Twin != nil && m.Twin.Reply == "" && m.Twin.Shadow == ""
}

// signalled reports whether a message is signalled in any case, to renew the lease of its device.
func (c *core) signalled(d *deviceState, m *device.Message) bool {
	return m.Alive() && (d.offline || c.cfg.StartOnAny && !d.begun || d.renews(m.Time) == renewalDue)
}

// settled reports whether what was given at a time, in seconds, may be relied on.
func (c *core) settled(at uint32, now time.Time) bool {
	age := now.Sub(time.Unix(int64(at), 0))
	return 0 <= age && age < c.cfg.SettledFor
}

// noteGiven takes note of a request that a device's workflow is given.
func (d *deviceState) noteGiven(continuity uint32, m *device.Message) {
	switch {
	case m.Name == device.MethodGet:
		return
	case !reportOf(m):
		d.given = nil
		return
	case d.given == nil || d.given.continuity != continuity:
		d.given = &given{continuity: continuity}
	}
	report, at := hashReport(m), m.Time.Unix()
	for name := range reportedNames(m) {
		d.given.remove(name)
		if !m.Redelivered { // else the workflow takes it for a copy of an equal one, if there was one before
			d.given.add(givenProperty{report, name, uint32(max(0, min(at, math.MaxUint32)))})
		}
	}
}

func (g *given) index(name uint32) int {
	return slices.IndexFunc(g.properties, func(p givenProperty) bool { return p.name == name })
}

func (g *given) remove(name uint32) {
	if i := g.index(name); i >= 0 {
		g.properties = slices.Delete(g.properties, i, i+1)
	}
}

// add remembers a property, in place of the one that was given longest ago if there are too many.
func (g *given) add(p givenProperty) {
	if len(g.properties) == maxGiven {
		g.properties = slices.Delete(g.properties, 0, 1)
	}
	g.properties = append(g.properties, p)
}

// forgetGiven forgets what the device's workflow was given: the classes of the filters, and the
// reports.
func (d *deviceState) forgetGiven() {
	d.filter.forget()
	d.given = nil
}

// hashReport is a hash of what a report says, and of how it says that its device is reached, but for
// variables: see reaches.
func hashReport(m *device.Message) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(m.Twin.Payload)
	if a := m.From; a != nil {
		_, _ = h.Write([]byte(a.Dialect + "\x00" + a.ID + "\x00" + a.Awake.String()))
	}
	return h.Sum64()
}

// reportedNames are the hashes of the names of the top-level properties that a report has. What cannot be read
// has none.
func reportedNames(m *device.Message) func(yield func(uint32) bool) {
	return func(yield func(uint32) bool) {
		v, ok := jsonobject.Parse(m.Twin.Payload)
		for _, name := range []string{"state", "reported"} {
			if ok = ok && v.Kind() == jsonobject.Object; ok {
				v, ok = lastMember(v, name)
			}
		}
		if !ok || v.Kind() != jsonobject.Object {
			return
		}
		for members := v.Members(); ; {
			name, _, more := members.Next()
			if !more {
				return
			}
			h := fnv.New32a()
			_, _ = h.Write(name.Raw())
			if !yield(h.Sum32()) {
				return
			}
		}
	}
}

// lastMember is the member of an object that counts.
func lastMember(object jsonobject.Value, wanted string) (v jsonobject.Value, ok bool) {
	for members := object.Members(); ; {
		name, value, more := members.Next()
		if !more {
			return v, ok
		}
		if name.Is(wanted) {
			v, ok = value, true
		}
	}
}
