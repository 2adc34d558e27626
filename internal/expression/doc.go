// Package expression is the language of expressions: CEL (https://cel.dev) over JSON
// values. Models use it, in package devicefsm, and so does whatever else computes with
// messages: an expression means the same in all of them.
//
//	env, err := expression.NewEnv("topic", "payload")
//	program, faults := env.Compile("payload.temp * 9 / 5 + 32")
//	v, err := program.Eval(expression.Values{"topic": topic, "payload": payload})
//
// # One kind of number
//
// JSON has one kind of number. Instead of leaving authors to write 117.0 or int(x), the
// language has one kind of number too: integer literals are read as doubles, and the
// functions of the standard library that take or give an int are replaced by ones that take
// or give a double. A result that is not a finite number is an error, and string() of a
// number is its JSON. Type checking, precedence, error absorption of && and ||, macros: all
// that is cel-go, unchanged.
//
// # The same result, everywhere
//
// No function reads a clock, draws a random number or looks into a database of time zones
// (what zones say is the host's, who records it: see [Zones]), and macros iterate over mappings in the order of their keys: workflows replay on it. Where
// the language itself changes, results that were recorded must not: see [Edition].
//
// # Bounds
//
// An expression has at most 4,096 characters. The work of one evaluation is bounded, and so
// is the size of its result: see [MaxDepth] and [MaxSize].
//
// An [Env], a [Checked] and a [Program] never change, and may be used from any number of
// goroutines at once.
package expression
