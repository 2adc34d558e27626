package recordlog

import (
	"bytes"
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func (b *logBench) reader() *Reader {
	b.t.Helper()
	r, err := OpenReader(b.cfg.Dir, b.cfg.Keys)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(r.Close)
	return r
}

// A reader follows a log that another process has locked, over its segments.
func TestAReaderFollows(t *testing.T) {
	for name, keys := range map[string]Keys{"in clear": nil, "encrypted": testKeys("k1")} {
		t.Run(name, func(t *testing.T) {
			b := newLogBench(t, Config{SegmentBytes: minSegment, Keys: keys})
			b.put("first")
			r := b.reader()
			equal(t, rest(t, r), []string{"first"})
			equal(t, rest(t, r), nil)
			b.put(numbers(0, 700)...)
			equal(t, rest(t, r), numbers(0, 700))
			b.restart()
			b.put(numbers(700, 1500)...)
			equal(t, rest(t, r), numbers(700, 1500))
			if len(r.Segments()) < 3 || r.Damaged() > 0 || r.Removed() > 0 {
				t.Errorf("segments at %d, %d damaged, %d bytes removed; expected several segments, and nothing else", r.Segments(), r.Damaged(), r.Removed())
			}
		})
	}
}

func TestAReaderGivesThePlacesOfCursors(t *testing.T) {
	b := newLogBench(t, Config{SegmentBytes: minSegment})
	b.put(numbers(0, 1000)...)
	r, c := b.reader(), b.cursor("a", Holds)
	var last Entry
	for {
		got, ok, err := r.TryNext()
		want, wantOK, wantErr := c.TryNext()
		if err != nil || wantErr != nil || ok != wantOK || got.Start != want.Start || got.End != want.End || !got.At.Equal(want.At) || got.Kind != want.Kind {
			t.Fatalf("%+v, %v, %v; a cursor reads %+v, %v, %v", got, ok, err, want, wantOK, wantErr)
		}
		if !ok {
			break
		}
		last = got
	}
	r.Move(last.Start)
	if e, ok, err := r.TryNext(); err != nil || !ok || !bytes.Equal(e.Data, last.Data) || r.Position() != last.End {
		t.Errorf("moved to the last record: %+v, %v, %v", e, ok, err)
	}
}

// The end of the last record may be missing in any length while it is written.
func TestAReaderWaitsForTheRestOfARecord(t *testing.T) {
	b := newLogBench(t, Config{})
	b.put("first", "second")
	whole := b.Stats().Durable
	b.put("third")
	all := b.Stats().Durable
	path := segmentPath(b.cfg.Dir, 0)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(size int64) {
		t.Helper()
		if err := os.WriteFile(path, raw[:size], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for size := range all {
		write(size)
		r := b.reader()
		got := rest(t, r)
		if size < whole && len(got) > 1 || size >= whole && len(got) != 2 {
			t.Fatalf("%q from %d of %d bytes", got, size, all)
		}
		write(all)
		equal(t, append(got, rest(t, r)...), []string{"first", "second", "third"})
		if r.Damaged() > 0 {
			t.Fatalf("with %d bytes, what was not written yet counts as damage", size)
		}
		r.Close()
	}
}

// What a crash left at the end is cut, and the same place is written again.
func TestAReaderSurvivesARestartOfTheWriter(t *testing.T) {
	b := newLogBench(t, Config{})
	b.put("first", "second")
	r := b.reader()
	equal(t, rest(t, r), []string{"first", "second"})
	torn := appendFrame(nil, 1, false, time.UnixMilli(5), []byte(strings.Repeat("torn", 50)))
	for size := 1; size < len(torn); size += 7 {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(segmentPath(b.cfg.Dir, 0), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(torn[:size]); err != nil || f.Close() != nil {
			t.Fatal(err)
		}
		equal(t, rest(t, r), nil)
		b.open()
		want := fmt.Sprint("after ", size)
		b.put(want)
		equal(t, rest(t, r), []string{want})
	}
	if r.Damaged() > 0 {
		t.Errorf("%d places count as damaged", r.Damaged())
	}
}

// Damage costs a reader what it costs a cursor.
func TestAReaderSkipsDamage(t *testing.T) {
	b := newLogBench(t, Config{SegmentBytes: minSegment})
	b.put(numbers(0, 600)...)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	path := segmentPath(b.cfg.Dir, 0)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{3, 40, 100, 5000, 40_000, len(raw) - 3} {
		damaged := slices.Clone(raw)
		damaged[at] ^= 0x55
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		os.Remove(filepath.Join(b.cfg.Dir, "cursor-a"))
		r := b.reader()
		got := rest(t, r)
		if r.Damaged() == 0 && at > 40 {
			t.Errorf("damage at byte %d was not counted", at)
		}
		b.open()
		equal(t, got, rest(t, b.cursor("a", Holds)))
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSegmentsAreRemovedUnderAReader(t *testing.T) {
	b := newLogBench(t, Config{MaxBytes: MinBytes, SegmentBytes: minSegment})
	record := func(i int) string { return fmt.Sprintf("%06d%s", i, strings.Repeat("x", 10_000)) }
	r, slow := (*Reader)(nil), (*Reader)(nil)
	var got, late []string
	for i := range 300 {
		b.put(record(i))
		if i == 0 {
			r, slow = b.reader(), b.reader()
			e, _, err := slow.TryNext() // its segment stays open
			if err != nil {
				t.Fatal(err)
			}
			late = append(late, string(e.Data))
		}
		got = append(got, rest(t, r)...)
	}
	want := make([]string, 300)
	for i := range want {
		want[i] = record(i)
	}
	equal(t, got, want)
	if r.Removed() != 0 {
		t.Errorf("%d bytes count as removed for a reader that kept up", r.Removed())
	}
	late = append(late, rest(t, slow)...)
	if len(late) < 90 || len(late) > 120 || slow.Removed() == 0 || slow.Damaged() > 0 {
		t.Errorf("the slow reader has %d records of 300, %d bytes were removed, %d places damaged", len(late), slow.Removed(), slow.Damaged())
	}
	// What was in the segment that it had open could still be read.
	if !strings.HasPrefix(late[1], "000001") || !strings.HasPrefix(late[len(late)-1], "000299") {
		t.Errorf("the slow reader goes from %.6s to %.6s", late[1], late[len(late)-1])
	}
}

func TestAReaderNeedsTheKeys(t *testing.T) {
	b := newLogBench(t, Config{Keys: testKeys("k1")})
	b.put("a")
	for _, keys := range []Keys{nil, testKeys("k2")} {
		r, err := OpenReader(b.cfg.Dir, keys)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // it stays an error
			if e, ok, err := r.TryNext(); err == nil || !strings.Contains(err.Error(), `"k1"`) {
				t.Errorf("with keys %v: %+v, %v, %v", keys, e, ok, err)
			}
		}
		r.Close()
	}
}

func TestAFolderWithoutALog(t *testing.T) {
	if _, err := OpenReader(t.TempDir(), nil); !errors.Is(err, ErrNoLog) {
		t.Errorf("an empty folder: %v", err)
	}
	if _, err := OpenReader(filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	b := newLogBench(t, Config{})
	b.cursor("a", Holds).Close()
	equal(t, rest(t, b.reader()), nil) // of a log without records
}

func TestAReaderThatWaits(t *testing.T) {
	b := newLogBench(t, Config{})
	b.put("a")
	r := b.reader()
	if e, err := r.Next(t.Context()); err != nil || string(e.Data) != "a" {
		t.Fatalf("%+v, %v", e, err)
	}
	got := make(chan string)
	go func() {
		e, err := r.Next(t.Context())
		got <- fmt.Sprint(string(e.Data), err)
	}()
	b.put("b")
	if s := <-got; s != "b<nil>" {
		t.Errorf("got %s", s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("without a record, and cancelled: %v", err)
	}
}

// Erased records are passed over, also if their header was read before.
func TestARecordIsErasedWhileItIsRead(t *testing.T) {
	b := newLogBench(t, Config{})
	b.put("first", "second"+strings.Repeat("x", 2*readChunk), "third")
	r, c := b.reader(), b.cursor("a", Holds)
	for range 2 {
		r.Move(0)
		c.Move(0)
		for _, next := range []func() (Entry, bool, error){r.TryNext, c.TryNext} {
			if e, ok, err := next(); err != nil || !ok || string(e.Data) != "first" {
				t.Fatalf("%+v, %v, %v", e, ok, err)
			}
		}
		if _, err := b.erase(func(r Record) bool { return bytes.HasPrefix(r.Data, []byte("second")) }); err != nil {
			t.Fatal(err)
		}
		equal(t, rest(t, r), []string{"third"})
		equal(t, rest(t, c), []string{"third"})
	}
	if r.Damaged() > 0 || b.Stats().Damaged > 0 {
		t.Errorf("%d and %d places count as damaged", r.Damaged(), b.Stats().Damaged)
	}
}

// After a loss of power, the mark of an erased record may be on the disk and its zeros
// not: erasing again has to find it.
func TestErasingIsRepeated(t *testing.T) {
	b := newLogBench(t, Config{})
	b.put("secret", "other")
	path := segmentPath(b.cfg.Dir, 0)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	match := func(r Record) bool { return string(r.Data) == "secret" }
	if _, err := b.erase(match); err != nil {
		t.Fatal(err)
	}
	erased, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(before, []byte("secret"))
	copy(erased[at:], "secret")
	if err := os.WriteFile(path, erased, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := b.erase(match); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(path); err != nil || bytes.Contains(raw, []byte("secret")) || !bytes.Contains(raw, []byte("other")) {
		t.Errorf("after erasing twice, %v: %q", err, raw)
	}
}

func TestSummary(t *testing.T) {
	for name, keys := range map[string]Keys{"in clear": nil, "encrypted": testKeys("k1")} {
		t.Run(name, func(t *testing.T) {
			b := newLogBench(t, Config{SegmentBytes: minSegment, Keys: keys})
			if _, err := Summarize(t.Context(), b.cfg.Dir); !errors.Is(err, ErrNoLog) {
				t.Errorf("before the first record: %v", err)
			}
			var ends []int64
			for i := range 1000 {
				end, err := b.Append(Record{Kind: byte(1 + i%2), At: time.UnixMilli(int64(i)).UTC(), Data: []byte(fmt.Sprint("record ", i, strings.Repeat("x", 200)))})
				if err != nil {
					t.Fatal(err)
				}
				ends = append(ends, end)
			}
			c := b.cursor("points", Loses)
			if err := b.Wait(t.Context(), ends[999]); err != nil {
				t.Fatal(err)
			}
			c.Commit(ends[899])
			c.Close()
			if _, err := b.erase(func(r Record) bool { return bytes.HasPrefix(r.Data, []byte("record 5x")) }); err != nil {
				t.Fatal(err)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			damage(t, segmentPath(b.cfg.Dir, 0), 3000)
			segments := b.Stats().Segments
			last := b.segments[segments-1].path
			f, err := os.OpenFile(last, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(appendFrame(nil, 1, false, time.UnixMilli(1), make([]byte, 90))[:100]); err != nil || f.Close() != nil {
				t.Fatal(err)
			}
			s, err := Summarize(t.Context(), b.cfg.Dir)
			if err != nil {
				t.Fatal(err)
			}
			if s.Begin != 0 || s.End != ends[999] || s.Segments != segments || s.Bytes != ends[999]+100 || s.Incomplete != 100 {
				t.Errorf("places: %+v; expected the end at %d, %d segments, and 100 bytes more", s, ends[999], segments)
			}
			if s.Records != 998 || s.Damaged != 1 || s.Erased != 1 || s.Kinds[1].Records+s.Kinds[2].Records != 998 || s.Kinds[1].Records < 498 || s.Kinds[2].Bytes < 100_000 {
				t.Errorf("records: %+v; expected 998, one damaged and one erased", s)
			}
			if s.First.UnixMilli() != 0 || s.Last.UnixMilli() != 999 {
				t.Errorf("from %v to %v", s.First, s.Last)
			}
			if len(s.Cursors) != 1 || s.Cursors[0] != (CursorPlace{"points", ends[899]}) || s.Backlog(s.Cursors[0]) != ends[999]-ends[899] {
				t.Errorf("cursors: %+v", s.Cursors)
			}
			wantKey := ""
			if keys != nil {
				wantKey = "k1"
			}
			if !slices.Equal(s.Keys, []string{wantKey}) {
				t.Errorf("keys %q", s.Keys)
			}
		})
	}
}

// damage changes a byte of a file.
func damage(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x55
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// A new segment begins with the new key, so that the old one is needed only as long as
// its segments are there.
func TestAnotherKeyBeginsASegment(t *testing.T) {
	b := newLogBench(t, Config{Keys: bothKeys("k1")})
	b.put("old")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b.cfg.Keys = bothKeys("k2")
	b.open()
	b.put("new")
	equal(t, rest(t, b.cursor("a", Holds)), []string{"old", "new"})
	s, err := Summarize(t.Context(), b.cfg.Dir)
	if err != nil || !slices.Equal(s.Keys, []string{"k1", "k2"}) || s.Segments != 2 {
		t.Errorf("%+v, %v; expected a segment of each key", s, err)
	}
}

// bothKeys have all keys; one is active.
type bothKeys string

func (k bothKeys) Active() string { return string(k) }

func (k bothKeys) Derive(id string, salt []byte) (cipher.AEAD, error) {
	return testKeys(id).Derive(id, salt)
}

// Whatever the writer does, a reader that keeps up sees each record once and in order.
func TestAReaderOfAnyHistory(t *testing.T) {
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 2))
		b := newLogBench(t, Config{MaxBytes: 64 << 20, SegmentBytes: minSegment})
		b.put("begin")
		r := b.reader()
		all, got := []string{"begin"}, []string(nil)
		for range 150 {
			switch random.IntN(10) {
			case 0, 1, 2, 3: // not waited for
				data := fmt.Sprint(len(all), strings.Repeat("y", random.IntN(5000)))
				if _, err := b.Append(Record{Kind: 1, At: time.UnixMilli(1000), Data: []byte(data)}); err != nil {
					t.Fatal(err)
				}
				all = append(all, data)
			case 4, 5, 6, 7:
				if e, ok, err := r.TryNext(); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				} else if ok {
					got = append(got, string(e.Data))
				}
			case 8:
				b.restart()
			case 9:
				got = append(got, rest(t, r)...)
			}
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		got = append(got, rest(t, r)...)
		equal(t, got, all)
		if r.Damaged() > 0 || r.Removed() > 0 {
			t.Fatalf("seed %d: %d damaged, %d removed", seed, r.Damaged(), r.Removed())
		}
		r.Close()
	}
}

// Whoever can write to the disk can make the sums right, and not the ciphertext.
func TestTamperingIsNoticed(t *testing.T) {
	b := newLogBench(t, Config{Keys: testKeys("k1")})
	b.put("first", "second", "third")
	r := b.reader()
	r.TryNext()
	e, _, err := r.TryNext()
	if err != nil {
		t.Fatal(err)
	}
	path := segmentPath(b.cfg.Dir, 0)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := e.Start + frameHeader; at < e.End; at++ {
		changed := slices.Clone(raw)
		changed[at] ^= 1
		data := changed[e.Start+frameHeader : e.End]
		putHeader(changed[e.Start:], 1, true, 0, e.At.UnixMilli(), len(data), crc32.Checksum(data, castagnoli))
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		r := b.reader()
		equal(t, rest(t, r), []string{"first", "third"})
		if r.Damaged() != 1 {
			t.Fatalf("byte %d: %d damages", at, r.Damaged())
		}
		r.Close()
	}
}
