package chaos

import (
	"fmt"
	"slices"

	"devicetwin/deploy/devstack/process"
)

// Case is a fault with a broker, an InfluxDB and a way to acknowledge.
type Case struct {
	Fault  Fault
	Broker process.BrokerKind
	Influx Influx
	Ack    process.Ack
}

// name is that of its folder, and of the case in the progress report.
func (c Case) name() string {
	name := c.Fault.Name + "-" + string(c.Broker)
	if c.Influx == Influx2 {
		name += "-influx2"
	}
	if c.Ack == process.Accepted {
		name += "-accepted"
	}
	return name
}

// Choice says which cases to run.
type Choice struct {
	Only    []string             // patterns of names of faults (as in path.Match); none: all
	Brokers []process.BrokerKind // each fault with each of them
	Influx  Influx
	Ack     process.Ack
	Short   bool // shorter faults, and without Only just a few of them
	Upgrade bool // there is an earlier version to be replaced as well
}

// the short form runs a part or a link of each kind if none is asked for, each with one
// broker, in a few minutes.
var (
	shortLogged = map[string]process.BrokerKind{
		"kill-broker":       process.NATS,
		"kill-temporal":     process.Mosquitto,
		"kill-bridge":       process.NATS,
		"pause-worker":      process.NATS,
		"cut-bridge-broker": process.Mosquitto,
		"checkpoint-old":    process.Mosquitto,
	}
	shortAccepted = map[string]process.BrokerKind{
		"kill-bridge": process.Mosquitto,
		"log-gone":    process.NATS,
	}
	shortInflux2 = map[string]process.BrokerKind{
		"kill-influxdb":      process.NATS,
		"retention-influxdb": process.Mosquitto,
	}
)

// aboutBrokers are the faults that real brokers are for, if no others are asked for: what the
// broker has promised shows when it, those who use it, or the links between them are broken.
// The short form has the first.
var aboutBrokers = []string{"kill-bridge", "kill-worker", "kill-broker", "pause-broker", "cut-devices-broker", "cut-bridge-broker", "cut-worker-broker", "rolling-kill-nodes"}

// Faults are those that can be chosen.
func (c Choice) Faults() []Fault {
	faults := commonFaults(c.Short)
	if c.Influx == Influx2 {
		faults = append(faults, influx2Faults(c.Short)...)
	}
	if slices.Contains(c.Brokers, process.Kafka) {
		faults = append(faults, kafkaFaults(c.Short)...)
	}
	if slices.Contains(c.Brokers, process.NATSCluster) {
		faults = append(faults, clusterFaults(c.Short)...)
	}
	if c.Upgrade {
		faults = append(faults, upgrades(c.Short)...)
	}
	return faults
}

// Cases are the chosen ones.
func (c Choice) Cases() ([]Case, error) {
	faults := c.Faults()
	if err := process.CheckPatterns("fault", c.Only, names(faults)); err != nil {
		return nil, err
	}
	var cases []Case
	for _, broker := range c.Brokers {
		for _, f := range faults {
			if c.has(f, broker) {
				f.Slow = slow(broker, f)
				cases = append(cases, Case{f, broker, c.Influx, c.Ack})
			}
		}
	}
	if len(cases) == 0 {
		return nil, fmt.Errorf("no case is left with brokers %v", c.Brokers)
	}
	return cases, nil
}

// has reports whether a fault was chosen with a broker.
func (c Choice) has(f Fault, broker process.BrokerKind) bool {
	switch {
	case f.Nodes > 0 && broker != process.NATSCluster, f.Kafka && broker != process.Kafka, broker == process.Kafka && !f.Kafka && !slices.Contains(besidesKafka, f.Name):
		return false
	case len(c.Only) > 0:
		return process.Match(c.Only, f.Name)
	case broker == process.Kafka:
		return !c.Short || f.Name == shortKafka
	case isReal(broker) && c.Short:
		return f.Name == aboutBrokers[0]
	case isReal(broker):
		return slices.Contains(aboutBrokers, f.Name)
	case !c.Short:
		return true
	case c.Influx == Influx2:
		return shortInflux2[f.Name] == broker
	case c.Ack == process.Accepted:
		return shortAccepted[f.Name] == broker
	}
	return shortLogged[f.Name] == broker
}

func names(faults []Fault) (all []string) {
	for _, f := range faults {
		all = append(all, f.Name)
	}
	return all
}
