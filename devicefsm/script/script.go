package script

import (
	"time"

	"devicetwin/device"
)

// Bounds of a script.
const (
	maxSteps  = 100_000
	maxRepeat = 1_000_000
)

// Script is a parsed script.
type Script struct {
	File  string
	Model string // file of the model, from the script's folder; empty: see doc.go
	Tests []*Test
	lines []string
}

// Test is one device, from its start.
type Test struct {
	Name  string
	Start time.Time // when it begins; zero: 2026-01-01, 00:00 UTC
	Steps []*Step   // the first is the start
}

// Step is an input with what is expected of it.
type Step struct {
	Line   int    // from 1
	Text   string // the line without its comment
	At     time.Duration
	Every  time.Duration // between repeats
	Repeat int           // at least 1

	input  input
	want   expectation
	column int // of the input's first word, from 0
}

// inputKind is what an input line does.
type inputKind int

const (
	inputStart inputKind = iota
	inputWait
	inputMessage
	inputEvent
	inputDone
	inputFailed
)

type input struct {
	kind    inputKind
	message device.Message // of a message
	name    string         // of an event or an activity
	data    map[string]any
	text    string // of a failure
	// sent is what the device says of the time, since the start of the test; nil: nothing.
	sent *time.Duration
}

// expectation is what the lines below an input say.
type expectation struct {
	matched []wanted
	state   []wanted // at most one
	actions []wanted
	faults  []wanted
	context []wanted // at most one
	values  map[string]any
	windows []wantedWindow
	lines   []int // of all of these
}

// wanted is one expected line.
type wanted struct {
	line int
	text string // as it would be written by Update
	omitted
}

// wantedWindow is what a line says of a window.
type wantedWindow struct {
	wanted
	name   string
	values map[string]any
}

// omitted is what is not compared, because the line does not give it.
type omitted struct{ data, ttl, deliveries bool }
