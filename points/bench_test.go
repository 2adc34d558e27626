package points

import (
	"log/slog"
	"testing"
	"time"
)

func benchPoint() Point {
	return Point{
		Measurement: "pump", Tags: map[string]string{"device": "pump-000017", "model": "pump"},
		Fields: map[string]any{"temperature": 61.5, "vibration": 0.125, "running": true}, Time: time.Unix(1_700_000_000, 0),
	}
}

// The cost of a point for its caller, who is kept from its own work meanwhile.
func BenchmarkInfluxWrite(b *testing.B) {
	w, err := NewWriter(DefaultConfig(), Deps{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	p := benchPoint()
	b.ReportAllocs()
	for b.Loop() {
		w.WritePoint(p.Measurement, p.Tags, p.Fields, p.Time)
		w.counts.intakeBytes.Add(-int64((<-w.intake).size))
	}
}

// The cost of a point for the collector.
func BenchmarkInfluxLine(b *testing.B) {
	p := benchPoint()
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := p.Line(); !ok {
			b.Fatal("no line")
		}
	}
}
