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
	Bridge        = process.Bridge // the first, where several share the fleet
	Worker        = process.Worker // the first of several
	Devices  Part = "devices"
)

// several are the first parts of a kind: bridge, bridge-2, bridge-3.
func several(kind Part, n int) []Part {
	parts := []Part{kind}
	for i := 2; i <= n; i++ {
		parts = append(parts, Part(fmt.Sprintf("%s-%d", kind, i)))
	}
	return parts
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

	// Of the log of a bridge: see logfaults.go.
	Fill       Kind = "disk-full-log"      // its disk is full, while InfluxDB is down
	Damage     Kind = "log-damaged"        // what is not delivered is overwritten, after kill -9
	DamageRead Kind = "log-damaged-read"   // what is delivered is overwritten, after kill -9
	Forget     Kind = "checkpoint-missing" // after kill -9
	Rewind     Kind = "checkpoint-old"     // an older one is put back, after kill -9
	Lose       Kind = "log-gone"           // the whole folder

	// Of several bridges: see upgrade.go.
	Repartition Kind = "repartition-bridges" // their number changes
	Upgrade     Kind = "upgrade"             // an earlier version is replaced by this one

	// Of Kafka only: see kafkafaults.go.
	Move      Kind = "move-leaders"      // each partition has another leader
	Rebalance Kind = "rebalance-bridges" // one is killed, and another one is added
	Grow      Kind = "grow-topic"        // by some partitions

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
	// Bridges is how many share the fleet, and Workers how many there are; 0: one.
	Bridges, Workers int
	// Rolling is true if a round meets all bridges, one after the other.
	Rolling bool
	// Nodes is how many nodes of a broker that is a cluster a round meets, one after the
	// other: each time the one that the bridge is connected to.
	Nodes int
	// Kafka is true of faults that only Kafka has.
	Kafka bool
	// Slow is what the broker takes longer than others to be back.
	Slow time.Duration
}

// meets are the parts that each round meets, one after the other.
func (f Fault) meets() []Part {
	switch {
	case f.Kind == Upgrade: // in the documented order
		return append(f.workers(), f.bridges()...)
	case f.Rolling:
		return f.bridges()
	case f.Nodes > 0:
		return several(Broker, f.Nodes)
	}
	return []Part{f.Part} // of a fault of a link it is empty
}

// bridges are those that share the fleet at first.
func (f Fault) bridges() []Part { return several(Bridge, f.Bridges) }

func (f Fault) workers() []Part { return several(Worker, f.Workers) }

// latency and throttled are the strength of a Delay and of a Throttle. A fleet
// sends some 10 KB a second over the link of the bridge.
const (
	latency         = 500 * time.Millisecond
	throttled       = 6 // KB a second and connection
	throttledDevice = 1 // the same, of one device's connection
)

// durations are how long faults last, and how often they come.
type durations struct {
	kill, pause, cut, slow, full time.Duration
	kills, cuts, rolls           int
}

func durationsOf(short bool) durations {
	kill := 1500 * time.Millisecond
	if short {
		return durations{kill, 5 * time.Second, 2 * time.Second, 5 * time.Second, 4 * time.Second, 2, 2, 1}
	}
	return durations{kill, 20 * time.Second, 4 * time.Second, 12 * time.Second, 8 * time.Second, 4, 3, 2}
}

