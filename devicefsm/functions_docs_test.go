package devicefsm

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cel.dev/cel-go/common/operators"

	"devicetwin/devicefsm/calendar"
	"devicetwin/devicefsm/calendar/zonedata"
	"devicetwin/internal/expression"
)

// documented is a row of the tables of functions in docs/models.md.
type documented struct {
	names    string // as it is written, with all forms
	examples []string
}

var (
	codeSpan    = regexp.MustCompile("`([^`]+)`")
	exampleForm = regexp.MustCompile("`([^`]+)` (is|fails)(?: `([^`]+)`)?")
)

// documentedFunctions are the rows of the tables below "### Functions and operators".
func documentedFunctions(t *testing.T) []documented {
	t.Helper()
	src, err := os.ReadFile("../docs/models.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(src), "\n### Functions and operators\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var rows []documented
	for _, line := range strings.Split(section, "\n") {
		line = strings.ReplaceAll(line, `\|`, "\x00")
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if !strings.HasPrefix(line, "| `") || len(cells) != 3 {
			continue
		}
		for i := range cells {
			cells[i] = strings.ReplaceAll(cells[i], "\x00", "|")
		}
		row := documented{names: cells[0]}
		for _, m := range exampleForm.FindAllStringSubmatch(cells[2], -1) {
			row.examples = append(row.examples, m[0])
		}
		if n := len(codeSpan.FindAllString(cells[2], -1)); n == 0 || strings.Count(strings.Join(row.examples, ""), "`") != 2*n {
			t.Errorf("not an example, as in `1 + 2` is `3`: %s", line)
		}
		rows = append(rows, row)
	}
	return rows
}

// sinceSecondEdition are the examples that were something else in the first one.
var sinceSecondEdition = []string{"`string(1000000)` is `'1000000'`"}

// TestDocumentedExamplesOfFunctions evaluates each example in both editions.
func TestDocumentedExamplesOfFunctions(t *testing.T) {
	rows := documentedFunctions(t)
	if len(rows) < 50 {
		t.Fatalf("%d rows", len(rows))
	}
	var differ []string
	for _, row := range rows {
		for _, example := range row.examples {
			if text := exampleFault(example, EditionNow); text != "" {
				t.Errorf("%s: %s", example, text)
			}
			if exampleFault(example, EditionFirst) != "" {
				differ = append(differ, example)
			}
		}
	}
	if !slices.Equal(differ, sinceSecondEdition) {
		t.Errorf("not so in the first edition: %q, want %q", differ, sinceSecondEdition)
	}
}

// exampleFault is what differs from an example; "" if nothing does.
func exampleFault(example string, edition int) string {
	m := exampleForm.FindStringSubmatch(example)
	got, err := documentedValue(m[1], edition)
	if m[2] == "fails" {
		if err == nil {
			return fmt.Sprintf("it is %v", got)
		}
		return ""
	}
	if v, err2 := documentedValue(fmt.Sprintf("dyn(%s) == dyn(%s)", m[1], m[3]), edition); v != true {
		return fmt.Sprintf("%v, %v; it is %v, %v", v, err2, got, err)
	}
	return ""
}

func documentedValue(source string, edition int) (any, error) {
	e, faults := compileExpr(placeChart, source)
	if faults != nil {
		return nil, fmt.Errorf("%v", faults)
	}
	active := newStateSet(1)
	active.add(0)
	for _, s := range e.states {
		s.index = 0
	}
	return e.eval(&scope{event: obj{"a": 1.0}, context: obj{}, twin: obj{}, active: active, clock: documentedClock(), edition: edition})
}

// documentedClock is that of a Thursday in an office.
var documentedClock = sync.OnceValue(func() *wallClock {
	now := time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)
	zones, err := zonedata.Record([]string{"Asia/Kathmandu", "Asia/Kolkata", "Europe/Berlin"}, now)
	if err != nil {
		panic(err)
	}
	office := &businessHours{zone: "Europe/Berlin"}
	if err := office.hours.Add(calendar.AllDays, "08:00-17:00"); err != nil {
		panic(err)
	}
	return &wallClock{m: &Model{zone: "UTC", hours: map[string]*businessHours{"office": office}}, now: now.UnixMilli(), zones: zones}
})

