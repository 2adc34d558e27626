package ingest

import (
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"devicetwin/internal/recordlog"
	"devicetwin/wire"
)

// lossyJournal takes records and keeps nothing.
type lossyJournal struct{ end int64 }

func (l *lossyJournal) AppendAt(r recordlog.Record) (start, end int64, err error) {
	start = l.end
	l.end += int64(28 + len(r.Data))
	return start, l.end, nil
}

// newLoggedReceiver is a receiver whose messages are recorded.
func newLoggedReceiver(payload string) (*receiver, *lossyJournal) {
	r, l := newReceiver(payload), &lossyJournal{}
	r.core.journal, r.core.instance = l, "log"
	return r, l
}

// nextLogged is next of a receiver with a log, whose disk is always a few messages behind.
func (r *receiver) nextLogged(l *lossyJournal, last bool) {
	r.next(false)
	if r.sent%64 == 0 || last {
		r.upTo(l.end)
		for r.inFlight > 0 {
			r.accept(r.out.signals[len(r.out.signals)-r.inFlight].device)
		}
		r.out.signals = r.out.signals[:0]
		r.w.outbox = r.w.outbox[:0]
	}
}

// BenchmarkReceiveWithALog is BenchmarkReceive with what a log costs the core.
func BenchmarkReceiveWithALog(b *testing.B) {
	for name, payload := range map[string]string{"irrelevant": irrelevantReading, "relevant": relevantReading} {
		b.Run(name, func(b *testing.B) {
			r, l := newLoggedReceiver(payload)
			b.ReportAllocs()
			for i := range b.N {
				r.nextLogged(l, i == b.N-1)
			}
			b.ReportMetric(float64(l.end)/float64(b.N), "bytes/record")
		})
	}
}

// A message that is left out costs few allocations more if it is recorded.
func TestALeftOutMessageCostsLittleWithALog(t *testing.T) {
	r, l := newLoggedReceiver(irrelevantReading)
	for range 2000 {
		r.nextLogged(l, false)
	}
	if n := testing.AllocsPerRun(5000, func() { r.nextLogged(l, false) }); n > 13 {
		t.Errorf("%v allocations, want 13 at most", n)
	}
}

// benchmarkedLog is a log with records of 1000 devices, most of them irrelevant.
func benchmarkedLog(b *testing.B, records int) string {
	dir := b.TempDir()
	p := openProcess(b, dir, func(c *Config) { c.QuotaRate = 0 }, modelOf(b, tank))
	p.checkpointNow()
	for i := range records {
		p.deliver(fmt.Sprintf("devices/d%d/telemetry", i%1000), fmt.Sprintf(`{"seq":%d,"ts":%d,"t":%d,"pressure":3.2,"mode":"auto"}`, i/1000+1, 1767225600000+i, 20+i/1000%50), "", false)
		if i%100 == 99 {
			p.now = p.now.Add(10 * time.Millisecond)
			p.upTo(p.log.Durable())
			for p.inFlight > 0 {
				p.accept(p.out.signals[len(p.out.signals)-p.inFlight].device)
			}
			p.out.signals, p.out.points, p.w.outbox = nil, nil, nil
		}
		for p.full(p.w) {
			p.flush()
			p.w.outbox = nil
		}
	}
	p.flush()
	p.log.Close()
	return dir
}

// BenchmarkRecover rolls the states of devices forward over 100,000 records.
func BenchmarkRecover(b *testing.B) {
	dir := benchmarkedLog(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		copied, err := os.MkdirTemp(b.TempDir(), "")
		if err != nil {
			b.Fatal(err)
		}
		copyLog(b, dir, copied)
		b.StartTimer()
		p, err := tryProcess(copied, nil, nil, wire.DefaultConfig(), modelOf(b, tank))
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if n := len(p.devices.byID); n != 1000 {
			b.Fatalf("%d devices", n)
		}
		p.log.Close()
		b.StartTimer()
	}
}

// BenchmarkCheckpoint takes one of 100,000 devices, without the disk; the core is busy with
// a step of it at most.
func BenchmarkCheckpoint(b *testing.B) {
	const devices = 100_000
	c := newBench(DefaultConfig(), modelOf(b, tank))
	c.out.silent = true
	for i := range devices {
		c.deliver(fmt.Sprintf("devices/plant-7:pump-%06d/telemetry", i), `{"epoch":1764000000,"seq":17,"t":95}`, "", false)
		c.acceptAll()
		c.w.outbox, c.out.signals, c.out.points = nil, nil, nil
	}
	b.ReportAllocs()
	longest, size := time.Duration(0), 0
	for b.Loop() {
		k := c.beginCheckpoint(c.now)
		for done := false; !done; {
			began := time.Now()
			done = c.stepCheckpoint(k, checkpointStep)
			longest = max(longest, time.Since(began))
		}
		size = 0
		for _, part := range k.content() {
			n, _ := io.Discard.Write(part)
			size += n
		}
	}
	b.ReportMetric(float64(longest.Microseconds()), "µs/longest-step")
	b.ReportMetric(float64(size)/devices, "bytes/device")
}
