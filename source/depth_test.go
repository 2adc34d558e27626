package source

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestDeepNestingIsRefused(t *testing.T) {
	for _, src := range []string{
		strings.Repeat("- ", 100_000) + "a", strings.Repeat("[", 100_000), strings.Repeat("{a: ", 100_000), strings.Repeat("? ", 100_000),
	} {
		begin := time.Now()
		if f := Parse("x.yaml", []byte("a: b\n"+src)); f.Err() == nil || !strings.Contains(f.Err().Error(), "x.yaml:2:1: nested too deep") {
			t.Errorf("%.20s: %v", src, f.Err())
		}
		if d := time.Since(begin); d > time.Second {
			t.Errorf("%.20s took %v", src, d)
		}
	}
	// Many keys on one line are not deep.
	if err := Parse("x.yaml", []byte("{a: "+strings.Repeat("[1], b: ", 3000)+"1"+"}")).Err(); err != nil && strings.Contains(err.Error(), "deep") {
		t.Error(err)
	}
}

func TestNestingIsBounded(t *testing.T) {
	for depth, fits := range map[int]bool{maxNesting: true, maxNesting + 1: false} {
		src := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		if err := Parse("x.yaml", []byte(src)).Err(); fits != (err == nil) {
			t.Errorf("%d levels: %v", depth, err)
		}
	}
}

// A tower of aliases doubles with each floor: 14 floors are 16,382 aliases.
func TestAliasesAreBounded(t *testing.T) {
	tower := func(floors int) string {
		var b strings.Builder
		b.WriteString("a0: &a0 1\n")
		for i := 1; i <= floors; i++ {
			fmt.Fprintf(&b, "a%d: &a%d [*a%d, *a%d]\n", i, i, i-1, i-1)
		}
		return b.String()
	}
	for floors, fits := range map[int]bool{11: true, 14: false} {
		f := Parse("x.yaml", []byte(tower(floors)))
		f.Root().Any()
		if fits != (f.Err() == nil) || !fits && f.aliases > 2*maxAliases {
			t.Errorf("%d floors: %d aliases followed, faults: %t", floors, f.aliases, f.Err() != nil)
		}
	}
}

func TestFaultInside(t *testing.T) {
	f := Parse("x.yaml", []byte("a: event.x >\nb: \"event.y >\"\nc: 'äöü >'\nd: |\n  two\n  lines\ne: \"a\\tb >\"\n"))
	for _, e := range f.Root().Entries() {
		e.Value.FaultInside(5, "", "%s", e.Key)
	}
	var got []string
	for line := range strings.SplitSeq(f.Err().Error(), "\n") {
		got = append(got, line)
	}
	want := []string{"x.yaml:1:9: a", "x.yaml:2:10: b", "x.yaml:3:10: c", "x.yaml:4:4: d", "x.yaml:7:4: e"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
}
