package devicefsm

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestPathsAreUnambiguous: keys of any characters give a path that names them, and no
// other keys; a file that escapes each backslash means the same ones.
func TestPathsAreUnambiguous(t *testing.T) {
	key := rapid.StringOfN(rapid.SampledFrom([]rune{'a', 'b', '.', '\\', '#', '*', ' '}), 1, 4, -1)
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfN(key, 1, 4).Draw(t, "keys")
		path := joinKeys(keys)
		if got := splitPath(path); !slices.Equal(got, keys) {
			t.Fatalf("%q: the path %s names %q", keys, path, got)
		}
		escaped := make([]string, len(keys))
		for i, k := range keys {
			escaped[i] = strings.NewReplacer(`\`, `\\`, ".", `\.`).Replace(k)
		}
		if got := canonicalPath(strings.Join(escaped, ".")); got != path {
			t.Fatalf("%q: escaped, the path is %s instead of %s", keys, got, path)
		}
	})
}

const dotted = `
model: dotted
initial: v1.0
states:
  v1.0:
    initial: a.b
    onDone: end
    on: {up: 'v2\.0.x', by_id: '#an\.id.c\.d', whole_id: '#an.id', sub: '.a.b', inner: '.a\.b', deep: 'v1\.0.a.b'}
    states:
      a.b: {on: {done: 'f\.'}, entry: {log: "stateIn('v1\\\\.0.a\\\\.b') ? 'in a.b' : 'not'"}}
      a: {initial: b, states: {b: {on: {done: 'f\.'}}}}
      f.: {type: final}
  v2.0:
    id: an.id
    initial: x
    states: {x: {on: {back: 'v1\.0'}}, c.d: {on: {back: h}}, h: {type: history, target: 'c\.d'}}
  end: {}
`

func TestStatesWithDotsInTheirNames(t *testing.T) {
	m := load(t, dotted)
	d := start(t, m).in(`v1\.0.a\.b`).actions("in a.b")
	d.send("sub", nil).in(`v1\.0.a.b`).send("inner", nil).in(`v1\.0.a\.b`)
	d.send("deep", nil).in(`v1\.0.a.b`)
	d.send("by_id", nil).in(`v2\.0.c\.d`).send("back", nil).in(`v2\.0.c\.d`)
	if got, want := m.Value(d.s), map[string]any{"v2.0": "c.d"}; !reflect.DeepEqual(got, want) {
		t.Errorf("value %v, want %v as in XState", got, want)
	}
	d = start(t, m)
	d.send("whole_id", nil).in(`v2\.0.x`).send("back", nil).in(`v1\.0.a\.b`).send("done", nil).in("end").noFaults()
	if want := []string{`v1\.0.a\.b`, `v1\.0.a.b`, `v1\.0.f\.`, `v2\.0.x`, `v2\.0.c\.d`, "end"}; !slices.Equal(m.States(), want) {
		t.Errorf("states %q", m.States())
	}
}

// TestStatesOfAnyName: what else XState has in names.
func TestStatesOfAnyName(t *testing.T) {
	d := start(t, load(t, `
initial: 'a#b'
states:
  'a#b': {on: {go: 'e*'}}
  'e*': {on: {go: 'b\\s', back: 'b\s'}}
  'b\s': {on: {go: 'end\\', back: 'e*'}}
  'end\': {}
`))
	d.in("a#b").send("go", nil).in("e*").send("back", nil).in(`b\s`).send("back", nil).in("e*").send("go", nil).in(`b\s`).send("go", nil).in(`end\\`)
}

// TestSnapshotsFromBeforeBackslashesWereEscaped finds the state of such a name again.
func TestSnapshotsFromBeforeBackslashesWereEscaped(t *testing.T) {
	m := load(t, `
initial: 'a\'
states: {'a\': {on: {go: b}}, b: {}}
`)
	s, _ := m.Start(t0)
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), `"a\\\\"`) {
		t.Fatalf("%s", raw)
	}
	var earlier Snapshot
	if err := json.Unmarshal([]byte(strings.Replace(string(raw), `"a\\\\"`, `"a\\"`, 1)), &earlier); err != nil {
		t.Fatal(err)
	}
	next, out := m.Step(&earlier, Event{Name: "go", Time: t0})
	if m.StateName(next) != "b" || len(out.Faults) > 0 {
		t.Errorf("%s, %q", m.StateName(next), out.Faults)
	}
}

// TestWhatXStateLoads runs what once was refused, as XState 5.33.3 does.
func TestWhatXStateLoads(t *testing.T) {
	for _, c := range []chartCase{
		{
			name:  "a second candidate without a guard",
			model: "initial: a\nstates: {a: {on: {go: [b, a]}, after: {1s: [c, b]}}, b: {}, c: {}}",
			start: "a", steps: []string{"go => b"},
		},
		{
			name: "an always without guard and target that ends",
			model: `
context: {n: 0}
initial: a
states:
  a: {always: [{guard: "context.n >= 3", target: b}, {actions: [{assign: {n: "context.n + 1"}}, {log: string(context.n)}]}]}
  b: {}
`,
			start: "b | 1 2 3", steps: []string{"x => b"},
		},
	} {
		t.Run(c.name, c.run)
	}
}
