package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"devicetwin/devicefsm"
	"devicetwin/devicefsm/diff"
)

// fillIn marks a hole for whoever reads the file.
const fillIn = "FILL IN: "

// Write is a plan as a file, with a comment at each hole and each guess.
func Write(p devicefsm.Plan, old, new *devicefsm.Model) []byte {
	w := &writer{guesses: diff.Compare(old, new).States, initial: new.Outline().Context}
	fmt.Fprintf(&w.b, "# Moves devices from one version of model %s to another: see docs/change.md.\n", new.Name())
	w.line(0, "plan", scalar(p.Model), "")
	w.line(0, "from", scalar(p.From), "")
	w.line(0, "to", scalar(p.To), "")
	w.states(p)
	if p.Otherwise != "" {
		w.line(0, "otherwise", scalar(p.Otherwise), "")
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
		w.line(0, "always", scalar(p.Always), "eventless transitions whose guards hold on arrival: hold the device, or take them")
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
	text := strings.Repeat("  ", indent) + key + ":"
	if value != "" {
		text += " " + value
	}
	if comment != "" {
		text += " # " + comment
	}
	w.b.WriteString(text + "\n")
}

// scalar is a string of YAML; as JSON where it would not be one otherwise.
func scalar(text string) string {
	plain := text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-. ", r))
	})
	first := rune(0)
	if plain {
		first = rune(text[0])
	}
	letter := first >= 'a' && first <= 'z' || first >= 'A' && first <= 'Z'
	reserved := slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}, strings.ToLower(text))
	if plain && letter && !reserved && strings.TrimSpace(text) == text {
		return text
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil { // a string is always JSON
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (w *writer) states(p devicefsm.Plan) {
	w.line(0, "states", "", "what each state is in the new model")
	for _, path := range slices.Sorted(maps.Keys(p.States)) {
		to := p.States[path]
		var list []string
		for _, t := range to {
			list = append(list, scalar(t))
		}
		switch {
		case len(to) == 0:
			w.line(1, scalar(path), "", fillIn+"a state of the new model, initial, or hold")
		case len(to) == 1 && w.guesses[path] == (diff.State{Path: to[0], Guess: true}):
			w.line(1, scalar(path), list[0], "a guess: the two do much the same")
		case len(to) == 1:
			w.line(1, scalar(path), list[0], "")
		default:
			w.line(1, scalar(path), "["+strings.Join(list, ", ")+"]", "")
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
			w.line(1, scalar(k), "", fillIn+choices)
			continue
		}
		w.line(1, scalar(k), scalar(all[k]), "")
	}
}

func (w *writer) context(rules map[string]string) {
	if len(rules) == 0 {
		return
	}
	w.line(0, "context", "", "keep, drop, or an expression on the old context")
	for _, k := range slices.Sorted(maps.Keys(rules)) {
		if rules[k] != "" {
			w.line(1, scalar(k), scalar(rules[k]), "")
			continue
		}
		initial, err := json.Marshal(w.initial[k])
		if err != nil { // a value of a model is always JSON
			initial = []byte("null")
		}
		w.line(1, scalar(k), "", fillIn+"an expression on the old context; new devices begin with "+string(initial))
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
			w.line(1, scalar(k), "", fillIn+comment)
		case item.As == "":
			w.line(1, scalar(k), scalar(item.Do), "")
		default:
			w.line(1, scalar(k), "{do: "+scalar(item.Do)+", as: "+scalar(item.As)+"}", "")
		}
	}
}
