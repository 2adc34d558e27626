package points

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

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

// An outage that lasts over a restart, with more points than fit into memory,
// loses nothing.
func TestInfluxSpoolOverOutageAndRestart(t *testing.T) {
	s, back := outageServer(t)
	c := testConfig(s.URL)
	c.Spool = filepath.Join(t.TempDir(), "a", "spool")
	c.BatchPoints, c.BatchBytes, c.QueueBytes = 100, 8<<10, 32<<10
	logs := &testlog.Lines{}
	const points = 8000
	for run := range 2 {
		w, stop := startWriter(t, c, logs.Logger())
		for n := run * points / 2; n < (run+1)*points/2; n++ {
			for w.counts.bytes() > c.QueueBytes/8 {
				<-s.changed // InfluxDB was asked, so the collector is at work
			}
			numbered(w, n)
		}
		<-s.changed
		if run == 1 {
			if st := w.counts; st.spoolBytes.Load() < 20_000 || st.spoolSegments.Load() == 0 || st.spoolOldest.Load() == 0 {
				t.Errorf("stats: %+v", st)
			}
			close(back)
			for w.counts.written.Load() == 0 {
				<-s.changed
			}
		}
		stop() // at once while InfluxDB is down
		st := w.counts
		if run == 0 && (st.written.Load() != 0 || st.spoolPoints.Load() != points/2) || run == 1 && (st.written.Load() != points || int(st.spoolPoints.Load())+st.waiting() != 0) ||
			st.dropped.Load() != 0 || st.bytes() != 0 {
			t.Errorf("stats of run %d: %+v", run, st)
		}
	}
	wantNumbers(t, s.taken(), points)
	if logs.Count("points of an earlier run wait") != 1 {
		t.Errorf("log: %q", logs)
	}
}

// While the disk takes nothing, points wait in memory, and go to the spool once
// it does.
func TestInfluxSpoolDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConfig("http://127.0.0.1:1")
		c.Spool, c.BatchPoints = t.TempDir(), 10
		logs := &testlog.Lines{}
		b := newWriterBench(t, c, logs.Logger())
		b.take(20)
		b.full(true)
		b.take(20)
		if st := b.w.counts; st.spoolPoints.Load() != 20 || st.waiting() != 40 || st.spoolFailures.Load() != 1 || st.bytes() == 0 {
			t.Errorf("disk full: %+v", st)
		}
		time.Sleep(diskRetry)
		b.take(10)
		b.full(false)
		b.take(10)
		if st := b.w.counts; st.spoolPoints.Load() != 20 || st.waiting() != 60 || st.spoolFailures.Load() != 2 {
			t.Errorf("not tried at once again: %+v", st)
		}
		time.Sleep(diskRetry)
		b.take(10)
		if st := b.w.counts; st.spoolPoints.Load() != 70 || st.waiting() != 70 || st.bytes() != 0 || st.dropped.Load() != 0 {
			t.Errorf("disk is back: %+v", st)
		}
		if logs.Count("cannot write the spool") != 1 || logs.Count("can be written again") != 1 {
			t.Errorf("log: %q", logs)
		}
		b.drain()
		wantNumbers(t, b.taken, 70)
		b.crash()
	})
}

// Neither disk nor memory have room: the oldest in memory are dropped.
func TestInfluxSpoolDiskFullAndMemory(t *testing.T) {
	c := testConfig("http://127.0.0.1:1")
	c.Spool, c.BatchPoints, c.BatchBytes, c.QueueBytes = t.TempDir(), 10, 1<<10, 4<<10
	b := newWriterBench(t, c, slog.New(slog.DiscardHandler))
	b.take(10)
	b.full(true)
	b.take(1000)
	st := b.w.counts
	if st.dropped.Load() == 0 || st.spoolDropped.Load() != 0 || st.spoolPoints.Load() != 10 || int(st.dropped.Load())+st.waiting() != 1010 || st.bytes() > c.QueueBytes {
		t.Errorf("stats: %+v", st)
	}
	b.drain()
	if len(b.taken)+int(st.dropped.Load()) != 1010 || !strings.HasSuffix(b.taken[len(b.taken)-1], " 1009") {
		t.Errorf("%d taken", len(b.taken))
	}
	b.crash()
}

func TestInfluxSpoolFaults(t *testing.T) {
	c := testConfig("http://127.0.0.1:1")
	c.Spool = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(c.Spool, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewWriter(c, nil, nil); err == nil || !strings.Contains(err.Error(), "make spool folder") {
		t.Errorf("error: %v", err)
	}
	c.SpoolMax = 1 << 20
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "at least eight batches") {
		t.Errorf("error: %v", err)
	}
}

// Whatever fails, and whenever the process ends: every point that had been put
// into the spool is written at least once, in order, unless it was counted as
// dropped or InfluxDB refuses it.
func TestInfluxSpoolProperty(t *testing.T) {
	root := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(root, "")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		c := testConfig("http://127.0.0.1:1")
		c.Spool, c.BatchPoints, c.BatchBytes = dir, rapid.IntRange(1, 6).Draw(t, "points in a batch"), 1<<10
		c.SpoolMax = rapid.SampledFrom([]int64{8 << 10, 1 << 30}).Draw(t, "bytes of the spool")
		b := newWriterBench(t, c, slog.New(slog.DiscardHandler))
		b.refusing = true
		b.padding = strings.Repeat("p", rapid.SampledFrom([]int{0, 200}).Draw(t, "padding"))
		defer func() { b.w.spool.close() }()
		t.Repeat(map[string]func(*rapid.T){
			"points":            func(t *rapid.T) { b.take(rapid.IntRange(1, 30).Draw(t, "points")) },
			"flush":             func(*rapid.T) { b.c.enqueue() },
			"written":           func(*rapid.T) { b.answer(true, true) },
			"not written":       func(*rapid.T) { b.answer(false, false) },
			"answer lost":       func(*rapid.T) { b.answer(true, false) },
			"some written":      func(t *rapid.T) { b.answers(rapid.IntRange(1, 40).Draw(t, "answers")) },
			"time passes":       func(*rapid.T) { b.c.send() },
			"report":            func(*rapid.T) { b.c.report() },
			"disk full":         func(*rapid.T) { b.full(true) },
			"disk free":         func(*rapid.T) { b.full(false); b.c.diskAt = time.Time{}; b.c.store() },
			"crash":             func(*rapid.T) { b.crash(); b.start() },
			"crash in a batch":  func(*rapid.T) { b.tear(); b.crash(); b.start() },
			"end and new start": func(*rapid.T) { b.end(); b.start() },
			"": func(t *rapid.T) {
				if st := b.w.counts; st.spoolBytes.Load() > c.SpoolMax {
					t.Fatalf("the spool has %d bytes", st.spoolBytes.Load())
				}
			},
		})
		b.full(false)
		b.c.diskAt = time.Time{}
		b.drain()
		b.check(t)
	})
}
