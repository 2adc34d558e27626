package devicefsm

import (
	"slices"
	"strings"

	"devicetwin/source"
)

// written is what is kept of a model file to compare it with another: of what is compiled,
// nothing says any more how it was written.
type written struct {
	settings                                 []Setting
	events, patterns, windows, alarms, hours []Section
}

// readWritten reads what is compared as it is written.
func readWritten(m *Model, root source.Node) written {
	fields := map[string]source.Node{}
	for _, e := range root.Entries() {
		fields[e.Key] = e.Value
	}
	w := written{
		events: sections(fields["events"]), patterns: sections(fields["patterns"]),
		windows: sections(fields["windows"]), alarms: sections(fields["alarms"]), hours: sections(fields["hours"]),
	}
	w.settings = []Setting{{"time", timeDevice}, {"zone", m.zone}}
	if m.byArrival {
		w.settings[0].Text = timeArrival
	}
	if m.silentAfter > 0 {
		w.settings = append(w.settings,
			Setting{"liveness.silent_after", source.FormatDuration(m.silentAfter)}, Setting{"liveness.tolerance", source.FormatDuration(m.tolerance)})
	}
	w.settings = append(w.settings, m.process.settings()...)
	if n := fields["members"]; n.Exists() {
		w.settings = append(w.settings, Setting{"members", string(canonical(nil, n, "members"))})
	}
	return w
}

// sections are the entries of a part of the file, in its order.
func sections(n source.Node) []Section {
	if !n.IsMap() {
		return nil
	}
	var all []Section
	for _, e := range n.Entries() {
		s := Section{Name: e.Key}
		if !e.Value.IsMap() {
			all = append(all, s)
			continue
		}
		for _, f := range e.Value.Entries() {
			switch {
			case commentKeys[f.Key]:
			case f.Key == "sequence":
				for _, step := range f.Value.List() {
					s.Steps = append(s.Steps, string(canonical(nil, step, "sequence[]")))
					s.negated = append(s.negated, hasKey(step, "notNext") || hasKey(step, "notFollowedBy"))
					s.events = append(s.events, eventsIn(step))
				}
			default:
				s.Settings = append(s.Settings, Setting{f.Key, settingText(f.Key, f.Value)})
			}
		}
		slices.SortFunc(s.Settings, func(a, b Setting) int { return strings.Compare(a.Name, b.Name) })
		all = append(all, s)
	}
	return all
}

// settingText is a value in one spelling: a scalar as it is, anything else as JSON.
func settingText(key string, n source.Node) string {
	if durationKeys[key] {
		if d, err := source.ParseDuration(n.Scalar()); err == nil {
			return source.FormatDuration(d)
		}
	}
	if n.IsString() {
		return n.String()
	}
	return string(canonical(nil, n, key))
}
