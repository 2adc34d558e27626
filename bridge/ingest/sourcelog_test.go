package ingest

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"devicetwin/device"
	"devicetwin/internal/testlog"
	"devicetwin/wire"
)

// partition is a source with a log: a topic's partition of Kafka, with the group's offset.
type partition struct {
	records   []partitionRecord
	committed int // offset from which another process begins
}

type partitionRecord struct{ device, payload string }

// twinLog is what the workflow of a device keeps of logs (workflows/device.LogPosition), and
// what it applied.
type twinLog struct {
	last    map[string]int64
	applied []string
}

// take applies a batch as a workflow does.
func (w *twinLog) take(b device.Batch) {
	for _, m := range b.Messages {
		if m.Pos > 0 && m.Pos <= w.last[b.Log] {
			continue
		}
		if m.Pos > 0 {
			w.last[b.Log] = m.Pos
		}
		if m.Channel == device.ChannelTelemetry {
			w.applied = append(w.applied, fmt.Sprint(m.Data["id"]))
		}
	}
}

// member is a process that reads the partition, or did.
type member struct {
	*bench
	log  *memoryLog // nil: it has no journal
	next int        // record that it receives next
	seen int        // signals that the world has dealt with
	open map[string]device.Batch
}

// group is a group of consumers of one partition: one has it, others had.
type group struct {
	t *rapid.T
	partition
	twins   map[string]*twinLog
	members []*member
	acked   int // by the member that has it
}

const partitionLog = "AAAAAAAAAAAAAAAAAAAAAA:7"

// join lets a new process have the partition, or one that had it before.
func (g *group) join(old *member, cfg Config, journal bool) {
	if len(g.members) > 0 {
		last := g.members[len(g.members)-1]
		last.close(last.w, last.now)
		last.w = nil
	}
	m := old
	if m == nil {
		m = &member{bench: newBenchOf(cfg, false, wire.DefaultConfig(), testModel{}), open: map[string]device.Batch{}}
		m.close(m.w, m.now)
		if journal {
			m.log = &memoryLog{}
			m.core.journal, m.core.instance = m.log, fmt.Sprint("process-", len(g.members))
		}
	} else {
		g.members = slices.DeleteFunc(g.members, func(o *member) bool { return o == old })
	}
	m.w = m.lane("kafka")
	again := m.next
	m.next, g.acked = g.committed, g.committed
	g.members = append(g.members, m)
	for m.next < again && !m.full(m.w) { // so that what is still under way is adopted
		g.receive(m, true)
	}
}

func (g *group) owner() *member { return g.members[len(g.members)-1] }

// receive lets the owner receive the next record.
func (g *group) receive(m *member, again bool) {
	if m.next >= len(g.records) || m.full(m.w) {
		return
	}
	r, offset, lane := g.records[m.next], m.next, m.w
	m.next++
	m.receive(lane, "devices/"+r.device+"/telemetry", Arrival{
		Payload: []byte(r.payload), At: m.now, Again: again, Log: partitionLog, Offset: int64(offset),
		Ack: func() {
			if lane != g.owner().w {
				g.t.Fatalf("%d acknowledged after the partition was lost", offset)
			}
			if offset != g.acked {
				g.t.Fatalf("%d acknowledged after %d", offset, g.acked)
			}
			g.checkAccepted(offset)
			g.acked++
		},
	})
}

// checkAccepted fails if a record that matters is acknowledged before its workflow has it.
func (g *group) checkAccepted(offset int) {
	r := g.records[offset]
	if id, hot := idOf(r.payload); hot && !slices.Contains(g.twins[r.device].applied, id) {
		g.t.Fatalf("offset %d of %s acknowledged before it was accepted", offset, r.device)
	}
}

func idOf(payload string) (id string, hot bool) {
	var objects []map[string]any
	if payload[0] != '[' {
		payload = "[" + payload + "]"
	}
	if err := json.Unmarshal([]byte(payload), &objects); err != nil {
		panic(err)
	}
	o := objects[len(objects)-1] // the last of an array is the last to be accepted
	_, hot = o["hot"]
	return fmt.Sprint(o["id"]), hot
}

