package devicefsm

import (
	"strings"
	"testing"
)

const meant = `
liveness: {silent_after: 5m}
events:
  cold:   {channel: telemetry, when: msg.t < 10.0}
  hot:    {channel: telemetry, when: msg.t > 90.0}
  sample: {channel: telemetry, when: has(msg.t)}
  knock:  {channel: events, name: knock}
  alert:  {channel: events, name: bell, when: msg.loud}
patterns:
  twice: {sequence: [{event: sample, times: 2}, {event: knock}], within: 1h}
  again: {sequence: [twice, {notFollowedBy: bell}, {group: [{event: ring, oneOrMore: true, until: stop}]}], within: 1h}
windows:
  heat: {event: hot, aggregate: count, over: 1h}
alarms:
  fire:  {begins: hot, ends: cold}
  quiet: {begins: device.silent, ends: device.alive}
initial: up
states: {up: {}}
`

// Two models mean the same by an event if the same messages, matches, windows and alarms are it,
// however that is written.
func TestWhatModelsMeanByEvents(t *testing.T) {
	all := []string{
		"cold", "hot", "sample", "knock", "alert", "bell", "other", "twice", "again", "heat.closed", "fire", "fire.ended", "quiet", "device.silent",
		"knock.*", "pump.rejected", "ring", "stop",
	}
	for _, c := range []struct {
		name, old, new string
		differ         string // of all, those that mean something else
	}{
		{"comments and white space", "hot:    {channel: telemetry, when: msg.t > 90.0}", "hot: {description: too much, when: msg.t > 90.0, channel: telemetry} # hot", ""},
		{"a threshold", "msg.t > 90.0", "msg.t > 80.0", "hot sample twice again heat.closed fire fire.ended"},
		{"what is taken away before", "msg.t < 10.0", "msg.t < 20.0", "cold hot sample twice again heat.closed fire fire.ended"},
		{"a rule that comes last on its channel", "sample: {channel: telemetry, when: has(msg.t)}", "sample: {channel: telemetry, when: has(msg.u)}", "sample twice again"},
		{"the order", "  hot:    {channel: telemetry, when: msg.t > 90.0}\n  sample: {channel: telemetry, when: has(msg.t)}\n", "  sample: {channel: telemetry, when: has(msg.t)}\n  hot:    {channel: telemetry, when: msg.t > 90.0}\n", "hot sample twice again heat.closed fire fire.ended"},
		{"a name that is taken away", "name: bell", "name: other", "alert bell other again"},
		{"when it is taken away", "when: msg.loud", "when: msg.soft", "alert bell again"},
		{"a new rule of another channel", "events:", "events:\n  finished: {channel: ack, name: pump, when: msg.ok}", "pump.rejected"},
		{"a new rule of another name", "events:", "events:\n  beep: {channel: events, name: beep}", ""},
		{"a new rule of any name", "events:", "events:\n  loud: {channel: events, when: msg.db > 90.0}", strings.Join(all, " ")},
		{"a pattern that is a step", "times: 2", "times: 3", "twice again"},
		{"how long a pattern may take", "{event: knock}], within: 1h", "{event: knock}], within: 2h", "twice again"},
		{"a window", "over: 1h", "over: 2h", "heat.closed"},
		{"how long a window waits", "over: 1h", "over: 1h, grace: 5m", ""},
		{"how long an alarm waits", "ends: cold", "ends: cold, settle: 1m", "fire fire.ended"},
		{"when a device is silent", "silent_after: 5m", "silent_after: 6m", "quiet device.silent"},
	} {
		text := strings.Replace(meant, c.old, c.new, 1)
		if text == meant {
			t.Fatalf("%s: the model has no %q", c.name, c.old)
		}
		a, b := load(t, meant), load(t, text)
		var differ []string
		for _, name := range all {
			d, ok := parseDescriptor(name)
			if !ok {
				t.Fatal(name)
			}
			if !sameMeaning(a, b, d) {
				differ = append(differ, name)
			}
			if !sameMeaning(a, a, d) || !sameMeaning(b, b, d) {
				t.Errorf("%s: %q does not mean what it means", c.name, name)
			}
		}
		want := map[string]bool{}
		for _, name := range strings.Fields(c.differ) {
			want[name] = true
		}
		for _, name := range differ {
			if !want[name] {
				t.Errorf("%s: %q means something else", c.name, name)
			}
			delete(want, name)
		}
		for name := range want {
			t.Errorf("%s: %q means the same", c.name, name)
		}
	}
}

// What counts, begins, ends or matches an event that is another one by now does not go on.
func TestNothingGoesOnWithAnotherEvent(t *testing.T) {
	for _, c := range []struct{ old, new, faults string }{
		{"# hot", "# hot", ""},
		{"msg.t > 90.0", "msg.t > 80.0", "patterns.twice patterns.again windows.heat alarms.fire"},
		{"has(msg.t)", "has(msg.u)", "patterns.twice patterns.again"},
		{"silent_after: 5m", "silent_after: 6m", "alarms.quiet"},
		{"name: bell", "name: ring", ""}, // the first step of the pattern means the same
		{"over: 1h", "over: 1h, grace: 5m", ""},
	} {
		m := newMoving(t, meant, strings.Replace(meant, c.old, c.new, 1))
		_, faults := NewMigration(m.old, m.new, m.p)
		var found []string
		for _, f := range faults {
			found = append(found, f.Part+"."+f.Key)
		}
		if got := strings.Join(found, " "); got != c.faults {
			t.Errorf("%q: %s, want %s", c.new, got, c.faults)
		}
	}
}

// A partial match goes on up to the first step whose event is another one by now.
func TestAPartialMatchUpToAnotherEvent(t *testing.T) {
	const knocking = `
events: {knock: {channel: events, name: knock}, bell: {channel: events, name: bell, when: msg.loud}}
patterns: {visit: {sequence: [{event: knock, times: 2}, {event: bell}, {event: door}], within: 1h}}
initial: shut
states: {shut: {on: {visit: open}}, open: {}}
`
	m := newMoving(t, knocking, strings.Replace(knocking, "msg.loud", "msg.soft", 1))
	for _, c := range []struct {
		before, after []string
		state         string
	}{
		{[]string{"knock", "knock"}, []string{"bell", "door"}, "open"},
		{[]string{"knock", "knock", "bell"}, []string{"door"}, "shut"},
		{[]string{"knock"}, []string{"knock", "bell", "door"}, "open"},
	} {
		s, _ := m.old.Start(t0)
		s, now, _, _ := playLife(m.old, s, t0, c.before)
		got, err := m.apply(s, now)
		if err != nil {
			t.Fatal(err)
		}
		end, _, _, _ := playLife(m.new, got.Snapshot, now, c.after)
		if name := m.new.StateName(end); name != c.state || (len(got.Lost) > 0) != (c.state == "shut") {
			t.Errorf("%v, %v: %s, lost %q", c.before, c.after, name, got.Lost)
		}
	}
}
