package expression_test

import (
	"fmt"
	"log"

	"devicetwin/internal/expression"
)

// A payload of a foreign device, as encoding/json decodes it.
var payload = map[string]any{"id": "cold-room-7", "t": 46.5, "flags": 5.0, "at": 1795953600123.0}

func Example() {
	env, err := expression.NewEnv("topic", "payload")
	if err != nil {
		log.Fatal(err)
	}
	for _, source := range []string{
		"topic.split('/')[1]",
		"string(payload.t - 32) + ' above freezing'",
		"math.bitAnd(payload.flags, 4) != 0",
		"{'celsius': round((payload.t - 32) / 1.8), 'at': string(timestamp(payload.at))}",
		"payload.humidity",
	} {
		program, faults := env.Compile(source)
		if faults != nil {
			log.Fatal(faults)
		}
		v, err := program.Eval(expression.Values{"topic": "site/7/room", "payload": payload})
		fmt.Println(v, err)
	}
	// Output:
	// 7 <nil>
	// 14.5 above freezing <nil>
	// true <nil>
	// map[at:2026-11-29T12:00:00.123Z celsius:8] <nil>
	// <nil> no such key: humidity
}

// Faults have their places, and hints where a name was mistyped.
func ExampleEnv_Compile() {
	env, err := expression.NewEnv("topic", "payload")
	if err != nil {
		log.Fatal(err)
	}
	for _, source := range []string{"payload.t >", "payload.t > 3 &&\n  paylod.t < 9", "'a' + 1", "topic.spilt('/')[0]"} {
		_, faults := env.Compile(source)
		for _, f := range faults {
			fmt.Printf("%d:%d: %s\n", f.Line, f.Column, f.Message)
			if f.Hint != "" {
				fmt.Println("    " + f.Hint)
			}
		}
	}
	// Output:
	// 1:11: unexpected end of the expression
	// 2:2: undeclared reference to 'paylod'
	//     did you mean "payload"?
	// 1:4: found no matching overload for '_+_' applied to '(string, double)'
	// 1:11: undeclared reference to 'spilt'
	//     did you mean "split"?
}
