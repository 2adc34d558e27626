package devicefsm

import (
	"strings"
	"testing"
)

const remembering = `
initial: a
states:
  a:
    initial: b
    on: {leave: out}
    states:
      b:
        initial: b1
        states: {b1: {on: {next: b2}}, b2: {on: {over: c}}}
      c: {initial: c1, states: {c1: {on: {next: c2}}, c2: {}}}
      h: {type: history, target: c}
      d: {type: history, history: deep}
  out: {on: {shallow: a.h, deep: a.d}}
  never: {on: {x: a}}
`

// remember is the same with other names, and forgets nothing.
var remember = strings.NewReplacer("initial: b\n", "initial: m\n", "      b:\n", "      m:\n", "b1", "one", "b2", "two", "h: {type", "last: {type", "a.h", "a.last").Replace(remembering)

func asRemember(p *Plan) {
	names := strings.NewReplacer("a.b.b1", "a.m.one", "a.b.b2", "a.m.two", "a.b", "a.m")
	for path := range p.States {
		p.States[path] = []string{names.Replace(path)}
	}
	p.History["a.h"] = "a.last"
}

const regionsRemembered = `
initial: work
states:
  work:
    type: parallel
    on: {off: out}
    states:
      all: {type: history, history: deep}
      l: {initial: a, states: {a: {on: {next: b}}, b: {}}}
      r: {initial: a, states: {a: {on: {next: b}}, b: {}}}
  out: {on: {back: work.all}}
`

func also(changes ...func(*Plan)) func(*Plan) {
	return func(p *Plan) {
		for _, change := range changes {
			change(p)
		}
	}
}

func stateTo(path string, to ...string) func(*Plan) {
	return func(p *Plan) { p.States[path] = to }
}

func TestHistoryOfAPlan(t *testing.T) {
	left := []string{"next", "leave"}
	inC := []string{"next", "over", "next", "leave"}
	runLives(t, []movedLife{
		{name: "deep", old: remembering, new: remember, change: asRemember, before: left, after: []string{"deep"}, state: "a.m.two", asBorn: true},
		{name: "shallow", old: remembering, new: remember, change: asRemember, before: left, after: []string{"shallow"}, state: "a.m.one", asBorn: true},
		{name: "deep, of another child", old: remembering, new: remember, change: asRemember, before: inC, after: []string{"deep"}, state: "a.c.c2", asBorn: true},
		{name: "shallow, of another child", old: remembering, new: remember, change: asRemember, before: inC, after: []string{"shallow"}, state: "a.c.c1", asBorn: true},
		{name: "nothing yet", old: remembering, new: remember, change: asRemember, before: []string{"next"}, after: []string{"leave", "deep"}, state: "a.m.two", asBorn: true},
		{
			name: "dropped", old: remembering, new: remember, change: also(asRemember, func(p *Plan) { p.History["a.d"] = PlanDrop }),
			before: left, after: []string{"deep"}, state: "a.m.one", lost: []string{`history "a.d"`},
		},
		{
			name: "what is remembered is outside now", old: remembering, new: remember, change: also(asRemember, stateTo("a.b.b2", "never")),
			before: left, after: []string{"deep"}, state: "a.m.one", lost: []string{`history "a.d": what it remembers has no image in a`},
		},
		{
			name: "what is remembered has no image", old: remembering, new: remember,
			change: also(asRemember, func(p *Plan) { delete(p.States, "a.b") }),
			before: left, after: []string{"shallow"}, state: "a.c.c1", lost: []string{`history "a.h": what it remembers has no image in a`},
		},
		{
			name: "of another kind", old: remembering, new: remember,
			change: also(asRemember, func(p *Plan) { p.History = map[string]string{"a.d": "a.last", "a.h": PlanDrop} }),
			before: left, after: []string{"shallow"}, state: "a.c.c1",
			lost: []string{`history "a.h"`, `history "a.d": what it remembers has no image in a`},
		},
		{name: "the device goes where it was", old: remembering, new: remember, change: also(asRemember, stateTo("out", "a.d")), before: left, state: "a.m.two"},
		{
			name: "of all regions", old: regionsRemembered, new: strings.NewReplacer("back", "back", "b", "z").Replace(regionsRemembered),
			change: also(stateTo("work.l.b", "work.l.z"), stateTo("work.r.b", "work.r.z")),
			before: []string{"next", "off"}, after: []string{"back"}, state: "work.l.z,work.r.z", asBorn: true,
		},
		{
			name: "of regions of which one has no image", old: regionsRemembered, new: regionsRemembered, change: stateTo("work.r.b", PlanHold),
			before: []string{"next", "off"}, after: []string{"back"}, state: "work.l.a,work.r.a",
			lost: []string{`history "work.all": what it remembers has no image in work`},
		},
	})
}

