package devicefsm

import (
	"slices"
	"testing"
)

func TestReceiversOfAModel(t *testing.T) {
	m, err := Load("test.yaml", []byte(`
model: pump
initial: up
on: {far: {actions: [{if: "true", then: [{notify: desk}], else: [{if: "false", then: [{notify: {to: log, data: {a: "1"}}}]}]}]}}
states:
  up: {entry: [{notify: on_call}, {publish: {topic: "kafka:notify"}}], exit: [{notify: on_call}], after: {5m: {actions: [{notify: shift}], target: down}}}
  down: {on: {back: up}}
`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m.Receivers(), []string{"desk", "log", "on_call", "shift"}; !slices.Equal(got, want) {
		t.Errorf("receivers %q, want %q", got, want)
	}
	quiet, err := Load("test.yaml", []byte("model: pump\ninitial: up\nstates: {up: {}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := quiet.Receivers(); len(got) != 0 {
		t.Errorf("receivers %q", got)
	}
}