// TestEveryFunctionIsDocumented compares the tables with the environment, both ways: the
// names, and the forms of each, by the examples.
func TestEveryFunctionIsDocumented(t *testing.T) {
	envs, err := environments()
	if err != nil {
		t.Fatal(err)
	}
	functions := envs[placeChart].CEL().Functions()
	written := map[string]bool{}
	used := map[string]bool{}
	ordered := map[string]string{} // the types that an overload of < and its like compares
	for _, name := range []string{operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals} {
		for _, o := range functions[name].OverloadDecls() {
			ordered[o.ID()] = fmt.Sprint("ordered ", o.ArgTypes())
		}
	}
	for _, row := range documentedFunctions(t) {
		for _, span := range codeSpan.FindAllStringSubmatch(row.names, -1) {
			written[nameIn(span[1])] = true
		}
		for _, example := range row.examples {
			if strings.HasSuffix(example, "fails") {
				continue
			}
			for id := range overloadsIn(t, exampleForm.FindStringSubmatch(example)[1]) {
				used[id], used[ordered[id]] = true, true
			}
		}
	}
	known := map[string]bool{}
	for name, f := range functions {
		written1 := name
		if symbol, ok := operators.FindReverse(name); ok && symbol != "" {
			written1 = symbol
		}
		switch {
		case name == operators.Conditional:
			written1 = "? :"
		case name == operators.Index:
			written1 = "[ ]"
		case name == operators.OldIn || name == "in" || strings.Contains(name, "not_strictly_false") || name == expression.OrderedFunction || strings.HasPrefix(name, "math.@"):
			continue // not written by anybody
		}
		known[written1] = true
		for _, o := range f.OverloadDecls() {
			args := o.ArgTypes()
			odd := regexp.MustCompile(`\b(int|uint|bytes)\b`).MatchString(fmt.Sprint(args)) // no JSON value is one
			same := len(args) == 1 && args[0].IsExactType(o.ResultType()) && strings.Contains(o.ID(), "_to_")
			if !odd && !same && !used[o.ID()] && (ordered[o.ID()] == "" || !used[ordered[o.ID()]]) {
				t.Errorf("%s %v has no example", written1, args)
			}
		}
	}
	for _, m := range envs[placeChart].CEL().Macros() {
		name := m.Function()
		if name == "greatest" || name == "least" {
			name = "math." + name
		}
		known[name] = true
	}
	for name := range known {
		if !written[name] {
			t.Errorf("%s is not documented", name)
		}
	}
	for name := range written {
		if !known[name] && name != "." {
			t.Errorf("%s is documented, and unknown", name)
		}
	}
}

var callForm = regexp.MustCompile(`(?:^|\.)((?:math\.)?[a-zA-Z_]+)\(`)

// nameIn is what a form such as `s.split(x)` or `a + b` shows.
func nameIn(form string) string {
	if m := callForm.FindStringSubmatch(form); m != nil {
		return m[1]
	}
	switch {
	case strings.Contains(form, "?"):
		return "? :"
	case strings.Contains(form, "["):
		return "[ ]"
	case strings.Contains(form, " in "):
		return "in"
	}
	return strings.Trim(form, "abcekmlistxoj ")
}

// overloadsIn are the forms of functions that an expression certainly calls.
func overloadsIn(t *testing.T, source string) map[string]bool {
	t.Helper()
	envs, _ := environments()
	checked, faults := envs[placeChart].Check(source)
	if faults != nil {
		t.Errorf("%s: %v", source, faults)
		return nil
	}
	ids := map[string]bool{}
	for _, r := range checked.AST().ReferenceMap() {
		if len(r.OverloadIDs) == 1 {
			ids[r.OverloadIDs[0]] = true
		}
	}
	return ids
}