// commonFaults is the table, in the order in which it is run. The short form has the
// same faults, of shorter duration.
func commonFaults(short bool) []Fault {
	d := durationsOf(short)
	var faults []Fault
	for _, p := range []Part{Bridge, Worker, Temporal, Broker, InfluxDB} {
		f := Fault{Kind: Kill, Part: p, Rounds: d.kills, Lasts: d.kill}
		if p == Broker {
			f.Rounds = d.cuts // they take longer
		}
		faults = append(faults, f)
	}
	for _, p := range []Part{Bridge, Worker, Temporal, Broker, InfluxDB} {
		faults = append(faults, Fault{Kind: Pause, Part: p, Rounds: 1, Lasts: d.pause})
	}
	for _, l := range []Link{
		{Devices, Broker}, {Bridge, Broker}, {Worker, Broker},
		{Bridge, Temporal}, {Worker, Temporal},
		{Bridge, InfluxDB}, {Worker, InfluxDB},
	} {
		faults = append(faults,
			Fault{Kind: Cut, Link: l, Rounds: d.cuts, Lasts: d.cut},
			Fault{Kind: Delay, Link: l, Rounds: 1, Lasts: d.slow},
			Fault{Kind: Throttle, Link: l, Rounds: 1, Lasts: d.slow})
	}
	faults = append(faults,
		Fault{Kind: Fill, Part: Bridge, Rounds: d.rolls, Lasts: d.full},
		Fault{Kind: Damage, Part: Bridge, Rounds: d.rolls, Lasts: d.full},
		Fault{Kind: DamageRead, Part: Bridge, Rounds: d.rolls, Lasts: d.kill},
		Fault{Kind: Forget, Part: Bridge, Rounds: d.rolls, Lasts: d.kill},
		Fault{Kind: Rewind, Part: Bridge, Rounds: d.rolls, Lasts: d.kill},
		Fault{Kind: Lose, Part: Bridge, Rounds: d.kills, Lasts: d.kill},
		Fault{Kind: Restart, Part: Bridge, Rounds: d.rolls, Lasts: d.kill, Bridges: 2, Rolling: true},
		Fault{Kind: Kill, Part: Bridge, Rounds: d.rolls, Lasts: d.kill, Bridges: 2, Rolling: true},
		Fault{Kind: Repartition, Part: Bridge, Rounds: 2, Lasts: d.kill, Bridges: 4})
	return named(faults)
}

// upgrades are the faults of a run that has an earlier version as well.
func upgrades(short bool) []Fault {
	return named([]Fault{{Kind: Upgrade, Part: Bridge, Rounds: 1, Lasts: durationsOf(short).kill, Bridges: 2, Workers: 2}})
}

// clusterFaults are those that only a broker that is a cluster has.
func clusterFaults(short bool) []Fault {
	d := durationsOf(short)
	return named([]Fault{{Kind: Kill, Part: Broker, Rounds: d.rolls, Lasts: d.full, Nodes: 2}})
}

// slow is what a broker takes longer than others to be back after it was killed: Erlang and
// Java start, and a cluster elects leaders.
func slow(broker process.BrokerKind, f Fault) time.Duration {
	switch {
	case f.Kind != Kill || f.Part != Broker || !isReal(broker):
		return 0
	case f.Nodes > 0:
		return 5 * time.Second
	}
	return 15 * time.Second
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
	case f.Nodes > 0:
		return "rolling-" + string(f.Kind) + "-nodes"
	case f.alone():
		return string(f.Kind)
	case f.Part != "":
		return string(f.Kind) + "-" + string(f.Part)
	}
	return string(f.Kind) + "-" + f.Link.String()
}

// alone reports that the kind needs no part to be understood.
func (f Fault) alone() bool {
	switch f.Kind {
	case Fill, Damage, DamageRead, Forget, Rewind, Lose, Repartition, Upgrade, Move, Rebalance, Grow:
		return true
	}
	return false
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
	switch f.Kind {
	case Fill, Revoke, Away: // InfluxDB starts, and the bridge turns to it in growing pauses
		return 10 * time.Second
	case Damage: // Temporal goes on, InfluxDB and the bridge start
		return 12 * time.Second
	case Forget, Rewind: // the bridge writes another checkpoint
		return checkpointPatience
	case Lose, Repartition, Upgrade: // everything is delivered before
		return 8 * time.Second
	case Rebalance, Move:
		return 10 * time.Second
	case Grow: // bridges look for new partitions once a minute
		return 100 * time.Second
	}
	if f.Kafka { // its partitions go to others, and Java starts
		return 15 * time.Second
	}
	if f.Part == Broker || f.Link.To == Broker && f.Link.From != Devices {
		return 10*time.Second + f.Slow
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
