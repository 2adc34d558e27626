package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/bridge/history"
	"devicetwin/deploy/devstack/process"
	"devicetwin/device"
	"devicetwin/internal/recordlog"
	"devicetwin/simulator"
	"devicetwin/wire"
)

// logBench is a log of arrivals of one device, in which each letter is one: r a reading, s a
// status, f a fault; and o an outcome.
type logBench struct {
	t   *testing.T
	dir logFolder
	seq uint64
	at  time.Time
}

func newLogBench(t *testing.T) *logBench {
	return &logBench{t: t, dir: logFolder(t.TempDir()), at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// put appends records, one a second, and returns where they end.
func (b *logBench) put(kinds string) (end int64) {
	b.t.Helper()
	l, err := recordlog.Open(recordlog.Config{Dir: string(b.dir), MaxBytes: recordlog.MinBytes}, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, kind := range kinds {
		b.at = b.at.Add(time.Second)
		r := recordlog.Record{Kind: history.KindOutcome, At: b.at, Data: history.Outcome{ID: "p1", UpTo: 7}.Append(nil)}
		if kind != 'o' {
			r.Kind, r.Data = history.KindArrival, b.arrival(kind).Append(nil)
		}
		if end, err = l.Append(r); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		b.t.Fatal(err)
	}
	return end
}

func (b *logBench) arrival(kind rune) *history.Arrival {
	b.seq++
	channel, payload := device.ChannelTelemetry, `{"temperature":20}`
	switch kind {
	case 's':
		channel, payload = device.ChannelStatus, `{"status":"boot"}`
	case 'f':
		payload = `{"code":117}`
	}
	m := history.Message{Received: wire.Received{ID: "p1", Object: []byte(payload)}}
	m.Message = device.Message{Channel: channel, Epoch: 3, Seq: b.seq, Time: b.at}
	return &history.Arrival{Payload: []byte(payload), Messages: []history.Message{m}}
}

// cursors writes how far both readers were.
func (b *logBench) cursors(signals, points int64) {
	b.t.Helper()
	for name, at := range map[string]int64{"signals": signals, "points": points} {
		if err := os.WriteFile(filepath.Join(string(b.dir), "cursor-"+name), fmt.Appendf(nil, "%d\n", at), 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
}

// left are the numbers of the messages that can still be read.
func (b *logBench) left() (seqs []uint64) {
	b.t.Helper()
	records, err := b.dir.records()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range records {
		if e.Kind != history.KindArrival {
			continue
		}
		a, err := history.ReadArrival(e.Data, e.At)
		if err != nil {
			b.t.Fatal(err)
		}
		seqs = append(seqs, a.Messages[0].Message.Seq)
	}
	return seqs
}

// Exactly the named messages are destroyed: readings in a row that were not delivered, and
// that came late enough.
func TestDamageUndelivered(t *testing.T) {
	for name, c := range map[string]struct {
		delivered, rest string
		after           int // seconds
		want            []uint64
	}{
		"all":                  {"rr", "rrr", 0, []uint64{3, 4, 5}},
		"the longest":          {"", "rsrrfr", 0, []uint64{3, 4}},
		"an outcome between":   {"r", "sroors", 0, []uint64{3, 4}},
		"late ones only":       {"r", "rrrrr", 4, []uint64{4, 5, 6}},
		"no more than so many": {"", strings.Repeat("r", 20), 0, []uint64{1, 2, 3, 4, 5, 6, 7, 8}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newLogBench(t)
			begin := b.at
			delivered := int64(0)
			if c.delivered != "" {
				delivered = b.put(c.delivered)
			}
			b.put(c.rest)
			b.cursors(delivered+1000, delivered)
			before := b.left()
			damaged, err := b.dir.damageUndelivered(begin.Add(time.Duration(c.after) * time.Second))
			if err != nil {
				t.Fatal(err)
			}
			var got []uint64
			for _, m := range damaged {
				if m.Device != "p1" || m.Epoch != 3 {
					t.Errorf("damaged is %+v", m)
				}
				got = append(got, m.Seq)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("damaged are %v, want %v", got, c.want)
			}
			want := slices.DeleteFunc(before, func(seq uint64) bool { return slices.Contains(c.want, seq) })
			if left := b.left(); !slices.Equal(left, want) {
				t.Errorf("left are %v, want %v", left, want)
			}
		})
	}
}

func TestNothingToDamage(t *testing.T) {
	b := newLogBench(t)
	end := b.put("rrr")
	b.put("sfo")
	b.cursors(end, end)
	if damaged, err := b.dir.damageUndelivered(time.Time{}); err == nil {
		t.Errorf("damaged are %v", damaged)
	}
}

// What was delivered is damaged at two places, and nothing else is.
func TestDamageDelivered(t *testing.T) {
	b := newLogBench(t)
	delivered := b.put(strings.Repeat("r", 400))
	b.put("rrrrr")
	b.cursors(delivered, delivered+200)
	if at, err := b.dir.delivered(); err != nil || at != delivered {
		t.Errorf("delivered to %d, want %d: %v", at, delivered, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.dir.awaitDelivered(ctx); err != nil {
		t.Errorf("enough is delivered: %v", err)
	}
	if err := b.dir.damageDelivered(); err != nil {
		t.Fatal(err)
	}
	left := b.left()
	if n := len(left); n > 400 || n < 200 || !slices.Equal(left[n-5:], []uint64{401, 402, 403, 404, 405}) {
		t.Errorf("left are %v", left)
	}
	if slices.Contains(left, 400) || slices.Contains(left, 205) || !slices.Contains(left, 1) {
		t.Errorf("left are %v", left)
	}
}

// A checkpoint is waited for until there is another one.
func TestAwaitCheckpoint(t *testing.T) {
	dir := logFolder(t.TempDir())
	ctx, cancel := context.WithTimeoutCause(t.Context(), 3*flowEvery, errors.New("none"))
	defer cancel()
	if _, err := dir.awaitCheckpoint(ctx, nil); err == nil {
		t.Error("found a checkpoint where there is none")
	}
	if err := os.WriteFile(dir.checkpoint(), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	old, err := dir.awaitCheckpoint(t.Context(), nil)
	if err != nil || string(old) != "old" {
		t.Errorf("%q, %v", old, err)
	}
	if found, err := dir.awaitCheckpoint(ctx, old); err == nil {
		t.Errorf("%q is another checkpoint than %q", found, old)
	}
}

// A case in which records were damaged may lose what was in them, and nothing else.
func TestJudgeDamage(t *testing.T) {
	message := func(seq uint64) simulator.LostMessage { return simulator.LostMessage{Device: "p1", Epoch: 3, Seq: seq} }
	damaged := func() Outcome {
		o := cleanOutcome()
		o.Fault, o.damaged = string(Damage), []simulator.LostMessage{message(1), message(2), message(3)}
		o.Lost = []LostMessage{{LostMessage: message(2), LastSeen: Received}}
		o.Simulation.Clean, o.Simulation.Lost, o.Simulation.Applied, o.Simulation.DevicesUnsettled = false, 1, 99, 1
		o.Points.Damaged = 1
		return o
	}
	// The broker delivers them again, after later ones that the log still had.
	redelivered := func(o *Outcome) {
		o.Ack, o.Lost = process.Accepted, nil
		o.Simulation.Lost, o.Simulation.Applied, o.Simulation.DevicesUnsettled, o.Simulation.Reordered = 0, 100, 0, 3
	}
	for name, c := range map[string]struct {
		change func(*Outcome)
		want   bool
	}{
		"as damaged":             {func(*Outcome) {}, true},
		"another is lost":        {func(o *Outcome) { o.Lost[0].Seq = 4 }, false},
		"more than are known":    {func(o *Outcome) { o.Simulation.Lost, o.Simulation.Applied = 2, 98 }, false},
		"the others come late":   {func(o *Outcome) { o.Simulation.Reordered = 2 }, true},
		"reordered as well":      {func(o *Outcome) { o.Simulation.Reordered = 3 }, false},
		"spurious as well":       {func(o *Outcome) { o.Simulation.ReprovisionsSpurious = 1 }, false},
		"unsettled otherwise":    {func(o *Outcome) { o.Simulation.DevicesUnsettled = 2 }, false},
		"dead letters":           {func(o *Outcome) { o.Simulation.DeadLetters = 1 }, false},
		"points missing as well": {func(o *Outcome) { o.Points.Missing = 6 }, false},
		"the broker had them":    {func(o *Outcome) { o.Ack = process.Accepted }, false},
		"the broker has them":    {redelivered, true},
		"later than that":        {func(o *Outcome) { redelivered(o); o.Simulation.Reordered = 4 }, false},
		"twice":                  {func(o *Outcome) { redelivered(o); o.Simulation.Duplicated = 1 }, false},
	} {
		o := damaged()
		c.change(&o)
		if o.conclude(nil); o.Clean != c.want {
			t.Errorf("%s: clean is %v, %s", name, o.Clean, o.Error)
		}
	}
	none := damaged()
	none.Lost, none.Points.Damaged, none.Simulation = nil, 0, cleanOutcome().Simulation
	if none.conclude(nil); none.Clean || none.verdict() != "error" {
		t.Errorf("no effect: %s, %s", none.verdict(), none.Error)
	}
	none.Ack = process.Accepted
	if none.conclude(nil); !none.Clean {
		t.Errorf("what the broker still has is not missing: %s", none.Error)
	}
}
