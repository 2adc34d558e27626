package chaos

import (
	"sync"
	"sync/atomic"

	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"
)

// meter counts the bytes on a link. The proxy's own figures come only when a
// connection ends.
type meter struct {
	id    int64
	bytes *atomic.Int64
}

// meterType is the name of a "toxic" that does nothing but count. Toxics are made
// by name and configured with JSON, so that a meter is known by its number.
const meterType = "meter"

var (
	meters   sync.Map // number -> *atomic.Int64
	meterIDs atomic.Int64
)

func init() {
	toxics.Register(meterType, new(meterToxic))
	// Some toxics log each chunk, to the logger of the whole process.
	zerolog.SetGlobalLevel(zerolog.WarnLevel)
}

func newMeter() meter {
	m := meter{id: meterIDs.Add(1), bytes: new(atomic.Int64)}
	meters.Store(m.id, m.bytes)
	return m
}

func (m meter) close() { meters.Delete(m.id) }

// meterToxic implements toxics.Toxic.
type meterToxic struct {
	Meter int64 `json:"meter"`
}

// Pipe hands everything on.
func (t *meterToxic) Pipe(stub *toxics.ToxicStub) {
	count := new(atomic.Int64)
	if known, ok := meters.Load(t.Meter); ok {
		count = known.(*atomic.Int64)
	}
	for {
		select {
		case <-stub.Interrupt:
			return
		case chunk := <-stub.Input:
			if chunk == nil {
				stub.Close()
				return
			}
			count.Add(int64(len(chunk.Data)))
			stub.Output <- chunk
		}
	}
}
