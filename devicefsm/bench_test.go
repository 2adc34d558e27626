package devicefsm

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
)

// benchModel has a CEL guard and two patterns that are under way.
const benchModel = `
model: bench
liveness: {silent_after: 5m, tolerance: 30s}
events:
  boot:    {channel: status, when: "msg.status == 'boot'"}
  fault:   {channel: telemetry, when: "has(msg.code) && msg.code >= 100"}
  reading: {channel: telemetry}
patterns:
  crash_loop:
    sequence: [{event: boot, times: 3}, {event: fault, where: "event.code == 117"}]
    within: 10m
  hot_twice:
    sequence:
      - {event: boot}
      - {event: reading, where: "event.temperature > 80", times: 2}
    within: 1h
context: {limit: 90}
initial: online
states:
  online:
    on:
      crash_loop: reprovisioning
      hot_twice: hot
      reading: {guard: "event.temperature > context.limit", target: hot}
  hot: {after: {10s: online}}
  reprovisioning: {}
`

func BenchmarkStepUnchanged(b *testing.B) {
	m := load(b, benchModel)
	s, _ := m.Start(t0)
	s, _ = m.Step(s, Event{Name: "boot", Time: t0, Alive: true})
	ev := Event{Name: "reading", Data: obj{"temperature": 50.0}, Time: t0, Alive: true}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		ev.Time = t0.Add(time.Duration(i%1000) * time.Millisecond)
		next, out := m.Step(s, ev)
		if len(out.Faults) > 0 || len(next.leaves) != 1 {
			b.Fatal(out.Faults)
		}
	}
}

// BenchmarkStepMixed has events that open, close and match patterns, and change
// states.
func BenchmarkStepMixed(b *testing.B) {
	m := load(b, benchModel)
	s, _ := m.Start(t0)
	var events []Event
	for i := range 1000 {
		ev := Event{Name: "reading", Data: obj{"temperature": float64(i % 100)}, Alive: true}
		switch {
		case i%50 == 7:
			ev.Name, ev.Data = "boot", obj{"status": "boot"}
		case i%50 == 9:
			ev.Name, ev.Data = "fault", obj{"code": 100.0 + float64(i%20)}
		}
		events = append(events, ev)
	}
	now := t0
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Second)
		ev := events[i%len(events)]
		ev.Time = now
		s, _ = m.Step(s, ev)
	}
}

func BenchmarkRelevant(b *testing.B) {
	m := load(b, benchModel)
	for name, msg := range map[string]device.Message{
		"no":  {Channel: device.ChannelTelemetry, Data: obj{"temperature": 50.0, "pressure": 3.1, "rpm": 1400.0}},
		"yes": {Channel: device.ChannelTelemetry, Data: obj{"code": 117.0}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.Relevant(msg)
			}
		})
	}
}

// largeModel has n states, each with a guard, an assignment and a delay of its
// own, so that no compiled expression is used twice.
func largeModel(n int) []byte {
	var s strings.Builder
	s.WriteString("model: large\ncontext: {count: 0}\ninitial: s0\nstates:\n")
	for i := range n {
		fmt.Fprintf(&s, "  s%d:\n    entry: [{assign: {count: \"context.count + %d\"}}]\n", i, i)
		fmt.Fprintf(&s, "    on:\n      go: {guard: \"event.value > %d\", target: s%d}\n      back: s%d\n    after: {%dm: s0}\n", i, (i+1)%n, (i+n-1)%n, i+1)
	}
	return []byte(s.String())
}

func BenchmarkLoad200States(b *testing.B) {
	src := largeModel(200)
	for b.Loop() {
		if _, err := Load("large.yaml", src); err != nil {
			b.Fatal(err)
		}
	}
}
