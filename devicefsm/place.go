package devicefsm

import (
	"sync"

	"devicetwin/internal/expression"
)

// place says where an expression stands, and so which variables it may read.
type place int

const (
	placeMessage place = iota // events.*.when
	placeChart                // guards, actions, inputs and delays
	placePattern              // patterns.*.where
	placeWindow               // windows.*.where and value
	places                    // how many there are
)

// variables lists what may be read at each place, all of them JSON objects.
var variables = [places][]string{
	placeMessage: {"msg"},
	placeChart:   {"event", "context", "twin", varWindows},
	placePattern: {"event", "matched"},
	placeWindow:  {"event"},
}

// knowsTheTime reports whether expressions may read `now`, and go by time zones and business
// hours. A rule of events may not: bridges decide by it, before anybody knows what time it will
// be for the device. Nor may a window, which counts an event by the event's own time, even if
// the device's clock is later.
func (p place) knowsTheTime() bool { return p == placeChart || p == placePattern }

// varWindows is what a chart reads of windows.
const varWindows = "windows"

const fnStateIn = "stateIn"

// environments are the language at each place. They are built once for the process: that
// costs milliseconds, and nothing can be changed in them.
var environments = sync.OnceValues(func() ([places]*expression.Env, error) {
	var all [places]*expression.Env
	for p := range places {
		options := expression.Options{Objects: variables[p]}
		if p.knowsTheTime() {
			options.Times, options.ZoneFault = []string{varNow}, zoneFault
			options.Predicates = append(options.Predicates, expression.Predicate{
				Name:  fnInHours,
				Usage: "inHours takes the name of hours of the model as a string literal, such as inHours('office')",
			})
		}
		if p == placeChart {
			options.Predicates = append(options.Predicates, expression.Predicate{
				Name:  fnStateIn,
				Usage: "stateIn takes the path of a state as a string literal, such as stateIn('connector.charging')",
			})
		}
		var err error
		if all[p], err = expression.New(options); err != nil {
			return all, err
		}
	}
	return all, nil
})
