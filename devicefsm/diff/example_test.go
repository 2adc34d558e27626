package diff_test

import (
	"fmt"
	"log"

	"devicetwin/devicefsm"
	"devicetwin/devicefsm/diff"
)

// A lamp that goes out after five minutes, and not after ten.
func Example() {
	const lamp = `
model: lamp
events: {switch: {channel: events, name: switch}}
initial: dark
states:
  dark: {on: {switch: lit}}
  lit: {on: {switch: dark}, after: {%s: dark}}
`
	load := func(after string) *devicefsm.Model {
		m, err := devicefsm.Load("lamp.yaml", fmt.Appendf(nil, lamp, after))
		if err != nil {
			log.Fatal(err)
		}
		return m
	}
	d := diff.Compare(load("10m"), load("5m"))
	fmt.Println("the same:", d.Same())
	fmt.Println("written in other words, the same:", diff.Compare(load("300s"), load("5m")).Same())
	// Output:
	// the same: false
	// written in other words, the same: true
}
