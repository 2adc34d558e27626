package window

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func compile(t testing.TB, spec Spec) *Window {
	t.Helper()
	w, err := Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func value(t testing.TB, w *Window, v any) Value {
	t.Helper()
	out, err := w.Value(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCompileFaults(t *testing.T) {
	for want, spec := range map[string]Spec{
		"unknown aggregate \"median\"":                           {Aggregate: "median", Over: time.Minute},
		"at least 1ms":                                           {Aggregate: Count},
		"slide is longer than over":                              {Aggregate: Count, Over: time.Minute, Slide: time.Hour},
		"over is not a multiple of slide":                        {Aggregate: Count, Over: time.Minute, Slide: 7 * time.Second},
		"expected a grace of at least 0":                         {Aggregate: Count, Over: time.Minute, Grace: -1},
		"are 300 times slide; expected at most 254 times":        {Aggregate: Count, Over: 5 * time.Minute, Slide: time.Second},
		"over and grace are 61 times slide; expected at most 30": {Aggregate: Distinct, Over: time.Minute, Grace: time.Hour},
		"expected a shortest pane of at least 1ms":               {Aggregate: Count, Frame: equal(5)},
	} {
		if _, err := Compile(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", spec, err, want)
		}
	}
	if _, err := Compile(Spec{Aggregate: "x", Over: time.Minute, Grace: -1}); strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("not every fault: %v", err)
	}
}

// TestEqualPanes: also before 1970, every time is in the pane that begins last before it.
func TestEqualPanes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := equal(rapid.Int64Range(1, 1_000_000).Draw(t, "length"))
		at := rapid.Int64Range(-1e15, 1e15).Draw(t, "at")
		if p := e.Pane(at); e.Start(p) > at || e.Start(p+1) <= at {
			t.Fatalf("%d is not in pane %d, from %d to %d", at, p, e.Start(p), e.Start(p+1))
		}
	})
}

const minute = 60_000

// TestAggregates are those of 4, 1, 4 in one minute.
func TestAggregates(t *testing.T) {
	for aggregate, want := range map[Aggregate]float64{Count: 3, Sum: 9, Min: 1, Max: 4, Mean: 3, Rate: 0.15, Distinct: 2} {
		w := compile(t, Spec{Aggregate: aggregate, Over: time.Minute})
		var s State
		if r := w.Current(s, 0); r.Count != 0 || r.Value != 0 || r.Has == slices.Contains([]Aggregate{Min, Max, Mean}, aggregate) {
			t.Errorf("%s of nothing: %+v", aggregate, r)
		}
		for i, v := range []float64{4, 1, 4} {
			s, _ = w.Add(s, Sample{At: int64(i), Arrived: int64(i), Value: value(t, w, v)})
		}
		_, r := w.Close(s)
		if (r != Result{Start: 0, End: minute, Count: 3, Value: want, Has: true}) {
			t.Errorf("%s: %+v, want %v", aggregate, r, want)
		}
		if got := w.Current(s, 5); got != r {
			t.Errorf("%s: %+v so far, and %+v when it closes", aggregate, got, r)
		}
	}
}

// TestSlidingWindows: an event counts in each window that it is in, the last of which
// ends when it is as old as the window is long.
func TestSlidingWindows(t *testing.T) {
	w := compile(t, Spec{Aggregate: Count, Over: 3 * time.Minute, Slide: time.Minute})
	var s State
	s, _ = w.Add(s, Sample{At: 90_000, Arrived: 90_000})
	s, _ = w.Add(s, Sample{At: 130_000, Arrived: 130_000})
	var got []string
	for {
		d, ok := w.Deadlines(s)
		if !ok {
			break
		}
		var r Result
		s, r = w.Close(s)
		if d.Arrival != r.End || d.Event != r.End {
			t.Errorf("a window that ends at %d closes at %+v", r.End, d)
		}
		got = append(got, fmt.Sprintf("%d-%d:%d", r.Start/minute, r.End/minute, r.Count))
	}
	if want := "-1-2:1 0-3:2 1-4:2 2-5:1"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
	if s.Panes() != 0 {
		t.Errorf("%d panes are left", s.Panes())
	}
}

