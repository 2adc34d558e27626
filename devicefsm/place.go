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

// varWindows is what a chart reads of windows.
const varWindows = "windows"

const fnStateIn = "stateIn"

// environments are the language at each place. They are built once for the process: that
// costs milliseconds, and nothing can be changed in them.
var environments = sync.OnceValues(func() ([places]*expression.Env, error) {
	var all [places]*expression.Env
	for p := range places {
		options := expression.Options{Objects: variables[p]}
		if p == placeChart {
			options.Times, options.ZoneFault = []string{varNow}, zoneFault
			options.Predicates = []expression.Predicate{{
				Name:  fnInHours,
				Usage: "inHours takes the name of hours of the model as a string literal, such as inHours('office')",
			}, {
				Name:  fnStateIn,
				Usage: "stateIn takes the path of a state as a string literal, such as stateIn('connector.charging')",
			}}
		}
		var err error
		if all[p], err = expression.New(options); err != nil {
			return all, err
		}
	}
	return all, nil
})
