package device

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"pgregory.net/rapid"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

// A pattern that means something else in the new version sees the latest messages again, also those
// of the run before: a crash loop that began before the migration is completed behind it.
func TestAPatternSeesTheLatestMessagesAgain(t *testing.T) {
	old, to := modelOf(t, movedModel), modelOf(t, strings.Replace(movedTo, "times: 3", "times: 4", 1))
	models := NewRegistry(old, to)
	keeping := func(h *twinHarness, keeps int) *twinHarness {
		h.workflow.Models, h.activities.Models, h.workflow.Recent = models, models, keeps
		return h
	}
	for _, keeps := range []int{0, 10} {
		h := keeping(newTwinHarness(t, movedModel, 2), keeps)
		h.at(time.Second, boot(), reading(50))
		h = keeping(h.runToNext(), keeps)
		h.at(time.Second, boot())
		p := planTo(old, to)
		p.Patterns["crash_loop"] = devicefsm.PlanItem{Do: devicefsm.PlanReplay}
		a := h.operate(time.Minute, migrate(p, ""))
		if keeps == 0 {
			view := h.runUntil(2 * time.Minute)
			if r := a.only(t); code(r) != 409 || !strings.Contains(r.Refused.Message, "none are kept") || len(view.Recent) > 0 {
				t.Errorf("without messages: %s, %d kept", text(r), len(view.Recent))
			}
			continue
		}
		next := keeping(h.runToNext(), keeps)
		if r := a.only(t); r.Migrated == nil || len(next.state.Recent) != 3 {
			t.Fatalf("%s, %d messages kept", text(r), len(next.state.Recent))
		}
		next.OnActivity(ActivityReprovision, mock.Anything, mock.Anything).Return(Reprovisioned{Credential: "c", Command: "c"}, nil).After(time.Hour)
		next.at(time.Second, boot(), boot())
		if view := next.runUntil(time.Minute); view.StateName != "fixing" {
			t.Errorf("state %s after four boots, want fixing", view.StateName)
		}
	}
}

// partials are what patterns have under way.
func partials(t *rapid.T, s *devicefsm.Snapshot) string {
	var all struct {
		Patterns json.RawMessage `json:"p"`
	}
	if err := json.Unmarshal([]byte(text(s)), &all); err != nil {
		t.Fatalf("%v", err)
	}
	return string(all.Patterns)
}

