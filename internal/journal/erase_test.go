package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm/replay"
	"devicetwin/internal/codec"
	"devicetwin/internal/testfile"
)

// linesOf are how many lines of a device can be read.
func linesOf(t *testing.T, dir string, id device.ID) (n int) {
	t.Helper()
	if _, err := Read(t.Context(), files(t, dir), nil, func(_ int, line []byte) error {
		if got, ok := DeviceOf(line); ok && got == id {
			n++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func entry(id device.ID, n uint64) *replay.Entry {
	return &replay.Entry{Device: id, N: n, Instance: "i", Model: "m", Task: began, Do: replay.DoStart}
}

// writeBlock writes what was taken as a block, and returns where it ends in the file.
func (w *writing) writeBlock(entries ...*replay.Entry) int64 {
	for _, e := range entries {
		w.add(e)
	}
	w.work.Lock()
	defer w.work.Unlock()
	w.flush()
	return w.size
}

func (w *writing) close() (path string) {
	w.t.Helper()
	w.work.Lock()
	defer w.work.Unlock()
	path = w.path
	if err := w.end(); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func erase(t *testing.T, w *writing, id device.ID) (bool, error) {
	t.Helper()
	return w.Erase(t.Context(), map[device.ID]time.Time{id: began.Add(time.Minute)})
}

func flip(t *testing.T, path string, at int64) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[at] ^= 0xff
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

const killedIn = "DEVICETWIN_TEST_JOURNAL"

// TestWriteUntilKilled is the process of TestEraseAfterAKill.
func TestWriteUntilKilled(t *testing.T) {
	dir := os.Getenv(killedIn)
	if dir == "" {
		t.Skip("it is run by another test")
	}
	w := write(t, Config{Dir: dir})
	w.writeBlock(entry("lamp-1", 1), entry("lamp-2", 1))
	w.writeBlock(entry("lamp-1", 2))
	fmt.Println("written")
	select {}
}

// The file of a worker that was killed is ended, and erased from, at once; that of one that lives
// is left to it, and Erase returns that it is not done.
func TestEraseAfterAKill(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files are not locked there")
	}
	dir := t.TempDir()
	c := exec.Command(os.Args[0], "-test.run=^TestWriteUntilKilled$", "-test.v")
	c.Env = append(os.Environ(), killedIn+"="+dir)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Process.Kill(); _ = c.Wait() }()
	var said bytes.Buffer
	for b := make([]byte, 256); !strings.Contains(said.String(), "written"); {
		n, err := out.Read(b)
		said.Write(b[:n])
		if err != nil {
			t.Fatalf("%v:\n%s", err, said.String())
		}
	}
	w := write(t, Config{Dir: dir})
	if waits, err := erase(t, w, "lamp-1"); !waits || err != nil {
		t.Errorf("while it lives: waits %t, %v", waits, err)
	}
	if waits, err := erase(t, w, "lamp-3"); waits || err != nil {
		t.Errorf("a device that it has nothing of: waits %t, %v", waits, err)
	}
	if n := linesOf(t, dir, "lamp-1"); n != 2 {
		t.Fatalf("%d lines, want 2: another process writes the file", n)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if waits, err := erase(t, w, "lamp-1"); waits || err != nil {
		t.Errorf("after it was killed: waits %t, %v", waits, err)
	}
	list := files(t, dir)
	if linesOf(t, dir, "lamp-1") != 0 || linesOf(t, dir, "lamp-2") != 1 || len(list) != 1 || list[0].Open {
		t.Errorf("files %v, with %d and %d lines", list, linesOf(t, dir, "lamp-1"), linesOf(t, dir, "lamp-2"))
	}
}

// What another process has taken may not be in its file yet.
func TestEraseWaitsForWhatIsNotWrittenYet(t *testing.T) {
	dir := t.TempDir()
	other, w := write(t, Config{Dir: dir}), write(t, Config{Dir: dir})
	other.writeBlock(entry("lamp-2", 1))
	at := map[device.ID]time.Time{"lamp-1": time.Now()}
	if waits, err := w.Erase(t.Context(), at); !waits || err != nil {
		t.Errorf("at once: waits %t, %v", waits, err)
	}
	if waits, err := other.Erase(t.Context(), at); waits || err != nil { // its file is ended
		t.Errorf("the other: waits %t, %v", waits, err)
	}
	if waits, err := w.Erase(t.Context(), at); waits || err != nil {
		t.Errorf("then: waits %t, %v", waits, err)
	}
}

// What was taken before is erased, wherever it is on its way to the file.
func TestEraseReachesWhatWasTaken(t *testing.T) {
	for range 50 {
		dir := t.TempDir()
		w := write(t, Config{Dir: dir})
		for n := range uint64(3) {
			w.took(entry("lamp-1", n+1))
		}
		if waits, err := erase(t, w, "lamp-1"); waits || err != nil {
			t.Fatalf("waits %t, %v", waits, err)
		}
		w.stop()
		if n := linesOf(t, dir, "lamp-1"); n > 0 {
			t.Fatalf("%d lines of the device are there", n)
		}
	}
}

func TestEraseEndsWithItsContext(t *testing.T) {
	w, err := Open(Config{Dir: t.TempDir(), MaxBytes: MinBytes}, NewCounts(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Erase(ctx, map[device.ID]time.Time{"lamp-1": began}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v: nobody writes what was taken", err)
	}
}

// Files that cannot be read are named, and cost the others nothing.
func TestEraseFromFilesOfWhichSomeCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	w := write(t, Config{Dir: dir})
	w.writeBlock(entry("lamp-1", 1), entry("lamp-2", 1))
	w.close()
	names := map[string]string{
		"20200101T000000.000Z-aaaaaaaa.jsonl.zst": `{"version":1,"process":"w","key":"retired","salt":"AAAA"}`,
		"20200101T000000.000Z-bbbbbbbb.jsonl.zst": `{"version":2}`,
	}
	for name, head := range names {
		if err := os.WriteFile(filepath.Join(dir, name), appendSkippable(nil, magicFile, []byte(head)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	waits, err := erase(t, w, "lamp-1")
	if waits || err == nil {
		t.Errorf("waits %t, %v", waits, err)
	}
	for name := range names {
		if !strings.Contains(fmt.Sprint(err), name) {
			t.Errorf("error %v: want one that names %s", err, name)
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if linesOf(t, dir, "lamp-1") != 0 || linesOf(t, dir, "lamp-2") != 1 {
		t.Errorf("%d and %d lines", linesOf(t, dir, "lamp-1"), linesOf(t, dir, "lamp-2"))
	}
}

// Damage does not hide what is behind it, wherever in a block it is. What is behind it and does not say
// what the device was is left out.
func TestEraseBehindDamage(t *testing.T) {
	line, err := codec.NewKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := codec.ReadKeys(testfile.Write(t, "keys", line+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string]Keys{"clear": nil, "encrypted": keys} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w := write(t, Config{Dir: dir, Keys: keys})
			begin := w.writeBlock(entry("lamp-2", 1))
			end := w.writeBlock(entry("lamp-3", 1))
			w.writeBlock(entry("lamp-1", 1), entry("lamp-2", 2), entry("lamp-3", 2), entry("lamp-4", 1), entry("lamp-4", 2))
			path := w.close()
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for at := begin; at < end; at += 5 {
				if err := os.WriteFile(path, whole, 0o600); err != nil {
					t.Fatal(err)
				}
				flip(t, path, at)
				if waits, err := erase(t, w, "lamp-1"); waits || err != nil {
					t.Fatalf("byte %d: waits %t, %v", at-begin, waits, err)
				}
				got := map[device.ID]int{}
				damage, err := Read(t.Context(), files(t, dir), keys, func(_ int, line []byte) error {
					id, _ := DeviceOf(line)
					got[id]++
					return nil
				})
				if err != nil || damage.Cut > 0 || len(damage.Damaged) > 0 {
					t.Fatalf("byte %d: %+v, %v", at-begin, damage, err)
				}
				if got["lamp-1"] != 0 || got["lamp-2"] != 1 || got["lamp-3"] != 0 || got["lamp-4"] != 2 {
					t.Fatalf("byte %d: lines %v", at-begin, got)
				}
			}
		})
	}
}

// A file of which nothing can be read is not emptied: perhaps another key is given.
func TestEraseFromAFileThatIsAllDamaged(t *testing.T) {
	dir := t.TempDir()
	w := write(t, Config{Dir: dir})
	end := w.writeBlock(entry("lamp-1", 1))
	path := w.close()
	flip(t, path, end-1)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := erase(t, w, "lamp-1"); err == nil || !strings.Contains(err.Error(), filepath.Base(path)) {
		t.Errorf("error %v: want one that names the file", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("it was changed, %v", err)
	}
}

// A block that was cut may have something of the device.
func TestEraseTakesOutABlockThatWasCut(t *testing.T) {
	dir := t.TempDir()
	w := write(t, Config{Dir: dir})
	first := w.writeBlock(entry("lamp-2", 1))
	end := w.writeBlock(entry("lamp-1", 1))
	path := w.close()
	for _, size := range []int64{end - 1, first + 1} {
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		if waits, err := erase(t, w, "lamp-1"); waits || err != nil {
			t.Fatalf("waits %t, %v", waits, err)
		}
		if damage, err := Read(t.Context(), files(t, dir), nil, func(int, []byte) error { return nil }); err != nil || damage.Cut > 0 || linesOf(t, dir, "lamp-2") != 1 {
			t.Errorf("%+v, %v, %d lines", damage, err, linesOf(t, dir, "lamp-2"))
		}
	}
}

// A process that was killed while it erased left a part of a file.
func TestEraseRemovesDrafts(t *testing.T) {
	dir := t.TempDir()
	w := write(t, Config{Dir: dir})
	if err := os.WriteFile(filepath.Join(dir, ".new-1"), []byte("lamp-1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if waits, err := erase(t, w, "lamp-1"); waits || err != nil {
		t.Fatalf("waits %t, %v", waits, err)
	}
	if _, err := os.Stat(filepath.Join(dir, ".new-1")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v: the draft is there", err)
	}
}

// Others cannot read the journal, as they cannot read a log.
func TestOthersCannotReadTheJournal(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no such permissions there")
	}
	dir := filepath.Join(t.TempDir(), "journal")
	w := write(t, Config{Dir: dir})
	w.writeBlock(entry("lamp-1", 1), entry("lamp-2", 1))
	modes := func(when string) {
		t.Helper()
		for path, want := range map[string]os.FileMode{dir: 0o700, files(t, dir)[0].Path: 0o600} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %s has mode %v, want %v (%v)", when, path, info.Mode(), want, err)
			}
		}
	}
	modes("while it is written")
	if _, err := erase(t, w, "lamp-1"); err != nil {
		t.Fatal(err)
	}
	modes("written again")
}