func TestLateEvents(t *testing.T) {
	w := compile(t, Spec{Aggregate: Count, Over: 2 * time.Minute, Slide: time.Minute, Grace: 30 * time.Second})
	add := func(s State, at int64, want int) State {
		t.Helper()
		for w.Due(s, at) {
			s, _ = w.Close(s)
		}
		s, missed := w.Add(s, Sample{At: at, Arrived: at + 1_000_000, Dated: true})
		if missed != want {
			t.Errorf("an event of %d missed %d windows, want %d", at, missed, want)
		}
		return s
	}
	s := add(State{}, 10*minute, 0)
	s = add(s, 9*minute, 0) // the window that ends at 10m waits for 30s
	s = add(s, 10*minute+30_000, 0)
	s = add(s, 9*minute, 1)
	s = add(s, 8*minute, 2)
	s = add(s, 10*minute+59_999, 0)
	if s.Late() != 2 {
		t.Errorf("%d late, want 2", s.Late())
	}
	if r := w.Current(s, 0); r.Count != 5 {
		t.Errorf("counted %d, want 5: those of 10m to 11m, and of 9m, also the one that is late for one of its windows", r.Count)
	}
}

// reference keeps every event in each of its windows, and aggregates lists.
type reference struct {
	spec   Spec
	slide  int64
	open   map[int64][]sample // by end
	seen   int64
	closed int64 // end
	lag    int64
	late   uint64
}

type sample struct {
	at, arrived int64
	number      float64
}

func newReference(spec Spec) *reference {
	slide := spec.Slide
	if slide == 0 {
		slide = spec.Over
	}
	return &reference{spec: spec, slide: slide.Milliseconds(), open: map[int64][]sample{}, seen: math.MinInt64, closed: math.MinInt64}
}

// ends are those of the windows that a time is in.
func (r *reference) ends(at int64) []int64 {
	var all []int64
	for end := at - ((at%r.slide)+r.slide)%r.slide + r.slide; end-r.spec.Over.Milliseconds() <= at; end += r.slide {
		all = append(all, end)
	}
	return all
}

func (r *reference) isClosed(end int64) bool {
	return end <= r.closed || r.seen != math.MinInt64 && end+r.spec.Grace.Milliseconds() <= r.seen
}

func (r *reference) add(e sample, dated bool) (missed int) {
	seen := r.seen
	if dated {
		r.seen = max(r.seen, e.at)
	}
	ends := r.ends(e.at)
	for _, end := range ends {
		if r.isClosed(end) {
			missed++
			continue
		}
		r.open[end] = append(r.open[end], e)
	}
	if missed > 0 {
		r.late++
	}
	switch {
	case missed == len(ends):
		r.seen = seen
	case dated:
		r.lag = e.arrived - r.seen
	default:
		r.lag = 0
	}
	return missed
}

// due closes the first window if it is over.
func (r *reference) due(seen, arrived int64) (Result, bool) {
	first := int64(math.MaxInt64)
	for end := range r.open {
		first = min(first, end)
	}
	if first == math.MaxInt64 {
		return Result{}, false
	}
	over := first + r.spec.Grace.Milliseconds()
	lag := int64(0)
	for _, e := range r.open[first] {
		lag = max(lag, e.arrived-e.at)
	}
	if over > seen && over+lag > arrived {
		return Result{}, false
	}
	result := r.result(first)
	delete(r.open, first)
	r.closed = first
	return result, true
}

func (r *reference) result(end int64) Result {
	list := r.open[end]
	out := Result{Start: end - r.spec.Over.Milliseconds(), End: end, Count: uint64(len(list)), Has: true}
	sum, values := 0.0, map[float64]bool{}
	least, most := math.Inf(1), math.Inf(-1)
	for _, e := range list {
		sum += e.number
		least, most = min(least, e.number), max(most, e.number)
		values[e.number] = true
	}
	switch r.spec.Aggregate {
	case Count:
		out.Value = float64(len(list))
	case Sum:
		out.Value = sum
	case Rate:
		out.Value = sum / r.spec.Over.Seconds()
	case Distinct:
		out.Value = float64(len(values))
	case Min:
		out.Value = least
	case Max:
		out.Value = most
	case Mean:
		out.Value = sum / float64(len(list))
	}
	if slices.Contains([]Aggregate{Min, Max, Mean}, r.spec.Aggregate) && len(list) == 0 {
		out.Value, out.Has = 0, false
	}
	return out
}

func (r *reference) current(at int64) Result {
	at = max(at, r.seen)
	end := r.ends(at)[0]
	if r.closed != math.MinInt64 {
		end = max(end, r.closed+r.slide)
	}
	return r.result(end)
}

