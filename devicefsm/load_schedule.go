package devicefsm

import (
	"maps"
	"slices"
	"strings"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm/calendar"
	"devicetwin/source"
)

// defaultZone is the zone of a model that names none.
const defaultZone = "UTC"

// scheduleKeys are the keys of a schedule; exactly one of ruleKeys says when.
var (
	ruleKeys     = []string{"every", "at", "cron", "opens", "closes"}
	scheduleKeys = slices.Concat(ruleKeys, []string{"from", "days", "hours", "zone", "description"})
)

// zone is the name of a time zone, or another name if there is none.
func (l *loader) zone(n source.Node, otherwise string) string {
	if !n.Exists() {
		return otherwise
	}
	name := n.String()
	if text := zoneFault(name); n.IsString() && text != "" {
		n.FaultHint(source.DidYouMean(name, calendar.Names()), "%s", text)
	}
	return name
}

func zoneFault(name string) string {
	if calendar.Named(name) {
		return ""
	}
	return "time zone \"" + clip(name) + "\": expected a name of the IANA database such as Europe/Berlin, UTC, or a fixed offset such as +01:00"
}

// businessHours reads `hours:`.
func (l *loader) businessHours(n source.Node) {
	l.m.hours = map[string]*businessHours{}
	if !n.Exists() {
		return
	}
	for _, e := range n.Entries() {
		h := &businessHours{name: e.Key, zone: l.m.zone}
		if !validModelName(e.Key) {
			e.KeyAt.Faultf("name of hours %q: expected 1 to 64 of a-z A-Z 0-9 _ . -", e.Key)
		}
		l.m.hours[e.Key] = h
		l.hoursAt[e.Key] = e.KeyAt
		if !e.Value.IsMap() {
			e.Value.FaultHint("for example "+e.Key+": {mon-fri: \"08:00-17:00\"}", "expected days with their hours, found %s", e.Value.Kind())
			continue
		}
		for _, d := range e.Value.Entries() {
			l.openingHours(h, d)
		}
		if h.hours.Empty() {
			e.Value.FaultHint("for example mon-fri: \"08:00-17:00\"", "these hours have no days")
		}
	}
}

func (l *loader) openingHours(h *businessHours, d source.Entry) {
	switch d.Key {
	case "description":
		return
	case "zone":
		h.zone = l.zone(d.Value, h.zone)
		return
	}
	days, err := calendar.ParseDays(d.Key)
	if err != nil {
		d.KeyAt.Faultf("%v", err)
		return
	}
	if !d.Value.IsString() {
		d.Value.FaultHint("for example \"08:00-17:00\"", "expected hours in quotes, found %s", d.Value.Kind())
		return
	}
	if err := h.hours.Add(days, d.Value.String()); err != nil {
		d.Value.Faultf("%v", err)
	}
}

// schedules reads those of a state.
func (l *loader) schedules(s *state, n source.Node) []*schedule {
	if !n.Exists() {
		return nil
	}
	var list []*schedule
	for _, e := range n.Entries() {
		of := &schedule{name: e.Key, state: s}
		switch {
		case !validEventName(e.Key):
			e.KeyAt.Faultf("schedule %q: it is the name of an event, without *, and without a dot at the beginning or the end", e.Key)
		case device.ReservedName(e.Key):
			e.KeyAt.Faultf("schedule %q: names that begin with done., error., device., sequence., twin. or operator. are reserved for the service", e.Key)
		case l.m.hasRule(e.Key):
			e.KeyAt.Faultf("schedule %q: a rule of events makes an event of this name from messages", e.Key)
		}
		l.schedule(of, e)
		l.scheduleAt[of] = e
		l.m.events[e.Key], l.m.scheduled[e.Key] = true, true
		list = append(list, of)
		if l.countSchedules++; l.countSchedules == maxSchedules+1 {
			e.KeyAt.Faultf("more than %d schedules in one model", maxSchedules)
		}
	}
	return list
}

func (l *loader) schedule(of *schedule, e source.Entry) {
	if !e.Value.IsMap() {
		e.Value.FaultHint("for example "+e.Key+": {at: \"08:00\"}", "expected a schedule, found %s", e.Value.Kind())
		return
	}
	fields := e.Value.Fields(scheduleKeys...)
	var given []string
	for _, key := range ruleKeys {
		if fields[key].Exists() {
			given = append(given, key)
		}
	}
	if len(given) != 1 {
		e.Value.FaultHint("for example {at: \"08:00\"} or {cron: \"*/5 8-17 * * 1-5\"}", "expected exactly one of %s, found %s", strings.Join(ruleKeys, ", "), foundKeys(given))
		return
	}
	rule := given[0]
	of.zone = l.zone(fields["zone"], l.m.zone)
	for key, belongs := range map[string][]string{"from": {"every"}, "days": {"at"}, "zone": {"at", "cron"}, "hours": {"every", "at", "cron"}} {
		if fields[key].Exists() && !slices.Contains(belongs, rule) {
			fields[key].Faultf("key %q is not allowed next to %q; it belongs to %s", key, rule, strings.Join(belongs, ", "))
		}
	}
	n := fields[rule]
	switch rule {
	case "every":
		l.every(of, n, fields["from"])
	case "at":
		l.times(of, n, fields["days"])
	case "cron":
		l.cron(of, n)
	default:
		of.edge, of.opens = l.hoursNamed(n), rule == "opens"
		if of.edge != nil {
			of.zone, of.text = of.edge.zone, rule+" "+of.edge.name
		}
	}
	if h := fields["hours"]; h.Exists() {
		if of.during = l.hoursNamed(h); of.during != nil {
			of.text += " in hours " + of.during.name
		}
	}
}

