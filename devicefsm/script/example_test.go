package script_test

import (
	"fmt"
	"log"

	"devicetwin/devicefsm"
	"devicetwin/devicefsm/script"
)

const door = `
model: door
events:
  opened: {channel: events, name: opened}
  closed: {channel: events, name: closed}
initial: shut
states:
  shut: {on: {opened: open}}
  open: {on: {closed: shut}, after: {5m: alarm}}
  alarm: {entry: {notify: keeper}, on: {closed: shut}}
`

// A script plays messages and time against a model, and says what has to happen.
func Example() {
	m, err := devicefsm.Load("door.yaml", []byte(door))
	if err != nil {
		log.Fatal(err) // devicefsm.Faults
	}
	s, err := script.Parse("door.script", []byte(`
test A door that is left open
         state shut
0s    events opened
         state open
+5m   wait
         state alarm
`))
	if err != nil {
		log.Fatal(err) // source.Faults
	}
	report := s.Run(m)
	fmt.Println(report.OK(), report.Tests, report.Inputs)
	fmt.Print(report)
	// Output:
	// false 1 2
	// door.script:6: +5m   wait
	//     in test "A door that is left open", at 5m
	//     line 6:
	//         expected  no action
	//         got       notify keeper
}

// Update writes what happened as the script's expectations.
func ExampleScript_Update() {
	m, err := devicefsm.Load("door.yaml", []byte(door))
	if err != nil {
		log.Fatal(err)
	}
	s, err := script.Parse("door.script", []byte("test It opens\n0s  events opened\n"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(s.Update(s.Run(m))))
	// Output:
	// test It opens
	//     state shut
	// 0s  events opened
	//       state open
}
