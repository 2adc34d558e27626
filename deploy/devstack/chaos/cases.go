package chaos

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// BrokerKind is a broker that the cases are run with.
type BrokerKind string

// The brokers.
const (
	NATS      BrokerKind = "nats"      // embedded in devstack
	Mosquitto BrokerKind = "mosquitto" // the program, with persistence
)

// Case is a fault with a broker.
type Case struct {
	Fault  Fault
	Broker BrokerKind
}

// name is that of its folder, and of the case in what is told.
func (c Case) name() string { return c.Fault.Name + "-" + string(c.Broker) }

// shortCases are the ones that the short form runs if none is asked for: a part
// or a link of each kind, in under three minutes.
var shortCases = map[string]BrokerKind{
	"kill-broker":       NATS,
	"kill-temporal":     Mosquitto,
	"pause-worker":      NATS,
	"cut-bridge-broker": Mosquitto,
}

// Cases chooses cases: of the faults whose names match one of the patterns (as in
// path.Match; none: all) with each of the brokers.
func Cases(only []string, brokers []BrokerKind, short bool) ([]Case, error) {
	faults := Faults(short)
	for _, pattern := range only {
		matches := func(f Fault) bool { ok, _ := path.Match(pattern, f.Name); return ok }
		if !slices.ContainsFunc(faults, matches) {
			return nil, fmt.Errorf("no fault is called %q: expected some of %s", pattern, names(faults))
		}
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

func chosen(f Fault, broker BrokerKind, only []string, short bool) bool {
	if len(only) == 0 {
		return !short || shortCases[f.Name] == broker
	}
	return slices.ContainsFunc(only, func(pattern string) bool {
		ok, _ := path.Match(pattern, f.Name)
		return ok
	})
}

func names(faults []Fault) string {
	var all []string
	for _, f := range faults {
		all = append(all, f.Name)
	}
	return strings.Join(all, ", ")
}
