package chaos

import (
	"fmt"

	"devicetwin/deploy/devstack/process"
)

// Case is a fault with a broker and an InfluxDB.
type Case struct {
	Fault  Fault
	Broker process.BrokerKind
	Influx Influx
}

// name is that of its folder, and of the case in the progress report.
func (c Case) name() string {
	name := c.Fault.Name + "-" + string(c.Broker)
	if c.Influx == Influx2 {
		name += "-influx2"
	}
	return name
}

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
func Cases(only []string, brokers []process.BrokerKind, short bool, influx Influx) ([]Case, error) {
	faults := FaultsWith(influx, short)
	if err := process.CheckPatterns("fault", only, names(faults)); err != nil {
		return nil, err
	}
	var cases []Case
	for _, broker := range brokers {
		for _, f := range faults {
			if c := (Case{f, broker, influx}); chosen(c, only, short) {
				cases = append(cases, c)
			}
		}
	}
	if len(cases) == 0 {
		return nil, fmt.Errorf("no case is left with brokers %v", brokers)
	}
	return cases, nil
}

func chosen(c Case, only []string, short bool) bool {
	if len(only) > 0 {
		return process.Match(only, c.Fault.Name)
	}
	if c.Influx == Influx2 {
		return !short || shortInflux2[c.Fault.Name] == c.Broker
	}
	return !short || shortCases[c.Fault.Name] == c.Broker
}

func names(faults []Fault) (all []string) {
	for _, f := range faults {
		all = append(all, f.Name)
	}
	return all
}
