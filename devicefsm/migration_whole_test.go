package devicefsm

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// whole has something of everything that goes on without an event.
const whole = `
alarms:
  silence: {begins: pump_silent, ends: pump_alive, settle: 1m, explained_by: outage}
  outage:  {begins: gateway_silent, ends: gateway_alive}
windows:
  heat: {event: reading, where: has(event.n), value: event.n, aggregate: mean, over: 10m, slide: 5m, grace: 30s}
schedules: {daily: {at: "14:00"}}
initial: up
on:
  late: {actions: {log: "'late'"}}
  daily: {actions: {log: "'daily ' + event.due"}}
  silence: {actions: {log: "'silent ' + string(event.raised)"}}
states:
  up:
    schedules: {report: {every: 40m}}
    initial: cold
    on:
      report: {actions: {log: "'report ' + event.due"}}
      heat.closed: {actions: {log: "string(event.count) + ' at ' + event.start"}}
      leave: away
    states:
      cold: {on: {warm: hot}}
      hot: {after: {10m: cold}, on: {later: {actions: {raise: {event: late, delay: 5m}}}}}
      past: {type: history, history: deep}
  away: {on: {enter: up, back: up.past}}
`

var otherNames = strings.NewReplacer("up", "base", "cold", "cool", "hot", "tepid", "past", "last", "away", "gone")

func randomWholeLife(t *rapid.T, name string) []string {
	return rapid.SliceOfN(rapid.SampledFrom([]string{
		"1s", "30s", "1m", "4m", "10m", "39m", "3h", "pump_silent a", "pump_silent b", "pump_alive a", "gateway_silent g", "gateway_alive g",
		"reading 10", "reading 20", "reading x", "warm", "later", "leave", "enter", "back",
	}), 0, 20).Draw(t, name)
}

// Wherever in its life a device is moved to a model with other names, it goes on as one that was
// born with them.
func TestMovedAtAnyTime(t *testing.T) {
	old, new := load(t, whole), load(t, otherNames.Replace(whole))
	there := migration(t, old, new, samePlan(old, new, otherNames.Replace))
	rapid.Check(t, func(t *rapid.T) {
		before, after := randomWholeLife(t, "before"), randomWholeLife(t, "after")
		given, _ := old.Start(t0)
		given, now, _, _ := playLife(old, given, t0, before)
		born, _ := new.Start(t0)
		born, _, _, _ = playLife(new, born, t0, before)
		moved, err := there.Apply(given, MigrationInput{At: now})
		if err != nil || len(moved.Lost) > 0 || len(moved.Outcome.Actions) > 0 {
			t.Fatalf("%v, lost %q, %v", err, moved.Lost, moved.Outcome.Actions)
		}
		if got, want := plain(t, moved.Snapshot), plain(t, born); got != want {
			t.Fatalf("after the migration\n%s\nborn\n%s", got, want)
		}
		end, _, _, got := playLife(new, moved.Snapshot, now, after)
		bornEnd, _, _, want := playLife(new, born, now, after)
		if asJSON(got) != asJSON(want) || plain(t, end) != plain(t, bornEnd) {
			t.Fatalf("afterwards\n%s\n%s\nborn\n%s\n%s", asJSON(got), plain(t, end), asJSON(want), plain(t, bornEnd))
		}
	})
}
