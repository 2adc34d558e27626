package devicefsm

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"devicetwin/internal/expression"
)

// elsewhere is the language as others than models have it: with variables of any type.
func elsewhere(t testing.TB) *expression.Env {
	t.Helper()
	env, err := expression.NewEnv("event", "context", "twin")
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// TestDocumentedExamplesElsewhere: what docs/models.md says of functions holds in every
// environment.
func TestDocumentedExamplesElsewhere(t *testing.T) {
	env := elsewhere(t)
	vars := expression.Values{"event": obj{"a": 1.0}, "context": obj{}, "twin": obj{}}
	compared := 0
	for _, row := range documentedFunctions(t) {
		for _, example := range row.examples {
			source := exampleForm.FindStringSubmatch(example)[1]
			e, faults := compileExpr(placeChart, source)
			if strings.Contains(source, fnStateIn) || faults == nil && e.readsClock() {
				continue // of models only
			}
			compared++
			want, wantErr := documentedValue(source, EditionNow)
			p, faults := env.Compile(source)
			if faults != nil {
				if wantErr == nil {
					t.Errorf("%s: %v", source, faults)
				}
				continue
			}
			got, err := p.Eval(vars)
			if (err == nil) != (wantErr == nil) || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %v, %v elsewhere; %v, %v in a model", source, got, err, want, wantErr)
			}
		}
	}
	if compared < 100 {
		t.Errorf("only %d examples compared", compared)
	}
}

// TestExpressionsElsewhere: an expression of a model means the same in every environment.
func TestExpressionsElsewhere(t *testing.T) {
	env := elsewhere(t)
	values, failures := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		source := randomExpression(t, rapid.IntRange(1, 3).Draw(t, "depth"))
		if rapid.Bool().Draw(t, "numbers") {
			source = randomNumbers(t, rapid.SampledFrom([]string{"number", "text", "truth"}).Draw(t, "kind"), 2)
		}
		e, faults := compileExpr(placeChart, source)
		if faults != nil {
			t.Skip()
		}
		s := randomScope(t)
		p, faults := env.Compile(source)
		if faults != nil {
			t.Fatalf("%s: %v", source, faults)
		}
		if !reflect.DeepEqual(p.Reads(), e.reads) {
			t.Fatalf("%s reads %v, in a model %v", source, p.Reads(), e.reads)
		}
		want, wantErr := e.eval(s)
		got, err := p.Eval(expression.Values{"event": s.event, "context": s.context, "twin": s.twin})
		if (err == nil) != (wantErr == nil) || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: %v, %v elsewhere; %v, %v in a model", source, got, err, want, wantErr)
		}
		if err == nil {
			values++
		} else {
			failures++
		}
	})
	if values < 10 || failures < 10 {
		t.Errorf("only %d values and %d failures", values, failures)
	}
}

// TestNothingElseIsInTheLanguageOfModels: the chart and patterns add what goes by the time, the
// chart stateIn as well, and that is all.
func TestNothingElseIsInTheLanguageOfModels(t *testing.T) {
	envs, err := environments()
	if err != nil {
		t.Fatal(err)
	}
	want := elsewhere(t).FunctionNames()
	ofTime := []string{fnInHours, "clock", "date", "hour", "weekday"}
	for p, more := range map[place][]string{placeMessage: nil, placeChart: append([]string{fnStateIn}, ofTime...), placePattern: ofTime, placeWindow: nil} {
		got := envs[p].FunctionNames()
		all := slices.Sorted(slices.Values(slices.Concat(want, more)))
		if !slices.Equal(got, all) {
			t.Errorf("at place %d: %v, want %v", p, got, all)
		}
		names := variables[p]
		if more != nil {
			names = append(slices.Clone(names), varNow)
		}
		if fmt.Sprint(envs[p].Variables()) != fmt.Sprint(names) {
			t.Errorf("variables at place %d: %v", p, envs[p].Variables())
		}
	}
}
