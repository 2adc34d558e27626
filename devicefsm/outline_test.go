package devicefsm

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestTheOutlineOfAStateSaysWhatItIsIn(t *testing.T) {
	m := load(t, `
model: pump
initial: v1.0
states:
  v1.0:
    type: parallel
    states:
      motor:
        initial: off
        states:
          off: {on: {go: running}}
          running: {on: {go: off}}
          last: {type: history}
      door: {}
      all: {type: history, history: deep}
    on: {halt: 'a\b', again: '.all'}
  'a\b': {on: {back: 'v1\.0.motor.last'}}
`)
	var got strings.Builder
	for _, s := range m.Outline().States {
		got.WriteString(strings.Repeat("  ", s.Depth) + s.Kind + " " + s.Key + " in " + s.Parent)
		if s.IsHistory() {
			got.WriteString(", remembers")
		}
		got.WriteString("\n")
	}
	const want = `compound  in ` + `
  parallel v1\.0 in ` + `
    compound motor in v1\.0
      atomic off in v1\.0.motor
      atomic running in v1\.0.motor
      history last in v1\.0.motor, remembers
    atomic door in v1\.0
    deep history all in v1\.0, remembers
  atomic a\b in ` + `
`
	if got.String() != want {
		t.Errorf("outlined\n%swant\n%s", got.String(), want)
	}
}

// Parent and key are the path, and the parent comes before what is in it.
func TestOutlinesOfAnyModelHaveTheirParents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, src := loadAnyRandom(t)
		depths := map[string]int{}
		for i, s := range m.Outline().States {
			above, known := depths[s.Parent]
			if i > 0 && (!known || s.Depth != above+1 || pathBelow(s.Parent, s.Key) != s.Path) || i == 0 && s.Parent+s.Key+s.Path != "" {
				t.Fatalf("state %d has path %q, key %q in %q at depth %d, of\n%s", i, s.Path, s.Key, s.Parent, s.Depth, src)
			}
			depths[s.Path] = s.Depth
		}
	})
}