// TestAgainstPlainLists: random windows of random events, which are late, repeated, from
// an upload or without a time, give what lists of all events give; also when the state
// goes through JSON at any moment, and when what was done is done once more from there.
func TestAgainstPlainLists(t *testing.T) {
	closedWindows, lateEvents := 0, uint64(0)
	rapid.Check(t, func(t *rapid.T) {
		spec := Spec{
			Aggregate: rapid.SampledFrom(Aggregates).Draw(t, "aggregate"),
			Slide:     time.Duration(rapid.SampledFrom([]int{1, 3, 10}).Draw(t, "slide")) * time.Second,
			Grace:     time.Duration(rapid.SampledFrom([]int{0, 0, 2, 15}).Draw(t, "grace")) * time.Second,
		}
		spec.Over = spec.Slide * time.Duration(rapid.IntRange(1, 12).Draw(t, "panes"))
		w, err := Compile(spec)
		if err != nil {
			t.Fatal(err)
		}
		ref := newReference(spec)
		var s State
		check := func(want, got any, what string) {
			if want != got {
				t.Fatalf("%s: %+v, and by lists %+v\n%+v", what, got, want, spec)
			}
		}
		closeDue := func(seen, arrived int64) {
			for {
				d, ok := w.Deadlines(s)
				want, due := ref.due(seen, arrived)
				check(due, ok && (d.Event <= seen || d.Arrival <= arrived), "whether the first window is over")
				if !due {
					return
				}
				var got Result
				s, got = w.Close(s)
				check(want, got, "a window that closes")
				closedWindows++
			}
		}
		now, last := int64(1_795_953_600_000), int64(1_795_953_600_000)
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			now += rapid.SampledFrom([]int64{0, 1, 400, 1000, 2500, 9000, 60_000}).Draw(t, "after")
			at, dated := now, rapid.IntRange(0, 3).Draw(t, "dated") > 0
			if dated {
				at = rapid.SampledFrom([]int64{now, now - 300, now - 5_000, now - 40_000, last, last + 700, last - 2000}).Draw(t, "at")
				at = min(at, now)
			}
			last = at
			closeDue(math.MinInt64, now)
			if dated {
				closeDue(at, now)
			}
			if w.Full(s, at) {
				t.Skip("the lists have no bound")
			}
			number := float64(rapid.IntRange(-3, 3).Draw(t, "value"))
			v := valueOf(t, w, number)
			before := s
			next, missed := w.Add(s, Sample{At: at, Arrived: now, Dated: dated, Value: v})
			check(ref.add(sample{at, now, number}, dated), missed, "missed windows")
			check(ref.late, next.Late(), "late events")
			s = next
			if rapid.IntRange(0, 3).Draw(t, "store") == 0 {
				back := reread(t, w, before)
				again, _ := w.Add(back, Sample{At: at, Arrived: now, Dated: dated, Value: v})
				check(text(t, next), text(t, again), "the same from JSON")
				s = again
			}
			check(ref.current(at), w.Current(s, at), "the window of the event")
			check(ref.current(max(ref.seen, now+777-ref.lag)), w.Current(s, w.Now(s, now+777)), "the window a little later")
			check(true, s.Panes() <= w.Panes(), "bounded panes")
		}
		lateEvents += ref.late
		closeDue(math.MinInt64, math.MaxInt64/2)
		check(0, s.Panes(), "panes at the end")
	})
	if closedWindows == 0 || lateEvents == 0 {
		t.Errorf("%d windows closed, %d events were late", closedWindows, lateEvents)
	}
}

