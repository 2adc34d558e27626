package points

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"devicetwin/internal/testlog"
)

// noise is a hundred bytes that cannot be made smaller.
var noise = func() string {
	b := make([]byte, 100)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}()

// spoolBench is a spool and what it counted and logged, over restarts.
type spoolBench struct {
	*spool
	t      *testing.T
	counts *counts
	logs   testlog.Lines
}

func newSpoolBench(t *testing.T, maxBytes int64) *spoolBench {
	b := &spoolBench{counts: newCounts(func() int { return 0 }), t: t}
	b.open(t.TempDir(), maxBytes)
	t.Cleanup(func() { b.close() })
	return b
}

func (b *spoolBench) open(dir string, maxBytes int64) {
	b.t.Helper()
	var err error
	if b.spool, err = openSpool(dir, maxBytes, b.counts, b.logs.Logger()); err != nil {
		b.t.Fatal(err)
	}
}

// restart closes the spool, which kill -9 does in the same way: nothing is
// written at the end.
func (b *spoolBench) restart() {
	b.t.Helper()
	b.close()
	b.open(b.dir, b.max)
}

func (b *spoolBench) put(names ...string) {
	b.t.Helper()
	for _, n := range names {
		if err := b.append(newBatch([]string{n + "1", n + "2\n" + noise}), time.Unix(1000, 0)); err != nil {
			b.t.Fatal(err)
		}
	}
}

// get reads batches until there is none, and returns their names.
func (b *spoolBench) get() (names string) {
	b.t.Helper()
	for {
		batch, ok := b.peek()
		if !ok {
			return names
		}
		if len(batch.lines) != 2 || !strings.HasSuffix(batch.lines[1], "2\n"+noise) {
			b.t.Fatalf("batch %q", batch.lines)
		}
		names += strings.TrimSuffix(batch.lines[0], "1")
		b.commit()
	}
}

func (b *spoolBench) want(what, got, want string) {
	b.t.Helper()
	if got != want {
		b.t.Errorf("%s: %q, expected %q; log: %q", what, got, want, &b.logs)
	}
}

// change rewrites the file of a segment.
func (b *spoolBench) change(segment int, f func([]byte) []byte) {
	b.t.Helper()
	path := b.path(b.segments[segment])
	content, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, f(content), 0o600)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func TestSpoolKeepsOrderOverRestarts(t *testing.T) {
	b := newSpoolBench(t, 1<<20)
	b.segmentBytes = 250 // two batches
	b.put("a", "b", "c", "d", "e")
	if len(b.segments) != 3 || b.counts.spoolSegments.Load() != 3 || b.counts.spoolPoints.Load() != 10 {
		t.Fatalf("%d segments, %d points", len(b.segments), b.points())
	}
	b.restart()
	b.put("f")
	if first, _ := b.peek(); first.lines[0] != "a1" {
		t.Errorf("first: %q", first.lines)
	}
	b.commit()
	b.restart()
	b.want("after a crash within a segment, it is repeated", b.get(), "abcdef")
	if !b.empty() || b.bytes != 0 || b.counts.spoolOldest.Load() != 0 || b.counts.dropped.Load() != 0 {
		t.Errorf("left: %d points, %d bytes", b.points(), b.bytes)
	}
	b.put("g")
	if age := time.UnixMilli(b.counts.spoolOldest.Load()); !age.Equal(time.Unix(1000, 0)) {
		t.Errorf("oldest: %v", age)
	}
	b.want("new ones", b.get(), "g")
	b.restart()
	b.want("nothing is repeated of an emptied spool", b.get(), "")
	b.put("h")
	b.want("and it goes on", b.get(), "h")
}

func TestSpoolCutsTornEnd(t *testing.T) {
	for cut := 1; cut < 135; cut += 7 {
		b := newSpoolBench(t, 1<<20)
		b.put("a", "b")
		b.change(0, func(c []byte) []byte { return c[:len(c)-cut] })
		b.restart()
		b.put("c")
		b.want(fmt.Sprintf("%d bytes cut", cut), b.get(), "ac")
		if b.logs.Count("was truncated") != 1 || b.counts.spoolDamages.Load() != 0 {
			t.Errorf("log: %q", &b.logs)
		}
		b.close()
	}
}

func TestSpoolSkipsDamage(t *testing.T) {
	frame := int64(len(new(framer).frame([]string{"a1", "a2\n" + noise}, time.Time{})))
	flip := func(at int64) func([]byte) []byte {
		return func(c []byte) []byte { c[at] ^= 0x10; return c }
	}
	tests := map[string]struct {
		change func([]byte) []byte
		want   string
		lost   uint64 // points that are known to be lost
	}{
		"payload":       {flip(frame + frameHeader + 5), "acd", 2},
		"header":        {flip(frame + 9), "acd", 0},
		"length":        {flip(frame + 6), "acd", 0},
		"first":         {flip(0), "bcd", 0},
		"last of file":  {flip(2*frame - 1), "acd", 2},
		"all of a file": {func(c []byte) []byte { return bytes.Repeat([]byte{0}, len(c)) }, "cd", 0},
		"missing part":  {func(c []byte) []byte { return append(c[:frame+40:frame+40], c[frame+60:]...) }, "acd", 0},
		"more":          {func(c []byte) []byte { return append(c, frameMagic...) }, "abcd", 0},
	}
	for name, test := range tests {
		for _, when := range []string{"before a restart", "while running"} {
			t.Run(name+" "+when, func(t *testing.T) {
				b := newSpoolBench(t, 1<<20)
				b.segmentBytes = 2 * frame
				b.put("a", "b", "c", "d")
				b.change(0, test.change)
				if when == "before a restart" {
					b.restart()
				}
				b.want("read", b.get(), test.want)
				if !b.empty() || b.bytes != 0 {
					t.Errorf("left: %d points, %d bytes", b.points(), b.bytes)
				}
				if got := b.counts.dropped.Load(); when == "before a restart" && got != test.lost {
					t.Errorf("%d points counted as lost, expected %d", got, test.lost)
				}
				if name != "more" && b.logs.Count("cannot be read") == 0 {
					t.Errorf("the log is silent: %q", &b.logs)
				}
				b.put("e")
				b.want("goes on", b.get(), "e")
			})
		}
	}
}