// work carries out what a process wants: how says for each of its deliveries how it ends.
func (g *group) work(m *member, how func() string) {
	if m.log != nil {
		m.upTo(m.log.end)
	}
	for ; m.seen < len(m.out.signals); m.seen++ {
		s := m.out.signals[m.seen]
		m.open[s.device] = s.batch
	}
	for _, name := range slices.Sorted(mapKeys(m.open)) {
		batch := m.open[name]
		what := how()
		if what == "later" {
			continue
		}
		delete(m.open, name)
		if what != "lost" {
			g.twins[name].take(batch)
		}
		if what == "accepted" {
			m.accept(name)
		} else {
			m.fail(name, errDown)
		}
	}
	for _, l := range m.lanes {
		for _, ack := range l.outbox {
			ack()
		}
		l.outbox = nil
	}
	m.advance(10_000_000_000)
	if m.log != nil {
		m.upTo(m.log.end)
	}
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// Each record of a partition is applied once, and in order, whatever happens to the processes that
// read it: rebalances, processes that still deliver what they had, kill -9, lost commits, and
// offsets that are reset.
func TestARecordIsAppliedOnceProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := DefaultConfig()
		cfg.Window = rapid.IntRange(1, 8).Draw(t, "window")
		cfg.BatchMessages = rapid.IntRange(1, 4).Draw(t, "batch")
		cfg.AckAccepted = rapid.Bool().Draw(t, "accepted")
		cfg.QuotaRate, cfg.StuckAfter = 0, 0
		cfg.StartRate = rapid.SampledFrom([]int{0, 0, 1}).Draw(t, "start rate")
		journal := rapid.Bool().Draw(t, "journal")
		g := &group{t: t, twins: map[string]*twinLog{}}
		want := map[string][]string{}
		id := 0
		for range rapid.IntRange(5, 30).Draw(t, "records") {
			name := fmt.Sprint("d", rapid.IntRange(0, 2).Draw(t, "device"))
			if g.twins[name] == nil {
				g.twins[name] = &twinLog{last: map[string]int64{}}
			}
			var objects []string
			for range rapid.IntRange(1, 3).Draw(t, "objects") {
				id++
				if rapid.IntRange(0, 3).Draw(t, "hot") > 0 {
					objects = append(objects, fmt.Sprintf(`{"hot":1,"id":%d}`, id))
					want[name] = append(want[name], fmt.Sprint(id))
				} else {
					objects = append(objects, fmt.Sprintf(`{"id":%d}`, id))
				}
			}
			payload := objects[0]
			if len(objects) > 1 {
				payload = "[" + strings.Join(objects, ",") + "]"
			}
			g.records = append(g.records, partitionRecord{name, payload})
		}
		g.join(nil, cfg, journal)
		outcome := rapid.SampledFrom([]string{"accepted", "accepted", "later", "applied", "lost"})
		t.Repeat(map[string]func(*rapid.T){
			"receive": func(*rapid.T) { g.receive(g.owner(), false) },
			"work": func(t *rapid.T) {
				m := g.members[rapid.IntRange(0, len(g.members)-1).Draw(t, "member")]
				g.work(m, func() string { return outcome.Draw(t, "outcome") })
			},
			"commit": func(*rapid.T) { g.committed = g.acked },
			"reset": func(t *rapid.T) {
				g.committed = rapid.IntRange(0, g.committed).Draw(t, "to")
				g.join(nil, cfg, journal)
			},
			"replace": func(*rapid.T) { g.join(nil, cfg, journal) },
			"return": func(t *rapid.T) {
				g.join(g.members[rapid.IntRange(0, len(g.members)-1).Draw(t, "member")], cfg, journal)
			},
		})
		for range 1000 {
			if g.acked == len(g.records) {
				break
			}
			g.receive(g.owner(), false)
			g.work(g.owner(), func() string { return "accepted" })
		}
		if g.acked != len(g.records) {
			t.Fatalf("%d of %d records are acknowledged in the end", g.acked, len(g.records))
		}
		for _, m := range g.members { // what others still have arrives at last
			for range 100 {
				g.work(m, func() string { return "accepted" })
			}
		}
		for name, w := range g.twins {
			if !slices.Equal(w.applied, want[name]) {
				t.Fatalf("%s: applied %v, want %v", name, w.applied, want[name])
			}
		}
	})
}

// The position of a message is the same whatever its process left out, and whatever it says itself.
func TestThePositionOfARecordDependsOnNothingElse(t *testing.T) {
	positions := func(forgetful bool) map[string]int64 {
		b := newBenchOf(DefaultConfig(), false, wire.DefaultConfig(), testModel{silentAfter: 60e9, tolerance: 10e9})
		if !forgetful {
			b.receive(b.w, "devices/d/telemetry", Arrival{Payload: []byte(`{"id":0,"hot":1,"seq":1}`), At: b.now, Log: partitionLog, Offset: 5})
			b.accept("d")
		}
		b.receive(b.w, "devices/d/telemetry", Arrival{
			Payload: []byte(`[{"id":1,"seq":2},{"id":2,"hot":1,"seq":9},{"id":3,"hot":1,"seq":10}]`), At: b.now, Log: partitionLog, Offset: 6,
		})
		b.hurry(b.now)
		found := map[string]int64{}
		for len(b.devices.byID["d"].work.batch) > 0 {
			for _, m := range b.lastSignal().batch.Messages {
				found[m.Name+fmt.Sprint(m.Data["id"])] = m.Pos
			}
			b.accept("d")
			if b.devices.byID["d"].work == nil {
				break
			}
		}
		if b.lastSignal().batch.Log != partitionLog {
			t.Errorf("the batch is of the log %q", b.lastSignal().batch.Log)
		}
		return found
	}
	knows, knowsNothing := positions(false), positions(true)
	for _, id := range []string{"2", "3"} {
		if knows[id] == 0 || knows[id] != knowsNothing[id] {
			t.Errorf("message %s has the positions %d and %d", id, knows[id], knowsNothing[id])
		}
	}
	gap := knows[device.EventSequenceGap+"<nil>"]
	if gap == 0 || gap >= knows["2"] || gap <= 5<<(placeBits+extraBits)|extras {
		t.Errorf("the gap before message 2 at %d has the position %d", knows["2"], gap)
	}
}

