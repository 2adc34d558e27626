package logs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"devicetwin/bridge/history"
	"devicetwin/device"
	"devicetwin/devicefsm/replay"
	"devicetwin/internal/cli"
	"devicetwin/internal/codec"
	"devicetwin/internal/journal"
	"devicetwin/internal/testfile"
)

// writeJournal writes entries of two devices, one a second, in two files: twenty of each device.
func writeJournal(t *testing.T, dir string, keys journal.Keys) (add func(n int), stop func()) {
	t.Helper()
	n := map[device.ID]uint64{}
	at := began
	begin := func() (*journal.Writer, func()) {
		w, err := journal.Open(journal.Config{Dir: dir, MaxBytes: 64 << 20, Keys: keys}, journal.NewCounts(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { w.Run(ctx) })
		return w, func() { cancel(); running.Wait() }
	}
	take := func(w *journal.Writer) {
		for _, id := range []device.ID{"pump-1", "fan-1"} {
			n[id]++
			cause := "message"
			if n[id]%4 == 0 {
				cause = "timer"
			}
			w.Took(&replay.Entry{Device: id, N: n[id], Instance: "life-" + string(id), Model: "0123456789abcdef", Task: at, Arrived: at, Cause: cause})
		}
		at = at.Add(time.Second)
	}
	for range 2 {
		w, stop := begin()
		for range 10 {
			take(w)
		}
		stop()
	}
	w, stop := begin()
	t.Cleanup(stop)
	return func(n int) {
		for range n {
			take(w)
		}
	}, stop
}

func entriesOf(t *testing.T, out string) (all []replay.Entry) {
	t.Helper()
	for line := range strings.Lines(out) {
		var e replay.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, e)
	}
	return all
}

// The commands for logs read a journal, too.
func TestCommandsReadAJournal(t *testing.T) {
	line, err := codec.NewKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	file := testfile.Write(t, "keys", line+"\n")
	keys, err := codec.ReadKeys(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, encrypted := range []bool{false, true} {
		dir, args := t.TempDir(), []string(nil)
		if encrypted {
			writeJournal(t, dir, keys)
			args = []string{"--temporal-keys", file}
			if status, _, errs := run("export", dir); status != 1 || !strings.Contains(errs, "encrypted with key") {
				t.Errorf("without keys: status %d: %s", status, errs)
			}
		} else {
			writeJournal(t, dir, nil)
		}
		ok := func(command ...string) string {
			t.Helper()
			status, out, errs := run(append(command, args...)...)
			if status != 0 || errs != "" {
				t.Errorf("%q: status %d: %s", command, status, errs)
			}
			return out
		}
		all := entriesOf(t, ok("export", dir))
		if len(all) != 40 {
			t.Errorf("%d entries, want 40", len(all))
		}
		for i, e := range all { // each line stands alone
			if e.Instance != "life-"+string(e.Device) || e.Model != "0123456789abcdef" || e.N != uint64(i/2+1) {
				t.Errorf("entry %d: %+v", i, e)
			}
		}
		since := began.Add(15 * time.Second).Format(time.RFC3339)
		if some := entriesOf(t, ok("export", dir, "--device", "pump-*", "--since", since, "--until", began.Add(19*time.Second).Format(time.RFC3339))); len(some) != 4 || some[0].N != 16 || some[0].Device != "pump-1" || some[0].Model == "" {
			t.Errorf("some entries: %+v", some)
		}
		if timers := entriesOf(t, ok("export", dir, "--kind", "timer")); len(timers) != 10 || timers[0].Cause != "timer" {
			t.Errorf("%d timers", len(timers))
		}
		for _, n := range []int{0, 3, 25, 100} {
			if last := entriesOf(t, ok("tail", dir, "-n", fmt.Sprint(n))); len(last) != min(n, 40) || n > 0 && last[len(last)-1].N != 20 {
				t.Errorf("tail of %d: %d entries", n, len(last))
			}
		}
		if out := ok("devices", dir); !strings.Contains(out, "pump-1  20       2026-03-01T12:00:00Z  2026-03-01T12:00:19Z  0123456789ab\n") || !strings.Contains(out, "fan-1 ") {
			t.Errorf("devices:\n%s", out)
		}
		if out := ok("devices", dir, "-o", "json", "--device", "fan-1"); !strings.Contains(out, `{"device":"fan-1","entries":20,"first":"2026-03-01T12:00:00Z","last":"2026-03-01T12:00:19Z","model":"0123456789abcdef"}`) {
			t.Errorf("devices: %s", out)
		}
		if out := ok("stats", dir); !strings.Contains(out, "entries             40\n") || !strings.Contains(out, "files               ") {
			t.Errorf("stats:\n%s", out)
		}
		var s journal.Stats
		if err := json.Unmarshal([]byte(ok("stats", dir, "-o", "json")), &s); err != nil || s.Entries != 40 || !s.First.Equal(began) {
			t.Errorf("stats: error %v: %+v", err, s)
		}
	}
}

// watched is output that a test waits for.
type watched struct {
	wanted string
	found  func()
	mu     sync.Mutex
	buf    bytes.Buffer
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Write(p)
	if bytes.Contains(w.buf.Bytes(), []byte(w.wanted)) {
		w.found()
	}
	return len(p), nil
}

func (w *watched) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Len()
}

