package devicefsm

import (
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/common/ast"

	"devicetwin/device"
	"devicetwin/devicefsm/calendar"
	"devicetwin/devicefsm/window"
	"devicetwin/source"
)

var windowKeys = []string{"event", "where", "value", "aggregate", "over", "slide", "zone", "grace", "description"}

const (
	maxWindows = 16
	// maxWindowPanes bounds the panes of all windows of a model together.
	maxWindowPanes = 1024
	// windowCloses is after the name of a window in that of the event that it raises.
	windowCloses = ".closed"
)

// aggregates are the words for them.
func aggregates() []string {
	var words []string
	for _, a := range window.Aggregates {
		words = append(words, string(a))
	}
	return words
}

func (l *loader) windowRules(n source.Node) {
	if n.Exists() {
		l.declareWindows(n)
	}
	l.readWindows()
	if l.f.Err() == nil {
		l.m.hearWindows()
	}
}

func (l *loader) declareWindows(n source.Node) {
	panes := 0
	for _, e := range n.Entries() {
		if len(l.m.windows) >= maxWindows {
			e.KeyAt.Faultf("more than %d windows", maxWindows)
			return
		}
		w := l.window(e)
		l.windowName(e, w)
		l.m.windows = append(l.m.windows, w)
		if w.window == nil {
			continue
		}
		if panes += w.window.Panes(); panes > maxWindowPanes {
			e.Value.Faultf("the windows up to this one would keep up to %d panes; expected at most %d: longer slides, or fewer windows", panes, maxWindowPanes)
			return
		}
	}
	for _, w := range l.m.windows {
		l.m.events[w.closes] = true
	}
}

func (l *loader) windowName(e source.Entry, w *windowRule) {
	switch {
	case !validWindowName(w.name):
		e.KeyAt.Faultf("window name %q: expected 1 to 64 of a-z A-Z 0-9 _, and not a digit first: expressions read windows.NAME", w.name)
	case device.ReservedName(w.closes):
		e.KeyAt.Faultf("window name %q: the event %q would be one that is reserved for the service", w.name, w.closes)
	case l.m.events[w.closes]:
		e.KeyAt.Faultf("window %q: there is an event or a pattern %q already; a window raises that when it closes", w.name, w.closes)
	}
}

func validWindowName(name string) bool {
	return validModelName(name) && !strings.ContainsAny(name, ".-") && (name[0] < '0' || name[0] > '9')
}

func (l *loader) window(e source.Entry) *windowRule {
	n := e.Value
	w := &windowRule{name: e.Key, closes: e.Key + windowCloses}
	if !n.IsMap() {
		n.Faultf("expected {event, aggregate, over}, found %s", n.Kind())
		return w
	}
	fields := n.Fields(windowKeys...)
	n.Require(fields, "event", "aggregate", "over")
	if f := fields["event"]; f.Exists() {
		w.event = l.stepEvent(f)
	}
	if f := fields["aggregate"]; f.Exists() {
		w.spec.Aggregate = window.Aggregate(l.oneOf(f, aggregates()...))
	}
	if f := fields["where"]; f.Exists() {
		w.where = l.condition(f, placeWindow)
	}
	l.windowValue(w, n, fields["value"])
	w.spec.Grace = fields["grace"].Duration()
	if !l.windowPanes(w, fields) || w.spec.Aggregate == "" || !fields["over"].Exists() {
		return w
	}
	compiled, err := window.Compile(w.spec)
	if err != nil {
		at := fields["slide"]
		if !at.Exists() {
			at = fields["over"]
		}
		for _, fault := range joined(err) {
			at.Faultf("%v", fault)
		}
	}
	w.window = compiled
	return w
}

// windowPanes reads how long a window is: a duration, or a unit of the calendar.
func (l *loader) windowPanes(w *windowRule, fields map[string]source.Node) (ok bool) {
	over, slide, zone := fields["over"], fields["slide"], fields["zone"]
	unit, byCalendar := calendar.ParseUnit(over.Scalar())
	if !byCalendar {
		if zone.Exists() {
			zone.Faultf("a zone is for windows of the calendar: over: day, week, month or year")
		}
		ok = windowTime(over, &w.spec.Over)
		return windowTime(slide, &w.spec.Slide) && ok && !zone.Exists()
	}
	w.unit, w.zone, ok = unit, l.zone(zone, l.m.zone), true
	if slide.Exists() {
		slide.Faultf("a window of the calendar does not slide; expected no slide, or a duration for over")
		ok = false
	}
	w.spec.Frame, w.spec.Shortest = calendar.Panes{Unit: unit, Zone: &calendar.UTC}, shortest[unit]
	return ok
}