func TestARecordWithTooMuchInIt(t *testing.T) {
	many := wire.DefaultConfig()
	many.MaxObjects = MaxMessages + 1
	for what, a := range map[string]Arrival{
		"messages": {Payload: []byte("[" + strings.Repeat(`{},`, MaxMessages) + "{}]"), Offset: 1},
		"offset":   {Payload: []byte(`{"hot":1}`), Offset: MaxOffset + 1},
		"-1":       {Payload: []byte(`{"hot":1}`), Offset: -1},
	} {
		b := newBenchOf(DefaultConfig(), false, many, testModel{})
		a.Log, a.At, a.Ack = partitionLog, b.now, func() { b.acked = append(b.acked, "x") }
		b.receive(b.w, "devices/d/telemetry", a)
		if len(b.out.letters) != 1 || b.acks() != "x" || len(b.out.signals) != 0 {
			t.Errorf("%s: %d dead letters, acknowledged %q, %d deliveries", what, len(b.out.letters), b.acks(), len(b.out.signals))
			continue
		}
		if l := b.out.letters[0]; l.Reason != wire.ReasonTooLarge || !strings.Contains(l.Detail, what) {
			t.Errorf("%s: refused as %v", what, l.Refused)
		}
	}
	b := newBenchOf(DefaultConfig(), false, many, testModel{})
	payload := "[" + strings.Repeat(`{},`, MaxMessages-1) + `{"hot":1}]`
	b.receive(b.w, "devices/d/telemetry", Arrival{Payload: []byte(payload), At: b.now, Log: partitionLog, Offset: MaxOffset})
	if pos := b.lastSignal().batch.Messages[0].Pos; pos != math.MaxInt64 {
		t.Errorf("the last message of the last offset has the position %d", pos)
	}
}

// A message of two sources is in two batches, in its order, and nothing is left out because of
// what would leave in another one.
func TestRecordsOfTwoLogs(t *testing.T) {
	b := newBenchOf(DefaultConfig(), true, wire.DefaultConfig(), testModel{})
	send := func(log string, id int) {
		b.receive(b.w, "devices/d/telemetry", Arrival{Payload: fmt.Appendf(nil, `{"hot":1,"id":%d}`, id), At: b.now, Log: log, Offset: int64(id)})
	}
	logs := []string{"a", "a", "b", "", "b", "a"}
	for id, log := range logs {
		send(log, id)
	}
	if w := b.devices.byID["d"].work; !b.leavesInParts(w) {
		t.Error("what is pending is of two logs, and leaves in one batch")
	}
	var got []string
	for range 10 {
		s := b.lastSignal()
		got = append(got, s.batch.Log+": "+s.ids())
		b.accept("d")
		b.elapsed(b.now.Add(10e9))
		if b.inFlight == 0 {
			break
		}
	}
	if want := "a: 0, a: 1, b: 2 3 4, a: 5"; strings.Join(got, ", ") != want {
		t.Errorf("delivered %s, want %s", strings.Join(got, ", "), want)
	}
	if l := b.devices.byID["d"].work; l != nil {
		t.Errorf("%+v waits", l)
	}
}

// A record that is delivered again is known by its place, not by its content: here the first of two
// equal ones was another process's meanwhile.
func TestARecordIsNotTakenForAnEqualOne(t *testing.T) {
	cfg := DefaultConfig()
	cfg.BatchMessages = 1
	b := newBenchOf(cfg, false, wire.DefaultConfig(), testModel{})
	send := func(offset int, again bool) {
		b.receive(b.w, "devices/d/telemetry", Arrival{
			Payload: []byte(`{"hot":1,"id":7}`), Again: again, At: b.now, Log: partitionLog, Offset: int64(offset),
			Ack: func() { b.acked = append(b.acked, fmt.Sprint(offset)) },
		})
	}
	send(0, false)
	send(1, false)
	b.reconnect()
	send(1, true)
	b.accept("d") // the first one
	if got := b.acks(); got != "" {
		t.Errorf("acknowledged %q when an equal record was accepted", got)
	}
	b.advance(time.Minute)
	b.accept("d")
	if got := b.acks(); got != "1" || len(b.out.signals) != 2 {
		t.Errorf("acknowledged %q after %d deliveries, want 1 after 2", got, len(b.out.signals))
	}
}