// A journal that is written is followed.
func TestTailFollowsAJournal(t *testing.T) {
	dir := t.TempDir()
	add, _ := writeJournal(t, dir, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out := &watched{wanted: `"device":"fan-1","n":25`, found: cancel}
	done := make(chan error, 1)
	go func() {
		q := query{Dir: dir}
		in, err := q.journal()
		if err == nil {
			err = in.tail(ctx, dir, 1, true, cli.Streams{Out: out, Err: out})
		}
		done <- err
	}()
	for out.count() == 0 && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	add(5)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	all := entriesOf(t, out.buf.String())
	if len(all) != 11 || all[0].N != 20 || all[10].N != 25 || all[10].Instance == "" {
		t.Errorf("%d entries: %s", len(all), out.buf.String())
	}
}

// What is followed has the model that its own file says, whichever files were read before: of a
// device that was moved between two files, or within one, and of one whose file was not read for the newest entries.
func TestTailSaysWhichModelRan(t *testing.T) {
	dir := t.TempDir()
	begin := func() (*journal.Writer, func()) {
		w, err := journal.Open(journal.Config{Dir: dir, MaxBytes: 64 << 20}, journal.NewCounts(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { w.Run(ctx) })
		return w, sync.OnceFunc(func() { cancel(); running.Wait() })
	}
	models := map[device.ID][]string{} // of each entry
	taken := 0
	take := func(w *journal.Writer, id device.ID, model string) {
		models[id] = append(models[id], model)
		taken++
		w.Took(&replay.Entry{Device: id, N: uint64(len(models[id])), Instance: "life-" + string(id), Model: model, Task: began, Arrived: began})
	}
	written := func() {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			files, err := journal.Files(dir)
			if err != nil {
				t.Fatal(err)
			}
			s, err := journal.Summarize(t.Context(), files, nil)
			if err != nil {
				t.Fatal(err)
			}
			if s.Entries == taken {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d entries are written, want %d", s.Entries, taken)
			}
		}
	}
	first, end := begin()
	take(first, "pump-1", "model-A")
	end()
	other, end := begin() // of another process
	defer end()
	take(other, "fan-1", "model-C")
	written()
	time.Sleep(2 * time.Millisecond) // files have the names of their times
	second, end := begin()
	defer end()
	take(second, "pump-1", "model-B")
	take(second, "pump-1", "model-B")
	written()
	for _, count := range []int{1, 4} { // with 4, the oldest file is read last
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		end := fmt.Sprint("end-", count)
		out := &watched{wanted: end, found: cancel}
		done := make(chan error, 1)
		go func() {
			in, err := query{Dir: dir}.journal()
			if err == nil {
				err = in.tail(ctx, dir, count, true, cli.Streams{Out: out, Err: out})
			}
			done <- err
		}()
		for out.count() == 0 && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		take(other, "fan-1", "model-C")
		take(second, "pump-1", "model-B")
		take(second, "pump-1", "model-D")
		take(second, "pump-1", "model-B")
		take(other, "fan-1", "model-C")
		written()
		take(second, device.ID(end), "model-E")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		written()
		got := map[string]int{}
		for _, e := range entriesOf(t, out.buf.String()) {
			got[e.Model]++
			if want := models[e.Device][e.N-1]; e.Model != want || e.Instance != "life-"+string(e.Device) {
				t.Errorf("-n %d: entry %d of %s ran %q in %q, want %q", count, e.N, e.Device, e.Model, e.Instance, want)
			}
		}
		if got["model-B"] < 3 || got["model-C"] < 2 || got["model-D"] < 1 || got["model-E"] < 1 {
			t.Errorf("-n %d: %v", count, got)
		}
	}
}

// What a log has of devices is listed, too.
func TestDevicesOfALog(t *testing.T) {
	w := writeLog(t, nil)
	w.reading("pump-1", 1, "1", history.Irrelevant)
	w.reading("pump-1", 2, "2", history.Delivered)
	w.reading("fan-1", 1, "1", history.Irrelevant)
	w.flush()
	status, out, errs := run("devices", w.dir)
	if status != 0 || errs != "" || !strings.Contains(out, "pump-1  2 ") || !strings.Contains(out, "fan-1   1 ") {
		t.Errorf("status %d: %s\n%s", status, errs, out)
	}
}
