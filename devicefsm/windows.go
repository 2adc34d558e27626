package devicefsm

import (
	"fmt"
	"math"
	"slices"
	"time"

	"devicetwin/devicefsm/calendar"
	"devicetwin/devicefsm/window"
	"devicetwin/source"
)

// windowRule is one entry of `windows:`.
type windowRule struct {
	name   string
	closes string // event that a window raises when it closes
	event  descriptor
	where  *expr // reads nothing but the event
	value  *expr // likewise; nil: none
	spec   window.Spec
	window *window.Window // of the calendar: in UTC
	unit   calendar.Unit
	zone   string // of the calendar; "": it has none
	// heard says that something waits for windows to close: they close at their time, and
	// not only before the next event that counts.
	heard bool
}

// text is what the window counts, for people: "mean of reading over 1h".
func (w *windowRule) text() string {
	event, over := w.event.text(), w.unit.String()+" in "+w.zone
	if w.zone == "" {
		over = source.FormatDuration(w.spec.Over)
	}
	text := string(w.spec.Aggregate) + " of " + event + " over " + over
	if w.spec.Slide > 0 {
		text += ", slide " + source.FormatDuration(w.spec.Slide)
	}
	return text
}

// in is the window by what is known of its zone. Without that it goes by UTC.
func (w *windowRule) in(zones calendar.Zones) *window.Window {
	if w.zone == "" || w.zone == defaultZone {
		return w.window
	}
	zone, err := zoneOf(zones, w.zone)
	if err != nil {
		return w.window
	}
	return w.window.In(calendar.Panes{Unit: w.unit, Zone: zone})
}

func (r *run) windowIn(i int) *window.Window { return r.m.windows[i].in(r.s.zones) }

// missingZones reports windows whose zones are not recorded.
func (r *run) missingZones() {
	for _, w := range r.m.windows {
		if w.zone == "" {
			continue
		}
		if _, err := zoneOf(r.s.zones, w.zone); err != nil {
			r.fault("window %q: %v: it goes by UTC", w.name, err)
		}
	}
}

// taken is an event that a window counts.
type taken struct {
	window int
	value  window.Value
}

// takenBy are the windows that count an event. If the value of one fails, none counts
// it: what is counted of the same events stays comparable.
func (r *run) takenBy(name string, data map[string]any) []taken {
	if len(r.m.windows) == 0 || name == "" || isInvocationEnd(name) || isProcessEnd(name) {
		return nil
	}
	var all []taken
	failed := false
	r.scope.event = data
	for i, w := range r.m.windows {
		if !w.event.matches(name) || !r.takes(w) {
			continue
		}
		v, err := w.valueOf(&r.scope)
		if err != nil {
			r.fault("value %q of window %q: %v: the event is not counted in any window", w.value.source, w.name, err)
			failed = true
		}
		all = append(all, taken{i, v})
	}
	if failed {
		return nil
	}
	return all
}

func (r *run) takes(w *windowRule) bool {
	if w.where == nil {
		return true
	}
	ok, err := w.where.test(&r.scope)
	if err != nil {
		r.fault("where %q of window %q: %v", w.where.source, w.name, err)
	}
	return ok
}

func (w *windowRule) valueOf(s *scope) (window.Value, error) {
	if w.value == nil {
		return w.window.Value(1.0)
	}
	v, err := w.value.eval(s)
	if err != nil {
		return window.Value{}, err
	}
	out, err := w.window.Value(v)
	if err != nil {
		return window.Value{}, fmt.Errorf("%s, %w", foundValue(w.value.root, v), err)
	}
	return out, nil
}

// coming is the event of a step, as windows see it. Its time counts if it is not after
// its arrival: a stamp from the future moves no window.
type coming struct {
	takes []taken
	at    int64 // its time; noTime: it has none of its own
	dated bool  // the device gave it
}

// setWindow replaces the state of a window.
func (r *run) setWindow(i int, next window.State) {
	if next == r.s.windows[i] {
		return
	}
	r.s.windows = slices.Clone(r.s.windows)
	r.s.windows[i] = next
	r.changed, r.windowValues = true, nil
}

