package device

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"devicetwin/device"
)

// A device that speaks a dialect is sent commands and desired state in its words, by the
// worker: the run keeps the address, and what the words make of a command comes back with
// the result of its emission.

// maxAddressVars bounds the names and values of the variables of an address together, in
// bytes: they are parts of topics.
const maxAddressVars = 4 << 10

// hearAddress takes over where the device is reached: from the first message that says it,
// and from each that says that the device is online, also if it is without, because the device
// speaks the service's own dialect now. Any other message of the same dialect adds what it
// knows; how long the device listens is what its last message says.
func (d *run) hearAddress(m device.Message) {
	if !d.follows(rulesDialects) {
		return
	}
	known, said := d.state.Address, m.From
	born := m.Channel == device.ChannelStatus && m.Says() == device.Online
	switch {
	case said == nil && born:
		d.state.Address, d.state.Informed = nil, ""
	case said == nil:
	case known == nil || born && known.Dialect != said.Dialect:
		d.state.Address, d.state.Informed = addressWith(*said, nil), ""
		d.back = d.back || m.Alive() // what it was sent before, it could not read
	case known.Dialect != said.Dialect: // until its birth, as long as two speak of it
	case born:
		d.state.Address = addressWith(*said, known.Vars)
	default:
		next := *known
		if !m.Relayed && !m.Stale {
			next.Awake = said.Awake
		}
		next.Vars = said.Vars
		d.state.Address = addressWith(next, known.Vars)
	}
}

// addressWith is an address with variables that were known before, within the bounds: else
// with its own alone, or with none.
func addressWith(a device.Address, before map[string]string) *device.Address {
	vars := make(map[string]string, len(before)+len(a.Vars))
	maps.Copy(vars, before)
	maps.Copy(vars, a.Vars)
	if sizeOfVars(vars) > maxAddressVars {
		vars = maps.Clone(a.Vars)
	}
	if len(vars) == 0 || sizeOfVars(vars) > maxAddressVars {
		vars = nil
	}
	a.Vars = vars
	return &a
}

func sizeOfVars(vars map[string]string) (n int) {
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		n += len(name) + len(vars[name])
	}
	return n
}

// listens reports whether a device hears what it is sent now: one that sleeps does so for some
// time after each of its messages.
func (d *run) listens(now time.Time) bool {
	a := d.state.Address
	return a == nil || a.Awake <= 0 || now.Sub(d.state.Seen) <= a.Awake
}

// slept reports whether a sign of life is the first one after a sleep.
func (d *run) slept(at time.Time) bool {
	a := d.state.Address
	return a != nil && a.Awake > 0 && at.Sub(d.state.Seen) > a.Awake
}

// addressFor is the device's address if it is sent some of these in its dialect.
func (d *run) addressFor(messages []Outgoing) *device.Address {
	for _, m := range messages {
		if m.Command != "" || m.Shadow != nil && m.Shadow.Inform {
			return d.state.Address
		}
	}
	return nil
}

// restDelta ends the topic of a delta.
const restDelta = "update/delta"

// news reports whether the device is to be sent a delta of the classic shadow in its
// dialect: always if somebody asks for it, or the device has come back; else if it is another
// one than it was sent last. The protocol's delta is published with each report; a device that
// reports after all that it is sent, and does otherwise, would be sent it without end.
func (d *run) news(shadow string, delta []byte, asked bool) bool {
	if d.state.Address == nil || shadow != "" {
		return false
	}
	print, now := deltaPrint(delta), d.state.Snapshot.Time()
	if print == "" {
		d.state.InformedMet = true
		return false
	}
	strayed := d.state.InformedMet && now.Sub(d.state.InformedAt) >= informEvery
	if !asked && print == d.state.Informed && !strayed {
		return false
	}
	d.state.Informed, d.state.InformedAt, d.state.InformedMet = print, now, false
	return true
}

// informEvery is the least time between two equal deltas that are sent to a device which
// has done the one and then something else: it may report both after each that it is sent.
const informEvery = time.Minute

// deltaPrint identifies the state of a delta; "" of none.
func deltaPrint(delta []byte) string {
	state := deltaState(delta)
	if len(state) == 0 {
		return ""
	}
	sum := sha256.Sum256(state)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// leaving is a message as it leaves: a device that sleeps is informed when it is back.
func (d *run) leaving(m Outgoing, now time.Time) Outgoing {
	if m.Shadow != nil && m.Shadow.Inform && !d.listens(now) {
		shadow := *m.Shadow
		shadow.Inform = false
		d.state.Informed = "" // so it is news with the next report, even if that does not end a sleep
		m.Shadow = &shadow
	}
	return m
}

// deltaState is the member state of a delta.
func deltaState(delta []byte) json.RawMessage {
	var d struct {
		State json.RawMessage `json:"state"`
	}
	if len(delta) == 0 || json.Unmarshal(delta, &d) != nil {
		return nil
	}
	return d.State
}