// After a replay, a pattern is where it would be if the device had always run the new version.
func TestAReplayedPatternIsAsBorn(t *testing.T) {
	steps := []string{
		"{event: a}", "{event: a, times: 2}", "{event: b}", "{event: b, where: 'event.x > 1'}", "{event: c, optional: true}", "{event: a, where: 'event.x > 0', oneOrMore: true}",
	}
	partial := 0
	rapid.Check(t, func(rt *rapid.T) {
		version := func(label string, x int) *devicefsm.Model {
			list := rapid.SliceOfN(rapid.SampledFrom(steps[:4]), 1, 3).Draw(rt, label)
			list = append(list, rapid.SampledFrom(steps).Draw(rt, label), "{event: d}")
			return modelOf(t, fmt.Sprintf("model: moved\nevents: {d: {channel: events, name: d, when: 'msg.x > %d'}}\npatterns: {p: {sequence: [%s], within: 30m}}\n"+
				"initial: s\nstates: {s: {on: {p: {actions: {log: \"'%d'\"}}}}}\n", x, strings.Join(list, ", "), x))
		}
		old, to := version("old", 1), version("new", 2)
		g, faults := devicefsm.NewMigration(old, to, devicefsm.Plan{
			Model: "moved", From: old.Hash(), To: to.Hash(), States: map[string][]string{"s": {"s"}},
			Patterns: map[string]devicefsm.PlanItem{"p": {Do: devicefsm.PlanReplay}},
		})
		if len(faults) > 0 {
			rt.Fatalf("%+v", faults)
		}
		d := &run{model: old, state: &State{}, settings: runSettings{Rules: rulesNow, Kept: kept{Recent: MaxRecent}}}
		d.state.Snapshot, _ = old.Start(t0)
		born, _ := to.Start(t0)
		now := t0
		for range rapid.IntRange(0, 20).Draw(rt, "messages") {
			now = now.Add(time.Duration(rapid.IntRange(0, 600).Draw(rt, "after")) * time.Second)
			m := device.Message{
				Channel: device.ChannelEvents, Name: rapid.SampledFrom([]string{"a", "a", "b", "c", "d"}).Draw(rt, "name"), Time: now,
				Data: map[string]any{"x": float64(rapid.IntRange(0, 3).Draw(rt, "x"))},
			}
			if rapid.Bool().Draw(rt, "late") { // by the device's clock
				m.Sent = now.Add(-time.Duration(rapid.IntRange(0, 1200).Draw(rt, "by")) * time.Second)
			}
			name, _ := old.Classify(m)
			d.state.Snapshot, _ = old.Step(d.state.Snapshot, d.ofDevice(devicefsm.Event{Name: name, Data: m.Data, Alive: m.Alive()}, m))
			d.keepRecent(m)
			name, _ = to.Classify(m)
			born, _ = to.Step(born, d.ofDevice(devicefsm.Event{Name: name, Data: m.Data, Alive: m.Alive()}, m))
		}
		end := d.ofService(devicefsm.Event{}, now)
		born, _ = to.Step(born, end)
		d.state.Snapshot, _ = old.Step(d.state.Snapshot, end)
		moved, err := g.Apply(d.state.Snapshot, devicefsm.MigrationInput{At: now, Recent: d.recentFor(to)})
		if err != nil {
			rt.Fatalf("%v", err)
		}
		// With the next event that the pattern knows, what is over is forgotten in both.
		next := devicefsm.Event{Name: "d", Data: map[string]any{"x": 1.0}, Time: now.Add(time.Second), Arrived: now.Add(time.Second)}
		after, did := to.Step(moved.Snapshot, next)
		born, would := to.Step(born, next)
		got, want := partials(rt, after), partials(rt, born)
		if got != want || !slices.Equal(did.Matched, would.Matched) {
			rt.Fatalf("replayed\n%s %q\nborn\n%s %q", got, did.Matched, want, would.Matched)
		}
		if got != "" {
			partial++
		}
	})
	if partial == 0 {
		t.Error("no pattern was under way")
	}
}

// What a run keeps is bounded, and has no hole.
func TestRecentMessagesAreBounded(t *testing.T) {
	model := modelOf(t, movedModel)
	d := &run{model: model, state: &State{}, settings: runSettings{Rules: rulesNow, Kept: kept{Recent: 4}}}
	d.state.Snapshot, _ = model.Start(t0)
	names := func() string {
		var list []string
		for _, m := range d.state.Recent {
			list = append(list, m.Name)
		}
		return strings.Join(list, " ")
	}
	say := func(name string, size int) {
		d.keepRecent(device.Message{Channel: device.ChannelEvents, Name: name, Data: map[string]any{"text": strings.Repeat("x", size)}})
	}
	for i := range 6 {
		say(fmt.Sprint(i), 10)
	}
	if got := names(); got != "2 3 4 5" {
		t.Errorf("kept %q", got)
	}
	d.keepRecent(device.Message{Channel: device.ChannelSystem, Name: device.MessageSeen})
	if got := names(); got != "2 3 4 5" {
		t.Errorf("after a message of the service's: %q", got)
	}
	say("large", recentData)
	if got := names(); got != "" {
		t.Errorf("behind a message that is too large: %q", got)
	}
	say("next", 10)
	if got := names(); got != "next" {
		t.Errorf("and then: %q", got)
	}
	d.settings.Kept.Recent = MaxRecent
	for i := range 2 * MaxRecent {
		say(fmt.Sprint(i), 900)
	}
	if n := len(d.state.Recent); n < 40 || n > recentSize/900 || d.state.Recent[n-1].Name != fmt.Sprint(2*MaxRecent-1) {
		t.Errorf("%d messages of 900 bytes are kept", n)
	}
	if size := len(text(d.state.Recent)); size > 2*recentSize {
		t.Errorf("%d bytes are kept", size)
	}
	d.settings.Kept.Recent = 0
	if say("none", 1); d.state.Recent != nil || d.recentFor(model) != nil {
		t.Errorf("a run that keeps none has %q", names())
	}
}
