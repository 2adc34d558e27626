package points

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"devicetwin/internal/durable"
	"devicetwin/internal/recordlog"
	"devicetwin/internal/testlog"
)

// testdata/spool was written by the last release with a spool: four segments, each with
// two batches of twenty points, numbered by n and their times, beginning with 0.
const (
	spoolPoints  = 160
	spoolSegment = 40
)

// oldSpool is a copy of it.
func oldSpool(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "sp[o]ol*")
	if err := os.CopyFS(dir, os.DirFS("testdata/spool")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func spoolLine(n int) string {
	return fmt.Sprintf("pump,device=pump-%d n=%d,text=\"line %d\nand é\\\"%d\\\"\" %d", n%7, n, n, n, 1_700_000_000_000_000_000+n)
}

// linesIn are all lines of a log, and when their records were appended.
func linesIn(t *testing.T, l *recordlog.Log) (lines []string, at []time.Time) {
	t.Helper()
	c, err := l.Cursor("test", recordlog.Loses)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for {
		e, ok, err := c.TryNext()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return lines, at
		}
		some, err := Lines(e.Record)
		if err != nil || e.Kind != KindLines || e.Items != len(some) {
			t.Fatalf("%+v: %v", e.Record, err)
		}
		lines, at = append(lines, some...), append(at, e.At)
	}
}

func wantSpooled(t *testing.T, got []string, want func(n int) bool) {
	t.Helper()
	var all []string
	for n := range spoolPoints {
		if want(n) {
			all = append(all, spoolLine(n))
		}
	}
	if strings.Join(got, "\n") != strings.Join(all, "\n") {
		t.Errorf("%d lines, expected %d; the first is %q", len(got), len(all), got[:min(1, len(got))])
	}
}

func spoolFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		if strings.HasSuffix(f.Name(), spoolSuffix) {
			names = append(names, f.Name())
		}
	}
	return names
}

func TestCarryOver(t *testing.T) {
	for name, folder := range map[string]func(t *testing.T, spool string) string{
		"to another folder":  func(t *testing.T, _ string) string { return t.TempDir() },
		"to the same folder": func(_ *testing.T, spool string) string { return spool },
	} {
		t.Run(name, func(t *testing.T) {
			dir := oldSpool(t)
			logs := &testlog.Lines{}
			l := openLog(t, recordlog.Config{Dir: folder(t, dir)}, nil)
			n, err := CarryOver(t.Context(), dir, l, logs.Logger())
			if err != nil || n != spoolPoints {
				t.Fatalf("%d points, %v", n, err)
			}
			if left := spoolFiles(t, dir); len(left) > 0 {
				t.Errorf("left in the folder: %q", left)
			}
			lines, at := linesIn(t, l)
			wantSpooled(t, lines, func(int) bool { return true })
			if !at[1].Equal(time.Unix(1_700_000_001, 0)) {
				t.Errorf("the second batch was appended at %v", at[1])
			}
			if logs.Count("cannot be read") > 0 || logs.Count("were moved") != 1 {
				t.Errorf("log: %q", logs)
			}
			if n, err := CarryOver(t.Context(), dir, l, logs.Logger()); n != 0 || err != nil {
				t.Errorf("once more: %d points, %v", n, err)
			}
		})
	}
}

func TestCarryOverWithoutAFolder(t *testing.T) {
	l := openLog(t, recordlog.Config{}, nil)
	if n, err := CarryOver(t.Context(), filepath.Join(t.TempDir(), "none"), l, slog.New(slog.DiscardHandler)); n != 0 || err != nil {
		t.Errorf("%d points, %v", n, err)
	}
}

// What is damaged, or was not written completely, costs the batch in which it is.
func TestCarryOverOfDamage(t *testing.T) {
	first := int64(0) // the length of the first batch
	content, err := os.ReadFile("testdata/spool/00000000000000000001.spool")
	if err != nil {
		t.Fatal(err)
	}
	if h, ok := parseSpoolHeader(content, 0, int64(len(content))); ok {
		first = h.end()
	}
	tests := map[string]struct {
		change func([]byte) []byte
		lost   func(n int) bool
	}{
		"payload":       {func(c []byte) []byte { c[first-3] ^= 1; return c }, func(n int) bool { return n < 20 }},
		"header":        {func(c []byte) []byte { c[9] ^= 1; return c }, func(n int) bool { return n < 20 }},
		"torn end":      {func(c []byte) []byte { return c[:len(c)-7] }, func(n int) bool { return n >= 20 && n < 40 }},
		"torn header":   {func(c []byte) []byte { return c[:first+13] }, func(n int) bool { return n >= 20 && n < 40 }},
		"more":          {func(c []byte) []byte { return append(c, spoolMagic...) }, func(int) bool { return false }},
		"all of it":     {func(c []byte) []byte { clear(c); return c }, func(n int) bool { return n < 40 }},
		"emptied":       {func(c []byte) []byte { return nil }, func(n int) bool { return n < 40 }},
		"rubbish ahead": {func(c []byte) []byte { return append([]byte("rubbish"), c...) }, func(int) bool { return false }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := oldSpool(t)
			path := filepath.Join(dir, "00000000000000000001.spool")
			content, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, test.change(content), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			logs := &testlog.Lines{}
			l := openLog(t, recordlog.Config{}, nil)
			n, err := CarryOver(t.Context(), dir, l, logs.Logger())
			if err != nil {
				t.Fatal(err)
			}
			lines, _ := linesIn(t, l)
			wantSpooled(t, lines, func(n int) bool { return !test.lost(n) })
			if n != len(lines) || len(spoolFiles(t, dir)) > 0 {
				t.Errorf("%d points of %d, files %q", n, len(lines), spoolFiles(t, dir))
			}
			if said := logs.Count("cannot be read") > 0; said != (name != "emptied") {
				t.Errorf("log: %q", logs)
			}
		})
	}
}