// shortest is how long the units of the calendar are at least, whatever clocks do.
var shortest = map[calendar.Unit]time.Duration{
	calendar.Day: 20 * time.Hour, calendar.Week: 6 * 24 * time.Hour, calendar.Month: 27 * 24 * time.Hour, calendar.Year: 364 * 24 * time.Hour,
}

// windowTime reads the length of something, if it is there.
func windowTime(n source.Node, to *time.Duration) (ok bool) {
	if !n.Exists() {
		return true
	}
	if _, err := source.ParseDuration(n.Scalar()); err != nil {
		n.Duration() // notes the fault
		return false
	}
	if *to = n.Duration(); *to < time.Millisecond {
		n.Faultf("expected a duration of at least 1ms")
		return false
	}
	return true
}

func (l *loader) windowValue(w *windowRule, n, value source.Node) {
	switch a := w.spec.Aggregate; {
	case value.Exists() && a == window.Count:
		value.Faultf("count counts events, whatever their value; expected no value, or aggregate: sum")
	case value.Exists():
		w.value = l.expression(value, placeWindow)
	case a != "" && a != window.Count && a != window.Rate:
		n.FaultHint("for example value: event.temperature", "key \"value\" is missing: %s is that of the values of events", a)
	}
}

// windowMembers are what expressions read of a window.
var windowMembers = []string{"value", "count", "start", "end", "late"}

// readWindows finds what expressions of the chart read of windows that there is not.
func (l *loader) readWindows() {
	var names []string
	for _, w := range l.m.windows {
		names = append(names, w.name)
	}
	for _, ref := range l.refs {
		if ref.expr.place != placeChart || !ref.expr.reads[varWindows] {
			continue
		}
		whole, named, members := 0, 0, 0
		ast.PostOrderVisit(ref.expr.root, ast.NewExprVisitor(func(x ast.Expr) {
			if x.Kind() == ast.IdentKind && x.AsIdent() == varWindows {
				whole++
			}
			of, name, _, ok := memberOf(x)
			if !ok {
				return
			}
			switch path := sourcePath(of); {
			case path == varWindows:
				whole, named = whole-1, named+1
				l.m.windowReads = append(l.m.windowReads, name)
				if !slices.Contains(names, name) {
					ref.node.FaultHint(source.DidYouMean(name, names), "expression: the model has no window %q", name)
				}
			case !strings.HasPrefix(path, varWindows+".") || strings.Count(path, ".") > 1:
			case slices.Contains(windowMembers, name):
				members++
				l.m.windowTimes = l.m.windowTimes || name == "start" || name == "end"
			default:
				ref.node.FaultHint(source.DidYouMean(name, windowMembers), "expression: a window has %s; found %q", strings.Join(windowMembers, ", "), name)
			}
		}))
		l.m.windowTimes = l.m.windowTimes || whole > 0 || named > members
		if whole > 0 {
			l.m.windowReads = append(l.m.windowReads, "")
			if len(names) == 0 {
				ref.node.Faultf("expression: the model has no windows")
			}
		}
	}
}

// hearWindows finds the windows whose closing something waits for: a transition, or one
// without an event that may hold after it.
func (m *Model) hearWindows() {
	always := slices.ContainsFunc(m.states, func(s *state) bool {
		return slices.ContainsFunc(s.always, func(t *transition) bool { return t.guard != nil && !alwaysRests(t.guard) })
	})
	for _, w := range m.windows {
		w.heard = always || m.waitsToClose(w)
	}
}

// waitsToClose reports whether a transition waits for a window to close.
func (m *Model) waitsToClose(w *windowRule) bool {
	return slices.ContainsFunc(m.states, func(s *state) bool {
		return slices.ContainsFunc(s.on, func(t *transition) bool { return t.event.matches(w.closes) && t.acts() })
	})
}
