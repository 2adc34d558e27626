package ingest

import (
	"math"

	"devicetwin/wire"
)

// traffic is what came from one device since somebody asked: also what repeats, is refused
// or beyond its quota, and not what the broker delivers again. It counts up to 4 GiB.
type traffic struct{ messages, bytes uint32 }

func (t *traffic) add(messages, bytes int) {
	t.messages = uint32(min(uint64(t.messages)+uint64(messages), math.MaxUint32))
	t.bytes = uint32(min(uint64(t.bytes)+uint64(bytes), math.MaxUint32))
}

// take returns it, and counts from 0 again.
func (t *traffic) take() traffic {
	was := *t
	*t = traffic{}
	return was
}

// addReceived adds messages with their bytes of JSON.
func (t *traffic) addReceived(received []wire.Received) {
	bytes := 0
	for i := range received {
		bytes += len(received[i].Object)
	}
	t.add(len(received), bytes)
}