// A process that is killed between leaves files, or lines twice: nothing is lost.
func TestCarryOverIsRepeated(t *testing.T) {
	dir, logDir := oldSpool(t), t.TempDir()
	l := openLog(t, recordlog.Config{Dir: logDir}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	first := filepath.Join(dir, "00000000000000000001.spool")
	if n, err := carryOverFile(ctx, first, l, slog.New(slog.DiscardHandler)); n != spoolSegment || err != nil {
		t.Fatalf("%d points, %v", n, err)
	}
	cancel() // the end of the process, after what was appended and before the file is removed
	second := filepath.Join(dir, "00000000000000000002.spool")
	if _, err := carryOverFile(ctx, second, l, slog.New(slog.DiscardHandler)); err == nil {
		t.Fatal("a file was carried over after the end")
	}
	if left := spoolFiles(t, dir); len(left) != 3 {
		t.Fatalf("files that are left: %q", left)
	}
	l.Close()
	l = openLog(t, recordlog.Config{Dir: logDir}, nil)
	if n, err := CarryOver(t.Context(), dir, l, slog.New(slog.DiscardHandler)); n != spoolPoints-spoolSegment || err != nil {
		t.Fatalf("%d points, %v", n, err)
	}
	seen := map[string]bool{}
	lines, _ := linesIn(t, l)
	for _, line := range lines {
		seen[line] = true
	}
	if len(seen) != spoolPoints || len(lines) != spoolPoints+spoolSegment {
		t.Errorf("%d lines, %d different ones", len(lines), len(seen))
	}
}

// A folder that an earlier release still uses is left alone.
func TestCarryOverNeedsTheFolder(t *testing.T) {
	dir := oldSpool(t)
	lock, err := durable.LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	l := openLog(t, recordlog.Config{}, nil)
	if _, err := CarryOver(t.Context(), dir, l, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Errorf("error: %v", err)
	}
	if left := spoolFiles(t, dir); len(left) != 4 {
		t.Errorf("files that are left: %q", left)
	}
}

// A log that has no room leaves the files where they are.
func TestCarryOverToAFullLog(t *testing.T) {
	dir := oldSpool(t)
	l := openLog(t, recordlog.Config{MaxBytes: recordlog.MinBytes}, nil)
	if _, err := l.Cursor("signals", recordlog.Holds); err != nil {
		t.Fatal(err)
	}
	for full := false; !full; {
		end, err := l.Append(recordlog.Record{Kind: 1, At: time.Now(), Data: make([]byte, 1000)})
		if full = err != nil; !full {
			err = l.Wait(t.Context(), end)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	n, err := CarryOver(ctx, dir, l, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "the log is full") || !strings.Contains(err.Error(), dir) {
		t.Errorf("%d points, %v", n, err)
	}
	if left := spoolFiles(t, dir); len(left) == 0 {
		t.Error("the files are gone")
	}
}

// What an earlier release had not written goes to InfluxDB.
func TestCarriedOverPointsAreWritten(t *testing.T) {
	s := newInfluxServer(t, nil)
	l := openLog(t, recordlog.Config{}, nil)
	w, err := NewWriter(testConfig(s.URL), Deps{Log: l})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CarryOver(t.Context(), oldSpool(t), l, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.Run(ctx)
	if got := w.Metric("points_written_total"); got != spoolPoints {
		t.Errorf("%v points were written", got)
	}
}

func FuzzSpoolFile(f *testing.F) {
	content, err := os.ReadFile("testdata/spool/00000000000000000001.spool")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Add(content[:len(content)-3])
	f.Add(append([]byte("rubbish"), content...))
	f.Fuzz(func(t *testing.T, content []byte) {
		r, end := strings.NewReader(string(content)), int64(len(content))
		for at := int64(0); ; {
			h, ok, err := seekSpoolFrame(r, at, end)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				return
			}
			if h.start < at || h.end() > end || h.size < spoolHeader {
				t.Fatalf("frame from %d to %d of %d to %d", h.start, h.end(), at, end)
			}
			_, _ = h.lines(r)
			at = h.end()
		}
	})
}
