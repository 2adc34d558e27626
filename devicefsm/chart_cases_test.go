package devicefsm

// chartCases are small charts, each about one rule of SCXML or XState.
var chartCases = []chartCase{
	{
		name: "entry and exit order",
		model: `
initial: a
states:
  a:
    entry: {log: "'>a'"}
    exit: {log: "'<a'"}
    initial: a1
    states:
      a1: {entry: {log: "'>a1'"}, exit: {log: "'<a1'"}}
    on: {go: {target: b.b1, actions: {log: "'go'"}}}
  b:
    entry: {log: "'>b'"}
    initial: b2
    states:
      b1: {entry: {log: "'>b1'"}}
      b2: {entry: {log: "'>b2'"}}
`,
		start: "a.a1 | >a >a1",
		steps: []string{"go => b.b1 | <a1 <a go >b >b1", "go => b.b1"},
	},
	{
		name: "descendants before ancestors, document order",
		model: `
initial: a
states:
  a:
    on: {e: out, "*": wild, f: out}
    initial: a1
    states:
      a1: {on: {e: a2}}
      a2: {}
  out: {}
  wild: {}
`,
		start: "a.a1",
		steps: []string{"e => a.a2", "f => wild"},
	},
	{
		name: "wildcards",
		model: `
initial: a
states:
  a: {on: {fault.*: {actions: {log: "'prefix'"}}, "*": {actions: {log: "'any'"}}}}
`,
		start: "a",
		steps: []string{"fault => a | prefix", "fault.x.y => a | prefix", "faulty => a | any", "x => a | any"},
	},
	{
		name: "forbidden transition hides the ancestor's",
		model: `
initial: a
states:
  a:
    on: {e: b}
    initial: a1
    states:
      a1: {on: {e: null, f: a2}}
      a2: {}
  b: {}
`,
		start: "a.a1",
		steps: []string{"e => a.a1", "f => a.a2", "e => b"},
	},
	{
		name: "internal, external and self transitions",
		model: `
initial: a
states:
  a:
    entry: {log: "'>a'"}
    exit: {log: "'<a'"}
    initial: a1
    on:
      internal: .a2
      external: {target: .a2, reenter: true}
      self: a
      selfagain: {target: a, reenter: true}
      none: {actions: {log: "'none'"}}
    states:
      a1: {entry: {log: "'>a1'"}, exit: {log: "'<a1'"}}
      a2: {entry: {log: "'>a2'"}, exit: {log: "'<a2'"}, on: {me: a2, meagain: {target: a2, reenter: true}}}
`,
		start: "a.a1 | >a >a1",
		steps: []string{
			"none => a.a1 | none", "internal => a.a2 | <a1 >a2", "external => a.a2 | <a2 <a >a >a2",
			"me => a.a2", "meagain => a.a2 | <a2 >a2", "self => a.a1 | <a2 >a1", "selfagain => a.a1 | <a1 <a >a >a1",
		},
	},
	{
		name: "parallel regions, several targets, done",
		model: `
initial: p
states:
  p:
    type: parallel
    onDone: end
    on: {both: {target: [p.x.x2, p.y.y2]}, one: .y.y2}
    states:
      x: {initial: x1, states: {x1: {on: {e: x2}}, x2: {on: {f: x3}}, x3: {type: final}}}
      y:
        initial: y1
        onDone: {actions: {log: "'y done'"}}
        states: {y1: {on: {e: y2}}, y2: {on: {f: y3}}, y3: {type: final}}
  end: {type: final}
`,
		start: "p.x.x1,p.y.y1",
		steps: []string{"one => p.x.x1,p.y.y2", "both => p.x.x2,p.y.y2", "f => end | y done", "both => end"},
	},
	{
		name: "conflict: the earlier region wins, the descendant preempts",
		model: `
initial: p
states:
  p:
    type: parallel
    on: {e: away, g: away}
    states:
      x: {initial: x1, states: {x1: {on: {e: x2, f: '#away'}}, x2: {}}}
      y: {initial: y1, states: {y1: {on: {f: '#other'}}, y2: {}}}
  away: {id: away}
  other: {id: other}
`,
		start: "p.x.x1,p.y.y1",
		// e: x1 takes its own; for y the parent's is enabled, too, and preempted.
		steps: []string{"e => p.x.x2,p.y.y1", "g => away"},
	},
	{
		name: "conflict between regions",
		model: `
initial: p
states:
  p:
    type: parallel
    states:
      x: {initial: x1, states: {x1: {on: {f: '#away'}}}}
      y: {initial: y1, states: {y1: {on: {f: '#other'}}}}
  away: {id: away}
  other: {id: other}
`,
		start: "p.x.x1,p.y.y1",
		steps: []string{"f => away"},
	},
	{
		name: "shallow and deep history",
		model: `
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
`,
		start: "a.b.b1",
		steps: []string{
			"next => a.b.b2", "leave => out", "deep => a.b.b2", "leave => out", "shallow => a.b.b1",
			"next => a.b.b2", "over => a.c.c1", "next => a.c.c2", "leave => out", "deep => a.c.c2",
		},
	},
	{
		name: "history without memory takes its default",
		model: `
initial: out
states:
  a:
    initial: b
    states:
      b: {}
      c: {initial: c1, states: {c1: {}}}
      h: {type: history, target: c}
      i: {type: history}
  out: {on: {go: a.h, plain: a.i}}
`,
		start: "out",
		steps: []string{"go => a.c.c1"},
	},
	{
		name: "history as initial, in a parallel state",
		model: `
initial: off
states:
  off: {on: {on: work, resume: work.all}}
  work:
    type: parallel
    on: {off: off}
    states:
      all: {type: history, history: deep, target: left}
      left:
        initial: where
        states:
          where: {type: history, history: deep, target: one}
          one: {initial: a, states: {a: {on: {next: b}}, b: {on: {next: two}}}}
          two: {initial: a, states: {a: {on: {next: b}}, b: {}}}
      right:
        initial: where
        states:
          where: {type: history, target: one}
          one: {initial: a, states: {a: {on: {next: b}}, b: {on: {next: two}}}}
          two: {initial: a, states: {a: {on: {next: b, only: b}}, b: {}}}
`,
		start: "off",
		steps: []string{
			"resume => work.left.one.a,work.right.one.a", "next => work.left.one.b,work.right.one.b",
			"next => work.left.two.a,work.right.two.a", "next => work.left.two.b,work.right.two.b", "off => off",
			"on => work.left.two.b,work.right.two.a", "only => work.left.two.b,work.right.two.b", "off => off",
			"resume => work.left.two.b,work.right.two.b",
		},
	},
	{
		name: "an inner state's transition preempts that of the parallel state around it",
		model: `
initial: b
states:
  b: {type: parallel, on: {t: a}, states: {c: {}, d: {on: {t: a.a2}}}}
  a: {initial: a1, states: {a1: {}, a2: {}}}
`,
		start: "b.c,b.d",
		steps: []string{"t => a.a2"},
	},
	{
		name: "an inner transition does not disturb another region",
		model: `
initial: p
states:
  p:
    type: parallel
    states:
      a: {initial: a1, on: {t: .a2}, states: {a1: {}, a2: {}}}
      b: {initial: b1, states: {b1: {on: {t: b2}}, b2: {}}}
`,
		start: "p.a.a1,p.b.b1",
		steps: []string{"t => p.a.a2,p.b.b2"},
	},
	{
		name: "deep history through many parallel states",
		model: `
initial: a
states:
  a:
    type: parallel
    states:
      h: {type: history, history: deep}
      b:
        type: parallel
        states:
          c: {type: parallel, states: {i: {initial: i1, states: {i1: {on: {t1: i2}}, i2: {on: {t2: '#l'}}}}, j: {}}}
          f: {initial: f1, states: {f1: {on: {t1: f2}}, f2: {}}}
      k: {}
  l: {id: l, on: {t3: a.h}}
`,
		start: "a.b.c.i.i1,a.b.c.j,a.b.f.f1,a.k",
		steps: []string{"t1 => a.b.c.i.i2,a.b.c.j,a.b.f.f2,a.k", "t2 => l", "t3 => a.b.c.i.i2,a.b.c.j,a.b.f.f2,a.k"},
	},
	{
		name: "always and raise run to completion, in order",
		model: `
context: {n: 0}
initial: a
states:
  a:
    on:
      go:
        target: b
        actions: [{raise: one}, {raise: two}]
  b:
    always: {guard: "context.n == 0", actions: [{log: "'always'"}, {assign: {n: 1}}, {raise: three}]}
    on:
      one: {actions: {log: "'one'"}}
      two: {actions: {log: "'two'"}}
      three: {target: c}
  c: {on: {go: a}}
`,
		start: "a",
		steps: []string{"go => c | always one two"},
	},
	{
		name: "choices by if",
		model: `
context: {n: 0}
initial: a
states:
  a:
    on:
      e:
        actions:
          - assign: {n: "context.n + 1"}
          - if: "context.n % 2 == 0"
            then: {log: "'even'"}
            else: [{log: "'odd'"}, {if: "context.n > 2", then: [{log: "'large'"}]}]
`,
		start: "a",
		steps: []string{"e => a | odd", "e => a | even", "e => a | odd large"},
	},
	{
		name: "delays",
		model: `
context: {wait: 2000, text: 3s}
initial: a
states:
  a: {after: {1500: b, 1h: c}, on: {reset: {target: a, reenter: true}}}
  b: {after: {"context.wait": c}}
  c: {after: {"context.text": d}}
  d: {after: {"duration('1m')": e}}
  e: {after: {1d12h: {target: f, actions: {log: "'late'"}}}}
  f: {}
`,
		start: "a",
		steps: []string{
			"+1s => a", "reset => a", "+1s => a", "+500ms => b", "+1999ms => b", "+1ms => c", "+3s => d",
			"+1m => e", "+35h => e", "+1h => f | late",
		},
	},
	{
		name: "many delays fire in one step, each at its time",
		model: `
initial: a
states:
  a: {after: {1s: b}, exit: {log: "'<a'"}}
  b: {after: {1s: {target: a, actions: {log: "'tick'"}}}}
`,
		start: "a",
		steps: []string{"+5s => b | <a tick <a tick <a"},
	},
	{
		name: "delayed raise and cancel",
		model: `
initial: a
states:
  a:
    entry: [{raise: {event: ring, delay: 5s, id: bell, data: {n: "1 + 1"}}}, {raise: {event: other, delay: "duration('6s')"}}]
    on:
      ring: {actions: {log: "'ring ' + string(event.n)"}}
      other: {actions: {log: "'other'"}}
      stop: {actions: {cancel: bell}}
`,
		start: "a",
		steps: []string{"+4s => a", "stop => a", "+10s => a | other"},
	},
	{
		name: "invoke is cancelled when its state is left, and not started in passing",
		model: `
initial: a
states:
  a: {invoke: {src: work, input: {n: "1"}}, on: {leave: b, pass: c}}
  b: {on: {pass: c}}
  c: {invoke: {src: never}, always: b}
`,
		start: "a | invoke:work",
		steps: []string{"leave => b | cancel:work", "pass => b"},
	},
	{
		name: "targets by id, path and from the root",
		model: `
initial: a
states:
  a:
    initial: x
    states:
      x: {on: {id: '#deep', path: b.c.d, up: b, deepchild: '#bee.c.d'}}
  b:
    id: bee
    initial: c
    states:
      c: {initial: e, states: {d: {id: deep, on: {back: a}}, e: {on: {back: a}}}}
`,
		start: "a.x",
		steps: []string{"id => b.c.d", "back => a.x", "path => b.c.d", "back => a.x", "up => b.c.e", "back => a.x", "deepchild => b.c.d"},
	},
	{
		name: "stateIn",
		model: `
type: parallel
states:
  x: {initial: off, states: {off: {on: {flip: on}}, on: {id: lit, on: {flip: off}}}}
  y:
    initial: idle
    states:
      idle: {on: {go: [{guard: "stateIn('x.on')", target: busy}]}}
      busy: {always: {guard: "!stateIn('#lit')", target: idle}}
`,
		start: "x.off,y.idle",
		steps: []string{"go => x.off,y.idle", "flip => x.on,y.idle", "go => x.on,y.busy", "flip => x.off,y.idle"},
	},
	{
		name: "a self-transition next to one that reenters the parallel state",
		model: `
initial: p
states:
  p:
    type: parallel
    on: {e: {target: p, reenter: true}}
    states:
      x: {initial: x1, states: {x1: {}}}
      y: {initial: y1, states: {y1: {on: {e: y1}}}}
`,
		start: "p.x.x1,p.y.y1",
		steps: []string{"e => p.x.x1,p.y.y1"},
	},
	{
		name: "a region's transition to another region exits the parallel state",
		model: `
initial: p
states:
  p:
    type: parallel
    entry: {log: "'>p'"}
    exit: {log: "'<p'"}
    states:
      x: {initial: x1, states: {x1: {on: {e: '#y2'}}, x2: {}}}
      y: {initial: y1, states: {y1: {}, y2: {id: y2}}}
`,
		start: "p.x.x1,p.y.y1 | >p",
		steps: []string{"e => p.x.x1,p.y.y2 | <p >p"},
	},
	{
		name: "done data, initial with actions",
		model: `
initial: {target: a, actions: {log: "'begin'"}}
states:
  a:
    initial: {target: a1, actions: [{log: "'init'"}]}
    entry: {log: "'>a'"}
    states:
      a1: {entry: {log: "'>a1'"}, on: {e: end}}
      end: {type: final, output: {n: "40 + 2"}}
    onDone: {target: b, actions: {log: "'done ' + string(event.n)"}}
  b: {}
`,
		start: "a.a1 | begin >a init >a1",
		steps: []string{"e => b | done 42"},
	},
	{
		name: "nested parallel states are done together",
		model: `
initial: p
states:
  p:
    type: parallel
    onDone: {target: end}
    states:
      q:
        type: parallel
        onDone: {actions: {log: "'q'"}}
        states:
          m: {initial: m1, states: {m1: {on: {m: m2}}, m2: {type: final}}}
          n: {initial: n1, states: {n1: {on: {n: n2}}, n2: {type: final}}}
      r: {initial: r1, states: {r1: {on: {r: r2}}, r2: {type: final}}}
  end: {}
`,
		start: "p.q.m.m1,p.q.n.n1,p.r.r1",
		steps: []string{"r => p.q.m.m1,p.q.n.n1,p.r.r2", "m => p.q.m.m2,p.q.n.n1,p.r.r2", "n => end | q"},
	},
	{
		name: "exit actions run when the chart is done",
		model: `
exit: {log: "'<root'"}
initial: a
states:
  a: {on: {e: end}}
  end: {type: final, exit: {log: "'<end'"}}
`,
		start: "a",
		steps: []string{"e => end | <end <root", "e => end"},
	},
}
