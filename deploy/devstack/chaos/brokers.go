package chaos

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/servers"
)

// Every broker decides who may connect, and what a device may do: the embedded one on its own,
// where clients that name nobody may do everything, Mosquitto by its plugin. Real brokers are
// those that make servers installs: each asks "devicetwin auth", a part of the case.
var realBrokers = map[process.BrokerKind]func() (string, error){
	process.RabbitMQ:    servers.FindRabbitMQ,
	process.HiveMQ:      servers.FindHiveMQ,
	process.Moquette:    servers.FindMoquette,
	process.NATSCluster: servers.FindNATS,
}

func isReal(kind process.BrokerKind) bool { return realBrokers[kind] != nil }

// findBrokers is an error if a broker of the cases is not installed.
func (o Options) findBrokers() error {
	for _, c := range o.Cases {
		find := realBrokers[c.Broker]
		switch c.Broker {
		case process.Mosquitto:
			find = o.findMosquitto
		case process.Kafka:
			find = servers.FindKafka
		}
		if find == nil {
			continue
		}
		if _, err := find(); err != nil {
			return err
		}
	}
	return nil
}

func (o Options) findMosquitto() (string, error) {
	if _, err := process.FindMosquitto(); err != nil {
		return "", err
	}
	return process.FindMosquittoPlugin(o.MosquittoPlugin)
}

// Parts of cases with real brokers. The ports of Auth are that of its metrics, and hooks.
const (
	Auth       Part = "auth"
	hooks      Part = "auth-hooks"
	nameServer Part = "broker-names"        // Erlang's name server
	amqp       Part = "broker-amqp"         // of RabbitMQ
	spread     Part = "broker-distribution" // of RabbitMQ
	clients         = "-clients"            // of NATS's own protocol, at each node
	routes          = "-routes"             // between nodes
)

// clusterNodes is how many nodes a cluster has.
const clusterNodes = 3

// brokerParts are the parts that need a port besides Broker.
func brokerParts(kind process.BrokerKind) (parts []Part) {
	if !isReal(kind) {
		return nil
	}
	parts = []Part{Auth, hooks}
	switch kind {
	case process.RabbitMQ:
		parts = append(parts, nameServer, amqp, spread)
	case process.NATSCluster:
		nodes := several(Broker, clusterNodes)
		parts = append(parts, nodes[1:]...)
		for _, node := range nodes {
			parts = append(parts, node+clients, node+routes)
		}
	}
	return parts
}

// ackWait is after what time NATS delivers again what a lost connection left
// unacknowledged: short, because the ledger waits for it.
const ackWait = "10s"

// addBroker adds the broker.
func (s *system) addBroker(kind process.BrokerKind, o Options) error {
	switch {
	case kind == process.NATS: // which reads the passwords of the worker in the same folder of data
		return s.AddBroker(kind)
	case kind == process.Mosquitto:
		return s.addMosquitto(o.MosquittoPlugin)
	}
	flags := []string{"--auth-listen", s.At(hooks)}
	switch kind {
	case process.RabbitMQ:
		if err := s.addRabbitMQ(); err != nil {
			return err
		}
	case process.HiveMQ, process.Moquette:
		prepare := servers.NewHiveMQ
		if kind == process.Moquette {
			prepare = servers.NewMoquette
		}
		p, err := prepare(s.Dir, string(Broker), filepath.Join(s.Data(), string(Broker)), s.hooksURL(), s.Ports[Broker])
		if err != nil {
			return err
		}
		s.Parts[Broker] = p
	case process.NATSCluster:
		cluster, err := s.addCluster()
		if err != nil {
			return err
		}
		flags = append(flags, "--auth-nats-url", strings.Join(cluster.URLs, ","), "--auth-nats-username", cluster.Username,
			"--auth-nats-password", cluster.Password, "--auth-nats-seed-file", cluster.SeedFile)
	default:
		return fmt.Errorf("broker %q is not implemented", kind)
	}
	return s.addAuth(flags)
}

// addMosquitto adds Mosquitto with its plugin. It saves after every change, which is the
// least that it can lose: what it has acknowledged, and neither saved nor sent on,
// is lost with kill -9.
func (s *system) addMosquitto(file string) error {
	plugin, err := process.FindMosquittoPlugin(file)
	if err != nil {
		return err
	}
	accounts, err := s.writeAccounts()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.credentials(), 0o700); err != nil { // the plugin does not
		return fmt.Errorf("make the folder of the credentials: %w", err)
	}
	login := process.MosquittoLogin{Plugin: plugin, Credentials: s.credentials(), Services: accounts, Allow: []string{fleetRule}}
	return s.AddBroker(process.Mosquitto, append(login.Lines(), "autosave_on_changes true", "autosave_interval 1", "log_type notice")...)
}

func (s *system) hooksURL() string { return "http://" + s.At(hooks) }

