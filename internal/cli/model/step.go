package model

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/devicefsm/calendar/zonedata"
	"devicetwin/internal/cli"
	"devicetwin/source"
)

// stepCommand is "devicetwin model step".
type stepCommand struct {
	File  string    `arg:"" help:"Model file."`
	Start time.Time `help:"Time of the start (RFC 3339). Default: the first time that an input line contains." placeholder:"TIME"`
	In    io.Reader `kong:"-"` // standard input if nil
}

// maxInputLine is the longest line of input.
const maxInputLine = 1 << 20

// Run writes the initial configuration, then a line for each line that it reads.
func (c *stepCommand) Run(ctx context.Context, streams cli.Streams) error {
	model, err := loadOneModel(c.File)
	if err != nil {
		return err
	}
	in := c.In
	if in == nil {
		in = os.Stdin
	}
	if model.GoesByCalendar() && c.Start.IsZero() {
		return cli.Usage(fmt.Errorf("model %s goes by a calendar: say when it begins, as in --start 2026-03-29T00:00:00+01:00", model.Name()))
	}
	s := newStepper(model, c.Start, streams.Out)
	if err := s.start(); err != nil {
		return err
	}
	// A read from a terminal can't be interrupted, so that it is left behind when
	// the process is told to stop.
	done := make(chan error, 1)
	go func() { done <- s.run(in) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return nil
	}
}

// stepper runs one device on lines of JSON.
type stepper struct {
	model    *devicefsm.Model
	snapshot *devicefsm.Snapshot
	out      *json.Encoder
	now      time.Time
	// As long as no line has given a time, now is not a time of day: shift is
	// then found out so that the first time given is the time that it is.
	anchored bool
	shift    time.Duration

	queue  []devicefsm.Action // events that wait to be processed
	number uint64             // of those that were
}

func newStepper(model *devicefsm.Model, start time.Time, out io.Writer) *stepper {
	s := &stepper{model: model, now: start, anchored: !start.IsZero(), out: json.NewEncoder(out)}
	if !s.anchored {
		s.now = time.Unix(0, 0).UTC()
	}
	s.out.SetEscapeHTML(false)
	return s
}

func (s *stepper) start() error {
	zones, err := zonedata.Record(s.model.Zones(), s.now)
	if err != nil {
		return err
	}
	snapshot, outcome := s.model.StartIn(zones, s.now)
	return s.write(snapshot, outcome)
}

func (s *stepper) run(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxInputLine)
	n := 0
	for lines.Scan() {
		n++
		text := bytes.TrimSpace(lines.Bytes())
		if len(text) == 0 {
			continue
		}
		ev, err := s.read(text)
		if err != nil {
			return fmt.Errorf("input line %d: %w", n, err)
		}
		snapshot, outcome := s.model.Step(s.snapshot, ev)
		if err := s.write(snapshot, outcome); err != nil {
			return err
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("input line %d: longer than %d bytes", n+1, maxInputLine)
	case err != nil:
		return fmt.Errorf("read input: %w", err)
	}
	return nil
}

// inputLine is one line of input: one of event, advance, done and error.
type inputLine struct {
	Event   *string        `json:"event"`
	Advance *string        `json:"advance"`
	Done    *string        `json:"done"`
	Error   *string        `json:"error"`
	Time    *time.Time     `json:"time"`
	Sent    *time.Time     `json:"sent"`
	Data    map[string]any `json:"data"`
	Message string         `json:"message"`
	Alive   *bool          `json:"alive"`
}

var errWhichInput = errors.New(`expected one of "event", "advance", "done" and "error"`)

func (s *stepper) read(text []byte) (devicefsm.Event, error) {
	var in inputLine
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		return devicefsm.Event{}, fmt.Errorf("expected a JSON object: %w", err)
	}
	if decoder.More() {
		return devicefsm.Event{}, errors.New("expected one JSON object")
	}
	words := 0
	for _, w := range []*string{in.Event, in.Advance, in.Done, in.Error} {
		if w != nil {
			words++
		}
	}
	if words != 1 {
		return devicefsm.Event{}, errWhichInput
	}
	if err := in.fits(); err != nil {
		return devicefsm.Event{}, err
	}
	if in.Time != nil {
		s.moveTo(*in.Time)
	}
	return s.event(in)
}

// fits refuses keys that have no meaning together with the others.
func (in inputLine) fits() error {
	switch {
	case in.Message != "" && in.Error == nil:
		return errors.New(`"message" belongs to "error"`)
	case in.Data != nil && in.Event == nil && in.Done == nil:
		return errors.New(`"data" belongs to "event" and "done"`)
	case in.Alive != nil && in.Event == nil:
		return errors.New(`"alive" belongs to "event"`)
	case in.Time != nil && in.Advance != nil:
		return errors.New(`"time" and "advance" in one line`)
	case in.Sent != nil && (in.Event == nil || in.Time == nil):
		return errors.New(`"sent" belongs to "event" and "time"`)
	case in.Event != nil && *in.Event == "":
		return errors.New(`"event" is empty`)
	}
	return nil
}