const heating = `
initial: "on"
states:
  "on": {on: {heat: hot}}
  hot: {after: {10m: {target: "on", actions: {log: "'over'"}}}, on: {leave: "on", later: {actions: {raise: {event: late, delay: 5m}}}, late: {actions: {log: "'late'"}}}}
`

func TestTimersAfterAPlan(t *testing.T) {
	const old = "hot after 10m"
	to := func(delay, do string) (string, func(*Plan)) {
		return strings.Replace(heating, "10m", delay, 1), item(ofTimers, old, do, "hot after "+delay)
	}
	longer, scaled := to("20m", PlanScale)
	shorter, shrunk := to("5s", PlanScale)
	_, fired := to("20m", PlanFire)
	_, kept := to("20m", PlanKeep)
	_, restarted := to("20m", PlanRestart)
	raise := func(do string) func(*Plan) { return func(p *Plan) { p.Raises["late"] = do } }
	heat, later := []string{"heat", "4m"}, []string{"heat", "later", "4m"}
	runLives(t, []movedLife{
		{name: "scaled, not yet", old: heating, new: longer, change: scaled, before: heat, after: []string{"11m59s"}, state: "hot"},
		{name: "scaled", old: heating, new: longer, change: scaled, before: heat, after: []string{"12m"}, want: []string{"over"}, state: "on"},
		{name: "scaled, and the state is left", old: heating, new: longer, change: scaled, before: heat, after: []string{"leave", "1h"}, state: "on"},
		{name: "scaled to less, not yet", old: heating, new: shorter, change: shrunk, before: heat, after: []string{"2999ms"}, state: "hot"},
		{name: "scaled to less", old: heating, new: shorter, change: shrunk, before: heat, after: []string{"3s"}, want: []string{"over"}, state: "on"},
		{name: "scaled before anything of it passed", old: heating, new: longer, change: scaled, before: []string{"heat"}, after: []string{"19m", "1m"}, want: []string{"over"}, state: "on", asBorn: true},
		{name: "fires", old: heating, new: longer, change: fired, before: heat, after: []string{"0s", "1h"}, want: []string{"over"}, state: "on"},
		{name: "fires before the next event", old: heating, new: longer, change: fired, before: heat, after: []string{"leave", "heat", "19m"}, want: []string{"over"}, state: "hot"},
		{name: "kept, not yet", old: heating, new: longer, change: kept, before: heat, after: []string{"5m59s"}, state: "hot"},
		{name: "kept", old: heating, new: longer, change: kept, before: heat, after: []string{"6m"}, want: []string{"over"}, state: "on"},
		{name: "kept once: the next time it is the new delay", old: heating, new: longer, change: kept, before: heat, after: []string{"6m", "heat", "19m"}, want: []string{"over"}, state: "hot"},
		{name: "restarted", old: heating, new: longer, change: restarted, before: heat, after: []string{"19m", "mark", "1m"}, want: []string{"over"}, state: "on"},
		{name: "a raise is kept", old: heating, new: heating, change: raise(PlanKeep), before: later, after: []string{"59s", "mark", "1s"}, want: []string{"late"}, asBorn: true},
		{name: "a raise is dropped", old: heating, new: heating, change: raise(PlanDrop), before: later, after: []string{"5m"}, lost: []string{`a delayed event "late"`}},
		{name: "a raise fires", old: heating, new: heating, change: raise(PlanFire), before: later, after: []string{"0s", "5m"}, want: []string{"late"}},
	})
}
