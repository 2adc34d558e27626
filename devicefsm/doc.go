// Package devicefsm is the state machine of one device: it loads a model file,
// runs its statechart, matches its event patterns, and reports which messages can
// matter to them.
//
//	m, err := devicefsm.Load("pump.yaml", src) // err is Faults: all of them, with their places
//	snapshot, outcome := m.Start(now)
//	if name, ok := m.Classify(message); ok {
//		snapshot, outcome = m.Step(snapshot, devicefsm.Event{
//			Name: name, Data: message.Data, Time: message.At(), Arrived: message.Time, Alive: message.Alive(),
//		})
//	}
//	// carry out outcome.Actions, in order; set a timer:
//	if at, ok := m.NextDeadline(snapshot); ok {
//		snapshot, outcome = m.Step(snapshot, devicefsm.Event{Arrived: at})
//	}
//
// # Pure
//
// There is no clock, no randomness, no I/O and no goroutine here. Time comes in
// with events, effects go out as [Action] values, and a [Snapshot] is an
// immutable value. The same model, snapshot and event give the same bytes in any
// process: workflows replay on it. A [Model] never changes and may be used from
// any number of goroutines at once.
//
// A model that goes by time zones (see [Model.Zones]) is given them, as calendar/zonedata
// records them, by [Model.StartIn]. The snapshot keeps them, and nothing else is asked what
// a clock shows; [Model.Renew] is for what becomes known later.
//
// # Meaning
//
// Statecharts follow "Algorithm for SCXML Interpretation" (W3C SCXML 1.0,
// appendix D), spelled as in XState v5. For one event: of each active atomic
// state, and then of its ancestors, the first transition in document order
// whose guard holds is taken; where transitions of parallel regions would exit
// the same state, that of the descendant wins, then that of the earlier one.
// Then eventless (always) transitions and raised events are processed, until
// nothing is left to do; if a chart does not come to rest within 1,000 steps, that
// event is taken back, and a fault is reported. Invocations start at the end, for
// the states that are still active. Where the two standards differ:
//
//   - A transition whose targets are all inside its source, or the source
//     itself, exits only what is inside, unless it says reenter (XState; in
//     SCXML, type="internal").
//   - Any other transition exits up to the least common compound ancestor
//     (SCXML). One from a region of a parallel state to another region so exits
//     and enters the parallel state, which in XState stays.
//   - Candidates are tried in document order, whether they name the event or
//     match it by wildcard (SCXML; XState prefers names). A state's onDone, and the
//     onDone and onError of its activities, come before its wildcards (XState).
//   - Of a parallel state, each region looks for a transition upwards, so that what
//     one region and an ancestor have for the same event is taken together (SCXML). In
//     XState the ancestors are not asked once a region has one.
//   - An eventless transition is taken as long as its guard holds, so that one
//     without a target that changes nothing never ends, and its event is left out
//     (SCXML). In XState it is taken once.
//   - stateIn in actions sees the states that are active when the action runs
//     (SCXML). In XState it sees those before the transition.
//   - A history state that stands for the source of a transition leaves and enters
//     it (SCXML). XState enters it without leaving it.
//   - An event name without a wildcard is matched whole (XState); write fault.*
//     for fault and all fault.x.
//   - An error in a block of actions ends that block (SCXML). It is reported in
//     Outcome.Faults; error.execution is not raised. In XState the machine ends. The
//     same holds for a guard that fails, which counts as false (SCXML), and for an
//     activity that fails without onError.
//
// Known difference to both: a wildcard does not match a delay, which is not an event
// here. In SCXML and XState a delay is one, and the wildcard of a state inside takes that
// of a state around it. docs/models.md shows each difference to XState by an example.
//
// Patterns mean what they mean in Flink CEP; see package pattern. An event from
// outside is first shown to the patterns, then to the chart, and then each match
// is raised as an event with the pattern's name.
//
// Expressions are CEL (https://cel.dev), type-checked when the model is loaded,
// with one change: there is one kind of number, as in JSON. 117 is 117.0,
// size() and int() give such numbers, too, a result that is not a finite number is an
// error, string() of a number is its JSON, and the result of every expression
// is plain JSON. The work of one evaluation is bounded. An expression that fails
// at run time counts as false and is reported in Outcome.Faults.
//
// # Bounds
//
// A context is at most 16 KiB of JSON, delayed raises are at most 64, patterns
// keep a capped number of partial matches, and one Step takes at most 20,000
// transitions, however much time has passed since the one before. What would
// exceed a bound does not happen, and is reported as a fault.
//
// # Errors
//
// Load and Check return [Faults]: every error in the file, each
// with its line, its column, what was expected and, where it can be guessed, what
// was meant. Start and Step never fail: what goes wrong in one model's expressions
// is in Outcome.Faults, and the device goes on. Only a snapshot can be unusable
// with a model: [Model.Accepts] says why.
package devicefsm