func foundKeys(given []string) string {
	if len(given) == 0 {
		return "none of them"
	}
	return strings.Join(given, " and ")
}

func (l *loader) every(of *schedule, n, from source.Node) {
	of.zone = ""
	of.every = n.Duration()
	switch {
	case of.every != 0 && of.every < minEvery:
		n.Faultf("expected at least %s", source.FormatDuration(minEvery))
	case of.every > maxDelay:
		n.Faultf("expected at most %d days", maxDelay/(24*time.Hour))
	case of.every%time.Second != 0:
		n.Faultf("expected whole seconds")
	case of.every <= 0:
		n.Faultf("expected a duration greater than 0, such as 30d")
		of.every = minEvery
	}
	of.text = "every " + source.FormatDuration(of.every)
	if !from.Exists() {
		return
	}
	at, err := time.Parse(time.RFC3339, from.String())
	if err != nil || at.Nanosecond() != 0 {
		from.FaultHint("for example 2026-01-05T08:00:00+01:00", "from: expected a moment with its offset from UTC, in quotes, found %q", from.Scalar())
		return
	}
	of.from = at.UTC()
	of.text += " from " + at.Format(time.RFC3339)
}

func (l *loader) times(of *schedule, n, days source.Node) {
	of.times = &calendar.Times{Days: calendar.AllDays}
	var texts []string
	for _, at := range n.OneOrList() {
		if !at.IsString() {
			at.FaultHint("for example \"08:00\"", "expected a time of day in quotes, found %s", at.Kind())
			continue
		}
		clock, err := calendar.ParseClock(at.String())
		switch {
		case err != nil:
			at.Faultf("%v", err)
			continue
		case clock == 24*time.Hour:
			at.FaultHint("for example \"00:00\" of the next day", "time of day %q: a day ends before it", at.String())
			continue
		case slices.Contains(of.times.Clocks, clock):
			at.Faultf("time of day %q is there twice", at.String())
			continue
		}
		of.times.Clocks = append(of.times.Clocks, clock)
		texts = append(texts, at.String())
	}
	slices.Sort(of.times.Clocks)
	if len(of.times.Clocks) == 0 && l.f.Err() == nil {
		n.Faultf("expected at least one time of day")
	}
	of.text = "at " + strings.Join(texts, ", ")
	if days.Exists() {
		set, err := calendar.ParseDays(days.String())
		if err != nil {
			days.Faultf("%v", err)
		}
		of.times.Days = set
		of.text += " on " + set.String()
	}
}

func (l *loader) cron(of *schedule, n source.Node) {
	text := n.String()
	if !n.IsString() {
		return
	}
	cron, _, err := calendar.ParseCron(text)
	if err != nil {
		for _, fault := range joined(err) {
			n.Faultf("%v", fault)
		}
		return
	}
	of.cron, of.text = &cron, "cron \""+text+"\""
}

func (l *loader) hoursNamed(n source.Node) *businessHours {
	name := n.String()
	if !n.IsString() {
		return nil
	}
	h := l.m.hours[name]
	if h == nil {
		n.FaultHint(source.DidYouMean(name, slices.Sorted(maps.Keys(l.m.hours))), "unknown hours %q; expected one of the names in hours of the model", name)
		return nil
	}
	l.usedHours[name] = true
	return h
}

// resolveZones finds what inHours('…') names, and collects the zones of the model.
func (l *loader) resolveZones() {
	names := map[string]bool{}
	l.m.byCalendar = l.countSchedules > 0 || len(l.m.windows) > 0
	for _, ref := range l.refs {
		l.m.byCalendar = l.m.byCalendar || ref.expr.readsClock()
		for _, name := range ref.expr.hours {
			h := l.m.hours[name]
			if h == nil {
				ref.node.FaultHint(source.DidYouMean(name, slices.Sorted(maps.Keys(l.m.hours))), "inHours: unknown hours %q; expected one of the names in hours of the model", name)
				continue
			}
			l.usedHours[name] = true
			names[h.zone] = true
		}
		for _, zone := range ref.expr.checked.Zones {
			if zone == "" {
				zone = l.m.zone
			}
			names[zone] = true
		}
	}
	for _, s := range l.m.states {
		for _, of := range s.schedules {
			names[of.zone] = true
			if of.zone == "" {
				names[l.m.zone] = true // for event.local
			}
			if of.during != nil {
				names[of.during.zone] = true
			}
		}
	}
	for _, w := range l.m.windows {
		names[w.zone] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if _, fixed := calendar.FixedZone(name); !fixed && name != "" {
			l.m.zones = append(l.m.zones, name)
		}
	}
}
