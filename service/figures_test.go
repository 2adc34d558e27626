package service

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"devicetwin/bridge"
	"devicetwin/devicefsm"
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
	for _, g := range append(processGroups("p"), bridgeGroup("b")) {
		known := map[string]bool{}
		for _, f := range slices.Concat(measure.Shapes()[g.Measurement].Fields,
			bridge.Declared().Fields(g.Measurement), deviceworkflow.NewCounts().Fields(g.Measurement), points.Declared().Fields(g.Measurement)) {
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
