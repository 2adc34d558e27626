package chaos

import (
	"fmt"
	"time"

	"devicetwin/deploy/devstack/process"
)

// Part is a process that takes part in a case.
type Part = process.Part

// The parts. Devices are the fleet, whose only fault is that of its link.
const (
	Broker        = process.Broker
	Temporal      = process.Temporal
	InfluxDB      = process.InfluxDB
	Bridge        = process.Bridge
	Bridge2  Part = "bridge-2" // only where two share the fleet
	Worker        = process.Worker
	Devices  Part = "devices"
)

// inWords is the part in a sentence.
func inWords(p Part) string {
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
	Restart  Kind = "restart"  // SIGTERM, and start again after a while
	Fill     Kind = "fill"     // the disk of its spool is full, while InfluxDB is down

	// Of InfluxDB 2 only: see influx2.go.
	Revoke Kind = "token"     // the token of bridge and worker is switched off
	Away   Kind = "bucket"    // the bucket has another name
	Expire Kind = "retention" // readings arrive that are older than InfluxDB keeps points
)

// Fault is one row of the table.
type Fault struct {
	Name   string
	Kind   Kind
	Part   Part          // of all kinds that are not about a link
	Link   Link          // of Cut, Delay and Throttle
	Rounds int           // at most; a slow machine manages at least half of them, or the case is an error
	Lasts  time.Duration // each round
	// Rolling is true if two bridges share the fleet, and a round meets one after
	// the other.
	Rolling bool
}

// meets are the parts that each round meets, one after the other.
func (f Fault) meets() []Part {
	if f.Rolling {
		return []Part{Bridge, Bridge2}
	}
	return []Part{f.Part} // of a fault of a link it is empty
}

// bridges are the parts that share the fleet.
func (f Fault) bridges() []Part {
	if f.Rolling {
		return []Part{Bridge, Bridge2}
	}
	return []Part{Bridge}
}

// latency and throttled are the strength of a Delay and of a Throttle. A fleet
// sends some 10 KB a second over the link of the bridge.
const (
	latency         = 500 * time.Millisecond
	throttled       = 6 // KB a second and connection
	throttledDevice = 1 // the same, of one device's connection
)

// Faults is the table, in the order in which it is run. The short form has the
// same faults, of shorter duration.
func Faults(short bool) []Fault {
	kill, pause, cut, slow, full := 1500*time.Millisecond, 20*time.Second, 4*time.Second, 12*time.Second, 8*time.Second
	kills, cuts, rolls := 4, 3, 2
	if short {
		pause, cut, slow, full = 5*time.Second, 2*time.Second, 5*time.Second, 4*time.Second
		kills, cuts, rolls = 2, 2, 1
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
	faults = append(faults,
		Fault{Kind: Fill, Part: Bridge, Rounds: rolls, Lasts: full},
		Fault{Kind: Restart, Part: Bridge, Rounds: rolls, Lasts: kill, Rolling: true},
		Fault{Kind: Kill, Part: Bridge, Rounds: rolls, Lasts: kill, Rolling: true})
	return named(faults)
}

func named(faults []Fault) []Fault {
	for i := range faults {
		faults[i].Name = faults[i].name()
	}
	return faults
}

func (f Fault) name() string {
	switch {
	case f.Rolling:
		return "rolling-" + string(f.Kind) + "-bridges"
	case f.Kind == Fill:
		return "disk-full-spool"
	case f.Part != "":
		return string(f.Kind) + "-" + string(f.Part)
	}
	return string(f.Kind) + "-" + f.Link.String()
}

// String says what happens.
func (f Fault) String() string {
	times := fmt.Sprintf("%v", f.Lasts)
	if f.Rounds > 1 {
		times = fmt.Sprintf("up to %d times %v", f.Rounds, f.Lasts)
	}
	if f.Rolling {
		way := "told to end"
		if f.Kind == Kill {
			way = "killed (kill -9)"
		}
		return fmt.Sprintf("two bridges share the fleet; one after the other is %s and started again after %v, up to %d times", way, f.Lasts, f.Rounds)
	}
	switch f.Kind {
	case Revoke, Away, Expire:
		return f.influx2Words(times)
	case Fill:
		return fmt.Sprintf("the disk of the spool is full while InfluxDB is down, %s", times)
	case Kill:
		return fmt.Sprintf("kill -9 of %s, started again after %v, up to %d times", inWords(f.Part), f.Lasts, f.Rounds)
	case Pause:
		return fmt.Sprintf("%s stopped and continued (SIGSTOP, SIGCONT), %s", inWords(f.Part), times)
	case Cut:
		return fmt.Sprintf("no connection from %s to %s, %s", inWords(f.Link.From), inWords(f.Link.To), times)
	case Delay:
		return fmt.Sprintf("%v later in both directions between %s and %s, %s", latency, inWords(f.Link.From), inWords(f.Link.To), times)
	default:
		return fmt.Sprintf("%d KB/s a connection between %s and %s, %s", f.rate(), inWords(f.Link.From), inWords(f.Link.To), times)
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
// back, and to be seen working again. The pauses between attempts to reach a
// broker grow to 15 seconds if it is lost again soon.
func (f Fault) recovery() time.Duration {
	if f.Kind == Fill || f.Kind == Revoke || f.Kind == Away { // InfluxDB starts, and the bridge turns to it in growing pauses
		return 10 * time.Second
	}
	if f.Part == Broker || f.Link.To == Broker && f.Link.From != Devices {
		return 10 * time.Second
	}
	return 4 * time.Second
}

// aftermath is how long a fleet plays after the end of the last round, at least:
// longer than the seven seconds at the end of a run in which the simulator lets no
// device crash any more, so that devices are reprovisioned after the fault as well.
const aftermath = 8 * time.Second

// plays is how long the fleet has to play for all rounds to fall into it.
func (f Fault) plays() time.Duration {
	return time.Duration(f.Rounds*len(f.meets()))*(f.Lasts+f.recovery()) + 4*time.Second + aftermath
}
