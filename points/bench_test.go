package points

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"devicetwin/internal/recordlog"
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

// A reading on its way to InfluxDB, which takes everything: from memory, through a log
// as a line, and as part of a record that somebody else appended. With -cpu 1, this is
// all that a core has to do for it; divide 1e9 by it for readings a second.
func BenchmarkWriterReading(b *testing.B) {
	object := []byte(`{"temperature":61.5,"vibration":0.125,"running":true}`)
	at := time.Unix(1_700_000_000, 0)
	device := make([]string, 1000)
	for i := range device {
		device[i] = fmt.Sprintf("pump-%06d", i)
	}
	write := func(b *benchWriter, i int) {
		b.Writer.WriteReading("pump", device[i%len(device)], object, nil, at.Add(time.Duration(i)))
	}
	for _, bench := range []struct {
		name   string
		logged bool
		each   func(b *benchWriter, i int)
	}{
		{"memory", false, write},
		{"lines", true, write},
		{"records", true, func(b *benchWriter, i int) {
			b.append(recordlog.Record{Kind: kindTest, At: at.Add(time.Duration(i)), Items: 1, Data: object})
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			w := startBench(b, bench.logged, func(r recordlog.Record, yield func(Reading)) error {
				yield(Reading{"pump", device[0], r.Data, nil, r.At})
				return nil
			})
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				bench.each(w, i)
				if i++; i%1000 == 0 {
					w.limit(i)
				}
			}
			w.finish(i)
		})
	}
}

// benchWriter is a writer that runs.
type benchWriter struct {
	*Writer
	b    *testing.B
	log  *recordlog.Log
	stop func()
}

func startBench(b *testing.B, logged bool, readings func(recordlog.Record, func(Reading)) error) *benchWriter {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	b.Cleanup(server.Close)
	deps := Deps{Readings: readings, Logger: slog.New(slog.DiscardHandler)}
	if logged {
		deps.Log = openLog(b, recordlog.Config{MaxBytes: 4 << 30}, deps.Logger)
	}
	cfg := DefaultConfig()
	cfg.URL = server.URL
	w, stop := startDeps(b, cfg, deps)
	return &benchWriter{w, b, deps.Log, stop}
}

func (w *benchWriter) append(r recordlog.Record) {
	if _, err := appendWhenRoom(w.b.Context(), w.log, r); err != nil {
		w.b.Fatal(err)
	}
}

// limit waits while so many readings were given and too many of them wait.
func (w *benchWriter) limit(given int) {
	for given-int(w.counts.written.Load()) > 20_000 {
		time.Sleep(100 * time.Microsecond)
	}
}

func (w *benchWriter) finish(given int) {
	w.stop()
	if n := int(w.counts.written.Load()); n != given {
		w.b.Fatalf("%d of %d readings were written", n, given)
	}
}
