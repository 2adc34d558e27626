package script

import (
	"fmt"
	"strings"
	"testing"
)

// TestBoundsOfAScript parses scripts at each bound, and beyond it.
func TestBoundsOfAScript(t *testing.T) {
	for name, tc := range map[string]struct {
		script   func(n int) string
		most     int
		expected string
	}{
		"lines of input":      {func(n int) string { return "test t\n" + strings.Repeat("+1s wait\n", n) }, maxSteps, "more than 100000 lines"},
		"repetitions":         {func(n int) string { return fmt.Sprintf("test t\n+1s x%d wait\n", n) }, maxRepeat, "expected x1 to x1000000"},
		"time":                {func(n int) string { return fmt.Sprintf("test t\n36499d wait\n+%dh wait\n", n) }, 24, "longer than 36500 days"},
		"time of repetitions": {func(n int) string { return fmt.Sprintf("test t\n+876h x%d wait\n", n) }, 1000, "interval"},
	} {
		if _, err := Parse("x.script", []byte(tc.script(tc.most))); err != nil {
			t.Errorf("%s: at the bound: %v", name, err)
		}
		if _, err := Parse("x.script", []byte(tc.script(tc.most+1))); err == nil || !strings.Contains(err.Error(), tc.expected) {
			t.Errorf("%s: beyond the bound: %v, expected %q", name, err, tc.expected)
		}
	}
}
