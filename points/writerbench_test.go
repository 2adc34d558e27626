package points

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	influxhttp "github.com/influxdata/influxdb-client-go/v2/api/http"
	"pgregory.net/rapid"

	"devicetwin/internal/recordlog"
)

// writerBench is the collector of a writer in the hands of a test, over any
// number of runs: InfluxDB, the log and the end of the process.
type writerBench struct {
	t        fataler
	cfg      Config
	keep     recordlog.Config
	readings func(recordlog.Record, func(Reading)) error
	logger   *slog.Logger
	log      *recordlog.Log
	w        *Writer
	c        *collector
	flying   *batch             // on its way to InfluxDB
	padding  func(n int) string // makes points larger
	refusing bool               // InfluxDB refuses some points
	full     bool               // the log takes nothing

	given   int
	damaged uint64       // items of records that cannot be decoded
	taken   []string     // by InfluxDB
	gone    map[int]bool // with the memory of a process, maybe
	dropped uint64       // counted in earlier runs
}

type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// newWriterBench is one with a log in a folder that does not exist yet.
func newWriterBench(t fataler, cfg Config, keep recordlog.Config, logger *slog.Logger) *writerBench {
	if keep.MaxBytes == 0 {
		keep.MaxBytes = 64 << 20
	}
	b := &writerBench{t: t, cfg: cfg, keep: keep, logger: logger, gone: map[int]bool{}}
	b.start()
	return b
}

func (b *writerBench) start() {
	b.t.Helper()
	var err error
	if b.log, err = recordlog.Open(b.keep, b.logger); err != nil {
		b.t.Fatal(err)
	}
	if b.w, err = NewWriter(b.cfg, Deps{Log: b.log, Readings: b.readings, Logger: b.logger}); err != nil {
		b.t.Fatal(err)
	}
	b.c = newCollector(context.Background(), b.w)
	b.c.start = func(batch batch) { b.flying = &batch }
	toLog := b.c.toLog
	b.c.toLog = func(r recordlog.Record) (int64, error) {
		if b.full {
			return 0, recordlog.ErrFull
		}
		return toLog(r)
	}
	b.read()
}

// unbounded says that the bound of the log is out of reach.
func (b *writerBench) unbounded() bool { return b.keep.MaxBytes > 8<<20 }

// read waits until what was appended is on the disk, and prepares it for InfluxDB.
func (b *writerBench) read() {
	b.t.Helper()
	b.durable()
	for {
		if b.c.read(); b.c.more != atOnce {
			return
		}
	}
}

func (b *writerBench) durable() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := b.log.Wait(ctx, b.log.Stats().End); err != nil {
		b.t.Fatal(err)
	}
}

// inLog is how many lines the log has that were not committed.
func (b *writerBench) inLog() (n int) {
	b.t.Helper()
	b.durable()
	probe, err := b.log.Cursor("probe", recordlog.Loses)
	if err != nil {
		b.t.Fatal(err)
	}
	defer probe.Close()
	probe.Move(b.log.Durable() - b.c.reader.cursor.Backlog())
	for {
		e, ok, err := probe.TryNext()
		if err != nil {
			b.t.Fatal(err)
		}
		if !ok {
			return n
		}
		n += e.Items
	}
}

// take gives the writer the next n points, each with its number as its time.
func (b *writerBench) take(n int) {
	for range n {
		fields := map[string]any{"n": float64(b.given)}
		if b.padding != nil {
			fields["padding"] = b.padding(b.given)
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
		b.read()
		b.c.send()
		b.answer(true, true)
	}
}

// drain lets InfluxDB take everything.
func (b *writerBench) drain() {
	b.c.reader.wait = 0
	b.c.enqueue()
	b.read()
	b.c.send()
	for b.flying != nil {
		b.answer(true, true)
		b.read()
	}
	b.c.show()
}

// crash ends the process without a word: the files are left as they are. What was only
// in memory is gone.
func (b *writerBench) crash() {
	b.t.Helper()
	b.durable()
	memory := append([]batch{b.c.filling}, b.c.queue...)
	if h := b.c.head; h != nil && !h.stored {
		memory = append(memory, h.parts...)
	}
	for _, m := range memory {
		for _, l := range m.lines {
			b.gone[numberOf(l)] = true
		}
	}
	b.c.show()
	left := b.keep.Dir + "+"
	if err := os.CopyFS(left, os.DirFS(b.keep.Dir)); err != nil {
		b.t.Fatal(err)
	}
	b.stopped()
	if err := os.RemoveAll(b.keep.Dir); err != nil {
		b.t.Fatal(err)
	}
	b.keep.Dir = left
}

// tear is a crash in which only a part of the last record gets to the disk.
func (b *writerBench) tear(t *rapid.T) {
	b.full, b.c.logAt = false, time.Time{}
	b.c.enqueue()
	b.durable()
	first, before := b.given, b.log.Stats().End
	b.take(1)
	b.c.enqueue()
	torn := b.log.Stats().End > before
	b.crash()
	if !torn {
		return // what is being sent from memory is in the way
	}
	b.gone[first] = true
	files, err := filepath.Glob(filepath.Join(b.keep.Dir, "*.log"))
	if err != nil || len(files) == 0 {
		b.t.Fatal("no segments", err)
	}
	last := files[len(files)-1]
	info, err := os.Stat(last)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.Truncate(last, info.Size()-int64(rapid.IntRange(1, 40).Draw(t, "bytes that are missing"))); err != nil {
		b.t.Fatal(err)
	}
}

// end stops the process as it should be.
func (b *writerBench) end() {
	b.c.close()
	if b.flying != nil {
		b.c.results <- errors.New("cancelled")
	}
	b.c.abandon()
	if n := b.w.counts.dropped.Load(); n > 0 && !b.full && b.unbounded() {
		b.t.Fatalf("%d points were dropped at the end, and not put into the log", n)
	}
	b.stopped()
}

func (b *writerBench) stopped() {
	b.w.reader.cursor.Close()
	if err := b.log.Close(); err != nil {
		b.t.Fatal(err)
	}
	b.flying, b.full = nil, false
	b.dropped += b.w.counts.dropped.Load()
}

// check looks for points that are missing or out of order, after drain.
func (b *writerBench) check(t fataler) {
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
	if st.logDropped.Load() > b.damaged && b.unbounded() {
		t.Fatalf("%d points are lost in a log that never was full", st.logDropped.Load())
	}
	if st.waiting() != 0 || st.bytes() != 0 || st.backlogBytes.Load() != 0 || st.backlogSince.Load() != 0 {
		t.Fatalf("something is left: %+v", st)
	}
}
