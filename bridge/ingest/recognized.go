package ingest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
	"slices"
	"time"

	"devicetwin/bridge/history"
	"devicetwin/device"
	"devicetwin/wire"
)

// recognized remembers what came in of devices that do not number their messages, for a broker
// that loses acknowledgements which it had: those that only one server of a cluster knew of, when
// that one is killed or stalls. It delivers these messages again after a while, marked, under other
// numbers, and after newer ones. The workflow compares such a message with the last few of its
// device only.
//
// A message is recognized by its content. But what is marked may also be new here, because it was lost on
// its way with a connection, and its device may have said the same before: a switch does, and a
// thermometer that rounds. To leave that out would lose it. So a content counts that came once, as far as is
// remembered, of a shape of which much is remembered and little came twice: one in knownWell, which is about how
// likely this is wrong about a message that is new, at worst. What was marked itself when it came is nothing to go
// by: a session that broke down is sent everything that waited, marked, and a device may have said the same
// three hundred times. Everything else is left to the workflow.
//
// The shape is the origin and all of the payload but its digits. So what a door says among the readings of
// its topic is compared with what a door says, and not with them.
//
// With a log, what is remembered is what is in the log: an arrival that is not would be lost if
// its repetition were left out. Without one it is what was acknowledged.
type recognized struct {
	limit int
	keep  time.Duration

	marks   fifo[mark]
	gone    uint64 // so many were forgotten: the head's number
	sums    map[uint64]content
	shapes  map[uint32]speaking // by hash
	scratch []byte
}

// mark is what is remembered of an arrival. Sum 0: nothing.
type mark struct {
	sum   uint64 // of origin and payload
	shape uint32
	at    uint32 // Unix seconds
	again bool   // marked by the broker
	twice bool   // it repeats one before, and is not just that one marked
}

// content is what is remembered of a sum.
type content struct {
	last   uint64 // number of the last mark that has it
	marked uint64 // one more than that of the last one that is again; 0: none
	unsure uint64 // one more than that of the last one that is again or twice; 0: none
}

// speaking is what is remembered of a shape.
type speaking struct{ marks, twice int }

// knownWell is how much of a shape has to be remembered. What is fresher, its workflow compares itself.
const knownWell = keptDigests

func newRecognized(limit int, keep time.Duration) *recognized {
	return &recognized{limit: limit, keep: keep, sums: map[uint64]content{}, shapes: map[uint32]speaking{}}
}

// unnumbered reports whether a message can be distinguished from others by its content only. A
// retained copy comes whenever somebody subscribes.
func unnumbered(m *device.Message) bool { return m.Seq == 0 && !m.Stale }

func anyUnnumbered(received []wire.Received) bool {
	for i := range received {
		if unnumbered(&received[i].Message) {
			return true
		}
	}
	return false
}

// mark is that of an arrival, if it contains a message that is unnumbered. What has a place in a log
// of its source is known by that.
func (k *recognized) mark(a *Arrival, unnumbered bool) mark {
	if k.limit == 0 || k.keep == 0 || a.Retained || a.Log != "" || !unnumbered {
		return mark{}
	}
	k.scratch = append(append(append(k.scratch[:0], a.Origin...), 0), a.Payload...) // no origin contains it
	sum := sha256.Sum256(k.scratch)
	shape := fnv.New32a()
	k.scratch = slices.DeleteFunc(k.scratch, func(b byte) bool { return '0' <= b && b <= '9' })
	_, _ = shape.Write(k.scratch)
	return mark{sum: max(1, binary.LittleEndian.Uint64(sum[:])), shape: shape.Sum32(), at: uint32(a.At.Unix()), again: a.Again}
}

// note remembers the arrival of an entry, once.
func (k *recognized) note(e *entry) {
	if k != nil && e != nil && e.mark.sum != 0 {
		k.add(e.mark)
		e.mark = mark{}
	}
}

func (k *recognized) add(m mark) {
	k.forget(m.at)
	if k.marks.len() >= k.limit {
		k.drop()
	}
	said, known := k.sums[m.sum]
	m.twice = m.twice || known && (!m.again || said.marked > k.gone)
	o := k.shapes[m.shape]
	o.marks++
	said.last = k.gone + uint64(k.marks.len())
	if m.again {
		said.marked = said.last + 1
	}
	if m.twice {
		o.twice++
	}
	if m.again || m.twice {
		said.unsure = said.last + 1
	}
	k.shapes[m.shape], k.sums[m.sum] = o, said
	k.marks.push(m)
}

// forget forgets what is older than is kept.
func (k *recognized) forget(now uint32) {
	for k.marks.len() > 0 && int64(now)-int64(k.marks.head().at) > int64(k.keep/time.Second) {
		k.drop()
	}
}

func (k *recognized) drop() {
	m := k.marks.pop()
	if k.sums[m.sum].last == k.gone {
		delete(k.sums, m.sum)
	}
	o := k.shapes[m.shape]
	if m.twice {
		o.twice--
	}
	if o.marks--; o.marks == 0 {
		delete(k.shapes, m.shape)
	} else {
		k.shapes[m.shape] = o
	}
	k.gone++
}

// repeats reports whether an arrival that the source marks is one that is remembered.
func (k *recognized) repeats(m mark) bool {
	if m.sum == 0 || !m.again {
		return false
	}
	k.forget(m.at)
	said, known := k.sums[m.sum]
	o := k.shapes[m.shape]
	return known && said.unsure <= k.gone && o.marks >= max(1, o.twice)*knownWell
}

// savedMark is the size of one in a checkpoint.
const savedMark = 8 + 4 + 4 + 1

// saved is everything that is remembered, oldest first; savedText makes the text of it that a
// checkpoint has.
func (k *recognized) saved() []mark {
	all := make([]mark, 0, k.marks.len())
	for i := range k.marks.len() {
		all = append(all, k.marks.at(i))
	}
	return all
}

func savedText(marks []mark) string {
	raw := make([]byte, 0, savedMark*len(marks))
	for _, m := range marks {
		raw = binary.LittleEndian.AppendUint64(raw, m.sum)
		raw = binary.LittleEndian.AppendUint32(raw, m.shape)
		raw = binary.LittleEndian.AppendUint32(raw, m.at)
		raw = append(raw, bit(m.again)|bit(m.twice)<<1)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func bit(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// load takes over what a checkpoint has.
func (k *recognized) load(text string) error {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	if k.limit == 0 || k.keep == 0 {
		return nil
	}
	for ; len(raw) >= savedMark; raw = raw[savedMark:] {
		k.add(mark{
			sum: binary.LittleEndian.Uint64(raw), shape: binary.LittleEndian.Uint32(raw[8:]), at: binary.LittleEndian.Uint32(raw[12:]),
			again: raw[16]&1 != 0, twice: raw[16]&2 != 0,
		})
	}
	return nil
}

// recognize remembers an arrival that is in the log.
func (c *core) recognize(e *entry, messages []history.Message) {
	e.mark = c.recognized.mark(&e.Arrival, slices.ContainsFunc(messages, func(m history.Message) bool { return unnumbered(&m.Message) }))
	c.recognized.note(e)
}
