package devicefsm

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"devicetwin/device"
)

const memberModel = `
model: pump
initial: on
states:
  on:
    type: parallel
    on: {break: broken}
    states:
      motor: {initial: slow, states: {slow: {on: {a: fast}}, fast: {on: {a: slow, b: 'slow'}}}}
      door: {initial: shut, states: {shut: {on: {b: open}}, open: {on: {b: shut}}}}
  broken: {on: {fix: on}}
  "v2.0": {}
`

func TestFeedIsDerived(t *testing.T) {
	member := load(t, memberModel)
	for rules, want := range map[string]Feed{
		`x: {channel: members, name: entered, when: "msg.state == 'broken'"}`:                                                      {Entered: []string{"broken"}},
		`x: {channel: members, name: entered, when: "msg.state == 'broken' && msg.model == 'fan'"}`:                                {},
		`x: {channel: members, name: left, when: "msg.model == 'pump' && msg.state.startsWith('on.door')"}`:                        {Left: []string{"on.door", "on.door.open", "on.door.shut"}},
		`x: {channel: members, name: silent}`:                                                                                      {Silent: true},
		`y: {channel: members, name: silent}, x: {channel: members}`:                                                               {Alive: true, Entered: all(member), Left: all(member)},
		`x: {channel: members, name: alive, when: "msg.device.startsWith('a') || msg.model == 'fan'"}`:                             {Alive: true},
		`x: {channel: members, name: alive, when: "msg.device.startsWith('a') && msg.model == 'fan'"}`:                             {},
		`y: {channel: members, name: alive, when: "msg.parent == 'g'"}, x: {channel: members, name: alive}`:                        {Alive: true},
		`y: {channel: members, name: alive}`:                                                                                       {},
		`x: {channel: events, name: alive}`:                                                                                        {},
		`z: {channel: members, name: entered}`:                                                                                     {Entered: []string{"on"}},
		`x: {channel: members, name: entered, when: "has(msg.state) && !(msg.state in ['on', 'broken']) && msg.state.size() < 6"}`: {Entered: []string{`v2\.0`}},
	} {
		group := load(t, "model: site\nmembers: {by: site}\nevents: {"+rules+"}\ninitial: s\nstates: {s: {on: {x: t, y: null, z: {guard: \"event.state == 'on' && event.device != ''\", target: t}}}, t: {}}\n")
		if got := group.Feed(member); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", rules, got, want)
		}
		if want.Empty() != group.Feed(member).Empty() {
			t.Errorf("%s: empty", rules)
		}
	}
}

func all(m *Model) []string {
	var paths []string
	for _, s := range m.states[1:] {
		paths = append(paths, s.path)
	}
	slices.Sort(paths)
	return paths
}

func TestChanges(t *testing.T) {
	m := load(t, memberModel)
	for _, c := range []struct{ from, to, want string }{
		{"on.motor.slow,on.door.shut", "on.motor.fast,on.door.shut", "left on.motor.slow, entered on.motor.fast"},
		{"on.motor.slow,on.door.shut", "broken", "left on.door.shut, left on.door, left on.motor.slow, left on.motor, left on, entered broken"},
		{"", "broken", "entered broken"},
		{`v2\.0`, "", `left v2\.0`},
		{"broken", "broken", ""},
	} {
		var got []string
		for _, c := range m.Changes(c.from, c.to) {
			got = append(got, c.Name+" "+c.State)
		}
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("%s -> %s: %s, want %s", c.from, c.to, text, c.want)
		}
	}
}

func TestMembership(t *testing.T) {
	m := Member{ID: "pump-north-7", Site: "north", Parent: "gw-1", Tags: map[string]string{"line": "l2"}}
	for members, want := range map[string]string{
		"{by: site}": "north", "{tag: line}": "l2", "{tag: other}": "",
		`{id: "^pump-(?P<group>[a-z]+)-"}`: "north", `{id: "^fan-(?P<group>[a-z]+)-"}`: "",
		"{parent: true, aggregators: 16}": "gw-1",
	} {
		group := load(t, "model: g\nmembers: "+members+"\ninitial: s\nstates: {s: {}}\n")
		by, ok := group.Members()
		if got := by.GroupOf(m); !ok || got != want || by.Aggregators < 1 {
			t.Errorf("%s: %q of %+v, want %q", members, got, by, want)
		}
		text, _ := json.Marshal(by)
		var back Membership
		if err := json.Unmarshal(text, &back); err != nil || back != by {
			t.Errorf("%s: as JSON %s", members, text)
		}
	}
	if got := (Membership{Parent: true}).GroupOf(Member{ID: "gw-1"}); got != "gw-1" {
		t.Errorf("of a parent: %q", got)
	}
	if _, ok := load(t, memberModel).Members(); ok {
		t.Error("a pump is a group")
	}
}