// What waits in the journal of a process that is killed keeps its positions, and is adopted when
// the source delivers it again.
func TestARecordOfASourcesLogIsRecovered(t *testing.T) {
	bothModes(t, func(t *testing.T, accepted bool) {
		mode := func(c *Config) { c.AckAccepted = accepted }
		p := openProcess(t, t.TempDir(), mode, testModel{})
		send := func(offset int) {
			p.receive(p.w, "devices/d/telemetry", Arrival{
				Payload: fmt.Appendf(nil, `{"hot":1,"id":%d}`, offset), Again: true, At: p.now, Log: partitionLog, Offset: int64(offset),
				Ack: func() { p.acked = append(p.acked, fmt.Sprint(offset)) },
			})
		}
		send(0)
		send(1)
		p.flush()
		if got := p.acks(); got != "" {
			t.Errorf("acknowledged %q before it was accepted", got)
		}
		want := p.lastSignal().batch.Messages[0].Pos
		p = p.reborn(mode, testModel{})
		send(0)
		send(1)
		send(2)
		if got := p.acks(); got != "" {
			t.Errorf("acknowledged %q before what was recovered was accepted", got)
		}
		p.elapsed(p.now)
		var got []string
		for p.flush(); p.inFlight > 0; p.flush() {
			s := p.lastSignal()
			if s.batch.Log != partitionLog || s.batch.Messages[0].Pos < want {
				t.Errorf("delivered %+v, want log %q from position %d on", s.batch, partitionLog, want)
			}
			got = append(got, s.ids())
			p.accept("d")
		}
		if ids := strings.Join(got, " "); ids != "0 1 2" || p.acks() != "0 1 2" {
			t.Errorf("delivered %q, acknowledged %q, want each once", ids, p.acks())
		}
		p.checkSettled(t)
	})
}

// A message that was held back has its position in the log of the record that releases it, before that
// record: its own may be in another log, or below what was delivered since.
func TestAMessageThatIsReleasedHasThePositionOfWhatReleasesIt(t *testing.T) {
	r := newReadings(t, nil)
	send := func(log string, offset, seq, temperature int) {
		r.receive(r.w, "devices/d/telemetry", Arrival{Payload: fmt.Appendf(nil, `{"seq":%d,"t":%d}`, seq, temperature), At: r.now, Log: log, Offset: int64(offset)})
		r.acceptAll()
	}
	for seq := 500; seq < 503; seq++ {
		send("a", seq, seq, 85)
	}
	r.said()
	send("a", 503, 1, 95) // held back: it seems to be late
	send("b", 6, 2, 85)
	told := len(r.out.signals)
	send("b", 7, 3, 75) // shows that the device began again
	positions := map[uint64]int64{}
	for _, s := range r.out.signals[told:] {
		if s.batch.Log != "b" {
			t.Errorf("delivered in log %q, want b", s.batch.Log)
		}
		for _, m := range s.batch.Messages {
			positions[m.Seq] = m.Pos
		}
	}
	if released, of := positions[1], positions[3]; released <= 7<<(placeBits+extraBits) || released >= of {
		t.Errorf("released at %d by what is at %d; want after %d and before it", released, of, 7<<(placeBits+extraBits))
	}
}

// What a source with a log of its own delivers stays unacknowledged while Temporal is down, whatever the
// bridge keeps; what an MQTT broker delivers waits in the log.
func TestHowMessagesWaitForTemporal(t *testing.T) {
	for _, c := range []struct {
		accepted bool
		log      string
		want     string
	}{
		{false, "", "messages wait in the log until it does"},
		{true, "", "messages stay unacknowledged until it does"},
		{false, partitionLog, "messages stay unacknowledged until it does"},
	} {
		var lines testlog.Lines
		p := openProcess(t, t.TempDir(), func(cfg *Config) { cfg.AckAccepted, cfg.LingerMax = c.accepted, 0 }, testModel{})
		p.core.log = lines.Logger()
		p.receive(p.w, "devices/d/telemetry", Arrival{Payload: []byte(`{"hot":1}`), At: p.now, Log: c.log})
		p.flush()
		for range 50 {
			if lines.Count("not accepting signals") > 0 {
				break
			}
			if p.inFlight > 0 {
				p.fail("d", errDown)
			}
			p.advance(10 * time.Second)
		}
		if said := lines.String(); !strings.Contains(said, c.want) {
			t.Errorf("accepted %t, log %q: said %q, want %q", c.accepted, c.log, said, c.want)
		}
	}
}
