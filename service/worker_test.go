package service

import (
	"slices"
	"testing"

	"devicetwin/devicefsm"
)

// A worker says at its start which notifications of its models will fail.
func TestReceiversThatAWorkerDoesNotHave(t *testing.T) {
	var models []*devicefsm.Model
	for _, src := range []string{
		"model: pump\ninitial: up\nstates: {up: {entry: [{notify: on_call}, {notify: desk}]}}\n",
		"model: pump\ninitial: up\nstates: {up: {entry: [{notify: desk}]}, down: {}}\n",
		"model: plug\ninitial: up\nstates: {up: {entry: [{notify: desk}]}}\n",
	} {
		m, err := devicefsm.Load("test.yaml", []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		models = append(models, m)
	}
	if got, want := unknownReceivers(models, map[string]string{"other": ""}), []string{"desk (pump, plug)", "on_call (pump)"}; !slices.Equal(got, want) {
		t.Errorf("unknown receivers %q, want %q", got, want)
	}
	if got := unknownReceivers(models, map[string]string{"desk": "http://desk", "on_call": "kafka:calls"}); len(got) != 0 {
		t.Errorf("unknown receivers %q", got)
	}
}
