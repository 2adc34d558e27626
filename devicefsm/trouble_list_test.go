package devicefsm

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestTroubleList compares the list with a map, and looks whether an earlier list has
// changed.
func TestTroubleList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := map[string]trouble{}
		var list, before troubleList
		var beforeWas []trouble
		keys := rapid.IntRange(1, 700).Draw(t, "keys")
		for range rapid.IntRange(1, 40).Draw(t, "rounds") {
			before, beforeWas = list, slices.Collect(list.all())
			first, step := rapid.IntRange(0, keys).Draw(t, "first"), rapid.IntRange(1, 7).Draw(t, "step")
			remove := rapid.IntRange(0, 2).Draw(t, "remove") == 0
			for i := first; i < keys; i += step {
				key := fmt.Sprintf("k%03d", i)
				if remove {
					delete(want, key)
					list = list.without(key)
					continue
				}
				x := trouble{key: key, status: troubleStatus(1 + i%3), since: int64(i), wall: int64(i * 7 % 100), due: int64(i * 3 % 50)}
				want[key] = x
				list = list.with(x)
			}
			if rapid.Bool().Draw(t, "settle") {
				wall, event := rapid.Int64Range(-1, 100).Draw(t, "wall"), rapid.Int64Range(-1, 50).Draw(t, "event")
				settle := func(x *trouble) {
					if x.status == troubleWaiting && (x.wall <= wall || x.due <= event) {
						x.status = troubleRaised
					}
				}
				for key, x := range want {
					settle(&x)
					want[key] = x
				}
				list = list.changed(func(c *troubleChunk) bool { return c.isDue(wall, event) }, settle)
			}
			checkTroubles(t, list, want)
		}
		if !slices.Equal(slices.Collect(before.all()), beforeWas) {
			t.Fatal("a list that was given has changed")
		}
	})
}

func checkTroubles(t *rapid.T, list troubleList, want map[string]trouble) {
	got := slices.Collect(list.all())
	if list.size != len(want) || len(got) != len(want) {
		t.Fatalf("size %d, %d troubles, want %d", list.size, len(got), len(want))
	}
	wall, event := int64(math.MaxInt64), int64(math.MaxInt64)
	var counts [troubleRaised + 1]int
	for i, key := range slices.Sorted(maps.Keys(want)) {
		x, ok := list.get(key)
		if !ok || x != want[key] || got[i] != x {
			t.Fatalf("%s: %+v, and at its place %+v, want %+v", key, x, got[i], want[key])
		}
		if counts[x.status]++; x.status == troubleWaiting {
			wall, event = min(wall, x.wall), min(event, x.due)
		}
	}
	for status, n := range counts {
		if list.count(troubleStatus(status)) != n {
			t.Fatalf("%d of status %d, want %d", list.count(troubleStatus(status)), status, n)
		}
	}
	for _, c := range list.chunks {
		if len(c.list) == 0 || len(c.list) > troubleChunkSize {
			t.Fatalf("a chunk of %d", len(c.list))
		}
	}
	s := &Snapshot{troubles: []troubleList{list}}
	first, atEvent := s.nextTrouble(due{wall: math.MaxInt64}, due{at: math.MaxInt64})
	if first.wall != wall || atEvent.at != event {
		t.Fatalf("due at %d and %d, want %d and %d", first.wall, atEvent.at, wall, event)
	}
	if _, ok := list.get("a"); ok {
		t.Fatal("a key that is not there")
	}
}

// BenchmarkTrouble is what it costs that one more member of a group is in trouble, with 10 and
// with 10,000 that are.
func BenchmarkTrouble(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := load(b, site)
			s, _ := m.Start(t0)
			for i := range n {
				s, _ = m.Step(s, Event{Name: "pump_silent", Data: of(fmt.Sprintf("pump-%05d", i)), Time: t0})
			}
			b.ReportAllocs()
			for b.Loop() {
				m.Step(s, Event{Name: "pump_silent", Data: of("pump-05000-b"), Time: t0})
			}
		})
	}
}

// BenchmarkTroubleSettles is what it costs that one member of a group has been in trouble for
// long enough, with 10 and with 10,000 that have not yet.
func BenchmarkTroubleSettles(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := load(b, site)
			s, _ := m.Start(t0)
			for i := range n {
				at := t0.Add(time.Duration(i) * time.Millisecond)
				s, _ = m.Step(s, Event{Name: "pump_silent", Data: of(fmt.Sprintf("pump-%05d", i)), Time: at, Arrived: at})
			}
			first, ok := m.NextDeadline(s)
			if !ok {
				b.Fatal("nothing waits")
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, out := m.Step(s, Event{Arrived: first}); len(out.Alarms) != 1 {
					b.Fatalf("%d alarms", len(out.Alarms))
				}
			}
		})
	}
}
