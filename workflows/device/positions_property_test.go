package device

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"devicetwin/device"
)

// Whatever a device sends, in whatever batches its bridge's log delivers it, and from
// wherever it delivers it again after crashes: what comes out is what would have come out
// had each message been delivered once, in a batch of one, and without a log.
func TestEachPositionIsAppliedOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLog(t)
		once := newCounting(t, rulesLog)
		for _, r := range l.records {
			once.given(device.Batch{Messages: []device.Message{r.message}})
		}
		d := newCounting(t, rulesLog)
		again := l.deliver(t, &d)
		if got, want := d.decided(), once.decided(); got != want {
			t.Fatalf("applied\n%s\nwant\n%s", got, want)
		}
		if got, want := d.state.Delivery.Duplicates, once.state.Delivery.Duplicates+again; got != want {
			t.Errorf("%d duplicates, want %d", got, want)
		}
		if !l.odd {
			if got, want := d.decided(), l.expected(); got != want {
				t.Errorf("applied\n%s\nwant each once, in order:\n%s", got, want)
			}
		}
		once.state.Delivery.Duplicates, once.state.Delivery.Logs = d.state.Delivery.Duplicates, d.state.Delivery.Logs
		if got, want := d.written(t), once.written(t); got != want {
			t.Errorf("the state is\n%s\nwant\n%s", got, want)
		}
	})
}

// recorded is a message with the log that it is in. It is in none if it has no position.
type recorded struct {
	log     string
	message device.Message
}

// recordedLog is what a bridge recorded of one device, from one start to the next under
// another name.
type recordedLog struct {
	records []recorded
	odd     bool // numberings begin again without a higher epoch, and copies are marked

	starts int
	events int
	pos    int64
	clock  time.Time
	epoch  int64
	seq    uint64
}

func drawLog(t *rapid.T) *recordedLog {
	l := &recordedLog{odd: rapid.Bool().Draw(t, "odd"), clock: time.UnixMilli(1_000_000).UTC(), epoch: 1}
	l.start(t)
	for range rapid.IntRange(1, 60).Draw(t, "records") {
		switch rapid.SampledFrom([]string{"numbered", "unnumbered", "unnumbered", "many unnumbered", "array", "gap", "seen", "restart", "start", "copy"}).Draw(t, "next") {
		case "numbered":
			l.record(t, l.numbered())
		case "unnumbered":
			l.record(t, l.unnumbered(t))
		case "many unnumbered":
			for range rapid.IntRange(keptDigests, 2*keptDigests).Draw(t, "count") {
				l.record(t, l.unnumbered(t))
			}
		case "array":
			var list []device.Message
			for range rapid.IntRange(2, 6).Draw(t, "objects") {
				list = append(list, l.numbered())
			}
			l.record(t, list...)
		case "gap":
			l.seq += 3
			m := l.numbered()
			l.record(t, device.Message{Channel: device.ChannelSystem, Name: device.EventSequenceGap, Time: m.Time}, m)
		case "seen":
			l.tick()
			l.records = append(l.records, recorded{message: device.Message{Channel: device.ChannelSystem, Name: device.MessageSeen, Time: l.clock}})
		case "restart":
			l.seq = 0
			if !l.odd {
				l.epoch++
			}
		case "start":
			l.start(t)
		case "copy":
			l.copy(t)
		}
	}
	return l
}

// start gives the log another name. What its positions begin with says nothing.
func (l *recordedLog) start(t *rapid.T) {
	l.starts++
	l.pos = rapid.Int64Range(0, 1000).Draw(t, "begins at")
}

// record appends one record: its messages have consecutive positions.
func (l *recordedLog) record(t *rapid.T, list ...device.Message) {
	l.pos += rapid.Int64Range(1, 300).Draw(t, "size of the record before")
	for _, m := range list {
		m.Pos = l.pos
		l.records = append(l.records, recorded{fmt.Sprintf("log-%d", l.starts), m})
		l.pos++
	}
}

