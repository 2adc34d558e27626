package simulate

import (
	"fmt"

	"devicetwin/dialects"
	"devicetwin/simulator"
	"devicetwin/wire"
	"devicetwin/wire/dialect"
)

// standard is the service's own dialect, and Tasmota the one that plugs speak.
const (
	standard = "standard"
	tasmota  = "tasmota"
)

// UsualModel is the model of a fleet that is given none, a file of the repository; "" if it
// has to be given one.
func (f FleetConfig) UsualModel() string {
	if f.Dialect == tasmota {
		return "models/plug.yaml"
	}
	return ""
}

// Dialects are those that bridge and worker need for a fleet, in addition to their own.
func (f FleetConfig) Dialects() []string {
	if f.Dialect == "" || f.Dialect == standard {
		return nil
	}
	return []string{f.Dialect}
}

// speech is how the devices of a fleet speak.
func speech(name string, c wire.Config) (simulator.Speech, error) {
	switch name {
	case "", standard:
		own, err := wire.New(c)
		if err != nil {
			return nil, fmt.Errorf("topics (--mqtt-topic-prefix): %w", err)
		}
		return simulator.Standard(own), nil
	case tasmota:
		d, err := dialects.Load(tasmota)
		if err != nil {
			return nil, fmt.Errorf("dialect (--dialect) %w", err)
		}
		set, err := dialect.NewSet(c, d)
		if err != nil {
			return nil, fmt.Errorf("topics (--mqtt-topic-prefix): %w", err)
		}
		return simulator.Tasmota(set), nil
	}
	return nil, fmt.Errorf("dialect (--dialect) %s: simulated devices speak %s and %s", name, standard, tasmota)
}
