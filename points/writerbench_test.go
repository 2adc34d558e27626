package points

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"time"

	influxhttp "github.com/influxdata/influxdb-client-go/v2/api/http"
)

// writerBench is the collector of a writer in the hands of a test, over any
// number of runs: InfluxDB, the disk and the end of the process.
type writerBench struct {
	t        interface{ Fatal(...any) }
	cfg      Config
	log      *slog.Logger
	w        *Writer
	c        *collector
	flying   *batch // on its way to InfluxDB
	padding  string // makes points larger
	refusing bool   // InfluxDB refuses some points
	diskFull bool

	given   int
	taken   []string     // by InfluxDB
	gone    map[int]bool // with the memory of a process, maybe
	dropped uint64       // counted in earlier runs
}

func newWriterBench(t interface{ Fatal(...any) }, cfg Config, log *slog.Logger) *writerBench {
	b := &writerBench{t: t, cfg: cfg, log: log, gone: map[int]bool{}}
	b.start()
	return b
}

func (b *writerBench) start() {
	w, err := NewWriter(b.cfg, nil, b.log)
	if err != nil {
		b.t.Fatal(err)
	}
	w.spool.segmentBytes = 1000
	b.w, b.c = w, newCollector(context.Background(), w)
	b.c.start = func(batch batch) { b.flying = &batch }
	b.c.send()
}

// unbounded says that the bound of the spool is out of reach.
func (b *writerBench) unbounded() bool { return b.cfg.SpoolMax > 1<<20 }

// take gives the writer the next n points, each with its number as its time.
func (b *writerBench) take(n int) {
	for range n {
		fields := map[string]any{"n": float64(b.given)}
		if b.padding != "" {
			fields["padding"] = b.padding
		}
		b.c.take(queued{Point: Point{"pump", map[string]string{"device": "d"}, fields, time.Unix(0, int64(b.given))}})
		b.given++
	}
}

func numberOf(line string) (n int) {
	_, _ = fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &n)
	return n
}

// InfluxDB leaves out some points, and refuses a batch with others as a whole.
func (b *writerBench) refusesPoint(n int) bool { return b.refusing && n%41 == 40 }
func (b *writerBench) refusesBatch(n int) bool { return b.refusing && n%59 == 58 }

// influx takes a batch.
func (b *writerBench) influx(lines []string) error {
	for _, l := range lines {
		if b.refusesBatch(numberOf(l)) {
			return &influxhttp.Error{StatusCode: 400, Code: "invalid", Message: "unable to parse"}
		}
	}
	refused := 0
	for _, l := range lines {
		if b.refusesPoint(numberOf(l)) {
			refused++
		} else {
			b.taken = append(b.taken, l)
		}
	}
	if refused > 0 {
		return &influxhttp.Error{StatusCode: 400, Code: "invalid", Message: fmt.Sprintf("partial write: dropped=%d", refused)}
	}
	return nil
}

// answer ends the request that is on its way: did it arrive, and did its answer?
func (b *writerBench) answer(arrives, returns bool) {
	if b.flying == nil {
		return
	}
	var err error
	if arrives {
		err = b.influx(b.flying.lines)
	}
	if !returns {
		err = errors.New("no connection")
	}
	b.flying = nil
	b.c.sent(err)
}

func (b *writerBench) answers(n int) {
	for range n {
		b.c.send()
		b.answer(true, true)
	}
}

// drain lets InfluxDB take everything.
func (b *writerBench) drain() {
	b.c.enqueue()
	b.c.send()
	for b.flying != nil {
		b.answer(true, true)
	}
}

// full sets whether the disk is full; a batch is then written in part.
func (b *writerBench) full(yes bool) {
	b.w.spool.write, b.diskFull = (*os.File).WriteAt, yes
	if yes {
		b.w.spool.write = func(f *os.File, p []byte, at int64) (int, error) {
			n, _ := f.WriteAt(p[:len(p)/3], at)
			return n, syscall.ENOSPC
		}
	}
}

// tear appends a batch of which only a part gets to the disk.
func (b *writerBench) tear() {
	b.w.spool.write = func(f *os.File, p []byte, at int64) (int, error) {
		n, _ := f.WriteAt(p[:len(p)*2/3], at)
		f.Close() // else it would be cut off again
		return n, os.ErrClosed
	}
	b.take(1)
	b.c.enqueue()
}

// crash ends the process without a word. What was only in memory is gone.
func (b *writerBench) crash() {
	memory := append([]batch{b.c.filling}, b.c.queue...)
	if h := b.c.head; h != nil && !b.c.safe() {
		memory = append(memory, h.parts...)
	}
	for _, m := range memory {
		for _, l := range m.lines {
			b.gone[numberOf(l)] = true
		}
	}
	b.stopped()
}

// end stops the process as it should be.
func (b *writerBench) end() {
	b.c.close()
	if b.flying != nil {
		b.c.results <- errors.New("cancelled")
	}
	b.c.abandon()
	if st := b.w.counts; st.dropped.Load() > 0 && !b.diskFull && b.unbounded() {
		b.t.Fatal("points were dropped at the end, and not put into the spool", st)
	}
	b.stopped()
}

func (b *writerBench) stopped() {
	b.w.spool.close()
	b.flying, b.diskFull = nil, false
	b.dropped += b.w.counts.dropped.Load()
}

// check looks for points that are missing or out of order, after drain.
func (b *writerBench) check(t interface {
	Fatalf(format string, args ...any)
}) {
	seen := make([]bool, b.given)
	last := -1
	for _, l := range b.taken {
		n := numberOf(l)
		if !seen[n] && n < last {
			t.Fatalf("point %d was written for the first time after %d", n, last)
		}
		seen[n] = true
		last = max(last, n)
	}
	missing := 0
	for n, ok := range seen {
		if !ok && !b.gone[n] && !b.refusesPoint(n) && !b.refusesBatch(n) {
			missing++
		}
	}
	st := b.w.counts
	if uint64(missing) > b.dropped+st.dropped.Load() {
		t.Fatalf("%d points are missing, %d are counted as dropped", missing, b.dropped+st.dropped.Load())
	}
	if st.spoolDropped.Load() > 0 && b.unbounded() {
		t.Fatalf("%d points are lost in a spool that never was full", st.spoolDropped.Load())
	}
	if st.waiting() != 0 || st.bytes() != 0 || st.spoolPoints.Load() != 0 || st.spoolBytes.Load() != 0 || st.spoolOldest.Load() != 0 {
		t.Fatalf("something is left: %+v", st)
	}
}
