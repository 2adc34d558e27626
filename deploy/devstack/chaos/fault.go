package chaos

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Part is a process that takes part in a case.
type Part string

// The parts. Devices are the fleet, which nothing happens to but on its link.
const (
	Broker   Part = "broker"
	Temporal Part = "temporal"
	InfluxDB Part = "influxdb"
	Bridge   Part = "bridge"
	Worker   Part = "worker"
	Devices  Part = "devices"
)

// told is the part in a sentence.
func (p Part) told() string {
	switch p {
	case Temporal:
		return "Temporal"
	case InfluxDB:
		return "InfluxDB"
	}
	return "the " + string(p)
}

// Link is a connection that one part makes to another.
type Link struct{ From, To Part }

func (l Link) String() string { return string(l.From) + "-" + string(l.To) }

// Kind is what is done to a part or to a link.
type Kind string

// The kinds of faults.
const (
	Kill     Kind = "kill"     // kill -9, and start again after a while
	Pause    Kind = "pause"    // SIGSTOP, and SIGCONT after a while
	Cut      Kind = "cut"      // end all connections and refuse new ones
	Delay    Kind = "delay"    // everything arrives half a second later, in both directions
	Throttle Kind = "throttle" // few bytes a second, in both directions
)

// Fault is one row of the table.
type Fault struct {
	Name   string
	Kind   Kind
	Part   Part          // of Kill and Pause
	Link   Link          // of the others
	Rounds int           // at most; a slow machine manages at least half of them, or the case is an error
	Lasts  time.Duration // each round
	// Waits is what has to exist before this fault can be tried; empty: it can.
	Waits string
}

// latency and throttled are the strength of a Delay and of a Throttle. A fleet
// sends some 10 KB a second over the link of the bridge.
const (
	latency         = 500 * time.Millisecond
	throttled       = 6 // KB a second and connection
	throttledDevice = 1 // the same, of one device's connection
)

// Faults is the table, in the order in which it is run. The short form has the
// same faults, over sooner.
func Faults(short bool) []Fault {
	kill, pause, cut, slow := 1500*time.Millisecond, 20*time.Second, 4*time.Second, 12*time.Second
	kills, cuts := 4, 3
	if short {
		pause, cut, slow, kills, cuts = 5*time.Second, 2*time.Second, 5*time.Second, 2, 2
	}
	var faults []Fault
	for _, p := range []Part{Bridge, Worker, Temporal, Broker, InfluxDB} {
		f := Fault{Kind: Kill, Part: p, Rounds: kills, Lasts: kill}
		if p == Broker {
			f.Rounds = cuts // they take longer
		}
		faults = append(faults, f)
	}
	for _, p := range []Part{Bridge, Worker, Temporal, Broker, InfluxDB} {
		faults = append(faults, Fault{Kind: Pause, Part: p, Rounds: 1, Lasts: pause})
	}
	for _, l := range []Link{
		{Devices, Broker}, {Bridge, Broker}, {Worker, Broker},
		{Bridge, Temporal}, {Worker, Temporal},
		{Bridge, InfluxDB}, {Worker, InfluxDB},
	} {
		faults = append(faults,
			Fault{Kind: Cut, Link: l, Rounds: cuts, Lasts: cut},
			Fault{Kind: Delay, Link: l, Rounds: 1, Lasts: slow},
			Fault{Kind: Throttle, Link: l, Rounds: 1, Lasts: slow})
	}
	for i := range faults {
		faults[i].Name = faults[i].name()
	}
	return append(faults,
		Fault{Name: "disk-full-spool", Part: Bridge, Waits: "a spool of telemetry on disk"},
		Fault{Name: "rolling-restart-bridges", Part: Bridge, Waits: "more than one bridge"})
}

func (f Fault) name() string {
	if f.Part != "" {
		return string(f.Kind) + "-" + string(f.Part)
	}
	return string(f.Kind) + "-" + f.Link.String()
}

// String says what happens.
func (f Fault) String() string {
	if f.Waits != "" {
		return "cannot be tried yet: it needs " + f.Waits
	}
	times := fmt.Sprintf("%v", f.Lasts)
	if f.Rounds > 1 {
		times = fmt.Sprintf("up to %d times %v", f.Rounds, f.Lasts)
	}
	switch f.Kind {
	case Kill:
		return fmt.Sprintf("kill -9 of %s, started again after %v, up to %d times", f.Part.told(), f.Lasts, f.Rounds)
	case Pause:
		return fmt.Sprintf("%s stopped and continued (SIGSTOP, SIGCONT), %s", f.Part.told(), times)
	case Cut:
		return fmt.Sprintf("no connection from %s to %s, %s", f.Link.From.told(), f.Link.To.told(), times)
	case Delay:
		return fmt.Sprintf("%v later in both directions between %s and %s, %s", latency, f.Link.From.told(), f.Link.To.told(), times)
	default:
		return fmt.Sprintf("%d KB/s a connection between %s and %s, %s", f.rate(), f.Link.From.told(), f.Link.To.told(), times)
	}
}

// rate is in KB a second.
func (f Fault) rate() int {
	if f.Link.From == Devices {
		return throttledDevice
	}
	return throttled
}

// recovery is what a round is expected to take beyond the fault itself: to come
// back, and to be seen at work again. The pauses between attempts to reach a
// broker grow to 15 seconds if it is lost again soon.
func (f Fault) recovery() time.Duration {
	if f.Part == Broker || f.Link.To == Broker && f.Link.From != Devices {
		return 10 * time.Second
	}
	return 4 * time.Second
}

// aftermath is how long a fleet plays after the end of the last round, at least:
// longer than the six seconds at the end of a run in which the simulator lets no
// device crash any more, so that devices are reprovisioned after the fault as well.
const aftermath = 8 * time.Second

// plays is how long the fleet has to play for all rounds to fall into it.
func (f Fault) plays() time.Duration {
	return time.Duration(f.Rounds)*(f.Lasts+f.recovery()) + 4*time.Second + aftermath
}

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

// shortCases are the ones that the short form runs if none is asked for: a part
// or a link of each kind, in under three minutes.
var shortCases = map[string]BrokerKind{
	"kill-broker":       NATS,
	"kill-temporal":     Mosquitto,
	"pause-worker":      NATS,
	"cut-bridge-broker": Mosquitto,
}

// Cases chooses cases: of the faults whose names match one of the patterns (as in
// path.Match; none: all that can be tried) with each of the brokers.
func Cases(only []string, brokers []BrokerKind, short bool) ([]Case, error) {
	faults := Faults(short)
	for _, pattern := range only {
		matches := func(f Fault) bool { ok, _ := path.Match(pattern, f.Name); return ok }
		i := slices.IndexFunc(faults, matches)
		if i < 0 {
			return nil, fmt.Errorf("no fault is called %q: expected some of %s", pattern, names(faults))
		}
		if f := faults[i]; f.Waits != "" && f.Name == pattern {
			return nil, fmt.Errorf("fault %s %s", f.Name, f)
		}
	}
	var cases []Case
	for _, broker := range brokers {
		for _, f := range faults {
			if f.Waits == "" && chosen(f, broker, only, short) {
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