func TestSpoolLosesASegmentThatIsGone(t *testing.T) {
	b := newSpoolBench(t, 1<<20)
	b.segmentBytes = 100
	b.put("a", "b", "c")
	if err := os.Remove(b.path(b.segments[0])); err != nil {
		t.Fatal(err)
	}
	b.want("read", b.get(), "bc")
	if b.counts.spoolDropped.Load() != 2 || b.logs.Count("cannot be read") != 1 {
		t.Errorf("%d points lost; log: %q", b.counts.spoolDropped.Load(), &b.logs)
	}
}

func TestSpoolIsBounded(t *testing.T) {
	b := newSpoolBench(t, 1000)
	b.segmentBytes = 250
	b.put("a", "b", "c", "d")
	inFlight, _ := b.peek()
	for _, n := range "efghijkl" {
		b.put(string(n))
		if b.bytes > b.max {
			t.Fatalf("%d bytes", b.bytes)
		}
	}
	if b.holds() || inFlight.lines[0] != "a1" {
		t.Error("the segment in use was not dropped")
	}
	b.commit() // changes nothing
	kept := b.get()
	if !strings.HasSuffix("abcdefghijkl", kept) || len(kept) < 4 {
		t.Errorf("kept: %q", kept)
	}
	// "a" is with its reader, so it is not lost.
	if lost := b.counts.spoolDropped.Load(); lost != uint64(2*(11-len(kept))) || b.counts.dropped.Load() != lost {
		t.Errorf("%d points lost, kept %q", lost, kept)
	}
	if b.logs.Count("the spool is full") == 0 {
		t.Error("the log is silent")
	}
	files, _ := filepath.Glob(filepath.Join(b.dir, "*"))
	if len(files) != len(b.segments) {
		t.Errorf("%d files, %d segments", len(files), len(b.segments))
	}
}

func TestSpoolDiskFull(t *testing.T) {
	b := newSpoolBench(t, 1<<20)
	b.put("a")
	b.write = func(f *os.File, p []byte, at int64) (int, error) {
		n, _ := f.WriteAt(p[:len(p)/2], at)
		return n, syscall.ENOSPC
	}
	if err := b.append(newBatch([]string{"lost"}), time.Unix(0, 0)); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("error %v", err)
	}
	b.write = (*os.File).WriteAt
	b.put("b")
	b.restart()
	b.want("read", b.get(), "ab")
	if b.counts.spoolDamages.Load() != 0 || b.logs.Count("cut") != 0 {
		t.Errorf("half of a batch was left: %q", &b.logs)
	}
}

func TestSpoolFolderIsLocked(t *testing.T) {
	b := newSpoolBench(t, 1<<20)
	_, err := openSpool(b.dir, 1<<20, b.counts, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Errorf("error: %v", err)
	}
	file := filepath.Join(b.dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openSpool(file, 1<<20, b.counts, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a file was taken for a folder")
	}
	b.restart() // with a file in it that is not its own
	b.want("read", b.get(), "")
}

func FuzzSpoolSegment(f *testing.F) {
	var one, two framer
	good := slices.Concat(one.frame([]string{"a 1"}, time.Unix(1, 0)), two.frame([]string{"b 1", "b 2"}, time.Unix(2, 0)))
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Add(append([]byte("rubbish"), good...))
	f.Fuzz(func(t *testing.T, content []byte) {
		r, end := bytes.NewReader(content), int64(len(content))
		for at := int64(0); ; {
			h, ok, err := seekFrame(r, at, end)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				return
			}
			if h.start < at || h.end() > end || h.size < frameHeader {
				t.Fatalf("frame from %d to %d of %d to %d", h.start, h.end(), at, end)
			}
			_, _ = h.read(r)
			at = h.end()
		}
	})
}

// An hour of 10,000 telemetry points a second is 36 million: at 25 bytes each
// they fit into the default bound.
func TestSpoolBytesOfAPoint(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var lines []string
	for i := range 5000 {
		line, _ := Point{"pump", map[string]string{"device": fmt.Sprintf("pump-%06d", r.IntN(10_000)), "model": "pump"},
			map[string]any{"temperature": float64(r.IntN(1000)) / 10, "vibration": float64(r.IntN(1000)) / 1000},
			at.Add(time.Duration(i)*100*time.Microsecond + time.Duration(r.IntN(3600)))}.Line()
		lines = append(lines, line)
	}
	var f framer
	if n := len(f.frame(lines, at)) / len(lines); n > 25 {
		t.Errorf("%d bytes, as text %d", n, len(lines[0]))
	}
}
