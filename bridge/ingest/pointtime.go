package ingest

import (
	"crypto/rand"
	"encoding/binary"
	"hash/maphash"
	"strconv"
	"time"

	"devicetwin/device"
	"devicetwin/wire"
)

// pointTimes gives each message of telemetry a point of its own: InfluxDB keeps one
// for each device and time.
//
// A time of arrival has milliseconds. Below them stands a number that no other point
// of this process has in that millisecond, and no earlier process either, by all
// probability. A device's own time is kept as far as it goes; below it stands the
// message's number, or what its content makes of it, so that the message has the same point
// when it is delivered again, by whatever process. Where that place is taken by another
// message that is remembered, the next free one is taken.
type pointTimes struct {
	seed     maphash.Seed
	arrivals uint64         // points with a time of arrival, from some number on
	taken    recent[uint64] // the messages of places: device and time -> identity
	arrived  recent[int64]  // the times of numbered messages without one of the device's
}

// Bounds of what is remembered.
const (
	keptPlaces   = 8192
	keptArrivals = 1024
)

func newPointTimes() *pointTimes {
	return &pointTimes{seed: maphash.MakeSeed(), taken: newRecent[uint64](keptPlaces), arrived: newRecent[int64](keptArrivals)}
}

// start begins the numbers of arrivals somewhere, so that they are not those of the
// process before.
func (p *pointTimes) start() {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	p.arrivals = binary.LittleEndian.Uint64(b[:])
}

// of is the time of the point of a message that is received.
func (p *pointTimes) of(id device.ID, r *wire.Received) time.Time {
	if !r.Dated {
		return p.arrival(id, r)
	}
	r.Identify()
	who := identity(&r.Message)
	series := maphash.String(p.seed, string(id))
	for try := range keptPlaces + 1 { // more than can be taken
		t := pointPlace(r, who, try).UnixNano()
		key := series ^ mix(uint64(t))
		other, taken := p.taken.get(key)
		if !taken {
			p.taken.put(key, who)
		}
		if !taken || other == who {
			return time.Unix(0, t).UTC()
		}
	}
	return pointPlace(r, who, 0)
}

// pointPlace is the time that a message asks for, and after that, the next ones. The
// digits that the device gave are kept; only if it repeats itself within a
// microsecond, the last ones are not.
func pointPlace(r *wire.Received, who uint64, try int) time.Time {
	room := uint64(1)
	for room < uint64(time.Millisecond) && r.PointTime.Nanosecond()%int(1000*room) == 0 {
		room *= 1000
	}
	first := who
	if r.Message.Seq > 0 {
		first = r.Message.Seq
	}
	if try < 16 && uint64(try) < room {
		return r.PointTime.Add(time.Duration((first + uint64(try)) % room))
	}
	other := mix(who+uint64(try)) % uint64(time.Millisecond)
	return r.PointTime.Truncate(time.Millisecond).Add(time.Duration(other))
}

// arrival is the time of a point without one of its device. A message that is
// delivered again is known by its number, while it is remembered; one without a
// number could be another one that is equal.
func (p *pointTimes) arrival(id device.ID, r *wire.Received) time.Time {
	key := uint64(0)
	if r.Message.Seq > 0 {
		key = maphash.String(p.seed, string(id)) ^ identity(&r.Message)
		if at, ok := p.arrived.get(key); ok && r.Message.Redelivered {
			return time.Unix(0, at).UTC()
		}
	}
	t := r.PointTime.Truncate(time.Millisecond).Add(time.Duration(p.arrivals % uint64(time.Millisecond)))
	p.arrivals++
	if key != 0 {
		p.arrived.put(key, t.UnixNano())
	}
	return t.UTC()
}

// identity distinguishes the messages of a device: by their numbers, or by their
// content.
func identity(m *device.Message) uint64 {
	if m.Seq > 0 {
		return mix(mix(uint64(m.Epoch)) ^ m.Seq)
	}
	sum, _ := strconv.ParseUint(m.Digest, 16, 64)
	return sum
}

// mix spreads the bits of a number (the finalizer of splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// recent remembers the values of the latest keys.
type recent[V any] struct {
	values map[uint64]V
	keys   []uint64 // in the order in which they came; a ring once it is full
	next   int
	limit  int
}

func newRecent[V any](limit int) recent[V] {
	return recent[V]{values: map[uint64]V{}, limit: limit}
}

func (r *recent[V]) get(key uint64) (v V, ok bool) {
	v, ok = r.values[key]
	return v, ok
}

func (r *recent[V]) put(key uint64, v V) {
	if _, known := r.values[key]; !known {
		if len(r.keys) < r.limit {
			r.keys = append(r.keys, key)
		} else {
			delete(r.values, r.keys[r.next])
			r.keys[r.next] = key
			r.next = (r.next + 1) % r.limit
		}
	}
	r.values[key] = v
}