func (l *recordedLog) tick() { l.clock = l.clock.Add(time.Second) }

func (l *recordedLog) event() device.Message {
	l.tick()
	l.events++
	return device.Message{Channel: device.ChannelEvents, Name: "e", Data: map[string]any{"n": float64(l.events)}, Time: l.clock}
}

func (l *recordedLog) numbered() device.Message {
	l.seq++
	m := l.event()
	m.Epoch, m.Seq = l.epoch, l.seq
	return m
}

func (l *recordedLog) unnumbered(t *rapid.T) device.Message {
	m := l.event()
	m.Digest = rapid.SampledFrom([]string{"aa", "bb", "cc"}).Draw(t, "digest")
	m.Redelivered = l.odd && rapid.Bool().Draw(t, "marked")
	return m
}

// copy records a message again, as one that the broker or the device repeated.
func (l *recordedLog) copy(t *rapid.T) {
	if !l.odd || len(l.records) == 0 {
		return
	}
	m := rapid.SampledFrom(l.records).Draw(t, "copied").message
	l.tick()
	m.Time, m.Redelivered = l.clock, rapid.Bool().Draw(t, "marked")
	l.record(t, m)
}

// deliver delivers everything to a run, in any batches, and after crashes again from any
// place on from which the logs are not too many. It continues the run as new between any
// two batches. It returns how many messages with a position it delivered again.
func (l *recordedLog) deliver(t *rapid.T, d **run) (again uint64) {
	crashes := rapid.IntRange(0, 6).Draw(t, "crashes")
	for at, highest := 0, 0; at < len(l.records); {
		var batch device.Batch
		for most := rapid.IntRange(1, 50).Draw(t, "batch"); at < len(l.records) && len(batch.Messages) < most; at++ {
			r := l.records[at]
			if at < highest && r.message.Pos == 0 {
				continue // the log does not have it
			}
			if batch.Log == "" {
				batch.Log = r.log
			}
			if r.log != "" && r.log != batch.Log {
				break
			}
			if at < highest {
				again++
			}
			batch.Messages = append(batch.Messages, r.message)
		}
		highest = max(highest, at)
		(*d).given(batch)
		if rapid.Bool().Draw(t, "continued as new") {
			*d = continued(t, *d)
		}
		if crashes > 0 && rapid.Bool().Draw(t, "crash") {
			crashes--
			at = rapid.IntRange(l.earliest(highest), at).Draw(t, "again from")
		}
	}
	return again
}

// earliest is where a crash may make the delivery begin again: the workflow knows the
// logs from there on.
func (l *recordedLog) earliest(highest int) int {
	var logs []string
	for at := highest - 1; at >= 0; at-- {
		if log := l.records[at].log; log != "" && !slices.Contains(logs, log) {
			if len(logs) == keptLogs {
				return at + 1
			}
			logs = append(logs, log)
		}
	}
	return 0
}

// continued is the next run: it has the state, as JSON. Effects that wait are kept for
// the comparison; a run ends when they are carried out.
func continued(t *rapid.T, d *run) *run {
	raw, err := json.Marshal(Input{Device: testDevice, Model: d.state.Model, State: d.state})
	if err != nil {
		t.Fatal(err)
	}
	in, err := decodeInput(raw)
	if err != nil {
		t.Fatal(err)
	}
	next := resumed(d.model, in.State, d.settings.Rules)
	next.settings = d.settings
	next.pending = d.pending
	return next
}

// expected is what is decided if each message is applied once, in order.
func (l *recordedLog) expected() string {
	var list []string
	for _, r := range l.records {
		switch r.message.Name {
		case "e":
			list = append(list, fmt.Sprint(r.message.Data["n"]))
		case device.EventSequenceGap:
			list = append(list, "sequence")
		}
	}
	return strings.Join(list, " ")
}
