package pattern

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// flinkVector is a pattern with groups and until, a stream with one event each second ("-"
// is a second without one), and the matches that Flink's own matcher finds: for each, the
// names of the events by step. See testdata/flink/README.md.
type flinkVector struct {
	Steps   []flinkStep           `json:"steps"`
	Skip    string                `json:"skip"`
	Within  int                   `json:"within,omitempty"` // seconds
	Stream  []string              `json:"stream"`
	Matches []map[string][]string `json:"matches"`
	Error   string                `json:"error,omitempty"`
}

type flinkStep struct {
	Name         string      `json:"name"`
	Letters      string      `json:"letters,omitempty"`
	Not          string      `json:"not,omitempty"`
	Enter        string      `json:"enter,omitempty"`
	Min          int         `json:"min,omitempty"`
	Max          int         `json:"max,omitempty"`
	Optional     bool        `json:"optional,omitempty"`
	Consecutive  bool        `json:"consecutive,omitempty"`
	Combinations bool        `json:"combinations,omitempty"`
	Greedy       bool        `json:"greedy,omitempty"`
	Until        string      `json:"until,omitempty"`
	Group        []flinkStep `json:"group,omitempty"`
}

func (f flinkStep) step() Step {
	contiguities := map[string]Contiguity{"strict": Strict, "relaxed": Relaxed, "any": RelaxedAny}
	nots := map[string]Not{"next": NotNext, "followedBy": NotFollowedBy}
	s := Step{
		Name: f.Name, Not: nots[f.Not], Contiguity: contiguities[f.Enter], Times: Times{f.Min, f.Max},
		Optional: f.Optional, Consecutive: f.Consecutive, Combinations: f.Combinations, Greedy: f.Greedy,
	}
	for _, g := range f.Group {
		s.Group = append(s.Group, g.step())
	}
	if s.Group == nil {
		of := of(f.Letters)
		if s.Match = of.Match; s.Not == NotNegated {
			s.Keep = of.Keep
		}
	}
	if f.Until != "" {
		s.Until = of(f.Until).Match
	}
	return s
}

func (v *flinkVector) spec() Spec {
	skips := map[string]Skip{"none": SkipNone, "past": SkipPastLastEvent, "next": SkipToNext}
	spec := Spec{Name: "p", Skip: skips[v.Skip], Within: time.Duration(v.Within) * time.Second, MaxPartials: MaxPartialsLimit, MaxKept: MaxPartialsLimit}
	for _, s := range v.Steps {
		spec.Steps = append(spec.Steps, s.step())
	}
	return spec
}

