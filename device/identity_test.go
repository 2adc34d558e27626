package device

import (
	"strings"
	"testing"
)

func TestIdentityOfABirth(t *testing.T) {
	for name, tc := range map[string]struct {
		said any
		want string
		ok   bool
	}{
		"string":        {"1.10", "1.10", true},
		"empty string":  {"", "", true},
		"number":        {1.5, "1.5", true},
		"large number":  {1e15, "1000000000000000", true},
		"long":          {strings.Repeat("x", 200), strings.Repeat("x", 128), true},
		"cut character": {strings.Repeat("x", 127) + "é", strings.Repeat("x", 127), true},
		"boolean":       {true, "", false},
		"nothing":       {nil, "", false},
		"object":        {map[string]any{}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := Message{Channel: ChannelStatus, Data: map[string]any{"site": tc.said}}.Identity("site")
			if got != tc.want || ok != tc.ok {
				t.Errorf("%q, %v; want %q, %v", got, ok, tc.want, tc.ok)
			}
		})
	}
}