func (s *stepper) event(in inputLine) (devicefsm.Event, error) {
	switch {
	case in.Advance != nil:
		d, err := source.ParseDuration(*in.Advance)
		if err != nil {
			return devicefsm.Event{}, fmt.Errorf(`"advance": expected a duration such as 90s, 5m, 36h or 30d, found %q`, *in.Advance)
		}
		s.now = s.now.Add(d)
		return devicefsm.Event{Arrived: s.now}, nil
	case in.Done != nil && s.isFirst(*in.Done):
		first, number := s.first(true)
		return devicefsm.ProcessedEvent(first.ID, number, first.Name, in.Data, s.now).OfService(), nil
	case in.Error != nil && s.isFirst(*in.Error):
		p, _ := s.model.Process()
		first, number := s.first(!p.Hold)
		return devicefsm.ProcessFailedEvent(first.ID, number, first.Name, in.Message, s.now).OfService(), nil
	case in.Done != nil:
		return devicefsm.DoneEvent(s.invocation(*in.Done), in.Data, s.now).OfService(), nil
	case in.Error != nil:
		return devicefsm.ErrorEvent(s.invocation(*in.Error), in.Message, s.now).OfService(), nil
	}
	alive := !device.ReservedName(*in.Event)
	if in.Alive != nil {
		alive = *in.Alive
	}
	sent := s.now
	if in.Sent != nil {
		sent = in.Sent.Add(s.shift)
	}
	if *in.Event == device.EventProcess && in.Data["do"] == "skip" && len(s.queue) > 0 {
		s.first(true)
	}
	return devicefsm.Event{Name: *in.Event, Data: in.Data, Time: sent, Arrived: s.now, Alive: alive}, nil
}

// invocation also takes the name of an activity for the one that runs.
func (s *stepper) invocation(name string) string {
	if id, ok := s.model.FindInvocation(s.snapshot, name); ok {
		return id
	}
	return name
}

// isFirst reports whether an id, or the word process, is the event that is to be processed next.
func (s *stepper) isFirst(name string) bool {
	return len(s.queue) > 0 && (name == s.queue[0].ID || name == devicefsm.ActionProcess)
}

// first is the event that is to be processed next, and its number. If it is over, the one after it
// has its turn.
func (s *stepper) first(over bool) (a devicefsm.Action, number uint64) {
	a, number = s.queue[0], s.number+1
	if over {
		s.queue, s.number = s.queue[1:], number
	}
	return a, number
}

// moveTo sets the clock, which never runs back.
func (s *stepper) moveTo(t time.Time) {
	if !s.anchored {
		s.anchored = true
		s.shift = s.now.Sub(t)
	}
	if t = t.Add(s.shift); t.After(s.now) {
		s.now = t
	}
}

// outputLine is one line of output.
type outputLine struct {
	Value   any            `json:"value"`
	Context map[string]any `json:"context"`
	Actions []outputAction `json:"actions"`
	Matched []string       `json:"matched"`
	Done    bool           `json:"done"`
	Faults  []string       `json:"faults,omitempty"`
	// Windows are those of the model; absent if it has none.
	Windows []devicefsm.WindowView `json:"windows,omitempty"`
}

type outputAction struct {
	Type string         `json:"type"`
	ID   string         `json:"id"`
	Name string         `json:"name,omitempty"`
	Data map[string]any `json:"data,omitempty"`
	TTL  string         `json:"ttl,omitempty"`

	Retain  bool   `json:"retain,omitempty"`
	Replace bool   `json:"replace,omitempty"`
	Within  string `json:"within,omitempty"`
}

func (s *stepper) write(snapshot *devicefsm.Snapshot, outcome devicefsm.Outcome) error {
	s.snapshot = snapshot
	for _, a := range outcome.Actions {
		if a.Type == devicefsm.ActionProcess {
			s.queue = append(s.queue, a)
		}
	}
	line := outputLine{
		Value: s.model.Value(snapshot), Context: snapshot.Context(), Done: snapshot.Done(),
		Actions: []outputAction{}, Matched: append([]string{}, outcome.Matched...), Faults: slices.Concat(outcome.Faults, outcome.Late),
		Windows: s.model.Windows(snapshot),
	}
	if line.Context == nil {
		line.Context = map[string]any{}
	}
	for _, a := range outcome.Actions {
		o := outputAction{Type: a.Type, ID: a.ID, Name: a.Name, Data: a.Data, Retain: a.Retain, Replace: a.Replace}
		if a.Within > 0 {
			o.Within = source.FormatDuration(a.Within)
		}
		if a.TTL > 0 {
			o.TTL = source.FormatDuration(a.TTL)
		}
		line.Actions = append(line.Actions, o)
	}
	if err := s.out.Encode(line); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}
