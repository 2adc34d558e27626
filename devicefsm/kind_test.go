package devicefsm_test

import (
	"strings"
	"testing"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

func TestKindOfAModel(t *testing.T) {
	load := func(head string) (*devicefsm.Model, error) {
		return devicefsm.Load("m.yaml", []byte(head+"initial: a\nstates: {a: {}}\n"))
	}
	for head, want := range map[string]device.Kind{"": device.KindDevice, "kind: device\n": device.KindDevice, "kind: customer\n": "customer"} {
		m, err := load(head)
		if err != nil || m.Kind() != want {
			t.Errorf("%q: %v, %v", head, m, err)
		}
	}
	plain, _ := load("")
	customers, _ := load("kind: customer\n")
	if plain.Hash() == customers.Hash() {
		t.Error("models of two kinds have one hash")
	}
}

// What needs a connection is refused where it stands, also of a key that comes before kind.
func TestWhatNeedsAConnection(t *testing.T) {
	_, err := devicefsm.Load("m.yaml", []byte(`
events: {seen: {channel: status, when: "true"}}
kind: customer
initial: a
states:
  a: {invoke: {src: reprovision, onDone: a}}
`))
	for _, want := range []string{
		"m.yaml:2:26: channel status is of the connection: only devices have it, and the model is of kind customer",
		"m.yaml:6:21: reprovision gives credentials for the connection: only devices have it, and the model is of kind customer",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
	if _, err := devicefsm.Load("m.yaml", []byte("kind: Customer\ninitial: a\nstates: {a: {}}\n")); err == nil || !strings.Contains(err.Error(), `m.yaml:1:7: kind "Customer": expected ^[a-z]`) {
		t.Errorf("a bad kind: %v", err)
	}
}