// addRabbitMQ adds RabbitMQ and its name server. Its folder is not in that of the case,
// which only this user can enter.
func (s *system) addRabbitMQ() (err error) {
	if s.brokerDir, err = os.MkdirTemp("", "devicetwin-rabbitmq-"); err != nil {
		return fmt.Errorf("make the folder of RabbitMQ: %w", err)
	}
	r, err := servers.NewRabbitMQ(s.Dir, string(Broker), s.brokerDir, s.hooksURL(), []string{s.Ports[Broker], s.Ports[amqp], s.Ports[nameServer], s.Ports[spread]})
	if err != nil {
		return err
	}
	s.Parts[Broker], s.Parts[nameServer] = r.Process, r.Names
	return nil
}

func (s *system) addCluster() (*servers.NATSCluster, error) {
	s.Nodes = several(Broker, clusterNodes)
	var nodes []string
	var ports []servers.NATSNodePorts
	for _, node := range s.Nodes {
		nodes = append(nodes, string(node))
		ports = append(ports, servers.NATSNodePorts{MQTT: s.Ports[node], Clients: s.Ports[node+clients], Routes: s.Ports[node+routes]})
	}
	cluster, err := servers.NewNATSCluster(s.Dir, s.Data(), ackWait, nodes, ports)
	if err != nil {
		return nil, err
	}
	for i, node := range s.Nodes {
		s.Parts[node] = cluster.Nodes[i]
	}
	return cluster, nil
}

// The accounts of services, whose password is accountPassword.
const (
	bridgeAccount = "devicetwin.bridge"
	workerAccount = "devicetwin.worker"
	fleetAccount  = "devicetwin.fleet"

	accountPassword = "password-of-a-test"
)

// fleetRule is what the fleet does besides what devices do.
const fleetRule = fleetAccount + ": subscribe bridge/+/deadletter"

// writeAccounts writes the file of the accounts. From now on, services log in.
func (s *system) writeAccounts() (file string, err error) {
	s.accounts = true
	accounts := ""
	for _, name := range []string{bridgeAccount, workerAccount, fleetAccount} {
		accounts += fmt.Sprintf("%s:%x\n", name, sha256.Sum256([]byte(accountPassword)))
	}
	file = filepath.Join(s.Dir, "accounts")
	if err := os.WriteFile(file, []byte(accounts), 0o600); err != nil {
		return "", fmt.Errorf("write the accounts: %w", err)
	}
	return file, nil
}

// addAuth adds "devicetwin auth".
func (s *system) addAuth(flags []string) error {
	accounts, err := s.writeAccounts()
	if err != nil {
		return err
	}
	args := append([]string{"auth", "--http-listen", s.At(Auth), "--auth-services", accounts, "--worker-credentials", s.credentials(),
		"--auth-allow", fleetRule}, flags...)
	ready := func(ctx context.Context, _ *process.Process) error {
		_, err := s.Get(ctx, Auth, "/readyz")
		return err
	}
	s.Parts[Auth] = process.New(s.Dir, string(Auth), ready, func() *exec.Cmd { return s.Program("devicetwin", args...) })
	return nil
}

// credentials is the folder of the devices' passwords.
func (s *system) credentials() string { return filepath.Join(s.Data(), "credentials") }

// loginFlags are the flags of a service that logs in, where it has an account.
func (s *system) loginFlags(account string) []string {
	if !s.accounts {
		return nil
	}
	return []string{"--mqtt-username", account, "--mqtt-password", accountPassword}
}

// brokerProcesses are what is started to have the broker, in this order.
func (s *system) brokerProcesses() []Part {
	var parts []Part
	for _, part := range []Part{nameServer, Auth} {
		if s.Parts[part] != nil {
			parts = append(parts, part)
		}
	}
	nodes := s.Nodes
	if len(nodes) == 0 {
		nodes = []Part{Broker}
	}
	// NATS has to be there for "devicetwin auth" to be ready, and the others ask it.
	if len(s.Nodes) > 0 {
		return append(nodes, parts...)
	}
	return append(parts, nodes...)
}

// launch starts parts at once, and waits for all of them: a node of a cluster may need the
// others.
func (s *system) launch(ctx context.Context, parts []Part) error {
	for _, part := range parts {
		if err := s.Parts[part].Launch(); err != nil {
			return fmt.Errorf("start %s: %w", part, err)
		}
	}
	var failed []error
	for _, part := range parts {
		failed = append(failed, s.Parts[part].AwaitReady(ctx))
	}
	return errors.Join(failed...)
}

// concerned are the parts that a kill of a part concerns: all nodes of a cluster, or the one
// that the bridge is connected to, if it is about nodes.
func (s *system) concerned(f Fault, part Part) ([]Part, error) {
	switch {
	case f.Nodes > 0:
		node, err := s.nodeOf(s.bridges[0])
		return []Part{node}, err
	case part == Broker && len(s.Nodes) > 0:
		return slices.Clone(s.Nodes), nil
	}
	return []Part{part}, nil
}

// nodeOf is the node that a bridge is connected to, or was last.
func (s *system) nodeOf(bridge Part) (Part, error) {
	port, err := connectedTo(s.Parts[bridge].Log)
	if err != nil {
		return "", err
	}
	for _, node := range s.Nodes {
		if s.Ports[node] == port {
			return node, nil
		}
	}
	return "", fmt.Errorf("no node listens at the port %q that %s is connected to", port, bridge)
}