// matchedTexts writes matches so that they can be compared as sets: how often Flink finds
// the same match in several ways depends on how it compiles a group.
func matchedTexts(matches []map[string][]string) []string {
	var list []string
	for _, m := range matches {
		text, _ := json.Marshal(m)
		list = append(list, string(text))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// run finds the matches of our own; ok is false if too many were open.
func (v *flinkVector) run(t testing.TB) (matches []map[string][]string, ok bool) {
	found, dropped := play(t, compile(t, v.spec()), v.Stream)
	for _, x := range found {
		events := map[string][]string{}
		for step, values := range x.Matched {
			for _, v := range values {
				events[step] = append(events[step], v.(string))
			}
		}
		matches = append(matches, events)
	}
	return matches, dropped == 0
}

const flinkVectors = "testdata/flink/vectors.jsonl.gz"

// TestGroupsAsInFlink compares groups and until with what Flink found.
func TestGroupsAsInFlink(t *testing.T) {
	f, err := os.Open(flinkVectors)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	vectors, found := eachVector(t, bufio.NewScanner(z), func(v *flinkVector, line string) {
		got, ok := v.run(t)
		if !ok {
			t.Errorf("%s: too many partial matches", line)
		}
		if got, want := matchedTexts(got), matchedTexts(v.Matches); !slices.Equal(got, want) {
			t.Errorf("%s\ngot  %s\nwant %s", line, got, want)
		}
	})
	if vectors < 5000 || found < vectors {
		t.Errorf("%d vectors with %d matches", vectors, found)
	}
}

func eachVector(t *testing.T, lines *bufio.Scanner, f func(v *flinkVector, line string)) (vectors, matches int) {
	lines.Buffer(nil, 1<<22)
	for lines.Scan() {
		v := &flinkVector{}
		if err := json.Unmarshal(lines.Bytes(), v); err != nil {
			t.Fatal(err)
		}
		f(v, lines.Text())
		vectors++
		matches += len(v.Matches)
		if t.Failed() {
			break
		}
	}
	return vectors, matches
}

var (
	flinkPatterns = flag.String("flink-patterns", "", "write random patterns to this file, for testdata/flink/Match.java")
	flinkResults  = flag.String("flink-results", "", "the answers to -flink-patterns: compare, and write the vectors")
	flinkSeed     = flag.Uint64("flink-seed", 1, "of the random patterns")
	flinkCount    = flag.Int("flink-count", 10_000, "how many of them")
)

// TestWriteFlinkPatterns writes the patterns for which Flink is asked.
func TestWriteFlinkPatterns(t *testing.T) {
	if *flinkPatterns == "" {
		t.Skip("no -flink-patterns given")
	}
	f, err := os.Create(*flinkPatterns)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(*flinkSeed, 0))
	for written := 0; written < *flinkCount; {
		v := randomVector(rnd)
		if _, err := Compile(v.spec()); err != nil {
			continue
		}
		got, ok := v.run(t)
		// Of patterns that match nothing there need not be many.
		if !ok || len(got) > 200 || len(got) == 0 && rnd.IntN(10) > 0 {
			continue
		}
		line, _ := json.Marshal(v)
		if _, err := fmt.Fprintln(f, string(line)); err != nil {
			t.Fatal(err)
		}
		written++
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestReadFlinkResults compares the answers, and writes them as vectors.
func TestReadFlinkResults(t *testing.T) {
	if *flinkResults == "" {
		t.Skip("no -flink-results given")
	}
	f, err := os.Open(*flinkResults)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	out, err := os.Create(flinkVectors)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(out)
	differences := 0
	eachVector(t, bufio.NewScanner(f), func(v *flinkVector, line string) {
		if v.Error != "" {
			return // Flink does not compile it
		}
		got, _ := v.run(t)
		if got, want := matchedTexts(got), matchedTexts(v.Matches); !slices.Equal(got, want) {
			if differences++; differences <= 30 {
				t.Logf("%s\ngot  %s\nwant %s", line, got, want)
			}
			return
		}
		if _, err := fmt.Fprintln(z, line); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%d differences", differences)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

func randomVector(rnd *rand.Rand) *flinkVector {
	pick := func(words ...string) string { return words[rnd.IntN(len(words))] }
	v := &flinkVector{Skip: pick("none", "none", "past", "next")}
	number := 0
	v.Steps = randomSteps(rnd, &number, 1+rnd.IntN(3), nil, 0)
	if rnd.IntN(3) == 0 {
		v.Within = 3 + rnd.IntN(6)
	}
	for range 4 + rnd.IntN(6) {
		v.Stream = append(v.Stream, pick("a", "a", "b", "b", "c", "c", "d", "e", "z")+fmt.Sprint(len(v.Stream)))
	}
	if last := &v.Steps[len(v.Steps)-1]; v.Within > 0 && rnd.IntN(3) == 0 && last.Min == last.Max && !last.Optional && last.Group == nil {
		v.Steps = append(v.Steps, flinkStep{Name: "end", Letters: pick("d", "e"), Not: "followedBy"})
	}
	if v.Within > 0 {
		v.Stream = append(v.Stream, strings.Fields(strings.Repeat("- ", v.Within+1))...)
	}
	return v
}

// randomSteps avoids what Flink is known to do differently: see doc.go.
func randomSteps(rnd *rand.Rand, number *int, n int, in *flinkStep, depth int) []flinkStep {
	pick := func(words ...string) string { return words[rnd.IntN(len(words))] }
	var steps []flinkStep
	for i := range n {
		*number++
		s := flinkStep{Name: fmt.Sprintf("s%d", *number), Min: 1, Max: 1}
		if i > 0 {
			s.Enter = pick("strict", "relaxed", "any")
		}
		if i > 0 && i < n-1 && rnd.IntN(6) == 0 && !steps[i-1].Optional && steps[i-1].Not == "" {
			steps = append(steps, flinkStep{Name: s.Name, Letters: pick("d", "e"), Not: pick("next", "followedBy")})
			continue
		}
		switch rnd.IntN(4) {
		case 0:
			s.Max = Unbounded
			s.Min = 1 + rnd.IntN(2)
		case 1:
			s.Min = 1 + rnd.IntN(2)
			s.Max = s.Min + rnd.IntN(2)
		}
		s.Optional = rnd.IntN(4) == 0
		if s.Max != 1 {
			switch rnd.IntN(4) {
			case 0:
				s.Consecutive = true
			case 1:
				s.Combinations = true
			}
		}
		if s.Max == Unbounded && rnd.IntN(2) == 0 {
			s.Until = pick("c", "d", "e", "de")
		}
		if depth < 2 && (i > 0 || in == nil) && (in == nil || in.Until == "") && rnd.IntN(2) == 0 {
			s.Group = randomSteps(rnd, number, 1+rnd.IntN(3), &s, depth+1)
		} else {
			s.Letters = pick("a", "b", "c", "ab", "bc")
			s.Greedy = in == nil && s.Max != s.Min && rnd.IntN(4) == 0
			if i == 0 && in != nil && s.Max != 1 {
				s.Consecutive, s.Combinations = in.Consecutive, in.Combinations
			}
		}
		steps = append(steps, s)
	}
	return steps
}
