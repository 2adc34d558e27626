package aggregate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// receiver is what a receiver keeps: the last position of each log.
type receiver struct {
	last map[string]int64
	got  map[string][]string // by reporter
}

func (r *receiver) take(t *rapid.T, b Batch) {
	for i, v := range b.Values {
		pos := b.First + int64(i)
		if pos <= r.last[b.Log] {
			continue
		}
		if pos != r.last[b.Log]+1 {
			t.Fatalf("position %d after %d", pos, r.last[b.Log])
		}
		r.last[b.Log] = pos
		var value [2]string
		if err := json.Unmarshal(v, &value); err != nil {
			t.Fatal(err)
		}
		r.got[value[0]] = append(r.got[value[0]], value[1])
	}
}

// TestOnceAndInOrder: whatever is signalled again, by reporters after a crash or by the
// aggregator, and wherever its runs end, the receiver has each report once, in the order of
// its reporter.
func TestOnceAndInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &State{Version: stateVersion, Log: "aggregator-0-x"}
		to := &receiver{map[string]int64{}, map[string][]string{}}
		type reporter struct {
			epoch int64
			n     uint64
			list  []Report // not known to be accepted
			said  []string
		}
		reporters := map[string]*reporter{}
		for _, name := range []string{"a", "b", "c"} {
			reporters[name] = &reporter{epoch: 1}
		}
		said := 0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "reporter")
			r := reporters[name]
			switch rapid.IntRange(0, 6).Draw(t, "what") {
			case 0, 1: // something happens
				said++
				r.n += uint64(rapid.IntRange(1, 3).Draw(t, "gap")) // numbers of other receivers
				text := fmt.Sprint(said)
				value, _ := json.Marshal([2]string{name, text})
				r.list, r.said = append(r.list, Report{r.n, value}), append(r.said, text)
			case 2, 3: // a signal, of which the reporter may not hear that it was accepted
				s.Take(Reports{From: name, Epoch: r.epoch, List: slices.Clone(r.list)})
				if rapid.Bool().Draw(t, "heard") {
					r.list = nil
				}
			case 4: // a batch, likewise
				b := s.Next()
				to.take(t, b)
				if rapid.Bool().Draw(t, "heard") {
					s.Accepted(len(b.Values), time.Unix(0, 0))
				}
			case 5: // continue-as-new
				text, err := json.Marshal(s)
				if err != nil {
					t.Fatal(err)
				}
				s = &State{}
				if err := json.Unmarshal(text, s); err != nil {
					t.Fatal(err)
				}
			case 6: // the reporter is deleted, after its last signal, and begins again
				s.Take(Reports{From: name, Epoch: r.epoch, List: r.list})
				r.epoch, r.n, r.list = r.epoch+1, 0, nil
			}
		}
		for _, name := range []string{"a", "b", "c"} {
			r := reporters[name]
			s.Take(Reports{From: name, Epoch: r.epoch, List: r.list})
		}
		for len(s.Waiting) > 0 {
			b := s.Next()
			to.take(t, b)
			s.Accepted(len(b.Values), time.Unix(0, 0))
		}
		for name, r := range reporters {
			if !slices.Equal(to.got[name], r.said) {
				t.Fatalf("of %s the receiver has %q, want %q", name, to.got[name], r.said)
			}
		}
	})
}

// An earlier life of a reporter says nothing any more.
func TestAnEarlierEpochIsOld(t *testing.T) {
	s := &State{}
	s.Take(Reports{From: "a", Epoch: 2, List: []Report{{1, json.RawMessage(`1`)}}})
	s.Take(Reports{From: "a", Epoch: 1, List: []Report{{7, json.RawMessage(`7`)}}})
	if len(s.Waiting) != 1 || s.Duplicates != 1 {
		t.Errorf("%s waits, %d duplicates", s.Waiting, s.Duplicates)
	}
}

func TestReportersAreBounded(t *testing.T) {
	s := &State{}
	report := func(i int) {
		s.Take(Reports{From: fmt.Sprintf("pump-%05d", i), Epoch: 1_790_000_000_000, List: []Report{{1, json.RawMessage(`1`)}}})
	}
	for i := range MaxReporters {
		report(i)
	}
	s.Waiting = nil
	report(0) // the first one is known, and the newest
	if len(s.Waiting) != 0 || len(s.Reporters) != MaxReporters {
		t.Fatalf("%d wait, %d are known", len(s.Waiting), len(s.Reporters))
	}
	if text, err := json.Marshal(s); err != nil || len(text) > 1<<20 {
		t.Errorf("the state has %d bytes, error %v", len(text), err)
	}
	report(MaxReporters)
	_, first := s.Reporters["pump-00000"]
	_, second := s.Reporters["pump-00001"]
	_, last := s.Reporters[fmt.Sprintf("pump-%05d", MaxReporters)]
	if len(s.Reporters) != MaxReporters*9/10 || !first || second || !last {
		t.Errorf("%d are known, among them the first %v, the second %v and the last %v", len(s.Reporters), first, second, last)
	}
}

func TestBatchesAreBounded(t *testing.T) {
	s := &State{Log: "l"}
	large := json.RawMessage(`"` + strings.Repeat("x", 100<<10) + `"`)
	var list []Report
	for n := range uint64(6) {
		list = append(list, Report{n + 1, large})
	}
	s.Take(Reports{From: "a", Epoch: 1, List: list})
	if b := s.Next(); len(b.Values) != 2 || b.First != 1 {
		t.Errorf("%d values from %d", len(b.Values), b.First)
	}
	if s.hasRoom() {
		t.Error("there is room for more than MaxWaiting")
	}
	s.Accepted(2, time.Unix(0, 0))
	if b := s.Next(); len(b.Values) != 2 || b.First != 3 || !s.hasRoom() {
		t.Errorf("%d values from %d", len(b.Values), b.First)
	}
	s = &State{}
	s.Take(Reports{From: "a", Epoch: 1, List: []Report{{1, json.RawMessage(`"` + strings.Repeat("x", maxBatchBytes) + `"`)}}})
	if b := s.Next(); len(b.Values) != 1 {
		t.Error("what is larger than a batch is never delivered")
	}
}

// Reporters are shared out, each always to the same one.
func TestReportersAreSharedOut(t *testing.T) {
	counts := make([]int, 16)
	for i := range 10_000 {
		counts[IndexOf(fmt.Sprintf("pump-%d", i), 16)]++
	}
	if slices.Min(counts) < 450 || slices.Max(counts) > 800 {
		t.Errorf("%v", counts)
	}
	for _, n := range []int{-1, 0, 1} {
		if IndexOf("pump-1", n) != 0 {
			t.Errorf("of %d aggregators, the index is not 0", n)
		}
	}
}

func TestANewerStateIsRefused(t *testing.T) {
	if _, err := decodeInput([]byte(`{"index":0,"to":{},"state":{"v":2,"waiting":7}}`)); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Error(err)
	}
}
