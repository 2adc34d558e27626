package simulator

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"devicetwin/device"
)

func boot(at time.Duration) device.Message {
	return device.Message{Channel: device.ChannelStatus, Data: map[string]any{"status": "boot"}, Time: instant(at)}
}

func code(c float64, at time.Duration) device.Message {
	return device.Message{Channel: device.ChannelTelemetry, Data: map[string]any{"code": c}, Time: instant(at)}
}

func instant(at time.Duration) time.Time { return time.Unix(1_764_000_000, 0).Add(at) }

var crashLoop = Expect{
	Command: "reprovision",
	Sequence: []Step{
		{Channel: device.ChannelStatus, Equals: map[string]any{"status": "boot"}, Times: 3},
		{Channel: device.ChannelTelemetry, Equals: map[string]any{"code": 117.0}, Times: 1},
	},
	Within: 10 * time.Minute, Attempts: 3, Timeout: 15 * time.Second,
}

func TestMatcher(t *testing.T) {
	s, m := time.Second, time.Minute
	tests := []struct {
		name     string
		messages []device.Message
		want     int
	}{
		{"three boots and the fault", []device.Message{boot(0), boot(s), boot(2 * s), code(117, 3*s)}, 1},
		{"two boots are not enough", []device.Message{boot(0), boot(s), code(117, 3*s)}, 0},
		{"another fault", []device.Message{boot(0), boot(s), boot(2 * s), code(118, 3*s)}, 0},
		{"other messages between", []device.Message{boot(0), code(3, 0), boot(s), code(118, s), boot(2 * s), code(5, 2*s), code(117, 3*s)}, 1},
		{"more boots than needed", []device.Message{boot(0), boot(s), boot(2 * s), boot(3 * s), boot(4 * s), code(117, 5*s)}, 1},
		{"the fault too early", []device.Message{boot(0), boot(s), code(117, s), boot(2 * s)}, 0},
		{"the fault too early, and again", []device.Message{boot(0), boot(s), code(117, s), boot(2 * s), code(117, 3*s)}, 1},
		{"a second fault needs new boots", []device.Message{boot(0), boot(s), boot(2 * s), code(117, 3*s), code(117, 4*s)}, 1},
		{"boots before a match do not count again", []device.Message{boot(0), boot(0), boot(0), boot(0), boot(0), code(117, s), boot(s), code(117, 2*s)}, 1},
		{"twice", []device.Message{boot(0), boot(0), boot(0), code(117, s), boot(s), boot(s), boot(s), code(117, 2*s)}, 2},
		{"just in time", []device.Message{boot(0), boot(s), boot(2 * s), code(117, 10*m)}, 1},
		{"too late", []device.Message{boot(0), boot(s), boot(2 * s), code(117, 10*m+1)}, 0},
		{"too late for the first boot only", []device.Message{boot(0), boot(5 * m), boot(6 * m), boot(7 * m), code(117, 11*m)}, 1},
		{"a boot on another channel", []device.Message{boot(0), boot(s), {Channel: device.ChannelTelemetry, Data: map[string]any{"status": "boot"}, Time: instant(s)}, code(117, 2*s)}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			match, got := newMatcher(crashLoop), 0
			for _, msg := range tt.messages {
				if match.take(msg, msg.Time) {
					got++
				}
			}
			if got != tt.want {
				t.Errorf("%d matches, want %d", got, tt.want)
			}
		})
	}
}

// slowly looks for a match that ends with the last message, by trying all ways.
func slowly(steps []Step, within time.Duration, messages []device.Message) bool {
	end := messages[len(messages)-1]
	var try func(k int, from int, began time.Time) bool
	try = func(k, from int, began time.Time) bool {
		for i := from; i < len(messages); i++ {
			if !steps[k].is(messages[i]) {
				continue
			}
			start := began
			if k == 0 {
				start = messages[i].Time
			}
			if k == len(steps)-1 {
				if i == len(messages)-1 && end.Time.Sub(start) <= within {
					return true
				}
				continue
			}
			if try(k+1, i+1, start) {
				return true
			}
		}
		return false
	}
	return try(0, 0, time.Time{})
}

func TestMatcherAgainstAllWays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var e Expect
		e.Within = time.Duration(rapid.IntRange(1, 20).Draw(t, "within"))
		for range rapid.IntRange(1, 3).Draw(t, "steps") {
			e.Sequence = append(e.Sequence, Step{
				Channel: device.ChannelTelemetry, Times: rapid.IntRange(1, 2).Draw(t, "times"),
				Equals: map[string]any{"code": float64(rapid.IntRange(0, 2).Draw(t, "code"))},
			})
		}
		match := newMatcher(e)
		var since []device.Message
		at := time.Duration(0)
		for i := range rapid.IntRange(0, 20).Draw(t, "messages") {
			at += time.Duration(rapid.IntRange(0, 5).Draw(t, "gap"))
			msg := code(float64(rapid.IntRange(0, 3).Draw(t, "code of message")), at)
			since = append(since, msg)
			got, want := match.take(msg, msg.Time), slowly(match.steps, e.Within, since)
			if got != want {
				t.Fatalf("message %d: match %t, want %t", i, got, want)
			}
			if got {
				since = nil
			}
		}
	})
}
