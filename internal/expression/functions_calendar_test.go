package expression_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/internal/expression"
)

// zones has two: the host's is two hours before UTC, and one of 1970 is not known.
type zones struct{}

func (zones) Local(zone string, at time.Time) (time.Time, error) {
	switch {
	case at.Year() == 1970:
		return time.Time{}, errors.New("not known in 1970")
	case zone == "":
		return at.UTC().Add(2 * time.Hour), nil
	}
	return at.UTC().Add(-time.Hour), nil
}

func zonedEnv(t *testing.T) *expression.Env {
	t.Helper()
	env, err := expression.New(expression.Options{
		Objects: []string{"event"}, Times: []string{"now"},
		ZoneFault: func(name string) string {
			if name != "there" {
				return "unknown zone " + name
			}
			return ""
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func TestClocksOfZones(t *testing.T) {
	env := zonedEnv(t)
	variables := expression.Values{
		"event": map[string]any{"ts": "2026-11-29T22:30:00Z", "n": 5.0}, "now": time.Date(2026, 11, 29, 22, 30, 0, 0, time.UTC), expression.ZonesName: zones{},
	}
	for source, want := range map[string]any{
		"hour(now)":                             0.0,
		"hour(now, 'there')":                    21.0,
		"weekday(now)":                          1.0,
		"weekday(timestamp(event.ts), 'there')": 7.0,
		"date(now)":                             "2026-11-30",
		"clock(now, 'there')":                   "21:30",
		"[now].map(t, hour(t))":                 []any{0.0},
		"hour(timestamp('2026-07-01T00:00:00Z')) == 2": true, // computed with the zone, not when planned
		"hour(timestamp(0)) == 2 || true":              true,
		"hour(event.n) > 1":                            "hour: expected a timestamp such as now or timestamp(event.ts), found a double",
		"hour(event.none)":                             "no such key: none",
		"hour(timestamp(0))":                           "hour: not known in 1970",
	} {
		for _, edition := range []expression.Edition{expression.EditionFirst, expression.EditionNow} {
			checked, faults := env.Check(source)
			if faults != nil {
				t.Fatal(source, faults)
			}
			if !checked.Reads[expression.ZonesName] {
				t.Errorf("%s does not read zones", source)
			}
			p, err := checked.Plan(edition, nil)
			if err != nil {
				t.Fatal(source, err)
			}
			got, err := p.Eval(variables)
			if err != nil {
				got = err.Error()
			}
			if list, ok := want.([]any); ok {
				if !slices.Equal(got.([]any), list) {
					t.Errorf("%s: %v, want %v", source, got, want)
				}
			} else if got != want {
				t.Errorf("%s: %v, want %v", source, got, want)
			}
		}
	}
	delete(variables, expression.ZonesName)
	p, _ := env.Compile("hour(now)")
	if _, err := p.Eval(variables); err == nil || !strings.Contains(err.Error(), "no time zones are known") {
		t.Errorf("without zones: %v", err)
	}
}

func TestZonesOfAnExpression(t *testing.T) {
	env := zonedEnv(t)
	c, faults := env.Check("hour(now) > 1 && hour(now, 'there') < 5 && date(now, 'there') == date(now)")
	if faults != nil || !slices.Equal(c.Zones, []string{"", "there"}) {
		t.Errorf("%q, %v", c.Zones, faults)
	}
	for source, want := range map[string]string{
		"hour(now, 'nowhere')":  "unknown zone nowhere",
		"hour(now, event.zone)": "as a string literal",
		"hour(5)":               "no matching overload",
		"now > 5":               "no matching overload",
	} {
		if _, faults := env.Check(source); len(faults) == 0 || !strings.Contains(faults[0].Message, want) {
			t.Errorf("%s: %v", source, faults)
		}
	}
	plain, err := expression.NewEnv("msg")
	if err != nil {
		t.Fatal(err)
	}
	if _, faults := plain.Check("hour(timestamp(0))"); len(faults) == 0 {
		t.Error("a host without zones has the functions")
	}
}
