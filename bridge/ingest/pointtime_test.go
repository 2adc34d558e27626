package ingest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/wire"
)

// timesOf are the times of the points of the messages, by what is in them.
func timesOf(t *testing.T, b *bench, messages ...string) map[string]string {
	t.Helper()
	times := map[string]string{}
	seen := map[string]string{}
	for _, m := range messages {
		b.deliver("devices/d/telemetry", m, "", false)
		for _, p := range b.out.points {
			at := p[strings.LastIndexByte(p, ' '):]
			if other, taken := seen[at]; taken && other != m {
				t.Errorf("%s and %s at the same time", other, m)
			}
			seen[at], times[m] = m, at
		}
		b.out.points = nil
	}
	return times
}

func TestEveryArrivalIsAPointOfItsOwn(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	for range 5000 {
		b.deliver("devices/d/telemetry", `[{"t":1},{"t":1},{"t":1,"ts":1}]`, "", false)
	}
	times := map[string]bool{}
	for _, p := range b.out.points {
		at := p[strings.LastIndexByte(p, ' ')+1:]
		if !strings.HasPrefix(at, fmt.Sprint(epoch.UnixMilli())) {
			t.Fatalf("at %s", at)
		}
		times[at] = true
	}
	if len(times) != 15_000 {
		t.Errorf("%d times of 15000 points", len(times))
	}
}

// Another process does not begin with the same numbers.
func TestArrivalsAfterARestart(t *testing.T) {
	times := map[time.Time]bool{}
	r := wire.Received{PointTime: epoch, Message: device.Message{Digest: "0123456789abcdef"}}
	for range 10 {
		p := newPointTimes()
		p.start()
		for range 100 {
			times[p.of("d", &r)] = true
		}
	}
	if len(times) < 900 {
		t.Errorf("%d times of 1000", len(times))
	}
}

func TestTheDevicesTimeIsKept(t *testing.T) {
	for _, tt := range []struct {
		nanoseconds int
		seq         uint64
		least, most int // nanoseconds
	}{
		{5_000_000, 7_000_017, 5_000_017, 5_000_017},
		{5_000_000, 0, 5_000_000, 5_999_999},
		{5_001_000, 7_017, 5_001_017, 5_001_017},
		{5_001_000, 0, 5_001_000, 5_001_999},
		{5_001_002, 17, 5_001_002, 5_001_002},
		{5_001_002, 0, 5_001_002, 5_001_002},
	} {
		r := wire.Received{PointTime: epoch.Add(time.Duration(tt.nanoseconds)), Dated: true,
			Message: device.Message{Seq: tt.seq, Digest: "0123456789abcdef"}}
		got := int(newPointTimes().of("d", &r).Sub(epoch))
		if got < tt.least || got > tt.most {
			t.Errorf("%+v: %d", tt, got)
		}
	}
}

// A message that is delivered again has the same point again, also from another
// process.
func TestARepetitionIsTheSamePoint(t *testing.T) {
	var messages []string
	for i := range 300 {
		ts := fmt.Sprintf(`"ts":%d`, epoch.UnixMilli()-int64(i%3))
		messages = append(messages, fmt.Sprintf(`{"t":%d,%s}`, i, ts), fmt.Sprintf(`{"seq":%d,%s}`, i+1, ts))
	}
	b, restarted := newBench(DefaultConfig(), testModel{}), newBench(DefaultConfig(), testModel{})
	first := timesOf(t, b, messages...)
	for name, again := range map[string]map[string]string{"again": timesOf(t, b, messages...), "after a restart": timesOf(t, restarted, messages...)} {
		for m, at := range first {
			if again[m] != at {
				t.Errorf("%s: %s at %s, and first at %s", name, m, again[m], at)
			}
		}
	}
}

// Without a time of the device's, a repetition is known by its number.
func TestARepetitionWithoutATimeIsKnownByItsNumber(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{})
	for _, again := range []bool{false, true} {
		b.deliver("devices/d/telemetry", `[{"seq":1},{"seq":2}]`, "", again)
		b.advance(time.Second)
	}
	b.deliver("devices/d/telemetry", `{"seq":2}`, "", false) // not a repetition of the broker's
	p := b.out.points
	if len(p) != 5 || p[0] != p[2] || p[1] != p[3] || p[4] == p[1] || p[0] == p[1] {
		t.Errorf("points:\n%s", strings.Join(p, "\n"))
	}
}

// Different messages of one time that would have the same place are different points.
func TestMessagesOfOneTimeDoNotCollide(t *testing.T) {
	for _, ns := range []int{0, 1_000, 1_001} {
		p := newPointTimes()
		times := map[time.Time]int{}
		for i := range 2000 {
			// All ask for one place: numbers of several epochs, and one digest in the last digits.
			r := wire.Received{PointTime: epoch.Add(time.Duration(ns)), Dated: true, Message: device.Message{Epoch: int64(i), Seq: 17}}
			if i%2 == 1 {
				r.Message = device.Message{Digest: fmt.Sprintf("%016x", 1_000_000*i+17)}
			}
			at := p.of("d", &r)
			if other, taken := times[at]; taken {
				t.Fatalf("%d and %d at %s", other, i, at)
			}
			times[at] = i
			if again := p.of("d", &r); again != at {
				t.Fatalf("%d at %s, and then at %s", i, at, again)
			}
			if away := at.Sub(epoch); away < 0 || away >= time.Millisecond {
				t.Fatalf("%d at %s", i, at)
			}
			if other := p.of("e", &r); i == 0 && other != at {
				t.Errorf("another device's at %s, not at %s", other, at)
			}
		}
	}
}

func TestRememberedPlacesAreBounded(t *testing.T) {
	r := newRecent[int](3)
	for i := range uint64(10) {
		r.put(i, int(i))
		r.put(i, int(i))
	}
	if _, old := r.get(6); old || len(r.values) != 3 || len(r.keys) != 3 {
		t.Errorf("%v", r)
	}
	if v, ok := r.get(9); !ok || v != 9 {
		t.Errorf("%v", r)
	}
}
