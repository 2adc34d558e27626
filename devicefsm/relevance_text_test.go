package devicefsm

import (
	"path/filepath"
	"strings"
	"testing"

	"devicetwin/device"
	"devicetwin/internal/testfile"
)

// TestRelevanceTexts compares what is said of all example models, and of one
// whose guards are of many kinds, with the golden files.
func TestRelevanceTexts(t *testing.T) {
	files := append(testfile.Models(t, "../models"), "testdata/relevance/guards.yaml")
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			golden(t, "testdata/relevance/"+name+".txt", loadFile(t, file).RelevanceText())
		})
	}
}

// TestExamplesAreOfTheirClass: what Relevance says of a class is what Class says
// of its example.
func TestExamplesAreOfTheirClass(t *testing.T) {
	m := loadFile(t, "testdata/relevance/guards.yaml")
	for _, e := range m.Relevance() {
		if len(e.Classes) == 0 {
			t.Errorf("%s has no class", e.Event)
		}
		for _, c := range e.Classes {
			if e.Event == "e" {
				continue // not telemetry
			}
			event, class, settled := m.Class(device.Message{Channel: device.ChannelTelemetry, Data: c.Example})
			if event != e.Event || class != c.Class || settled != c.Settled {
				t.Errorf("%v: event %s, class %b, settled %v; told as %s, %b, %v", c.Example, event, class, settled, e.Event, c.Class, c.Settled)
			}
		}
	}
}
