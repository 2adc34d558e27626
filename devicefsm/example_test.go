package devicefsm_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

const fridge = `
model: fridge
events:
  reading: {channel: telemetry, when: "has(msg.celsius)"}
context: {alarms: 0}
initial: cold
states:
  cold:
    on: {reading: {guard: "event.celsius > 8", target: warm}}
  warm:
    on: {reading: {guard: "event.celsius < 6", target: cold}}
    after: {10m: alarm}
  alarm:
    entry: [{assign: {alarms: "context.alarms + 1"}}, {notify: {to: keeper, data: {alarms: "context.alarms"}}}]
    on: {reading: {guard: "event.celsius < 6", target: cold}}
`

var t0 = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

func load(src string) *devicefsm.Model {
	m, err := devicefsm.Load("fridge.yaml", []byte(src))
	if err != nil {
		log.Fatal(err)
	}
	return m
}

// Load a model, start a device, step it with a message, and let a timer fire.
func Example() {
	m, err := devicefsm.Load("fridge.yaml", []byte(fridge))
	if err != nil {
		log.Fatal(err)
	}
	snapshot, _ := m.Start(t0)
	fmt.Println(m.StateName(snapshot))

	message := device.Message{Channel: device.ChannelTelemetry, Data: map[string]any{"celsius": 9.5}, Time: t0.Add(time.Minute)}
	name, ok := m.Classify(message)
	fmt.Println(name, ok)
	snapshot, outcome := m.Step(snapshot, devicefsm.Event{Name: name, Data: message.Data, Time: message.Time})
	for _, t := range outcome.Transitions {
		fmt.Println(t.From, "->", t.To)
	}

	deadline, ok := m.NextDeadline(snapshot) // set a timer
	fmt.Println(deadline.Sub(message.Time), ok)
	snapshot, outcome = m.Step(snapshot, devicefsm.Event{Time: deadline})
	fmt.Println(m.StateName(snapshot), snapshot.Context())
	for _, a := range outcome.Actions { // carry them out in order
		fmt.Println(a.ID, a.Type, a.Name, a.Data)
	}
	// Output:
	// cold
	// reading true
	// cold -> warm
	// 10m0s true
	// alarm map[alarms:1]
	// notify-1 notify keeper map[alarms:1]
}

// The error of Load is Faults: every error, each with its place.
func ExampleLoad() {
	_, err := devicefsm.Load("lamp.yaml", []byte(`
model: lamp
initial: "off"
states:
  "off": {on: {press: {guard: "contxt.broken", target: "om"}}}
  "on": {}
`))
	var faults devicefsm.Faults
	if errors.As(err, &faults) {
		fmt.Println(len(faults), faults[0].Line, faults[0].Column)
	}
	fmt.Println(err)
	// Output:
	// 2 5 32
	// lamp.yaml:5:32: expression: undeclared reference to 'contxt' (did you mean "context"?)
	// lamp.yaml:5:56: unknown target "om" (did you mean "on"?)
}

// Check finds what loads but cannot be intended.
func ExampleCheck() {
	_, err := devicefsm.Check("lamp.yaml", []byte(`
model: lamp
initial: "off"
states:
  "off": {on: {press: "on"}}
  "on": {on: {press: "off"}}
  broken: {}
`))
	fmt.Println(err)
	// Output:
	// lamp.yaml:7:3: state "broken" is never entered (no transition leads to it)
}

// An activity that a state invokes ends with an event.
func ExampleDoneEvent() {
	m := load(`
model: device
initial: new
states:
  new: {invoke: {src: register, onDone: ready, onError: failed}}
  ready: {entry: {log: "'key ' + event.key"}}
  failed: {}
`)
	snapshot, outcome := m.Start(t0)
	invoke := outcome.Actions[0]
	fmt.Println(invoke.Type, invoke.Name, invoke.ID)

	snapshot, outcome = m.Step(snapshot, devicefsm.DoneEvent(invoke.ID, map[string]any{"key": "k1"}, t0))
	fmt.Println(m.StateName(snapshot), outcome.Actions[0].Data["message"])
	// Output:
	// invoke register register-1
	// ready key k1
}

// A snapshot is stored as JSON and used again in another process.
func ExampleSnapshot() {
	m := load(fridge)
	snapshot, _ := m.Start(t0)
	stored, err := json.Marshal(snapshot)
	if err != nil {
		log.Fatal(err)
	}

	var again devicefsm.Snapshot
	if err := json.Unmarshal(stored, &again); err != nil {
		log.Fatal(err)
	}
	fmt.Println(m.StateName(&again), m.Accepts(&again), again.ModelHash() == m.Hash())

	other := load("model: other\ninitial: a\nstates: {a: {}}")
	fmt.Println(other.Accepts(&again) != nil)
	// Output:
	// cold <nil> true
	// true
}

// Relevant says of a message alone whether it could do anything in any state. A
// Filter also leaves out the repetition of a settled class.
func ExampleModel_Pass() {
	m := load(fridge)
	var f devicefsm.Filter // one for each device
	for _, celsius := range []float64{4, 9, 7, 9.5, 10, 5, 4} {
		message := device.Message{Channel: device.ChannelTelemetry, Data: map[string]any{"celsius": celsius}}
		fmt.Println(celsius, m.Relevant(message), m.Pass(&f, message))
	}
	// Output:
	// 4 true true
	// 9 true true
	// 7 false false
	// 9.5 true false
	// 10 true false
	// 5 true true
	// 4 true false
}

func ExampleModel_RelevanceText() {
	fmt.Print(load(fridge).RelevanceText())
	// Output:
	// reading
	//   A: event.celsius > 8
	//   B: event.celsius < 6
	//   not A, not B: irrelevant in every state
	//   not A, B: settled, so repetitions are left out
	//   A, not B: settled, so repetitions are left out
}

func ExampleModel_Mermaid() {
	fmt.Print(load(fridge).Mermaid())
	// Output:
	// stateDiagram-v2
	//     [*] --> cold
	//     state "cold" as cold
	//     state "warm" as warm
	//     state "alarm" as alarm
	//     alarm : entry / notify keeper
	//     cold --> warm : reading [event.celsius > 8]
	//     warm --> cold : reading [event.celsius #lt; 6]
	//     warm --> alarm : after 10m
	//     alarm --> cold : reading [event.celsius #lt; 6]
}

// Schema is for editors: it completes and checks model files while one types.
func ExampleSchema() {
	b, err := devicefsm.Schema()
	if err != nil {
		log.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(b, &schema); err != nil {
		log.Fatal(err)
	}
	fmt.Println(schema["title"], schema["required"])
	// Output:
	// devicetwin model [states]
}