// dueByEvent is the first window that closes before the event of the step, of those that something waits for.
func (r *run) dueByEvent() due {
	first := due{at: math.MaxInt64}
	if !r.coming.dated {
		return first
	}
	for _, t := range r.coming.takes {
		w, s := r.windowIn(t.window), r.s.windows[t.window]
		if !r.m.windows[t.window].heard {
			continue
		}
		if d, ok := w.Deadlines(s); ok && d.Event <= r.coming.at && d.Event < first.at {
			first = due{d.Arrival, d.Event, dueWindow, t.window}
		}
	}
	return first
}

// closeWindow closes the first open window of a rule, and raises its event.
func (r *run) closeWindow(i int) {
	w := r.m.windows[i]
	next, result := r.windowIn(i).Close(r.s.windows[i])
	r.setWindow(i, next)
	if w.heard {
		r.macrostep(trigger{name: w.closes, data: resultData(result)})
	}
}

// closeBefore closes what has to be closed before an event of a time is counted.
func (r *run) closeBefore(all []taken, at int64, dated bool) {
	for _, t := range all {
		w := r.windowIn(t.window)
		r.arriveUnseen(t.window)
		for !r.s.done && (w.Full(r.s.windows[t.window], at) || dated && w.Due(r.s.windows[t.window], at)) {
			r.closeWindow(t.window)
		}
	}
}

// arriveUnseen closes what is over of a window that nothing waits for.
func (r *run) arriveUnseen(i int) {
	if !r.m.windows[i].heard {
		r.setWindow(i, r.windowIn(i).Arrive(r.s.windows[i], r.s.service))
	}
}

// count counts an event, and returns what is to be reported of it.
func (r *run) count(all []taken, at int64, dated bool) (late []string) {
	for _, t := range all {
		w := r.m.windows[t.window]
		next, missed := r.windowIn(t.window).Add(r.s.windows[t.window], window.Sample{At: at, Arrived: r.s.service, Dated: dated, Value: t.value})
		r.setWindow(t.window, next)
		if missed > 0 {
			late = append(late, lateText(w, missed))
		}
	}
	return late
}

// lateText is the same for all events that are as late, so that a device that uploads what it
// kept for too long has one report with a number.
func lateText(w *windowRule, missed int) string {
	what := "its window had closed: it is not counted"
	if n := w.window.Length(); n > 1 && missed == n {
		what = "its windows had closed: it is not counted"
	} else if n > 1 {
		what = fmt.Sprintf("%d of its %d windows had closed: it is counted in the others", missed, n)
	}
	return fmt.Sprintf("window %q: an event came after %s", w.name, what)
}

func timeText(at int64) string { return fromMillis(at).Format(time.RFC3339Nano) }

// resultData is what expressions see of a window that has closed.
func resultData(r window.Result) map[string]any {
	data := valueData(r)
	data["start"], data["end"] = timeText(r.Start), timeText(r.End)
	return data
}

func valueData(r window.Result) map[string]any {
	data := map[string]any{"count": float64(r.Count)}
	if r.Has {
		data["value"] = r.Value
	}
	return data
}

// readWindows is what expressions read as `windows`: of each, the one that the time is in.
func (r *run) readWindows() map[string]any {
	if r.windowValues != nil && r.valuesOf == r.s.service && r.valuesAt == r.windowTime {
		return r.windowValues
	}
	all := make(map[string]any, len(r.m.windows))
	for i, w := range r.m.windows {
		r.arriveUnseen(i)
		c := r.currentWindow(i)
		data := valueData(c)
		if r.m.windowTimes {
			data["start"], data["end"] = timeText(c.Start), timeText(c.End)
		}
		data["late"] = float64(r.s.windows[i].Late())
		all[w.name] = data
	}
	r.windowValues, r.valuesOf, r.valuesAt = all, r.s.service, r.windowTime
	return all
}

func (r *run) currentWindow(i int) window.Result {
	w, s := r.windowIn(i), r.s.windows[i]
	at := r.windowTime
	if at == noTime {
		at = w.Now(s, r.s.service)
	}
	return w.Current(s, at)
}
