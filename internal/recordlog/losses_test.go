package recordlog

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// putItems appends records of about 10 kB, the nth with n items, and waits.
func (b *logBench) putItems(from, to int) {
	b.t.Helper()
	var end int64
	for n := from; n < to; n++ {
		var err error
		if end, err = b.Append(Record{Kind: 1, At: time.UnixMilli(1), Items: n, Data: []byte(fmt.Sprintf("%06d%s", n, strings.Repeat("x", 10_000)))}); err != nil {
			b.t.Fatal(err)
		}
		if err := b.Wait(b.t.Context(), end); err != nil { // before there is no room for the next
			b.t.Fatal(err)
		}
	}
}

// restItems are the numbers of all records that a cursor can read, by their items.
func restItems(t *testing.T, c *Cursor) (numbers []int) {
	t.Helper()
	for _, e := range entries(t, c) {
		if want := fmt.Sprintf("%06d", e.Items); !strings.HasPrefix(string(e.Data), want) {
			t.Fatalf("a record with %d items begins with %q", e.Items, e.Data[:6])
		}
		numbers = append(numbers, e.Items)
	}
	return numbers
}

func sum(from, to int) (n int) {
	for ; from < to; from++ {
		n += from
	}
	return n
}

func TestItemsOfRecords(t *testing.T) {
	for name, keys := range map[string]Keys{"in clear": nil, "encrypted": testKeys("k1")} {
		t.Run(name, func(t *testing.T) {
			b := newLogBench(t, Config{Keys: keys})
			for _, n := range []int{0, 7, MaxItems, MaxItems + 1, -1} {
				if _, err := b.Append(Record{Kind: 1, At: time.UnixMilli(1), Items: n}); err != nil {
					t.Fatal(err)
				}
			}
			b.restart()
			c := b.cursor("a", Holds)
			for _, want := range []int{0, 7, MaxItems, MaxItems, 0} {
				if e, ok, err := c.TryNext(); err != nil || !ok || e.Items != want {
					t.Errorf("%d items, %v; expected %d", e.Items, err, want)
				}
			}
		})
	}
}

// What a cursor loses is counted from where it was committed, for each cursor.
func TestItemsOfLostRecordsAreCounted(t *testing.T) {
	b := newLogBench(t, Config{MaxBytes: MinBytes, SegmentBytes: minSegment})
	behind, before := b.cursor("behind", Loses), b.cursor("before", Loses)
	b.putItems(0, 50)
	restItems(t, before)
	before.Commit(b.Durable())
	for range 3 {
		e, _, _ := behind.TryNext()
		behind.Commit(e.End)
	}
	b.putItems(50, 140)
	left := restItems(t, behind)
	lost := behind.Losses()
	if first := left[0]; first <= 3 || int(lost.Records) != first-3 || int(lost.Items) != sum(3, first) || lost.Damages != 0 {
		t.Errorf("%+v, and the first that is left is %d", lost, left[0])
	}
	if got := before.Losses(); got != (Losses{}) {
		t.Errorf("another cursor: %+v", got)
	}
}

func TestDamagedItemsAreCounted(t *testing.T) {
	b := newLogBench(t, Config{SegmentBytes: minSegment})
	b.putItems(0, 20)
	damage(t, b.segments[1].path, b.segments[1].size-5)
	c := b.cursor("a", Holds)
	got := restItems(t, c)
	if lost := c.Losses(); len(got) != 19 || lost.Records != 1 || int(lost.Items) != sum(0, 20)-total(got) || lost.Damages != 1 {
		t.Errorf("%d records are left, %+v", len(got), lost)
	}
}

func total(numbers []int) (n int) {
	for _, each := range numbers {
		n += each
	}
	return n
}

// A segment whose file is gone is passed, and counted as damage.
func TestASegmentIsGone(t *testing.T) {
	b := newLogBench(t, Config{SegmentBytes: minSegment})
	b.putItems(0, 40)
	if err := os.Remove(b.segments[1].path); err != nil {
		t.Fatal(err)
	}
	c := b.cursor("a", Holds)
	got := restItems(t, c)
	if len(got) < 20 || len(got) > 35 || got[0] != 0 || got[len(got)-1] != 39 || c.Losses().Damages != 1 || b.Stats().Damaged != 1 {
		t.Errorf("%d records, %+v", len(got), c.Losses())
	}
}

// What the disk does not return is an error each time, until it is skipped.
func TestSkip(t *testing.T) {
	b := newLogBench(t, Config{SegmentBytes: minSegment})
	b.putItems(0, 40)
	path := b.segments[1].path
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil { // which opens, and cannot be read
		t.Fatal(err)
	}
	c := b.cursor("a", Holds)
	var got []int
	for {
		e, ok, err := c.TryNext()
		if err != nil {
			if _, _, again := c.TryNext(); again == nil {
				t.Fatal("it can be read the second time")
			}
			c.Skip()
			continue
		}
		if !ok {
			break
		}
		got = append(got, e.Items)
	}
	if len(got) < 20 || len(got) > 35 || got[len(got)-1] != 39 || c.Losses().Damages != 1 {
		t.Errorf("%d records, %+v", len(got), c.Losses())
	}
	if c.Skip(); c.Losses().Damages != 1 || c.Position() != b.Durable() {
		t.Errorf("at the end of the log something is skipped: %+v", c.Losses())
	}
}

// A record that can be found and not be read is all that is skipped.
func TestSkipOfARecord(t *testing.T) {
	b := newLogBench(t, Config{SegmentBytes: minSegment})
	b.putItems(0, 10)
	c := b.cursor("a", Holds)
	if _, ok, err := c.TryNext(); !ok || err != nil {
		t.Fatal(err)
	}
	c.Skip()
	if got := restItems(t, c); len(got) != 8 || got[0] != 2 || c.Losses() != (Losses{Records: 1, Items: 1, Damages: 1}) {
		t.Errorf("%v, %+v", got, c.Losses())
	}
}
