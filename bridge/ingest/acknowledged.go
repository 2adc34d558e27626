package ingest

import "hash/maphash"

// acknowledged remembers of each number with which a source identifies its messages the
// last one that was acknowledged. An acknowledgement may be lost with its connection;
// then the source delivers that message again, marked, under the same number
// [MQTT-4.4.0-1], although its lane is done with it. Nobody else could recognize it if
// the device does not number its messages: its workflow compares it with a few only.
//
// A source may use a number again once it has the acknowledgement. If then the same
// content is delivered under it, is lost on its way, and is delivered again marked, it is taken
// for the one before: this concerns messages that cannot be distinguished by anything.
type acknowledged struct {
	seed  maphash.Seed
	sums  []uint64 // by number; 0: none
	lanes []uint32 // by number; on which it was
}

// maxNumber bounds the numbers that are remembered: those of MQTT.
const maxNumber = 1<<16 - 1

func (k *acknowledged) note(e *entry) {
	if e.noted || e.Number == 0 || e.Number > maxNumber {
		return
	}
	e.noted = true // by now, its number may be another one's
	if k.sums == nil {
		k.sums, k.lanes = make([]uint64, maxNumber+1), make([]uint32, maxNumber+1)
	}
	if e.lane.number < k.lanes[e.Number] { // the source has used the number for another message since
		return
	}
	if e.sum == 0 {
		e.sum = k.sum(&e.Arrival)
	}
	k.sums[e.Number], k.lanes[e.Number] = e.sum, e.lane.number
}

// repeats reports whether a is the message that was acknowledged last under its number.
func (k *acknowledged) repeats(a *Arrival) bool {
	return a.Again && k.sums != nil && a.Number > 0 && a.Number <= maxNumber && k.sums[a.Number] == k.sum(a)
}

func (k *acknowledged) sum(a *Arrival) uint64 {
	if k.seed == (maphash.Seed{}) {
		k.seed = maphash.MakeSeed()
	}
	var h maphash.Hash
	h.SetSeed(k.seed)
	h.WriteString(a.Origin)
	h.WriteByte(0) // no origin contains it
	h.Write(a.Payload)
	return h.Sum64() | 1
}
