package figures

import (
	"context"
	"log/slog"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type written struct {
	measurement string
	tags        map[string]string
	fields      map[string]any
}

type points []written

func (p *points) WritePoint(measurement string, tags map[string]string, fields map[string]any, _ time.Time) {
	*p = append(*p, written{measurement, tags, fields})
}

func TestPointsOfARegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "lost_total"}, []string{"why"})
		seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "took_seconds", Buckets: []float64{1, 2, 4}}, []string{"what"})
		registry.MustRegister(counter, seconds)
		var got points
		w := &Writer{
			Gatherer: registry, Points: &got, Every: 10 * time.Second, Log: slog.Default(),
			Groups: []Group{
				{"process", map[string]string{"process": "p1"}, []Sample{
					{Field: "lost", Metric: "lost_total"},
					{Field: "p50", Metric: "took_seconds", Quantile: .5},
					{Field: "p100", Metric: "took_seconds", Quantile: 1},
				}},
				{"absent", nil, []Sample{{Field: "none", Metric: "no_such_metric"}}},
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.Run(ctx) }()

		counter.WithLabelValues("a").Add(2)
		counter.WithLabelValues("b").Add(3)
		for range 5 {
			seconds.WithLabelValues("x").Observe(.5)
			seconds.WithLabelValues("y").Observe(1.5)
		}
		time.Sleep(10*time.Second + 1)
		synctest.Wait()
		// What was observed before is not in the quantile of the next point.
		for range 4 {
			seconds.WithLabelValues("x").Observe(3)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		cancel()
		<-done

		want := []map[string]any{
			{"lost": 5.0, "p50": 1.0, "p100": 2.0},
			{"lost": 5.0, "p50": 3.0, "p100": 4.0},
			{"lost": 5.0}, // nothing took any time
		}
		if len(got) != len(want) {
			t.Fatalf("%d points, want %d: a group without a metric has none", len(got), len(want))
		}
		for i, p := range got {
			if p.measurement != "process" || p.tags["process"] != "p1" || len(p.fields) != len(want[i]) {
				t.Errorf("point %d: %+v, want fields %v", i, p, want[i])
			}
			for name, v := range want[i] {
				if p.fields[name] != v {
					t.Errorf("point %d: %s is %v, want %v", i, name, p.fields[name], v)
				}
			}
		}
	})
}

func TestQuantile(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		name string
		h    histogram
		q    float64
		want float64
	}{
		{"in the middle of a bucket", histogram{1: 0, 2: 10, inf: 10}, .5, 1.5},
		{"at the end of a bucket", histogram{1: 5, 2: 10, inf: 10}, .5, 1},
		{"beyond the last bound", histogram{1: 0, 2: 1, inf: 10}, .99, 2},
		{"the first bucket begins at 0", histogram{4: 4, inf: 4}, .25, 1},
		{"empty buckets are passed over", histogram{1: 0, 2: 0, 4: 2, inf: 2}, 1, 4},
	} {
		if got, ok := c.h.quantile(c.q); !ok || got != c.want {
			t.Errorf("%s: %v, %v; want %v", c.name, got, ok, c.want)
		}
	}
	if _, ok := (histogram{1: 0, inf: 0}).quantile(.5); ok {
		t.Error("a quantile of nothing")
	}
}

// A process that was started again counts from 0: nothing negative comes of it.
func TestSinceAfterARestart(t *testing.T) {
	now := histogram{1: 2, math.Inf(1): 3}
	if got := now.since(histogram{1: 5, math.Inf(1): 9}); got[1] != 0 || got[math.Inf(1)] != 0 {
		t.Errorf("got %v", got)
	}
}
