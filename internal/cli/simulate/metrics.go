package simulate

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"devicetwin/simulator"
)

// fleetFigures shows a fleet's progress to Prometheus.
type fleetFigures struct {
	last atomic.Pointer[simulator.Progress]
}

func newFleetFigures(to prometheus.Registerer) *fleetFigures {
	f := new(fleetFigures)
	f.show(simulator.Progress{})
	counter := func(name, help string, of func(*simulator.Progress) uint64) {
		to.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "devicetwin_simulator_" + name, Help: help},
			func() float64 { return float64(of(f.last.Load())) }))
	}
	gauge := func(name, help string, of func(*simulator.Progress) int) {
		to.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "devicetwin_simulator_" + name, Help: help},
			func() float64 { return float64(of(f.last.Load())) }))
	}
	counter("sent_total", "Messages acknowledged by the broker.", func(p *simulator.Progress) uint64 { return p.Sent })
	counter("reprovisions_total", "Devices that came back with new credentials.", func(p *simulator.Progress) uint64 { return p.Reprovisions })
	counter("dead_letters_total", "Dead letters seen.", func(p *simulator.Progress) uint64 { return p.DeadLetters })
	gauge("devices", "Devices of the fleet.", func(p *simulator.Progress) int { return p.Devices })
	gauge("devices_connected", "Devices that are connected.", func(p *simulator.Progress) int { return p.Connected })
	gauge("devices_waiting", "Devices whose messages are not all applied, at the end of the run.", func(p *simulator.Progress) int { return p.Waiting })
	return f
}

func (f *fleetFigures) show(p simulator.Progress) { f.last.Store(&p) }
