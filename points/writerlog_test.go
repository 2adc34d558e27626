package points

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"devicetwin/internal/recordlog"
	"devicetwin/internal/testlog"
)

// outageServer is down until back is closed.
func outageServer(t *testing.T) (s *influxServer, back chan struct{}) {
	back = make(chan struct{})
	return newInfluxServer(t, func(int, []string) (int, string) {
		select {
		case <-back:
			return http.StatusNoContent, ""
		default:
			return http.StatusServiceUnavailable, "down"
		}
	}), back
}

func wantNumbers(t *testing.T, lines []string, n int) {
	t.Helper()
	if len(lines) != n {
		t.Fatalf("%d lines, expected %d", len(lines), n)
	}
	for i, l := range lines {
		if want := fmt.Sprintf("pump,device=d n=%d %d", i, i); l != want {
			t.Fatalf("line %d: %s", i, l)
		}
	}
}

// openLog is a log that ends with the test.
func openLog(t testing.TB, cfg recordlog.Config, logger *slog.Logger) *recordlog.Log {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = filepath.Join(t.TempDir(), "log")
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 64 << 20
	}
	l, err := recordlog.Open(cfg, logger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// quickly waits for something that another goroutine does soon.
func quickly(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// An outage that lasts over a restart, with more points than fit into memory,
// loses nothing.
func TestLogOverOutageAndRestart(t *testing.T) {
	s, back := outageServer(t)
	c := testConfig(s.URL)
	c.BatchPoints, c.BatchBytes, c.QueueBytes = 100, 8<<10, 32<<10
	keep := recordlog.Config{Dir: filepath.Join(t.TempDir(), "a", "log")}
	logs := &testlog.Lines{}
	const points = 8000
	for run := range 2 {
		l := openLog(t, keep, logs.Logger())
		w, stop := startDeps(t, c, Deps{Log: l, Logger: logs.Logger()})
		for n := run * points / 2; n < (run+1)*points/2; n++ {
			for w.counts.bytes() > c.QueueBytes/8 {
				<-s.changed // InfluxDB was asked, so the collector is at work
			}
			numbered(w, n)
		}
		<-s.changed
		if run == 1 {
			quickly(t, "figures of the log", func() bool {
				return w.Metric("backlog_bytes") > 20_000 && w.Metric("backlog_seconds") > 0
			})
			close(back)
			for w.counts.written.Load() == 0 {
				<-s.changed
			}
		}
		stop() // at once while InfluxDB is down
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		st := w.counts
		if run == 0 && (st.written.Load() != 0 || st.backlogBytes.Load() == 0) || run == 1 && (st.written.Load() != points || st.backlogBytes.Load() != 0) ||
			st.dropped.Load() != 0 || st.bytes() != 0 {
			t.Errorf("stats of run %d: %+v", run, st)
		}
	}
	wantNumbers(t, s.taken(), points)
	if logs.Count("points of an earlier run may wait") != 1 {
		t.Errorf("log: %q", logs)
	}
}

// While the log takes nothing, points wait in memory, and go to the log once it does.
func TestLogTakesNothing(t *testing.T) {
	c := testConfig("http://127.0.0.1:1")
	c.BatchPoints = 10
	logs := &testlog.Lines{}
	b := newWriterBench(t, c, recordlog.Config{Dir: filepath.Join(t.TempDir(), "log")}, logs.Logger())
	defer b.stopped()
	b.take(20)
	b.read()
	b.full = true
	b.take(20)
	if st := b.w.counts; b.inLog() != 20 || st.waiting() != 20 || st.logFailures.Load() != 1 || st.bytes() == 0 {
		t.Errorf("it is full: %+v", st)
	}
	b.full = false
	b.take(10)
	if st := b.w.counts; b.inLog() != 20 || st.waiting() != 30 || st.logFailures.Load() != 1 {
		t.Errorf("tried at once again: %+v", st)
	}
	b.c.logAt = time.Now().Add(-time.Second)
	b.take(10)
	if st := b.w.counts; b.inLog() != 60 || st.bytes() != 0 || st.dropped.Load() != 0 {
		t.Errorf("it has room again: %+v", st)
	}
	if logs.Count("the log is not accepting points") != 1 || logs.Count("is accepting points again") != 1 {
		t.Errorf("log: %q", logs)
	}
	b.drain()
	wantNumbers(t, b.taken, 60)
}

// What is in memory because the log is full does not overtake what the log has, read or
// not.
func TestMemoryWaitsForTheLog(t *testing.T) {
	c := testConfig("http://127.0.0.1:1")
	c.BatchPoints, c.FlushEvery = 10, time.Hour
	b := newWriterBench(t, c, recordlog.Config{Dir: filepath.Join(t.TempDir(), "log")}, slog.New(slog.DiscardHandler))
	defer b.stopped()
	b.take(10)
	b.durable()
	b.take(5)
	b.c.enqueue()
	b.durable()
	b.full = true
	b.take(10)
	if b.flying != nil {
		t.Fatalf("on its way: %q", b.flying.lines)
	}
	b.answers(3) // five points in the log wait for others
	if b.flying != nil || len(b.taken) != 10 {
		t.Fatalf("%d points were written; on its way: %v", len(b.taken), b.flying)
	}
	b.drain()
	wantNumbers(t, b.taken, 25)
}

// Neither the log nor memory have room: the oldest in memory are dropped.
func TestLogAndMemoryAreFull(t *testing.T) {
	c := testConfig("http://127.0.0.1:1")
	c.BatchPoints, c.BatchBytes, c.QueueBytes = 10, 1<<10, 4<<10
	b := newWriterBench(t, c, recordlog.Config{Dir: filepath.Join(t.TempDir(), "log")}, slog.New(slog.DiscardHandler))
	defer b.stopped()
	b.take(10)
	b.read()
	b.full = true
	b.take(1000)
	st := b.w.counts
	if st.dropped.Load() == 0 || st.logDropped.Load() != 0 || b.inLog() != 10 || int(st.dropped.Load())+st.waiting() != 1000 || st.bytes() > c.QueueBytes {
		t.Errorf("stats: %+v", st)
	}
	b.drain()
	if len(b.taken)+int(st.dropped.Load()) != 1010 || !strings.HasSuffix(b.taken[len(b.taken)-1], " 1009") {
		t.Errorf("%d taken", len(b.taken))
	}
}

// failDisk keeps the disk of a new log from taking anything, until restore is called.
func failDisk(t *testing.T, dir string) (restore func()) {
	t.Helper()
	segment := filepath.Join(dir, fmt.Sprintf("%020d.log", 0)) // the first one
	if err := os.Mkdir(segment, 0o700); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.Remove(segment); err != nil {
			t.Fatal(err)
		}
	}
}

// While the disk of the log fails, points go on to InfluxDB from memory; what the log
// had taken before it noticed follows.
func TestDiskOfTheLogFails(t *testing.T) {
	s := newInfluxServer(t, nil)
	c := testConfig(s.URL)
	c.BatchPoints = 10
	keep := recordlog.Config{Dir: t.TempDir()}
	logs := &testlog.Lines{}
	l := openLog(t, keep, logs.Logger())
	restore := failDisk(t, keep.Dir)
	w, stop := startDeps(t, c, Deps{Log: l, Logger: logs.Logger()})
	for n := range 10 {
		numbered(w, n)
	}
	quickly(t, "a failure of the disk", func() bool { return l.Stats().Failing })
	for n := 10; n < 30; n++ {
		numbered(w, n)
	}
	quickly(t, "points that the log did not take", func() bool { return w.counts.written.Load() == 20 })
	restore()
	quickly(t, "points that the log has", func() bool { return w.counts.written.Load() == 30 })
	for n := 30; n < 40; n++ {
		numbered(w, n)
	}
	quickly(t, "new points", func() bool { return w.counts.written.Load() == 40 })
	stop()
	seen := map[string]bool{}
	for _, line := range s.taken() {
		seen[line] = true
	}
	if st := w.counts; len(seen) != 40 || st.dropped.Load() != 0 || st.logFailures.Load() == 0 {
		t.Errorf("%d points, stats %+v", len(seen), st)
	}
}

// incompressible text that is the same for the same number.
func incompressible(n, size int) string {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte('0' + r.IntN(64))
	}
	return strings.ReplaceAll(string(b), `\`, "z")
}

// A full log loses its oldest points, and counts them.
func TestFullLogLosesTheOldestPoints(t *testing.T) {
	c := testConfig("http://127.0.0.1:1")
	c.BatchPoints = 10
	logs := &testlog.Lines{}
	b := newWriterBench(t, c, recordlog.Config{Dir: filepath.Join(t.TempDir(), "log"), MaxBytes: recordlog.MinBytes}, logs.Logger())
	defer b.stopped()
	b.padding = func(n int) string { return incompressible(n, 1000) }
	for range 300 {
		b.take(10)
		b.durable()
		if st := b.log.Stats(); st.End-st.Begin > recordlog.MinBytes {
			t.Fatalf("the log has %d bytes", st.End-st.Begin)
		}
	}
	b.c.show()
	left := b.inLog()
	st := b.w.counts
	if lost := int(st.logDropped.Load()); lost == 0 || lost+left != 3000 || st.dropped.Load() != st.logDropped.Load() {
		t.Errorf("%d lost, %d left of 3000; %+v", lost, left, st)
	}
	if logs.Count("the log is full: its oldest records are lost") == 0 {
		t.Errorf("log: %q", logs)
	}
	b.drain()
	if last := b.taken[len(b.taken)-1]; !strings.HasSuffix(last, " 2999") {
		t.Errorf("the last one that was written: %s", last)
	}
	b.check(t)
}

// Where another reader must not lose anything, a full log is not accepting points: they go
// to InfluxDB from memory.
func TestLogHeldByAnotherReader(t *testing.T) {
	c := testConfig("http://127.0.0.1:1")
	c.BatchPoints = 10
	b := newWriterBench(t, c, recordlog.Config{Dir: filepath.Join(t.TempDir(), "log"), MaxBytes: recordlog.MinBytes}, slog.New(slog.DiscardHandler))
	defer b.stopped()
	holder, err := b.log.Cursor("signals", recordlog.Holds)
	if err != nil {
		t.Fatal(err)
	}
	b.padding = func(n int) string { return incompressible(n, 1000) }
	for range 200 {
		b.c.logAt = time.Time{}
		b.take(10)
		b.answers(3)
	}
	if st := b.w.counts; st.logFailures.Load() == 0 || st.logDropped.Load() != 0 {
		t.Errorf("stats: %+v", st)
	}
	holder.Commit(b.log.Durable())
	b.c.logAt = time.Time{}
	b.take(10)
	if b.inLog() == 0 {
		t.Error("nothing goes to the log, which has room again")
	}
	b.drain()
	if b.check(t); b.w.counts.dropped.Load() != 0 {
		t.Errorf("%d points were dropped", b.w.counts.dropped.Load())
	}
}

// Damage in the middle of the log costs what is in it, and is counted.
func TestLogIsDamaged(t *testing.T) {
	c := testConfig("http://127.0.0.1:1")
	c.BatchPoints, c.FlushEvery = 10, time.Hour
	logs := &testlog.Lines{}
	b := newWriterBench(t, c, recordlog.Config{Dir: filepath.Join(t.TempDir(), "log")}, logs.Logger())
	b.c.start = func(batch) {}
	var ends []int64
	for range 5 {
		b.take(10)
		ends = append(ends, b.log.Stats().End)
	}
	b.crash()
	path := filepath.Join(b.keep.Dir, fmt.Sprintf("%020d.log", 0))
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[ends[1]-5] ^= 0x10
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	b.start()
	defer b.stopped()
	b.drain()
	if got := len(b.taken); got != 40 || numberOf(b.taken[10]) != 20 {
		t.Errorf("%d points were written, the 11th is %s", got, b.taken[10])
	}
	if st := b.w.counts; st.logDropped.Load() != 10 || st.dropped.Load() != 10 || st.logDamages.Load() != 1 || logs.Count("cannot be read") != 1 {
		t.Errorf("%d points dropped, %d damages; log: %q", st.logDropped.Load(), st.logDamages.Load(), logs)
	}
}

// A segment whose file is gone, or that the disk does not return, does not stop the
// rest.
func TestSegmentOfTheLogIsGone(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"removed":    os.Remove,
		"unreadable": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
	} {
		t.Run(name, func(t *testing.T) {
			c := testConfig("http://127.0.0.1:1")
			c.BatchPoints, c.FlushEvery = 10, time.Hour
			b := newWriterBench(t, c, recordlog.Config{Dir: filepath.Join(t.TempDir(), "log"), SegmentBytes: 64 << 10}, slog.New(slog.DiscardHandler))
			defer b.stopped()
			b.padding = func(n int) string { return incompressible(n, 1000) }
			b.take(200)
			b.durable()
			files, err := filepath.Glob(filepath.Join(b.keep.Dir, "*.log"))
			if err != nil || len(files) < 3 {
				t.Fatalf("segments %q, %v; expected three at least", files, err)
			}
			if err := change(files[1]); err != nil {
				t.Fatal(err)
			}
			for range 3 * readAttempts {
				b.answers(10)
			}
			b.drain()
			if st := b.w.counts; len(b.taken) < 100 || numberOf(b.taken[len(b.taken)-1]) != 199 || st.logDamages.Load() == 0 {
				t.Errorf("%d points, damages %d", len(b.taken), st.logDamages.Load())
			}
		})
	}
}

// kindTest is a kind of records with readings.
const kindTest byte = 77

// testReadings are records of kindTest: an array of values of a device, of which each
// is a reading. The record of another kind has none.
func testReadings(r recordlog.Record, yield func(Reading)) error {
	if r.Kind != kindTest {
		return nil
	}
	var all []struct {
		N      int
		Object json.RawMessage
	}
	if err := json.Unmarshal(r.Data, &all); err != nil {
		return err
	}
	for _, each := range all {
		yield(Reading{"pump", "d", each.Object, []string{"ts"}, time.Unix(0, int64(each.N))})
	}
	return nil
}

// appendReadings appends a record with the next readings.
func (b *writerBench) appendReadings(n int) {
	b.t.Helper()
	var all []string
	for range n {
		all = append(all, fmt.Sprintf(`{"n":%d,"object":{"n":%d,"ts":1}}`, b.given, b.given))
		b.given++
	}
	b.record(recordlog.Record{Kind: kindTest, At: time.Now(), Items: n, Data: []byte("[" + strings.Join(all, ",") + "]")})
}

func (b *writerBench) record(r recordlog.Record) {
	b.t.Helper()
	if _, err := b.log.Append(r); err != nil {
		b.t.Fatal(err)
	}
}

// Readings of other records, and lines, are written in the order of the log, in batches
// of any records; and the cursor is where all before it was written.
func TestReadingsOfRecords(t *testing.T) {
	c := testConfig("http://127.0.0.1:1")
	c.BatchPoints, c.FlushEvery = 7, time.Hour
	logs := &testlog.Lines{}
	b := &writerBench{t: t, cfg: c, keep: recordlog.Config{Dir: filepath.Join(t.TempDir(), "log"), MaxBytes: 64 << 20}, readings: testReadings, logger: logs.Logger(), gone: map[int]bool{}}
	b.start()
	defer func() { b.stopped() }()
	var ends []int64 // of records, and how many points there are up to them
	var points []int
	for i := range 40 {
		switch i % 4 {
		case 0:
			b.appendReadings(i % 11)
		case 1:
			b.take(3)
			b.c.enqueue()
		case 2:
			b.record(recordlog.Record{Kind: 3, At: time.Now(), Data: []byte("an outcome")})
		case 3:
			b.record(recordlog.Record{Kind: kindTest, At: time.Now(), Items: 2, Data: []byte("no list")})
		}
		ends, points = append(ends, b.log.Stats().End), append(points, b.given)
	}
	b.read()
	for b.flying != nil {
		if n := len(b.flying.lines); n != 7 {
			t.Fatalf("a batch of %d points", n)
		}
		b.answer(true, true)
		b.read()
		committed := b.log.Durable() - b.c.reader.cursor.Backlog()
		for i, end := range ends {
			if done := points[i] <= len(b.taken); end <= committed && !done {
				t.Fatalf("%d points were written, and %d is committed, before which there are %d", len(b.taken), committed, points[i])
			}
		}
	}
	if rest := b.given % 7; len(b.taken) != b.given-rest {
		t.Errorf("%d points of %d were written in full batches", len(b.taken), b.given)
	}
	b.crash() // and what is not committed is read again
	b.start()
	b.damaged = 20
	b.drain()
	b.check(t)
	seen := map[string]bool{}
	for _, l := range b.taken {
		seen[l] = true
	}
	if len(seen) != b.given || !seen["pump,device=d n=9 9"] && !seen["pump,device=d,model=pump n=9 9"] {
		t.Errorf("%d points of %d: %q", len(seen), b.given, b.taken[:10])
	}
	if logs.Count("a record cannot be decoded") != 20 || b.w.counts.logDamages.Load() != 10 || b.w.counts.logDropped.Load() != 20 {
		t.Errorf("%d damages; log: %q", b.w.counts.logDamages.Load(), logs)
	}
}

// Whatever fails, and whenever the process ends: every point that had been put into the
// log is written at least once, in order, unless it was counted as dropped or InfluxDB
// refuses it.
func TestLogProperty(t *testing.T) {
	root := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(root, "")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		c := testConfig("http://127.0.0.1:1")
		c.BatchPoints, c.BatchBytes = rapid.IntRange(1, 6).Draw(t, "points in a batch"), 1<<10
		c.FlushEvery = rapid.SampledFrom([]time.Duration{1, time.Hour}).Draw(t, "flush every")
		keep := recordlog.Config{Dir: filepath.Join(dir, "log"), SegmentBytes: 64 << 10, MaxBytes: rapid.SampledFrom([]int64{recordlog.MinBytes, 64 << 20}).Draw(t, "bytes of the log")}
		b := &writerBench{t: t, cfg: c, keep: keep, readings: testReadings, logger: slog.New(slog.DiscardHandler), gone: map[int]bool{}, refusing: true}
		b.start()
		if size := rapid.SampledFrom([]int{0, 200, 8000}).Draw(t, "padding"); size > 0 {
			b.padding = func(n int) string { return incompressible(n, size) }
		}
		defer func() { b.log.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"points": func(t *rapid.T) { b.take(rapid.IntRange(1, 30).Draw(t, "points")) },
			"readings": func(t *rapid.T) {
				if b.full || len(b.c.queue)+len(b.c.filling.lines) > 0 {
					t.Skip("they would overtake points in memory")
				}
				b.appendReadings(rapid.IntRange(0, 15).Draw(t, "readings"))
			},
			"flush":             func(*rapid.T) { b.c.enqueue() },
			"read":              func(*rapid.T) { b.read() },
			"written":           func(*rapid.T) { b.answer(true, true) },
			"not written":       func(*rapid.T) { b.answer(false, false) },
			"answer lost":       func(*rapid.T) { b.answer(true, false) },
			"some written":      func(t *rapid.T) { b.answers(rapid.IntRange(1, 40).Draw(t, "answers")) },
			"time passes":       func(*rapid.T) { b.c.send() },
			"report":            func(*rapid.T) { b.c.report() },
			"log full":          func(*rapid.T) { b.durable(); b.full = true },
			"log free":          func(*rapid.T) { b.full = false; b.c.logAt = time.Time{}; b.c.store() },
			"crash":             func(*rapid.T) { b.crash(); b.start() },
			"crash in a record": func(t *rapid.T) { b.tear(t); b.start() },
			"end and new start": func(*rapid.T) { b.end(); b.start() },
			"": func(t *rapid.T) {
				if st := b.log.Stats(); st.End-st.Begin > keep.MaxBytes {
					t.Fatalf("the log has %d bytes", st.End-st.Begin)
				}
			},
		})
		b.full = false
		b.c.logAt = time.Time{}
		b.drain()
		b.check(t)
	})
}

// What others appended before the end is written before it, also if the disk takes it
// after that.
func TestCloseWritesRecordsOfOthers(t *testing.T) {
	s := newInfluxServer(t, nil)
	c := testConfig(s.URL)
	c.FlushEvery = time.Hour
	l := openLog(t, recordlog.Config{}, slog.New(slog.DiscardHandler))
	restore := failDisk(t, l.Dir())
	w, stop := startDeps(t, c, Deps{Log: l, Readings: testReadings, Logger: slog.New(slog.DiscardHandler)})
	if _, err := l.Append(recordlog.Record{Kind: kindTest, At: time.Now(), Items: 1, Data: []byte(`[{"n":1,"object":{"n":1}}]`)}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { stop(); close(ended) }()
	quickly(t, "the end", w.closed.Load)
	restore()
	<-ended
	if got := s.taken(); len(got) != 1 || w.Metric("points_written_total") != 1 || w.Metric("backlog_bytes") != 0 {
		t.Errorf("written: %q", got)
	}
}
