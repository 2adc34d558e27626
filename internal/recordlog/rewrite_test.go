package recordlog

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// upper writes the records of some numbers in capitals.
func upper(r Record) ([]byte, bool) {
	if !strings.HasPrefix(string(r.Data), "record 7") {
		return nil, false
	}
	return bytes.ToUpper(r.Data), true
}

func uppered(list []string) []string {
	out := slices.Clone(list)
	for i, s := range out {
		if strings.HasPrefix(s, "record 7") {
			out[i] = strings.ToUpper(s)
		}
	}
	return out
}

func TestRecordsAreReplaced(t *testing.T) {
	for name, keys := range map[string]Keys{"in clear": nil, "encrypted": testKeys("k1")} {
		t.Run(name, func(t *testing.T) {
			b := newLogBench(t, Config{SegmentBytes: minSegment, Keys: keys})
			b.put(numbers(0, 1000)...)
			before := b.Stats()
			n, err := b.Rewrite(t.Context(), upper)
			if err != nil || n != 111 {
				t.Fatalf("%d records replaced, %v; expected 111", n, err)
			}
			equal(t, rest(t, b.cursor("a", Holds)), uppered(numbers(0, 1000)))
			b.restart()
			equal(t, rest(t, b.cursor("b", Holds)), uppered(numbers(0, 1000)))
			if s := b.Stats(); s.Damaged > 0 || s.End != before.End {
				t.Errorf("%+v; expected as before: %+v", s, before)
			}
			if s, err := Summarize(t.Context(), b.cfg.Dir); err != nil || s.Erased > 0 {
				t.Errorf("%+v, %v; expected nothing erased", s, err)
			}
			if _, err := os.Stat(filepath.Join(b.cfg.Dir, journalName)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the journal is left: %v", err)
			}
		})
	}
}

func TestDataOfAnotherLengthIsRefused(t *testing.T) {
	b := newLogBench(t, Config{})
	b.put("a", "b")
	for _, data := range []string{"", "xx"} {
		n, err := b.Rewrite(t.Context(), func(Record) ([]byte, bool) { return []byte(data), true })
		if err == nil || n != 0 {
			t.Errorf("%q: %d replaced, %v", data, n, err)
		}
	}
	equal(t, rest(t, b.cursor("a", Holds)), []string{"a", "b"})
}

// A crash may come before any byte of what is written over records.
func TestAReplacementIsFinishedAfterACrash(t *testing.T) {
	b := newLogBench(t, Config{SegmentBytes: minSegment})
	all := numbers(0, 1000)
	b.put(all...)
	var j journal
	c := b.cursor("places", Holds)
	for _, e := range entries(t, c) {
		if data, ok := upper(e.Record); ok {
			j.add(e.Start, appendFrame(nil, e.Kind, false, e.At, data))
		}
	}
	c.Close()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	before := map[string][]byte{}
	for _, s := range b.segments {
		raw, err := os.ReadFile(s.path)
		if err != nil {
			t.Fatal(err)
		}
		before[s.path] = raw
	}
	for _, written := range []int{0, 1, 20, 28, 30, 60, 5000, 1 << 30} { // bytes of frames, before the crash
		for path, raw := range before {
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := j.write(b.cfg.Dir); err != nil {
			t.Fatal(err)
		}
		left := written
		err := j.apply(func(position int64, frame []byte) error {
			s := b.at(position)
			f, err := os.OpenFile(s.path, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			part := frame[:min(left, len(frame))]
			left -= len(part)
			_, err = f.WriteAt(part, position-s.base)
			return errors.Join(err, f.Close())
		})
		if err != nil {
			t.Fatal(err)
		}
		b.open()
		equal(t, rest(t, b.cursor(fmt.Sprint("after-", written), Holds)), uppered(all))
		if b.Stats().Damaged > 0 {
			t.Errorf("%d bytes before the crash: %d places damaged", written, b.Stats().Damaged)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A journal that is damaged was not, or not yet, of any effect: the log is as it was.
func TestADamagedJournal(t *testing.T) {
	for _, content := range []string{"", "short", strings.Repeat("x", 100)} {
		b := newLogBench(t, Config{})
		b.put("a", "b")
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(b.cfg.Dir, journalName), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		b.open()
		equal(t, rest(t, b.cursor("a", Holds)), []string{"a", "b"})
		if b.Stats().Damaged != 1 {
			t.Errorf("journal %.10q: %d damages counted", content, b.Stats().Damaged)
		}
		b.restart()
		if b.Stats().Damaged != 0 {
			t.Errorf("journal %.10q is still there", content)
		}
	}
}

// Whoever reads while records are replaced sees the old or the new ones, whole.
func TestRecordsAreReplacedWhileTheyAreRead(t *testing.T) {
	b := newLogBench(t, Config{SegmentBytes: minSegment})
	all := numbers(0, 300)
	b.put(all...)
	stop, done, passes := make(chan struct{}), make(chan error), atomic.Int64{}
	go func() {
		for {
			change := []func([]byte) []byte{bytes.ToUpper, bytes.ToLower}[passes.Add(1)%2]
			_, err := b.Rewrite(t.Context(), func(r Record) ([]byte, bool) { return change(r.Data), true })
			select {
			case <-stop:
				done <- err
				return
			default:
			}
			if err != nil {
				done <- err
				return
			}
		}
	}()
	c := b.cursor("a", Holds)
	for passes.Load() < 40 {
		c.Move(0)
		c.chunk = nil
		got := rest(t, c)
		for i := range got {
			got[i] = strings.ToLower(got[i])
		}
		equal(t, got, all)
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if b.Stats().Damaged > 0 {
		t.Errorf("%d places count as damaged", b.Stats().Damaged)
	}
}

// Whoever remembers where a record was learns that it was erased; a cursor that has not
// had what is before a position is not past it.
func TestPlacesOfErasedRecords(t *testing.T) {
	b := newLogBench(t, Config{})
	b.put("first", "second")
	c := b.cursor("a", Holds)
	e, _, err := c.TryNext()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.erase(func(r Record) bool { return string(r.Data) == "first" }); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ReadAt(e.Start); !errors.Is(err, ErrErased) {
		t.Errorf("read what was erased: %v", err)
	}
	if _, err := b.ReadAt(e.Start + 1); err == nil || errors.Is(err, ErrErased) {
		t.Errorf("read where no record begins: %v", err)
	}
	if b.Passed("a", e.End) || !b.Passed("a", 0) || !b.Passed("another", e.End) {
		t.Error("it is past what it has not committed, or not past what it has")
	}
	c.Commit(e.End)
	if !b.Passed("a", e.End) {
		t.Error("it is not past what it has committed")
	}
}
