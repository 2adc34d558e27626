package plan_test

import (
	"fmt"
	"log"

	"devicetwin/devicefsm"
	"devicetwin/devicefsm/plan"
)

// A state has another name in the next version. The plan that is derived moves lamps to it and
// back.
func Example() {
	const lamp = `
model: lamp
events: {switch: {channel: events, name: switch}}
initial: dark
states:
  dark: {on: {switch: %[1]s}}
  %[1]s: {on: {switch: dark}, after: {10m: dark}}
`
	load := func(name string) *devicefsm.Model {
		m, err := devicefsm.Load("lamp.yaml", fmt.Appendf(nil, lamp, name))
		if err != nil {
			log.Fatal(err)
		}
		return m
	}
	before, after := load("lit"), load("bright")
	p, err := plan.Read("plan.yaml", plan.Write(plan.Derive(before, after), before, after), before, after)
	if err != nil {
		log.Fatal(err)
	}
	report := p.Check()
	fmt.Println(len(report.Problems), "problems")
	_, lost := p.Inverse()
	fmt.Println(len(lost), "things are lost on the way back")
	// Output:
	// 0 problems
	// 0 things are lost on the way back
}
