package chaos

import (
	"fmt"

	"devicetwin/deploy/devstack/process"
)

// Case is a fault with a broker.
type Case struct {
	Fault  Fault
	Broker process.BrokerKind
}

// name is that of its folder, and of the case in the progress report.
func (c Case) name() string { return c.Fault.Name + "-" + string(c.Broker) }

// shortCases are the ones that the short form runs if none is asked for: a part
// or a link of each kind, in under three minutes.
var shortCases = map[string]process.BrokerKind{
	"kill-broker":       process.NATS,
	"kill-temporal":     process.Mosquitto,
	"pause-worker":      process.NATS,
	"cut-bridge-broker": process.Mosquitto,
}

// Cases chooses cases: of the faults whose names match one of the patterns (as in
// path.Match; none: all) with each of the brokers.
func Cases(only []string, brokers []process.BrokerKind, short bool) ([]Case, error) {
	faults := Faults(short)
	if err := process.CheckPatterns("fault", only, names(faults)); err != nil {
		return nil, err
	}
	var cases []Case
	for _, broker := range brokers {
		for _, f := range faults {
			if chosen(f, broker, only, short) {
				cases = append(cases, Case{f, broker})
			}
		}
	}
	if len(cases) == 0 {
		return nil, fmt.Errorf("no case is left with brokers %v", brokers)
	}
	return cases, nil
}

func chosen(f Fault, broker process.BrokerKind, only []string, short bool) bool {
	if len(only) == 0 {
		return !short || shortCases[f.Name] == broker
	}
	return process.Match(only, f.Name)
}

func names(faults []Fault) (all []string) {
	for _, f := range faults {
		all = append(all, f.Name)
	}
	return all
}
