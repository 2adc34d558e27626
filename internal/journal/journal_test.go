package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/devicefsm/replay"
	"devicetwin/internal/codec"
	"devicetwin/internal/durable"
	"devicetwin/internal/testfile"
)

const lamp = `
model: lamp
context: {times: 0}
initial: off
states:
  off: {on: {press: on}}
  on: {entry: {assign: {times: "context.times + 1"}}, on: {press: off}, after: {10m: off}}
`

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func load(t testing.TB, text string) *devicefsm.Model {
	t.Helper()
	m, err := devicefsm.Load("lamp.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// world is devices that run a model, and give what they take to a journal.
type world struct {
	model *devicefsm.Model
	is    map[device.ID]*devicefsm.Snapshot
	n     map[device.ID]uint64
	at    time.Time
	to    func(*replay.Entry)
}

func newWorld(m *devicefsm.Model, to func(*replay.Entry)) *world {
	return &world{m, map[device.ID]*devicefsm.Snapshot{}, map[device.ID]uint64{}, began, to}
}

func (w *world) take(id device.ID, e replay.Entry, after *devicefsm.Snapshot, out devicefsm.Outcome) {
	w.n[id]++
	e.Device, e.N, e.Instance, e.Model, e.Task, e.Before, e.Result = id, w.n[id], "life", w.model.Hash(), w.at, w.is[id], replay.ResultOf(out)
	w.is[id] = after
	w.to(&e)
}

// press presses the button of a lamp, after a second. A lamp begins when it is pressed first.
func (w *world) press(id device.ID) {
	w.at = w.at.Add(time.Second)
	if w.is[id] == nil {
		s, out := w.model.Start(w.at)
		w.take(id, replay.Entry{Do: replay.DoStart, Arrived: w.at, After: s}, s, out)
	}
	ev := devicefsm.Event{Name: "press", Data: map[string]any{"text": "<&>"}, Time: w.at, Arrived: w.at}
	s, out := w.model.Step(w.is[id], ev)
	w.take(id, replay.Entry{Channel: device.ChannelEvents, Name: "press", Event: "press", Data: ev.Data, Time: w.at, Arrived: w.at}, s, out)
}

type writing struct {
	*Writer
	t    *testing.T
	stop func()
}

func write(t *testing.T, c Config) *writing {
	t.Helper()
	if c.MaxBytes == 0 {
		c.MaxBytes = 64 << 20
	}
	w, err := Open(c, NewCounts(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	out := &writing{w, t, func() { cancel(); running.Wait() }}
	t.Cleanup(out.stop)
	return out
}

// took waits until the writer has room: tests lose nothing.
func (w *writing) took(e *replay.Entry) {
	for len(w.taken) == cap(w.taken) {
		time.Sleep(time.Millisecond)
	}
	w.Took(e)
}

func files(t *testing.T, dir string) []File {
	t.Helper()
	list, err := Files(dir)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// replayed runs what is in a folder through the model again.
func replayed(t *testing.T, dir string, keys Keys, m *devicefsm.Model, memory int64) (*replay.Report, Damage) {
	t.Helper()
	h := Histories{Files: files(t, dir), Keys: keys, Memory: memory, Workers: 1}
	r := replay.New(replay.Config{Model: func(hash string) (*devicefsm.Model, bool) { return m, hash == m.Hash() }})
	damage, err := h.Each(t.Context(), func(_ int, id device.ID, entries []*replay.Entry) error {
		r.Device(id, entries)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return r.Report(), damage
}

// What is written is read again, in clear and encrypted, by one pass or by several; every result is
// reproduced from it.
func TestWhatIsWrittenIsReplayed(t *testing.T) {
	m := load(t, lamp)
	line, err := codec.NewKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := codec.ReadKeys(testfile.Write(t, "keys", line+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		keys Keys
	}{{"clear", nil}, {"encrypted", keys}} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			const devices, times = 20, 50
			for part := range 2 { // two processes, one after the other
				w := write(t, Config{Dir: dir, Keys: c.keys, Process: fmt.Sprint("worker-", part)})
				lamps := newWorld(m, w.took)
				lamps.at = began.Add(time.Duration(part) * time.Hour)
				if part == 1 {
					continue // it has nothing to write: there is no file of it
				}
				for range times {
					for i := range devices {
						lamps.press(device.ID(fmt.Sprintf("lamp-%02d", i)))
					}
				}
				w.stop()
				if n := w.counts.Lost(); n > 0 {
					t.Fatalf("%d entries are lost", n)
				}
			}
			list := files(t, dir)
			open := slices.IndexFunc(list, func(f File) bool { return f.Open })
			if len(list) != 1 || open >= 0 {
				t.Fatalf("%d files, want one that is ended", len(list))
			}
			raw, err := os.ReadFile(list[0].Path)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(raw, []byte("lamp-01")) && c.keys != nil {
				t.Error("an encrypted file names a device")
			}
			for _, memory := range []int64{0, 20 << 10} {
				report, damage := replayed(t, dir, c.keys, m, memory)
				if report.Devices != devices || report.Different > 0 || report.Missing > 0 || report.Skipped > 0 || report.Entries != devices*(times+1) || damage.Cut > 0 || len(damage.Damaged) > 0 {
					t.Errorf("with %d bytes of memory: %+v, damage %+v", memory, report, damage)
				}
			}
			s, err := Summarize(t.Context(), list, c.keys)
			if err != nil || s.Entries != devices*(times+1) || s.Files != 1 || !s.First.Equal(began.Add(time.Second)) || s.Last.Before(*s.First) || s.Plain < s.Bytes {
				t.Errorf("summary %+v, error %v", s, err)
			}
			if c.keys != nil {
				if _, err := Summarize(t.Context(), list, nil); err == nil || !strings.Contains(err.Error(), `encrypted with key "k1"`) {
					t.Errorf("without keys: error %v", err)
				}
			}
		})
	}
}

// Other tools read a file: it is a row of zstd frames, with one JSON object a line.
func TestOtherToolsReadTheFiles(t *testing.T) {
	dir := t.TempDir()
	w := write(t, Config{Dir: dir})
	lamps := newWorld(load(t, lamp), w.took)
	for range 3 {
		lamps.press("lamp-1")
	}
	w.stop()
	path := files(t, dir)[0].Path
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	text, err := io.ReadAll(d)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines, want 4:\n%s", len(lines), text)
	}
	for i, line := range lines {
		var e replay.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.N != uint64(i+1) || e.Device != "lamp-1" {
			t.Errorf("line %d: error %v:\n%s", i, err, line)
		}
		if first := e.Before != nil || e.Instance != ""; first != (i == 0) {
			t.Errorf("line %d says what holds for the device in this file: %t\n%s", i, first, line)
		}
	}
	if program, err := exec.LookPath("zstd"); err == nil {
		out, err := exec.Command(program, "-dc", path).Output()
		if err != nil || string(out) != string(text) {
			t.Errorf("zstd -dc: error %v:\n%s", err, out)
		}
	}
}

// A process that is killed leaves a block that is not whole; what is before it is read. What
// follows in the next file begins with what the device was.
func TestAFileThatIsCut(t *testing.T) {
	m := load(t, lamp)
	dir := t.TempDir()
	first := write(t, Config{Dir: dir})
	lamps := newWorld(m, first.took)
	press := func(w *writing) {
		for range 10 {
			lamps.press("lamp-1")
		}
		w.stop()
	}
	press(first)
	second := write(t, Config{Dir: dir})
	lamps.to = second.took
	press(second)
	path := files(t, dir)[0].Path
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := len(raw) - 1; cut >= 0; cut -= 7 {
		if err := os.WriteFile(path, raw[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		report, damage := replayed(t, dir, nil, m, 0)
		if damage.Cut != 1 || report.Different > 0 || report.Entries != 10 || report.Devices != 1 {
			t.Fatalf("cut at %d of %d: damage %+v, %+v", cut, len(raw), damage, report)
		}
	}
	damaged := bytes.Clone(raw)
	damaged[len(raw)-5] ^= 1
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	if report, damage := replayed(t, dir, nil, m, 0); !slices.Equal(damage.Damaged, []string{filepath.Base(path)}) || report.Entries != 10 {
		t.Errorf("damaged: %+v, %+v", damage, report)
	}
}

// A damaged block costs a follower what is in its file until then, wherever the damage is found: in
// clear it is in what is unpacked, and encrypted before that. Other files are followed on.
func TestDamageDoesNotEndAFollower(t *testing.T) {
	line, err := codec.NewKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := codec.ReadKeys(testfile.Write(t, "keys", line+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPacking()
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string]Keys{"in clear": nil, "encrypted": keys} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			add := func(file string, raw []byte) {
				t.Helper()
				f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
				if err == nil {
					_, err = f.Write(raw)
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := f.Close(); err != nil {
					t.Fatal(err)
				}
			}
			const one, two = "20260301T120000.000Z-0a", "20260301T120001.000Z-0b"
			blocks := map[string]func(string) []byte{}
			for _, file := range []string{one, two} {
				head, aead, err := newFile("test", keys)
				if err != nil {
					t.Fatal(err)
				}
				add(file+suffix+openSuffix, head)
				blocks[file] = func(text string) []byte { return p.append(nil, []byte(text+"\n"), block{lines: 1}, aead) }
				add(file+suffix+openSuffix, blocks[file]("first of "+file))
			}
			follower, err := Follow(dir, keys, false)
			if err != nil {
				t.Fatal(err)
			}
			poll := func(want ...string) {
				t.Helper()
				var got []string
				err := follower.Poll(t.Context(), func(a Added) error {
					text := string(a.Line)
					if a.Before {
						text = "before: " + text
					}
					got = append(got, text)
					return nil
				})
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("got %q, %v; want %q", got, err, want)
				}
			}
			poll()
			damaged := blocks[one]("lost")
			damaged[len(damaged)-2] ^= 1
			add(one+suffix+openSuffix, damaged)
			add(two+suffix+openSuffix, blocks[two]("second"))
			poll("before: first of "+one, "before: first of "+two, "second")
			if follower.Counts(one+suffix) || !follower.Counts(two+suffix) {
				t.Error("what a file says before it is damaged counts afterwards, or that of another does not")
			}
			poll()
			add(one+suffix+openSuffix, blocks[one]("after it"))
			add(two+suffix+openSuffix, blocks[two]("third")[:20])
			poll("after it")
			if err := os.Rename(filepath.Join(dir, two+suffix+openSuffix), filepath.Join(dir, two+suffix)); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(dir, one+suffix+openSuffix), filepath.Join(dir, one+suffix)); err != nil {
				t.Fatal(err)
			}
			poll()
			if follower.Counts(one + suffix) {
				t.Error("what a file says counts after its end")
			}
		})
	}
}

// What there is no room for is counted, and the entry that follows it says what the device was.
func TestWhatIsLostIsCounted(t *testing.T) {
	m := load(t, lamp)
	dir := t.TempDir()
	w, err := Open(Config{Dir: dir, MaxBytes: 1 << 20}, NewCounts(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	lamps := newWorld(m, w.Took)
	for range waitingEntries + 99 { // and the start: nobody writes yet
		lamps.press("lamp-1")
	}
	if n := w.counts.Lost(); n != 100 {
		t.Errorf("%d entries are lost, want 100", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	for len(w.taken) > 0 {
		time.Sleep(time.Millisecond)
	}
	for range 10 {
		lamps.press("lamp-1")
	}
	cancel()
	running.Wait()
	report, _ := replayed(t, dir, nil, m, 0)
	if report.Missing != 100 || report.Skipped != 0 || report.Different > 0 || report.Entries != waitingEntries+10 {
		t.Errorf("%+v", report)
	}
}

// While the folder cannot be written, entries are counted as lost; after that, the journal goes on.
func TestAFolderThatIsGone(t *testing.T) {
	m := load(t, lamp)
	dir := filepath.Join(t.TempDir(), "journal")
	w, err := Open(Config{Dir: dir, MaxBytes: 1 << 20}, NewCounts(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	w.now = func() time.Time { return at }
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	lamps := newWorld(m, w.add)
	for range 4 {
		lamps.press("lamp-1")
	}
	if n := w.counts.lost[lostDisk].Load(); n != 5 {
		t.Errorf("%d entries are lost, want 5", n)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	lamps.press("lamp-1") // too early to try again
	at = at.Add(retryAfter)
	for range 4 {
		lamps.press("lamp-1")
	}
	w.flush()
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	if report, _ := replayed(t, dir, nil, m, 0); report.Entries != 4 || report.Different > 0 || report.Skipped > 0 {
		t.Errorf("%+v", report)
	}
	if n := w.counts.Lost(); n != 6 {
		t.Errorf("%d entries are lost, want 6", n)
	}
}

// Files are bounded by their age and by the size of all.
func TestOldFilesAreRemoved(t *testing.T) {
	m := load(t, lamp)
	dir := t.TempDir()
	w, err := Open(Config{Dir: dir, MaxBytes: MinBytes, MaxAge: 24 * time.Hour}, NewCounts(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	w.now = func() time.Time { return at }
	lamps := newWorld(m, w.add)
	next := func() { // a file
		t.Helper()
		lamps.press("lamp-1")
		w.flush()
		if err := w.end(); err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Second)
	}
	next()
	old := files(t, dir)[0].Path
	past := at.Add(-25 * time.Hour)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	next()
	list := files(t, dir)
	if len(list) != 1 || list[0].Path == old || w.counts.removed.Load() != 1 {
		t.Fatalf("%d files, %d removed: the old one is there", len(list), w.counts.removed.Load())
	}
	// Another process writes a large one, and is done with another.
	for _, name := range []string{at.UTC().Format(nameTime) + "-00000000" + suffix + openSuffix, at.UTC().Format(nameTime) + "-00000001" + suffix} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, MinBytes/2), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	writing := files(t, dir)[1]
	f, err := os.OpenFile(writing.Path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if ok, err := durable.TryLock(f); !ok || err != nil {
		t.Fatalf("locked %t, %v", ok, err)
	}
	at = at.Add(time.Second)
	next()
	var names []string
	for _, f := range files(t, dir) {
		names = append(names, filepath.Base(f.Path))
	}
	if len(names) != 2 || !strings.HasSuffix(names[0], "-00000000"+suffix+openSuffix) {
		t.Errorf("files %v: want the one that another process writes, and the last one", names)
	}
	past = at.Add(-25 * time.Hour)
	if err := os.Chtimes(writing.Path, past, past); err != nil {
		t.Fatal(err)
	}
	at = at.Add(time.Second)
	next()
	if list := files(t, dir); !slices.ContainsFunc(list, func(f File) bool { return f.Open }) {
		t.Errorf("files %v: the one that another process writes was removed", list)
	}
	f.Close() // it was killed
	at = at.Add(time.Second)
	next()
	if list := files(t, dir); slices.ContainsFunc(list, func(f File) bool { return f.Open }) {
		t.Errorf("files %v: the one of a process that was killed is there", list)
	}
}

// A device that is deleted with its data is erased, up to its end; others stay, and so does what came
// after it.
func TestErase(t *testing.T) {
	m := load(t, lamp)
	for _, encrypted := range []bool{false, true} {
		var keys Keys
		if encrypted {
			line, err := codec.NewKey("k1")
			if err != nil {
				t.Fatal(err)
			}
			if keys, err = codec.ReadKeys(testfile.Write(t, "keys", line+"\n")); err != nil {
				t.Fatal(err)
			}
		}
		dir := t.TempDir()
		w := write(t, Config{Dir: dir, Keys: keys})
		lamps := newWorld(m, w.took)
		for range 20 {
			lamps.press("lamp-1")
			lamps.press("lamp-2")
		}
		end := lamps.at
		delete(lamps.is, "lamp-1")
		delete(lamps.n, "lamp-1")
		again := newWorld(m, func(e *replay.Entry) { e.Instance = "another"; w.took(e) })
		again.at = end.Add(time.Minute)
		again.press("lamp-1")
		for _, id := range []device.ID{"lamp-1", "lamp-3"} {
			if waits, err := w.Erase(t.Context(), map[device.ID]time.Time{id: end}); waits || err != nil {
				t.Fatalf("erase %s: waits %t, %v", id, waits, err)
			}
		}
		report, _ := replayed(t, dir, keys, m, 0)
		if report.Devices != 2 || report.Entries != 21+2 || report.Different+int(report.Skipped) > 0 {
			t.Errorf("encrypted %t: %+v", encrypted, report)
		}
		err := error(nil)
		if _, err = Read(t.Context(), files(t, dir), keys, func(_ int, line []byte) error {
			if id, _ := DeviceOf(line); id == "lamp-1" && bytes.Contains(line, []byte(`"life"`)) {
				t.Errorf("there is still a line of the device:\n%s", line)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		lamps.press("lamp-2") // it is still written
		w.stop()
		if report, _ := replayed(t, dir, keys, m, 0); report.Entries != 24 || report.Different > 0 {
			t.Errorf("encrypted %t, after more: %+v", encrypted, report)
		}
	}
}

// Workflows are not delayed: what it costs them to give an entry.
func BenchmarkTook(b *testing.B) {
	w, err := Open(Config{Dir: b.TempDir(), MaxBytes: 1 << 30}, NewCounts(), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	defer running.Wait()
	defer cancel()
	lamps := newWorld(load(b, lamp), w.Took)
	b.ReportAllocs()
	for i := range b.N {
		lamps.press(device.ID(fmt.Sprint("lamp-", i%1000)))
	}
	b.ReportMetric(float64(w.counts.Lost())/float64(b.N), "lost/op")
}

// How many entries a second are read from files and replayed, by one processor.
func BenchmarkReplay(b *testing.B) {
	m := load(b, lamp)
	dir := b.TempDir()
	w, err := Open(Config{Dir: dir, MaxBytes: 1 << 30}, NewCounts(), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	lamps := newWorld(m, w.add)
	const devices, times = 1000, 100
	for range times {
		for i := range devices {
			lamps.press(device.ID(fmt.Sprint("lamp-", i)))
		}
	}
	w.flush()
	if err := w.end(); err != nil {
		b.Fatal(err)
	}
	list, err := Files(dir)
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	n := uint64(0)
	for range b.N {
		r := replay.New(replay.Config{Model: func(string) (*devicefsm.Model, bool) { return m, true }})
		if _, err := (Histories{Files: list, Workers: 1}).Each(b.Context(), func(_ int, id device.ID, entries []*replay.Entry) error {
			r.Device(id, entries)
			return nil
		}); err != nil {
			b.Fatal(err)
		}
		if r.Report().Different > 0 || r.Report().Devices != devices {
			b.Fatalf("%+v", r.Report())
		}
		n += r.Report().Entries
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "entries/s")
}