func TestFaultsOfMembers(t *testing.T) {
	for src, want := range map[string]string{
		"members: {}":                    "expected one of by, tag, id and parent",
		"members: {by: site, tag: line}": "expected one of",
		"members: {by: place}":           "expected one of site",
		"members: {id: 'pump-('}":        "missing closing",
		"members: {id: 'pump-(.*)'}":     "(?P<group>",
		"members: {id: '(?P<group>" + strings.Repeat("x", 300) + ")'}":     "at most 256 bytes",
		"members: {parent: false}":                                         "expected parent: true",
		"members: {tag: 'no/tag='}":                                        "tag",
		"members: {by: site, aggregators: 65}":                             "65",
		"model: Big\nmembers: {by: site}":                                  "kind",
		"events: {x: {channel: members, name: silent}}":                    "not one of a group",
		"members: {by: site}\nevents: {x: {channel: members, name: born}}": "expected one of entered",
	} {
		if !strings.HasPrefix(src, "model") {
			src = "model: g\n" + src
		}
		if _, err := Load("m.yaml", []byte(src+"\ninitial: s\nstates: {s: {on: {x: s}}}\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", src, err, want)
		}
	}
}

// Bridges do not see what members report.
func TestReportsAreNotTheDevicesOwn(t *testing.T) {
	m := load(t, "model: g\nmembers: {by: site}\nevents: {x: {channel: members, name: silent}}\ninitial: s\nstates: {s: {on: {x: s}}}\n")
	if m.MessageOnly("x") {
		t.Error("an event of members is taken for one of the device")
	}
	if (device.Message{Channel: device.ChannelMembers, Name: device.MemberEntered}).Alive() {
		t.Error("a report of a member shows that the group is up")
	}
}

var reportWhens = []string{
	"msg.state == 'broken'", "msg.state.startsWith('on.door')", "msg.model == 'pump'", "msg.model == 'fan' || msg.state == 'on'",
	"msg.device == 'a'", "msg.device == 'a' && msg.state == 'on.motor.fast'", "has(msg.parent) && msg.state != 'broken'", "!has(msg.state)",
	"msg.parent == 'g' || msg.state == 'on.door.open'", "true", "false", "msg.missing == 1",
}

var reportGuards = []string{
	"event.state == 'broken'", "event.device == 'b'", "context.n < 3", "event.state != 'on' && context.n < 5", "has(event.parent)", "event.model == 'fan'",
	"has(event.state) && event.state.size() > 5 && event.device == 'a'",
}

// randomGroup draws a model of a group.
func randomGroup(t *rapid.T) string {
	pick := func(label string, from []string) string { return rapid.SampledFrom(from).Draw(t, label) }
	var b strings.Builder
	b.WriteString("model: site\nmembers: {by: site}\ncontext: {n: 0}\nevents:\n")
	for i := range rapid.IntRange(1, 4).Draw(t, "rules") {
		fmt.Fprintf(&b, "  e%d: {channel: members", i)
		if name := pick("name", append([]string{""}, device.MemberReports...)); name != "" {
			b.WriteString(", name: " + name)
		}
		fmt.Fprintf(&b, ", when: %q}\n", pick("when", reportWhens))
	}
	if rapid.Bool().Draw(t, "patterns") {
		fmt.Fprintf(&b, "patterns: {p: {sequence: [{event: e0, where: %q, times: 2}, e1], within: 30s, distinct: device}}\n", pick("where", reportGuards[1:2]))
	}
	if rapid.Bool().Draw(t, "alarms") {
		b.WriteString("alarms: {al: {begins: e1, ends: e2, settle: 20s, explained_by: why}, why: {begins: e3, ends: e0}}\n")
	}
	b.WriteString("initial: s\nstates:\n")
	for _, s := range []string{"s", "t"} {
		fmt.Fprintf(&b, "  %s:\n    on:\n", s)
		for _, e := range []string{"e0", "e1", "e2", "e3", "p", "al", "al.ended"} {
			switch rapid.IntRange(0, 4).Draw(t, "on") {
			case 0:
				fmt.Fprintf(&b, "      %s: {guard: %q, target: %s}\n", e, pick("guard", reportGuards), pick("target", []string{"s", "t"}))
			case 1:
				fmt.Fprintf(&b, "      %s: {guard: %q, actions: [{assign: {n: context.n + 1}}, {log: \"'%s'\"}]}\n", e, pick("guard", reportGuards), e)
			case 2:
				fmt.Fprintf(&b, "      %s: {target: %s, actions: {log: \"'moved'\"}}\n", e, pick("target", []string{"s", "t"}))
			}
		}
		b.WriteString("      never: s\n")
		if rapid.IntRange(0, 3).Draw(t, "always") == 0 {
			fmt.Fprintf(&b, "    always: {guard: \"context.n == 2 && event.state == 'broken'\", actions: [{assign: {n: 3}}]}\n")
		}
	}
	return b.String()
}

