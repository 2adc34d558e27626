package service

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"devicetwin/bridge"
	"devicetwin/bridge/kafka"
	"devicetwin/devicefsm"
	"devicetwin/internal/figures"
	"devicetwin/internal/measure"
	"devicetwin/points"
	deviceworkflow "devicetwin/workflows/device"
)

// A model called like one of our measurements would mix its telemetry with it.
func TestReservedModelNamesAreRefused(t *testing.T) {
	load := func(name string) *devicefsm.Model {
		m, err := devicefsm.Load(name+".yaml", []byte("model: "+name+"\ninitial: on\nstates: {on: {}}\n"))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	err := checkNames([]*devicefsm.Model{load("pump"), load(measure.Bridge)})
	var usage *ConfigError
	if !errors.As(err, &usage) || !strings.Contains(err.Error(), "model bridge") {
		t.Errorf("got %v, want a usage error that names the model bridge", err)
	}
	if err := checkNames([]*devicefsm.Model{load("pump")}); err != nil {
		t.Error(err)
	}
}

// Every figure has a place in the shapes, and no name is there twice.
func TestFiguresHaveTheirNames(t *testing.T) {
	type declaration struct {
		figures.Group
		bridge *figures.Set
	}
	all := []declaration{{bridgeGroup("b", bridge.Declared()), bridge.Declared()}, {bridgeGroup("k", kafka.Declared()), kafka.Declared()}}
	for _, g := range processGroups("p") {
		all = append(all, declaration{g, bridge.Declared()})
	}
	for _, g := range all {
		known := map[string]bool{}
		for _, f := range slices.Concat(measure.Shapes()[g.Measurement].Fields,
			g.bridge.Fields(g.Measurement), deviceworkflow.NewCounts().Fields(g.Measurement), kafka.ProducerMetrics().Fields(g.Measurement), points.Declared().Fields(g.Measurement)) {
			if known[f] {
				t.Errorf("field %s of %s has two declarations", f, g.Measurement)
			}
			known[f] = true
		}
		for _, s := range g.Samples {
			if !known[s.Field] {
				t.Errorf("field %s of %s is not among its shapes, or is written twice", s.Field, g.Measurement)
			}
			delete(known, s.Field)
		}
		for f := range known {
			t.Errorf("field %s of %s is written by nobody", f, g.Measurement)
		}
	}
}

// A worker that has done nothing yet has the figure by which dashboards and alerts know that it
// runs; a process without a worker does not.
func TestAnIdleWorkerIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, worker := range []bool{true, false} {
			registry := prometheus.NewRegistry()
			if worker {
				if err := deviceworkflow.NewCounts().Register(registry); err != nil {
					t.Fatal(err)
				}
			}
			written := &pointFields{}
			w := &figures.Writer{Gatherer: registry, Points: written, Groups: processGroups("p"), Every: figuresEvery, Log: slog.New(slog.DiscardHandler)}
			ctx, cancel := context.WithTimeout(t.Context(), 2*figuresEvery+time.Second)
			w.Run(ctx)
			cancel()
			if got := slices.Contains(written.names, measure.Worker+"."+measure.WorkerModelsMissing); got != worker {
				t.Errorf("worker %v: written %q", worker, written.names)
			}
		}
	})
}

// pointFields keeps which fields were written.
type pointFields struct{ names []string }

func (p *pointFields) WritePoint(measurement string, _ map[string]string, fields map[string]any, _ time.Time) {
	for name := range fields {
		p.names = append(p.names, measurement+"."+name)
	}
}
