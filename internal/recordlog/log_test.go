package recordlog

import (
	"bufio"
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"devicetwin/internal/testlog"
)

// testKeys derive a cipher from the id and the salt.
type testKeys string

func (k testKeys) Active() string { return string(k) }

func (k testKeys) Derive(id string, salt []byte) (cipher.AEAD, error) {
	if id != string(k) {
		return nil, fmt.Errorf("no key %q", id)
	}
	sum := sha256.Sum256(append([]byte(id), salt...))
	block, err := aes.NewCipher(sum[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// logBench is a log over restarts.
type logBench struct {
	*Log
	t    *testing.T
	cfg  Config
	disk disk
	logs testlog.Lines
}

func newLogBench(t *testing.T, cfg Config) *logBench {
	cfg.Dir = t.TempDir()
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 4 << 20
	}
	b := &logBench{t: t, cfg: cfg, disk: realDisk}
	b.open()
	t.Cleanup(func() { b.Close() })
	return b
}

func (b *logBench) open() {
	b.t.Helper()
	var err error
	if b.Log, err = open(b.cfg, b.logs.Logger(), b.disk); err != nil {
		b.t.Fatal(err)
	}
}

func (b *logBench) restart() {
	b.t.Helper()
	if err := b.Close(); err != nil {
		b.t.Fatal(err)
	}
	b.open()
}

// put appends records with these data and waits until they are on the disk.
func (b *logBench) put(data ...string) {
	b.t.Helper()
	var end int64
	for _, d := range data {
		var err error
		if end, err = b.Append(Record{Kind: 1, At: time.UnixMilli(1000), Data: []byte(d)}); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := b.Wait(b.t.Context(), end); err != nil {
		b.t.Fatal(err)
	}
}

// erase erases the records that match.
func (b *logBench) erase(match func(Record) bool) (erased int, err error) {
	return b.Rewrite(b.t.Context(), func(r Record) ([]byte, bool) { return nil, match(r) })
}

func (b *logBench) cursor(name string, p Policy) *Cursor {
	b.t.Helper()
	c, err := b.Cursor(name, p)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// entries are all that a Cursor or a Reader can read now.
func entries(t *testing.T, from interface{ TryNext() (Entry, bool, error) }) (all []Entry) {
	t.Helper()
	for {
		e, ok, err := from.TryNext()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return all
		}
		all = append(all, e)
	}
}

// rest is the data of these.
func rest(t *testing.T, from interface{ TryNext() (Entry, bool, error) }) (data []string) {
	t.Helper()
	for _, e := range entries(t, from) {
		data = append(data, string(e.Data))
	}
	return data
}

func numbers(from, to int) (list []string) {
	for i := from; i < to; i++ {
		list = append(list, fmt.Sprintf("record %d %s", i, strings.Repeat("x", i%300)))
	}
	return list
}

func equal(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		i := 0
		for i < min(len(got), len(want)) && got[i] == want[i] {
			i++
		}
		t.Fatalf("%d records, expected %d; they differ from the %dth on", len(got), len(want), i)
	}
}

func TestRecordsComeBackInOrder(t *testing.T) {
	for name, keys := range map[string]Keys{"in clear": nil, "encrypted": testKeys("k1")} {
		t.Run(name, func(t *testing.T) {
			b := newLogBench(t, Config{SegmentBytes: minSegment, Keys: keys})
			b.put(numbers(0, 700)...)
			c := b.cursor("a", Holds)
			first := rest(t, c)
			b.restart()
			b.put(numbers(700, 1500)...)
			equal(t, first, numbers(0, 700))
			equal(t, rest(t, b.cursor("a", Holds)), numbers(0, 1500))
			if s := b.Stats(); s.Segments < 3 || s.Damaged+s.Lost > 0 {
				t.Errorf("segments: %+v; expected several, and nothing damaged", s)
			}
			onDisk := false
			files, _ := filepath.Glob(filepath.Join(b.cfg.Dir, "*.log"))
			for _, f := range files {
				raw, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				onDisk = onDisk || bytes.Contains(raw, []byte("record 1"))
			}
			if onDisk != (keys == nil) {
				t.Errorf("records in clear on the disk: %v", onDisk)
			}
		})
	}
}

func TestEntriesHaveTheirPlaces(t *testing.T) {
	b := newLogBench(t, Config{SegmentBytes: minSegment})
	at := time.UnixMilli(1_700_000_000_123).UTC()
	end, err := b.Append(Record{Kind: 7, At: at, Data: []byte("a")})
	if err != nil || b.Wait(t.Context(), end) != nil {
		t.Fatal(err)
	}
	e, ok, err := b.cursor("a", Holds).TryNext()
	if err != nil || !ok || e.Kind != 7 || !e.At.Equal(at) || string(e.Data) != "a" || e.End != end || e.Start >= e.End {
		t.Fatalf("%+v, %v; expected what was appended, and its end %d", e, err, end)
	}
	r, err := b.ReadAt(e.Start)
	if err != nil || string(r.Data) != "a" || r.Kind != 7 {
		t.Errorf("at %d: %+v, %v", e.Start, r, err)
	}
	if _, err := b.ReadAt(e.Start + 1); err == nil {
		t.Error("a record was read where none begins")
	}
}

// Whoever waits for Changed learns of a record, and of the end.
func TestChanges(t *testing.T) {
	b := newLogBench(t, Config{})
	c := b.cursor("a", Holds)
	changed := b.Changed()
	if e, ok, err := c.TryNext(); ok || err != nil {
		t.Fatalf("%+v, %v; the log is empty", e, err)
	}
	end, err := b.Append(Record{Kind: 1, At: time.UnixMilli(1), Data: []byte("a")})
	if err != nil {
		t.Fatal(err)
	}
	<-changed
	if e, ok, err := c.TryNext(); err != nil || !ok || string(e.Data) != "a" {
		t.Errorf("%q, %v, %v", e.Data, ok, err)
	}
	changed = b.Changed()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	<-changed
	if err := b.Wait(t.Context(), end+1); !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// The end of the last record may be missing in any length after a crash.
func TestTheEndIsCut(t *testing.T) {
	b := newLogBench(t, Config{})
	b.put("first", "second")
	whole := b.Stats().Durable
	b.put("third")
	all := b.Stats().Durable
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	path := segmentPath(b.cfg.Dir, 0)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := whole; size < all; size++ {
		if err := os.WriteFile(path, raw[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		b.open()
		b.put("fourth")
		equal(t, rest(t, b.cursor("a", Holds)), []string{"first", "second", "fourth"})
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		os.Remove(b.cursorPath("a"))
	}
}

// Damage anywhere costs the record in which it is, and no other.
func TestDamageCostsOneRecord(t *testing.T) {
	for name, keys := range map[string]Keys{"in clear": nil, "encrypted": testKeys("k1")} {
		t.Run(name, func(t *testing.T) {
			b := newLogBench(t, Config{Keys: keys})
			data := numbers(0, 8)
			b.put(data...)
			var ends []int64
			c := b.cursor("places", Holds)
			for range data {
				e, _, _ := c.TryNext()
				ends = append(ends, e.End)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			path := segmentPath(b.cfg.Dir, 0)
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			headEnd := int(ends[0]) - frameHeader - len(data[0])
			if keys != nil {
				headEnd -= sealOverhead
			}
			for at := headEnd; at < int(ends[6]); at++ { // not in the last one: that would be cut
				damaged := slices.Clone(raw)
				damaged[at] ^= 0x55
				if err := os.WriteFile(path, damaged, 0o600); err != nil {
					t.Fatal(err)
				}
				os.Remove(b.cursorPath("a"))
				b.open()
				var want []string
				for i, d := range data {
					from := headEnd
					if i > 0 {
						from = int(ends[i-1])
					}
					if at < from || at >= int(ends[i]) {
						want = append(want, d)
					}
				}
				equal(t, rest(t, b.cursor("a", Holds)), want)
				if b.Stats().Damaged == 0 {
					t.Fatalf("damage at byte %d was not counted", at)
				}
				if err := b.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// Whoever has no key must not take ciphertext for data.
func TestAnEncryptedLogNeedsItsKey(t *testing.T) {
	b := newLogBench(t, Config{Keys: testKeys("k1")})
	b.put("a")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for _, keys := range []Keys{nil, testKeys("k2")} {
		cfg := b.cfg
		cfg.Keys = keys
		if l, err := Open(cfg, nil); err == nil {
			l.Close()
			t.Errorf("the log was opened with keys %v", keys)
		}
	}
	damage(t, segmentPath(b.cfg.Dir, 0), frameHeader+3) // of the segment's head
	b.open()
	if got := rest(t, b.cursor("a", Holds)); len(got) > 0 || b.Stats().Damaged == 0 {
		t.Errorf("without its head, %q was read, %d places damaged", got, b.Stats().Damaged)
	}
}

func TestAFullDiskLosesNothing(t *testing.T) {
	b := newLogBench(t, Config{SegmentBytes: minSegment, BufferBytes: 64 << 10})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	var full sync.Mutex
	room := int64(20_000)
	b.disk.write = func(f *os.File, p []byte, at int64) (int, error) {
		full.Lock()
		defer full.Unlock()
		n := min(int64(len(p)), room)
		room -= n
		written, err := f.WriteAt(p[:n], at)
		if err == nil && n < int64(len(p)) {
			err = syscall.ENOSPC
		}
		return written, err
	}
	b.open()
	all := numbers(0, 1000)
	var end int64
	refused := 0
	for _, d := range all {
		for {
			changed := b.Changed()
			e, err := b.Append(Record{Kind: 1, At: time.UnixMilli(1), Data: []byte(d)})
			if err == nil {
				end = e
				break
			}
			if !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			if refused++; refused == 1 {
				for !b.Stats().Failing {
					time.Sleep(time.Millisecond)
				}
				full.Lock()
				room = 1 << 30
				full.Unlock()
			}
			<-changed
		}
	}
	if err := b.Wait(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	equal(t, rest(t, b.cursor("a", Holds)), all)
	if s := b.Stats(); refused == 0 || s.Failures == 0 || s.Failing || s.Full {
		t.Errorf("refused %d times, %+v: expected failures that are over", refused, s)
	}
	if b.logs.Count("cannot write the log") != 1 || b.logs.Count("can be written again") != 1 {
		t.Errorf("the log says:\n%s", b.logs.String())
	}
}

func TestWhatIsNotWrittenAtTheEndIsSaid(t *testing.T) {
	b := newLogBench(t, Config{})
	b.Close()
	b.disk.write = func(*os.File, []byte, int64) (int, error) { return 0, syscall.ENOSPC }
	b.open()
	if _, err := b.Append(Record{Kind: 1, Data: []byte("a")}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err == nil {
		t.Error("the end reports no loss")
	}
}

func TestACursorThatHoldsFillsTheLog(t *testing.T) {
	b := newLogBench(t, Config{MaxBytes: MinBytes, SegmentBytes: minSegment})
	c := b.cursor("signals", Holds)
	record := Record{Kind: 1, At: time.UnixMilli(1), Data: make([]byte, 10_000)}
	taken := 0
	for {
		end, err := b.Append(record)
		if err != nil {
			if !errors.Is(err, ErrFull) || !b.Stats().Full {
				t.Fatal(err)
			}
			break
		}
		taken++
		if err := b.Wait(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	if taken < 90 || taken > 105 {
		t.Fatalf("%d records of 10 kB were taken in 1 MiB", taken)
	}
	changed := b.Changed()
	e := Entry{}
	for range 20 {
		e, _, _ = c.TryNext()
	}
	c.Commit(e.End)
	<-changed
	for range 10 {
		if _, err := b.Append(record); err != nil {
			t.Fatalf("after a commit: %v", err)
		}
	}
	if s := b.Stats(); s.Lost > 0 || s.End-s.Begin > MinBytes {
		t.Errorf("%+v: expected nothing lost, within its bound", s)
	}
}

// What a cursor that holds has not had is kept before it is opened, and after it was
// closed.
func TestALogHoldsForCursorsThatAreNotOpen(t *testing.T) {
	b := newLogBench(t, Config{MaxBytes: MinBytes, SegmentBytes: minSegment})
	fill := func() {
		t.Helper()
		for range 300 {
			end, err := b.Append(Record{Kind: 1, At: time.UnixMilli(1), Data: make([]byte, 10_000)})
			if errors.Is(err, ErrFull) {
				return
			}
			if err != nil || b.Wait(t.Context(), end) != nil {
				t.Fatal(err)
			}
		}
		t.Error("a log that holds is never full")
	}
	b.put("first", "second")
	c := b.cursor("signals", Holds)
	first, _, _ := c.TryNext()
	c.Commit(first.End)
	b.restart()
	if err := b.Hold("signals"); err != nil {
		t.Fatal(err)
	}
	fill()
	c = b.cursor("signals", Holds)
	if e, ok, err := c.TryNext(); err != nil || !ok || string(e.Data) != "second" {
		t.Fatalf("%.10q, %v, %v; expected the second", e.Data, ok, err)
	}
	var half Entry
	for range 50 {
		half, _, _ = c.TryNext()
	}
	c.Commit(half.End)
	c.Close()
	fill()
	c = b.cursor("signals", Holds)
	if e, ok, err := c.TryNext(); err != nil || !ok || e.Start != half.End {
		t.Errorf("it goes on at %d, %v, %v; expected %d", e.Start, ok, err, half.End)
	}
	c.Commit(b.Durable())
	if b.put("next"); b.Stats().Lost > 0 {
		t.Errorf("%d records are lost", b.Stats().Lost)
	}
}

func TestACursorThatLosesIsCounted(t *testing.T) {
	b := newLogBench(t, Config{MaxBytes: MinBytes, SegmentBytes: minSegment})
	c := b.cursor("points", Loses)
	for i := range 300 {
		b.put(fmt.Sprintf("%06d%s", i, strings.Repeat("x", 10_000)))
	}
	got := rest(t, c)
	if lost := int(b.Stats().Lost); lost == 0 || lost+len(got) != 300 {
		t.Errorf("%d lost and %d read of 300", lost, len(got))
	}
	if !strings.HasPrefix(got[len(got)-1], "000299") {
		t.Error("the newest is not there")
	}
	if s := b.Stats(); s.End-s.Begin > MinBytes {
		t.Errorf("%+v: expected to be within its bound", s)
	}
}

func TestCursorsGoOn(t *testing.T) {
	b := newLogBench(t, Config{})
	b.put(numbers(0, 10)...)
	c := b.cursor("a", Holds)
	for range 4 {
		e, _, _ := c.TryNext()
		c.Commit(e.End)
	}
	c.TryNext() // read, and not committed
	b.restart()
	equal(t, rest(t, b.cursor("a", Holds)), numbers(4, 10))
	equal(t, rest(t, b.cursor("b", Holds)), numbers(0, 10))
}

// If the disk loses the end of a log, what is appended afterwards must not be passed
// over by cursors that had come further.
func TestALogGoesOnBehindItsCursors(t *testing.T) {
	b := newLogBench(t, Config{})
	b.put(numbers(0, 10)...)
	c := b.cursor("a", Holds)
	rest(t, c)
	c.Commit(b.Stats().Durable)
	b.Close()
	if err := os.Truncate(segmentPath(b.cfg.Dir, 0), 300); err != nil {
		t.Fatal(err)
	}
	b.open()
	b.put("next")
	equal(t, rest(t, b.cursor("a", Holds)), []string{"next"})
	if b.Stats().Damaged == 0 {
		t.Error("the missing end was not counted")
	}
	b.restart()
	if got := rest(t, b.cursor("b", Holds)); got[len(got)-1] != "next" {
		t.Errorf("another cursor ends with %q", got[len(got)-1])
	}
}

func TestOldSegmentsGo(t *testing.T) {
	b := newLogBench(t, Config{SegmentBytes: minSegment, MaxAge: time.Hour})
	c := b.cursor("a", Holds)
	b.put(numbers(0, 1000)...) // of 1970
	before := b.Stats().Segments
	b.upkeep(time.Now())
	if got := b.Stats().Segments; got != before {
		t.Fatalf("%d of %d segments are left before the cursor had them", got, before)
	}
	rest(t, c)
	c.Commit(b.Durable())
	b.upkeep(time.Now())
	if got := b.Stats().Segments; got != 1 {
		t.Errorf("%d segments are left of %d; expected the last one", got, before)
	}
}

func TestErasedRecordsAreGone(t *testing.T) {
	for name, keys := range map[string]Keys{"in clear": nil, "encrypted": testKeys("k1")} {
		t.Run(name, func(t *testing.T) {
			b := newLogBench(t, Config{SegmentBytes: minSegment, Keys: keys})
			b.put(numbers(0, 1000)...)
			of7 := func(s string) bool { return strings.HasPrefix(s, "record 7") }
			n, err := b.erase(func(r Record) bool { return of7(string(r.Data)) })
			if err != nil || n != 111 {
				t.Fatalf("%d erased, %v; expected 111", n, err)
			}
			want := slices.DeleteFunc(numbers(0, 1000), of7)
			equal(t, rest(t, b.cursor("a", Holds)), want)
			b.restart()
			equal(t, rest(t, b.cursor("b", Holds)), want)
			if b.Stats().Damaged > 0 {
				t.Error("erased records count as damage")
			}
		})
	}
}

func TestOneProcessUsesALog(t *testing.T) {
	b := newLogBench(t, Config{})
	if _, err := Open(b.cfg, nil); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second one: %v", err)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	err := Config{MaxAge: -1}.Validate()
	for _, part := range []string{"folder", "maximum of 0 bytes", "0 or more"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v: expected %q", err, part)
		}
	}
}

// Whatever happens in whatever order, a cursor sees each record that was durable once,
// in order, and those after its last commit again after a restart.
func TestAnyHistory(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 1))
		b := newLogBench(t, Config{MaxBytes: 64 << 20, SegmentBytes: minSegment})
		var all []string
		read, committed := 0, 0
		c := b.cursor("a", Holds)
		for range 200 {
			switch r.IntN(10) {
			case 0, 1, 2, 3:
				data := fmt.Sprint(len(all), strings.Repeat("y", r.IntN(3000)))
				b.put(data)
				all = append(all, data)
			case 4, 5, 6, 7:
				e, ok, err := c.TryNext()
				if err != nil || ok != (read < len(all)) {
					t.Fatalf("seed %d: record %d of %d: %v, %v", seed, read, len(all), ok, err)
				}
				if !ok {
					continue
				}
				if string(e.Data) != all[read] {
					t.Fatalf("seed %d: record %d is %.20q", seed, read, e.Data)
				}
				read++
				if r.IntN(2) == 0 {
					c.Commit(e.End)
					committed = read
				}
			case 8:
				b.restart()
				c = b.cursor("a", Holds)
				read = committed
			case 9:
				c.Close()
				c = b.cursor("a", Holds)
				read = committed
			}
		}
		b.Close()
	}
}

// What Wait has returned for survives kill -9.
func TestKill9(t *testing.T) {
	if dir := os.Getenv("RECORDLOG_CHILD"); dir != "" {
		child(dir)
		return
	}
	dir := t.TempDir()
	next := 0
	for range 5 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKill9$")
		cmd.Env = append(os.Environ(), "RECORDLOG_CHILD="+dir, "RECORDLOG_NEXT="+strconv.Itoa(next))
		out, err := cmd.StdoutPipe()
		if err != nil || cmd.Start() != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if n, err := strconv.Atoi(lines.Text()); err == nil {
				if next = n + 1; next%500 > 400 {
					cmd.Process.Kill()
				}
			}
		}
		cmd.Wait()
		next = (next + 500) / 500 * 500
	}
	l, err := Open(Config{Dir: dir, MaxBytes: 64 << 20}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := l.Cursor("a", Holds)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, data := range rest(t, c) {
		n, err := strconv.Atoi(data)
		if err != nil || seen[n] {
			t.Fatalf("record %q", data)
		}
		seen[n] = true
	}
	for from := 0; from < next; from += 500 {
		for n := from; n <= from+400; n++ {
			if !seen[n] {
				t.Fatalf("record %d of %d was acknowledged and is gone", n, len(seen))
			}
		}
	}
}

func child(dir string) {
	l, err := Open(Config{Dir: dir, MaxBytes: 64 << 20, SegmentBytes: minSegment}, nil)
	if err != nil {
		panic(err)
	}
	n, _ := strconv.Atoi(os.Getenv("RECORDLOG_NEXT"))
	for {
		var end int64
		from := n
		for range 7 {
			if end, err = l.Append(Record{Kind: 1, Data: []byte(strconv.Itoa(n))}); err != nil {
				panic(err)
			}
			n++
		}
		if err := l.Wait(context.Background(), end); err != nil {
			panic(err)
		}
		for ; from < n; from++ {
			fmt.Println(from)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, keys := range []Keys{nil, testKeys("k")} {
		b.Run(fmt.Sprintf("encrypted=%v", keys != nil), func(b *testing.B) {
			l, err := Open(Config{Dir: b.TempDir(), MaxBytes: 1 << 30, Keys: keys}, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			r := Record{Kind: 1, At: time.Now(), Data: make([]byte, 200)}
			b.SetBytes(int64(len(r.Data)))
			b.ReportAllocs()
			for b.Loop() {
				for {
					changed := l.Changed()
					if _, err := l.Append(r); err == nil {
						break
					}
					<-changed
				}
			}
		})
	}
}

// The disk is left to others for as long as a group took; after a pause a record waits for
// nothing.
func TestTheDiskRestsBetweenGroups(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		const takes = 15 * time.Millisecond
		var groups []time.Time // when they began
		slow := realDisk
		slow.sync = func(*os.File) error {
			groups = append(groups, time.Now())
			time.Sleep(takes)
			return nil
		}
		l, err := open(Config{Dir: dir, MaxBytes: MinBytes}, nil, slow)
		if err != nil {
			t.Fatal(err)
		}
		put := func() (end int64) {
			t.Helper()
			if end, err = l.Append(Record{Kind: 1, At: time.UnixMilli(1), Data: []byte("a")}); err != nil {
				t.Fatal(err)
			}
			return end
		}
		for range 300 {
			put()
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait() // so that the groups may be read
		if len(groups) < 8 || len(groups) > 11 {
			t.Errorf("%d groups in 300 ms, each of %v", len(groups), takes)
		}
		for i := range groups[1:] {
			if rest := groups[i+1].Sub(groups[i]) - takes; rest < takes {
				t.Errorf("the disk rests for %v after group %d, which took %v", rest, i, takes)
			}
		}
		began := time.Now()
		if err := l.Wait(t.Context(), put()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != takes {
			t.Errorf("after a pause a record waits for %v", took)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// What is not on the disk is not passed over, although the segment after it is begun.
func TestACursorWaitsForTheEndOfASegment(t *testing.T) {
	slow := realDisk
	var disk sync.RWMutex // nothing is written while it is locked, in however many groups
	disk.Lock()
	slow.write = func(f *os.File, p []byte, at int64) (int, error) {
		disk.RLock()
		defer disk.RUnlock()
		return f.WriteAt(p, at)
	}
	l, err := open(Config{Dir: t.TempDir(), MaxBytes: MinBytes, SegmentBytes: minSegment}, nil, slow)
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Cursor("c", Loses)
	if err != nil {
		t.Fatal(err)
	}
	put := func(n int) (end int64) {
		t.Helper()
		for range n {
			if end, err = l.Append(Record{Kind: 1, At: time.UnixMilli(1), Data: make([]byte, 1000)}); err != nil {
				t.Fatal(err)
			}
		}
		return end
	}
	read := func() int {
		t.Helper()
		return len(entries(t, c))
	}
	end := put(10)
	disk.Unlock()
	if err := l.Wait(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	disk.Lock()
	if n := read(); n != 10 {
		t.Fatalf("%d records of 10", n)
	}
	end = put(150) // of three segments, and nothing of it is on the disk
	if n := read(); n != 0 {
		t.Fatalf("%d records that are not on the disk", n)
	}
	disk.Unlock()
	if err := l.Wait(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	if n := read(); n != 150 || l.Stats().Damaged > 0 {
		t.Errorf("%d records of 150, %+v", n, l.Stats())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