// feedLosesNothing runs a random group with all that its members report and with what the
// feed says that matters, and describes the difference.
func feedLosesNothing(t *rapid.T, feed func(group, member *Model) Feed) error {
	src := randomGroup(t)
	group, err := Load("site.yaml", []byte(src))
	if err != nil {
		t.Skip(err.Error()) // a name in alarms or patterns that is not there
	}
	member, err := Load("pump.yaml", []byte(memberModel))
	if err != nil {
		t.Fatal(err)
	}
	f := feed(group, member)
	states := map[string]*Snapshot{}
	var lives [2]life
	var all, fed *Snapshot
	all, _ = group.Start(t0)
	fed, _ = group.Start(t0)
	now := t0
	report := func(of Member, c Change) {
		msg := device.Message{Channel: device.ChannelMembers, Name: c.Name, Data: c.Report(of, member.Name()), Time: now}
		name, ok := group.Classify(msg)
		if !ok {
			name = ""
		}
		for i, s := range []**Snapshot{&all, &fed} {
			if i == 1 && !f.Has(c) {
				continue
			}
			next, out := group.Step(*s, Event{Name: name, Data: msg.Data, Time: now})
			*s = next
			lives[i].add(out)
		}
	}
	for range rapid.IntRange(1, 25).Draw(t, "events") {
		now = now.Add(time.Duration(rapid.IntRange(1, 15).Draw(t, "seconds")) * time.Second)
		of := Member{ID: device.ID(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "member"))}
		if of.ID == "b" {
			of.Parent = "g"
		}
		before := states[of.ID.String()]
		if before == nil {
			before, _ = member.Start(t0)
		}
		switch event := rapid.SampledFrom([]string{"a", "b", "break", "fix", "silent", "alive"}).Draw(t, "event"); event {
		case "silent", "alive":
			report(of, Change{Name: event})
		default:
			after, _ := member.Step(before, Event{Name: event, Time: now})
			states[of.ID.String()] = after
			for _, c := range member.Changes(member.StateName(before), member.StateName(after)) {
				report(of, c)
			}
		}
	}
	for i, s := range []*Snapshot{all, fed} {
		end, out := group.Step(s, Event{Time: now.Add(time.Hour)})
		lives[i].add(out)
		lives[i].end = fmt.Sprint(group.StateName(end), end.Context(), group.Alarms(end))
	}
	if lives[0] != lives[1] {
		return fmt.Errorf("with all reports:\n%+v\nwith the feed %+v:\n%+v\n%s", lives[0], f, lives[1], src)
	}
	return nil
}

// life is what happened to a group: each kind of thing in its order, because a timer and the
// event after it may be one step or two.
type life struct{ actions, transitions, matched, end string }

func (l *life) add(out Outcome) {
	for _, a := range out.Actions {
		l.actions += fmt.Sprintf("%s %v\n", a.ID, a.Data)
	}
	for _, tr := range out.Transitions {
		l.transitions += tr.From + " -> " + tr.To + "\n"
	}
	l.matched += strings.Join(out.Matched, " ")
}

func TestTheFeedLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if err := feedLosesNothing(t, (*Model).Feed); err != nil {
			t.Fatal(err)
		}
	})
}

// TestAWrongFeedIsCaught forgets one thing at a time: the property above notices each.
func TestAWrongFeedIsCaught(t *testing.T) {
	for name, wrong := range map[string]func(f *Feed){
		"silent":  func(f *Feed) { f.Silent = false },
		"alive":   func(f *Feed) { f.Alive = false },
		"entered": func(f *Feed) { f.Entered = nil },
		"left":    func(f *Feed) { f.Left = nil },
		"a state": func(f *Feed) {
			f.Entered = slices.DeleteFunc(slices.Clone(f.Entered), func(s string) bool { return s == "broken" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			caught := false
			rapid.Check(t, func(t *rapid.T) {
				err := feedLosesNothing(t, func(group, member *Model) Feed {
					f := group.Feed(member)
					wrong(&f)
					return f
				})
				caught = caught || err != nil
			})
			if !caught {
				t.Error("nobody noticed")
			}
		})
	}
}
