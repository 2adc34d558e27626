package ingest

import (
	"fmt"
	"testing"

	"devicetwin/device"
)

// A process knows what was accepted last before it, however the one before ended.
func TestLastAccepted(t *testing.T) {
	model := modelOf(t, tank)
	for name, again := range map[string]func(*process) *process{
		"stopped": func(p *process) *process { return p.next(nil, model) },
		"killed":  func(p *process) *process { p.flush(); return p.reborn(nil, model) },
		"killed after a checkpoint": func(p *process) *process {
			p.checkpointNow()
			return p.reborn(nil, model)
		},
		"stopped twice": func(p *process) *process { return p.next(nil, model).next(nil, model) },
	} {
		t.Run(name, func(t *testing.T) {
			p := openProcess(t, t.TempDir(), nil, model)
			if got := p.ingest.LastAccepted(); got != (Accepted{}) {
				t.Errorf("at first: %+v", got)
			}
			for i := range 3 {
				p.say(fmt.Sprint("d", i), `"t":95`, "run")
			}
			last := p.lastSignal().batch
			want := Accepted{"d2", last.Log, last.Messages[0].Pos}
			p.say("e", `"t":95`, "") // by a workflow of which nobody knows
			p.deliver("devices/f/telemetry", `{"t":95}`, "", false)
			p.flush()
			p.fail("f", errPermanent) // refused
			p.flush()
			if p = again(p); p.ingest.LastAccepted() != want || want.Pos == 0 {
				t.Errorf("%+v, want %+v", p.ingest.LastAccepted(), want)
			}
			ids := p.lastAccepted.ID
			if p.say("d0", `"t":20`, "run"); p.lastAccepted.ID == ids || p.lastAccepted.Log != p.instance {
				t.Errorf("then %+v", p.lastAccepted)
			}
		})
	}
}

// The device that it was of may be erased.
func TestLastAcceptedIsForgotten(t *testing.T) {
	p := openProcess(t, t.TempDir(), nil, modelOf(t, tank))
	p.say("d", `"t":95`, "run")
	p.forgetDevices([]device.ID{"d"})
	if p.lastAccepted != (Accepted{}) {
		t.Errorf("%+v", p.lastAccepted)
	}
}