func valueOf(t *rapid.T, w *Window, v any) Value {
	out, err := w.Value(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func text(t *rapid.T, s State) string {
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func reread(t *rapid.T, w *Window, s State) State {
	var back State
	if err := json.Unmarshal([]byte(text(t, s)), &back); err != nil {
		t.Fatal(err)
	}
	if err := w.Accepts(back); err != nil {
		t.Fatalf("its own state: %v", err)
	}
	return back
}

// TestFull: events whose times are far apart close windows early; there are never more
// panes than the bound, and what is then late is counted.
func TestFull(t *testing.T) {
	w := compile(t, Spec{Aggregate: Sum, Over: time.Minute, Slide: time.Second})
	var s State
	now, early := int64(0), 0
	for i := range 1000 {
		now += 1000
		at := now
		if i == 0 {
			at = -1_000_000 // an upload whose window stays open for long
		}
		for w.Full(s, at) {
			s, _ = w.Close(s)
			early++
		}
		s, _ = w.Add(s, Sample{At: at, Arrived: now, Value: value(t, w, 1.0)})
		if s.Panes() > w.Panes() {
			t.Fatalf("%d panes, at most %d", s.Panes(), w.Panes())
		}
	}
	if early == 0 {
		t.Error("no window was closed early")
	}
}

// TestDistinctError: the error of the estimate is within four times its standard error,
// and there is none below the bound.
func TestDistinctError(t *testing.T) {
	for _, panes := range []int{1, 6, 24} {
		w := compile(t, Spec{Aggregate: Distinct, Over: time.Hour, Slide: time.Hour / time.Duration(panes)})
		bound := 4 / math.Sqrt(float64(w.Values()-2))
		var s State
		for n := 1; n <= 20_000; n++ {
			at := int64(n) * 3_600_000 / 20_001
			for range 1 + n%2 { // repetitions count once
				s, _ = w.Add(s, Sample{At: at, Arrived: at, Value: value(t, w, fmt.Sprint("device-", n))})
			}
			if n%97 != 0 && n >= w.Values() {
				continue
			}
			// All of them are in the window that ends at one hour.
			got := w.result(s.d, int64(panes-1)).Value
			if n < w.Values() && got != float64(n) {
				t.Fatalf("%d panes: %v of %d different values", panes, got, n)
			}
			if off := math.Abs(got-float64(n)) / float64(n); off > bound {
				t.Fatalf("%d panes: %v of %d different values: off by %.3f, bound %.3f", panes, got, n, off, bound)
			}
		}
	}
}

// TestValues: what is equal in the expression language is one value.
func TestValues(t *testing.T) {
	w := compile(t, Spec{Aggregate: Distinct, Over: time.Minute})
	for _, same := range [][2]any{{0.0, math.Copysign(0, -1)}, {1.0, 1.0}, {map[string]any{"a": 1.0, "b": nil}, map[string]any{"b": nil, "a": 1.0}}} {
		if value(t, w, same[0]) != value(t, w, same[1]) {
			t.Errorf("%v and %v are two values", same[0], same[1])
		}
	}
	for _, other := range [][2]any{{1.0, "1"}, {nil, "null"}, {true, "true"}, {[]any{1.0}, 1.0}} {
		if value(t, w, other[0]) == value(t, w, other[1]) {
			t.Errorf("%v and %v are one value", other[0], other[1])
		}
	}
	sum := compile(t, Spec{Aggregate: Sum, Over: time.Minute})
	for _, v := range []any{"1", nil, true, math.Inf(1), math.NaN(), -1e300} {
		if _, err := sum.Value(v); err == nil {
			t.Errorf("%v can be added up", v)
		}
	}
}

func TestStateFaults(t *testing.T) {
	for text, want := range map[string]string{
		`[]`:                                         "read window",
		`{"p":[[1]]}`:                                "a pane of 1 values",
		`{"p":[[1,1,1,1,"",1]]}`:                     "a pane of 6 values",
		`{"p":[[2,1],[1,1]]}`:                        "panes are not in order",
		`{"p":[[1,1],[1,1]]}`:                        "panes are not in order",
		`{"p":[[1,0]]}`:                              "the count of a pane is out of range",
		`{"p":[[1,-1]]}`:                             "pane",
		`{"p":[[1.5,1]]}`:                            "pane",
		`{"p":[[90071992547409930,1]]}`:              "the time of a pane is out of range",
		`{"p":[[1,1,0,-1]]}`:                         "the time of a pane is out of range",
		`{"p":[[1,1,1e307]]}`:                        "the value of a pane is out of range",
		`{"p":[[1,1,0,0,"AAA"]]}`:                    "hashes of a pane",
		`{"p":[[1,1,0,0,"?"]]}`:                      "hashes of a pane",
		`{"p":[[1,1,0,0,"AAAAAAAAAAEAAAAAAAAAAg"]]}`: "too many hashes",
		`{"p":[[1,2,0,0,"AAAAAAAAAAIAAAAAAAAAAQ"]]}`: "hashes of a pane are not in order",
		`{"l":-1}`:                                   "a lag or a count is out of range",
		`{"t":-90071992547409930}`:                   "a time or a window is out of range",
	} {
		var s State
		if err := json.Unmarshal([]byte(text), &s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	w := compile(t, Spec{Aggregate: Count, Over: time.Minute})
	distinct := compile(t, Spec{Aggregate: Distinct, Over: time.Minute, Slide: 2 * time.Second})
	for text, c := range map[string]struct {
		w    *Window
		want string
	}{
		`{"p":[[1,1],[2,1],[3,1],[4,1]]}`: {w, "4 panes"},
		`{"p":[[1,1]],"c":1}`:             {w, "all closed"},
		`{"p":[[1,1,0,0,"AAAAAAAAAAE"]]}`: {w, "another aggregate"},
		`{"p":[[1,1]]}`:                   {distinct, "another aggregate"},
	} {
		var s State
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatal(err)
		}
		if err := c.w.Accepts(s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", text, err, c.want)
		}
	}
}
