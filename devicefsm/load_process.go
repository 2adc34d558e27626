package devicefsm

import (
	"slices"
	"strings"
	"time"

	"devicetwin/device"
	"devicetwin/source"
)

var (
	processKeys = []string{"event", "where", "src", "to", "input", "attempt_timeout", "deadline", "retry", "queue", "on_failure", "description"}
	retryKeys   = []string{"initial_interval", "backoff", "max_interval", "max_attempts"}
)

// What `on_failure:` of process may say.
const (
	failureContinue = "continue"
	failureHold     = "hold"
)

// process reads `process:`.
func (l *loader) process(n source.Node) {
	if !n.Exists() {
		return
	}
	if !n.IsMap() {
		n.FaultHint("for example process: {event: purchase, src: call, to: billing}", "expected {event, src}, found %s", n.Kind())
		return
	}
	fields := n.Fields(processKeys...)
	n.Require(fields, "event", "src")
	p := &processRule{Process: DefaultProcess()}
	if f := fields["event"]; f.Exists() {
		p.events = l.processEvents(f)
	}
	if f := fields["where"]; f.Exists() {
		p.where = l.condition(f, placeWindow)
	}
	l.processSource(p, n, fields)
	p.input = l.objectTemplate(fields["input"])
	l.processTimes(p, fields)
	if f := fields["queue"]; f.Exists() {
		p.Queue = int(f.Int(1, maxProcessQueue))
	}
	if f := fields["on_failure"]; f.Exists() {
		p.Hold = l.oneOf(f, failureContinue, failureHold) == failureHold
	}
	l.m.process = p
}

// processEvents are the events that are processed. The service's own have to be named in full,
// and the ends of what the chart, or process itself, waits for are not among them.
func (l *loader) processEvents(n source.Node) []descriptor {
	nodes := n.OneOrList()
	if len(nodes) == 0 {
		n.Faultf("expected an event, or a list of events")
	}
	var list []descriptor
	for _, at := range nodes {
		d := l.stepEvent(at)
		switch {
		case d == (descriptor{}):
			continue
		case d.wild && d.name != "" && device.ReservedName(d.name):
			at.FaultHint("for example device.silent", "event %q: events of the service are processed if they are named in full", d.text())
		case !d.wild && (strings.HasPrefix(d.name, "done.") || strings.HasPrefix(d.name, "error.")):
			at.Faultf("event %q cannot be processed: it is the end of something that the model waits for", d.name)
		case slices.Contains(list, d):
			at.Faultf("duplicate event %q", d.text())
		}
		list = append(list, d)
	}
	return list
}

// processSource reads which activity is called.
func (l *loader) processSource(p *processRule, n source.Node, fields map[string]source.Node) {
	src, to := fields["src"], fields["to"]
	if !src.Exists() {
		return
	}
	p.src = src.String()
	switch {
	case !src.IsString():
	case p.src == device.SourceReprovision:
		src.Faultf("src %q: a device is reprovisioned by a state, with invoke", p.src)
	case !validModelName(p.src):
		src.Faultf("src %q: expected 1 to 64 of a-z A-Z 0-9 _ . -", p.src)
	case p.src == device.SourceCall && !to.Exists():
		n.FaultHint("for example to: billing", "key \"to\" is missing: which receiver of the configuration is called?")
	}
	if !to.Exists() {
		return
	}
	p.to = to.String()
	if to.IsString() && !validModelName(p.to) {
		to.Faultf("receiver %q: expected 1 to 64 of a-z A-Z 0-9 _ . -", p.to)
	}
}

// processTimes reads how long and how often it is tried.
func (l *loader) processTimes(p *processRule, fields map[string]source.Node) {
	processTime(fields["attempt_timeout"], &p.AttemptTimeout, maxAttemptTimeout)
	ok := processTime(fields["deadline"], &p.Deadline, maxProcessDeadline)
	if ok && p.Deadline < p.AttemptTimeout {
		if fields["attempt_timeout"].Exists() {
			fields["attempt_timeout"].Faultf("an attempt of %s is longer than the deadline of all attempts, %s", source.FormatDuration(p.AttemptTimeout), source.FormatDuration(p.Deadline))
		} else {
			p.AttemptTimeout = p.Deadline
		}
	}
	n := fields["retry"]
	if !n.Exists() {
		return
	}
	if !n.IsMap() {
		n.FaultHint("for example retry: {initial_interval: 1s, max_attempts: 5}", "expected {%s}, found %s", strings.Join(retryKeys, ", "), n.Kind())
		return
	}
	retry := n.Fields(retryKeys...)
	first := processTime(retry["initial_interval"], &p.InitialInterval, maxProcessDeadline)
	longest := processTime(retry["max_interval"], &p.MaxInterval, maxProcessDeadline)
	switch {
	case !first || !longest || p.MaxInterval >= p.InitialInterval:
	case retry["max_interval"].Exists():
		retry["max_interval"].Faultf("expected at least initial_interval, which is %s", source.FormatDuration(p.InitialInterval))
	default:
		p.MaxInterval = p.InitialInterval
	}
	if f := retry["backoff"]; f.Exists() {
		if p.Backoff = f.Float(); p.Backoff < 1 || p.Backoff > maxProcessBackoff {
			f.Faultf("expected a number from 1 to %d", maxProcessBackoff)
		}
	}
	if f := retry["max_attempts"]; f.Exists() {
		p.MaxAttempts = int(f.Int(1, maxProcessAttempts))
	}
}

// processTime reads a time of process, if it is there.
func processTime(n source.Node, to *time.Duration, most time.Duration) (ok bool) {
	if !windowTime(n, to) {
		return false
	}
	if *to > most {
		n.Faultf("expected at most %s", source.FormatDuration(most))
		return false
	}
	return true
}
