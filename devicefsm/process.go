package devicefsm

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"devicetwin/device"
	"devicetwin/source"
)

// The events that say how the processing of an event ended.
const (
	EventProcessed     = "done.process"  // Data: id, number, event, result
	EventProcessFailed = "error.process" // Data: id, number, event, message
)

// Process is how a model's events are processed: `process:`. An activity is called for each
// of them, in their order, and for the next one when the last has ended.
type Process struct {
	// AttemptTimeout bounds one attempt, and Deadline all attempts of one event, from
	// when its turn has come.
	AttemptTimeout time.Duration `json:"attempt_timeout"`
	Deadline       time.Duration `json:"deadline"`
	// InitialInterval is the pause after the first attempt; each further one is longer by
	// the factor Backoff, up to MaxInterval.
	InitialInterval time.Duration `json:"initial_interval"`
	Backoff         float64       `json:"backoff"`
	MaxInterval     time.Duration `json:"max_interval"`
	MaxAttempts     int           `json:"max_attempts,omitempty"` // 0: as many as the deadline allows
	// Queue is how many events may wait before bridges deliver nothing more to the entity.
	Queue int `json:"queue"`
	// Hold stops the queue at an event that has failed permanently, until an operator
	// decides; otherwise the next one has its turn.
	Hold bool `json:"hold,omitempty"`
}

// Bounds and defaults of Process.
const (
	maxProcessQueue       = 1000
	maxAttemptTimeout     = 10 * time.Minute
	maxProcessDeadline    = 30 * 24 * time.Hour
	maxProcessAttempts    = 10_000
	maxProcessBackoff     = 100
	defaultProcessQueue   = 100
	defaultAttemptTimeout = 30 * time.Second
	defaultDeadline       = time.Hour
)

// DefaultProcess is what a model says that has only an event and an activity.
func DefaultProcess() Process {
	return Process{
		AttemptTimeout: defaultAttemptTimeout, Deadline: defaultDeadline,
		InitialInterval: time.Second, Backoff: 2, MaxInterval: time.Minute, Queue: defaultProcessQueue,
	}
}

// processRule is `process:` with what is called, for which events.
type processRule struct {
	Process
	events []descriptor
	where  *expr // reads nothing but the event; nil: all of them
	src    string
	to     string    // "": the activity needs none
	input  *template // nil: the event's data
}

// takes reports whether the rule is for events of a name. Events of the service have to be
// named in full.
func (p *processRule) takes(name string) bool {
	return p != nil && slices.ContainsFunc(p.events, func(d descriptor) bool {
		return d.matches(name) && !(d.wild && device.ReservedName(name))
	})
}

// Process is how the model has its events processed one by one; ok is false if it does not.
func (m *Model) Process() (p Process, ok bool) {
	if m.process == nil {
		return Process{}, false
	}
	return m.process.Process, true
}

// OneByOne reports whether the model has events processed one by one, so that there may be no
// room for more of them.
func (m *Model) OneByOne() bool { return m.process != nil }

// Processes reports whether events of a name may be processed one by one.
func (m *Model) Processes(event string) bool { return m.process.takes(event) }

// isProcessEnd reports whether an event says how the processing of another one ended. It is
// shown to the chart only, as the end of an invocation is.
func isProcessEnd(name string) bool { return name == EventProcessed || name == EventProcessFailed }

// toProcess queues the event that was just processed by the chart, with what the chart made
// of it: also if the chart left it out.
func (r *run) toProcess(name string, data map[string]any) {
	p := r.m.process
	if !p.takes(name) {
		return
	}
	r.scope.event = data
	if p.where != nil {
		ok, err := p.where.test(&r.scope)
		if err != nil {
			r.fault("where %q of process: %v", p.where.source, err)
		}
		if !ok {
			return
		}
	}
	a := Action{Type: ActionProcess, ID: r.nextID(ActionProcess), Name: name, Src: p.src, To: p.to}
	var err error
	if a.Data, err = p.inputOf(&r.scope, data); err != nil {
		r.fault("input of process for event %q: %v", name, err)
		a.Fault = err.Error()
	}
	at := max(r.s.shown, r.at)
	a.At = fromMillis(at)
	if r.s.service != at {
		a.Arrived = fromMillis(r.s.service)
	}
	r.emit(a)
}

// inputOf is what the activity is given.
func (p *processRule) inputOf(s *scope, data map[string]any) (map[string]any, error) {
	switch {
	case p.input != nil:
		return p.input.object(s)
	case jsonSize(data, maxValueSize) > maxValueSize:
		return nil, fmt.Errorf("the event has more than %d bytes; name in input what the activity needs", maxValueSize)
	}
	return data, nil
}

// ProcessedEvent reports that an event was processed: the one of an ActionProcess with this id,
// the number-th of its entity, at a time of both clocks: see OfService.
func ProcessedEvent(id string, number uint64, event string, result map[string]any, at time.Time) Event {
	if result == nil {
		result = map[string]any{}
	}
	return Event{Name: EventProcessed, Time: at, Data: map[string]any{
		"id": id, "number": float64(number), "event": event, "result": result,
	}}
}

// ProcessFailedEvent reports that it failed permanently.
func ProcessFailedEvent(id string, number uint64, event, message string, at time.Time) Event {
	return Event{Name: EventProcessFailed, Time: at, Data: map[string]any{
		"id": id, "number": float64(number), "event": event, "message": message,
	}}
}

// settings are those of process, in one spelling.
func (p *processRule) settings() []Setting {
	if p == nil {
		return nil
	}
	events := make([]string, len(p.events))
	for i, d := range p.events {
		events[i] = d.text()
	}
	list := []Setting{{"process.event", strings.Join(events, ", ")}, {"process.src", p.src}}
	add := func(name, text string) {
		if text != "" {
			list = append(list, Setting{"process." + name, text})
		}
	}
	add("to", p.to)
	if p.where != nil {
		add("where", p.where.source)
	}
	add("input", p.input.text())
	add("attempt_timeout", source.FormatDuration(p.AttemptTimeout))
	add("deadline", source.FormatDuration(p.Deadline))
	add("retry.initial_interval", source.FormatDuration(p.InitialInterval))
	add("retry.backoff", strconv.FormatFloat(p.Backoff, 'g', -1, 64))
	add("retry.max_interval", source.FormatDuration(p.MaxInterval))
	if p.MaxAttempts > 0 {
		add("retry.max_attempts", strconv.Itoa(p.MaxAttempts))
	}
	add("queue", strconv.Itoa(p.Queue))
	if p.Hold {
		add("on_failure", failureHold)
	} else {
		add("on_failure", failureContinue)
	}
	return list
}
