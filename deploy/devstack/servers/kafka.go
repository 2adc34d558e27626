package servers

import (
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"

	"devicetwin/deploy/devstack/process"
)

// Kafka is a cluster of Apache Kafka without ZooKeeper.
type Kafka struct {
	// Nodes are its brokers. The first one is the controller, too: without it, no other
	// partition gets a leader.
	Nodes []*process.Process
	// Addresses of the brokers, host and port.
	Addresses []string

	settings [][]string // of each node
}

// Advertise has a broker that was not started yet send everybody to another address, such as that of a proxy
// in front of it: also other brokers.
func (k *Kafka) Advertise(node int, address string) {
	k.Addresses[node] = address
	k.settings[node] = append(k.settings[node], "advertised.listeners=CLIENTS://"+address)
}

// FindKafka is the path of the program. The error is a *NotInstalledError if it is not
// installed.
func FindKafka() (string, error) { return Find("kafka", "kafka") }

// NewKafka prepares a cluster with a broker for each of the names, which keeps its data in a
// folder of this name in data; its log is in the folder dir. It takes a port of process.Host for
// each broker, and one for the controller, which is the last. Settings such as
// "num.partitions=3" are those of all brokers. The error is a *NotInstalledError if it is not
// installed.
func NewKafka(dir, data string, names, ports []string, settings ...string) (*Kafka, error) {
	program, err := FindKafka()
	if err != nil {
		return nil, err
	}
	k := &Kafka{}
	controller := net.JoinHostPort(process.Host, ports[len(names)])
	for i, name := range names {
		address := net.JoinHostPort(process.Host, ports[i])
		args := []string{strconv.Itoa(i + 1), filepath.Join(data, name), address, controller}
		k.Addresses, k.settings = append(k.Addresses, address), append(k.settings, slices.Clone(settings))
		k.Nodes = append(k.Nodes, process.New(dir, name, process.SaidReady, func() *exec.Cmd {
			return exec.Command(program, slices.Concat(args, k.settings[i])...)
		}))
	}
	return k, nil
}
