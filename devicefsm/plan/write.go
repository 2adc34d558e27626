package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"devicetwin/devicefsm"
	"devicetwin/devicefsm/diff"
	"devicetwin/internal/text"
)

// fillIn marks a hole for whoever reads the file.
const fillIn = "FILL IN: "

// Write is a plan as a file, with a comment at each hole and each guess.
func Write(p devicefsm.Plan, old, new *devicefsm.Model) []byte {
	w := &writer{guesses: diff.Compare(old, new).States, initial: new.Outline().Context}
	fmt.Fprintf(&w.b, "# Moves devices from one version of model %s to another: see docs/change.md.\n", new.Name())
	w.line(0, "plan", text.YAML(p.Model), "")
	w.line(0, "from", text.YAML(p.From), "")
	w.line(0, "to", text.YAML(p.To), "")
	w.states(p)
	if p.Otherwise != "" {
		w.line(0, "otherwise", text.YAML(p.Otherwise), "")
	}
	w.words("regions", "where a region begins in which nothing has its image", p.Regions, "initial, or a state in it")
	w.words("history", "what remembers the same", p.History, "a history state, or drop")
	w.context(p.Context)
	w.words("entry", "of states that a device enters by the migration: run their entry actions, or skip them", p.Entry, "run or skip")
	w.items("timers", "keep what is left, restart, scale, fire, or drop", p.Timers)
	w.words("new_timers", "of states in which devices are already", p.NewTimers, "start or skip")
	w.items("invocations", "keep, restart, or cancel", p.Invocations)
	w.words("new_invocations", "of states in which devices are already", p.NewInvocations, "start or skip")
	w.items("schedules", "keep, restart, or drop", p.Schedules)
	w.items("patterns", "keep what means the same so far, replay the latest events, or drop", p.Patterns)
	w.items("windows", "keep, or drop", p.Windows)
	w.items("alarms", "keep, or drop", p.Alarms)
	w.words("raises", "events that wait for their delay: keep, fire, or drop", p.Raises, "keep, fire or drop")
	if p.Always != "" {
		w.line(0, "always", text.YAML(p.Always), "eventless transitions whose guards hold on arrival: hold the device, or take them")
	}
	return []byte(w.b.String())
}

type writer struct {
	b       strings.Builder
	guesses map[string]diff.State
	initial map[string]any
}

// line is a key with its value, and a comment.
func (w *writer) line(indent int, key, value, comment string) {
	w.b.WriteString(strings.Repeat("  ", indent) + key + ":")
	if value != "" {
		w.b.WriteString(" " + value)
	}
	if comment != "" {
		w.b.WriteString(" # " + comment)
	}
	w.b.WriteString("\n")
}

func (w *writer) states(p devicefsm.Plan) {
	w.line(0, "states", "", "what each state is in the new model")
	for _, path := range slices.Sorted(maps.Keys(p.States)) {
		to := p.States[path]
		var list []string
		for _, t := range to {
			list = append(list, text.YAML(t))
		}
		switch {
		case len(to) == 0:
			w.line(1, text.YAML(path), "", fillIn+"a state of the new model, initial, or hold")
		case len(to) == 1 && w.guesses[path] == (diff.State{Path: to[0], Guess: true}):
			w.line(1, text.YAML(path), list[0], "a guess: the two do much the same")
		case len(to) == 1:
			w.line(1, text.YAML(path), list[0], "")
		default:
			w.line(1, text.YAML(path), "["+strings.Join(list, ", ")+"]", "")
		}
	}
}

func (w *writer) words(part, comment string, all map[string]string, choices string) {
	if len(all) == 0 {
		return
	}
	w.line(0, part, "", comment)
	for _, k := range slices.Sorted(maps.Keys(all)) {
		if all[k] == "" {
			w.line(1, text.YAML(k), "", fillIn+choices)
			continue
		}
		w.line(1, text.YAML(k), text.YAML(all[k]), "")
	}
}

func (w *writer) context(rules map[string]string) {
	if len(rules) == 0 {
		return
	}
	w.line(0, "context", "", "keep, drop, or an expression on the old context")
	for _, k := range slices.Sorted(maps.Keys(rules)) {
		if rules[k] != "" {
			w.line(1, text.YAML(k), text.YAML(rules[k]), "")
			continue
		}
		w.line(1, text.YAML(k), "", fillIn+"an expression on the old context; new devices begin with "+literal(w.initial[k]))
	}
}

func (w *writer) items(part, comment string, all map[string]devicefsm.PlanItem) {
	if len(all) == 0 {
		return
	}
	w.line(0, part, "", comment)
	for _, k := range slices.Sorted(maps.Keys(all)) {
		switch item := all[k]; {
		case item.Do == "":
			w.line(1, text.YAML(k), "", fillIn+comment)
		case item.As == "":
			w.line(1, text.YAML(k), text.YAML(item.Do), "")
		default:
			w.line(1, text.YAML(k), "{do: "+text.YAML(item.Do)+", as: "+text.YAML(item.As)+"}", "")
		}
	}
}
