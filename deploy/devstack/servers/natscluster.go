package servers

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/nats-io/nkeys"

	settings "devicetwin/deploy/nats"

	"devicetwin/deploy/devstack/process"
)

// NATSNodePorts are those of process.Host that a node of a cluster needs.
type NATSNodePorts struct{ MQTT, Clients, Routes string }

// NATSCluster is NATS servers that form a cluster, with the settings of deploy/nats. They
// ask a "devicetwin auth" that connects to them.
type NATSCluster struct {
	Nodes []*process.Process
	// URLs of the nodes, for "devicetwin auth", which connects as Username with
	// Password, and signs with the seed in SeedFile.
	URLs                         []string
	Username, Password, SeedFile string
}

// FindNATS is the path of the program. The error is a *NotInstalledError if it is not
// installed.
func FindNATS() (string, error) { return Find("nats", "nats-server") }

// NewNATSCluster prepares a cluster with a node for each of the names, which keeps its data
// in a folder of this name in data; its configuration and its log are in the folder dir. What
// a client has not acknowledged is delivered again after ackWait, such as "20s". The error
// is a *NotInstalledError if it is not installed.
func NewNATSCluster(dir, data, ackWait string, names []string, ports []NATSNodePorts) (*NATSCluster, error) {
	program, err := FindNATS()
	if err != nil {
		return nil, err
	}
	key, err := nkeys.CreateAccount()
	if err != nil {
		return nil, fmt.Errorf("make the key of the issuer: %w", err)
	}
	c := &NATSCluster{Username: "devicetwin-auth", Password: "password-of-a-test", SeedFile: filepath.Join(dir, "nats-seed")}
	seed, err := key.Seed()
	if err != nil {
		return nil, fmt.Errorf("make the key of the issuer: %w", err)
	}
	issuer, err := key.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("make the key of the issuer: %w", err)
	}
	if err := os.WriteFile(c.SeedFile, seed, 0o600); err != nil {
		return nil, fmt.Errorf("write the seed of the issuer: %w", err)
	}
	var routes []string
	for _, p := range ports {
		routes = append(routes, `"nats://`+net.JoinHostPort(process.Host, p.Routes)+`"`)
		c.URLs = append(c.URLs, "nats://"+net.JoinHostPort(process.Host, p.Clients))
	}
	for i, name := range names {
		at := func(port string) string { return net.JoinHostPort(process.Host, port) }
		config, err := replaced(settings.ClusterConfig,
			[2]string{`"SERVER"`, `"` + name + `"`}, [2]string{"127.0.0.1:4222", at(ports[i].Clients)}, [2]string{"/var/lib/nats", filepath.Join(data, name)},
			[2]string{"0.0.0.0:6222", at(ports[i].Routes)}, [2]string{"0.0.0.0:1883", at(ports[i].MQTT)},
			[2]string{`[ "nats://HOST-1:6222", "nats://HOST-2:6222", "nats://HOST-3:6222" ]`, "[ " + strings.Join(routes, ", ") + " ]"},
			[2]string{`ack_wait: "5m"`, `ack_wait: "` + ackWait + `"`}, [2]string{`"PASSWORD"`, `"` + c.Password + `"`}, [2]string{`"ISSUER"`, `"` + issuer + `"`})
		if err != nil {
			return nil, err
		}
		file := filepath.Join(dir, name+"-nats.conf")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			return nil, fmt.Errorf("write the configuration of NATS: %w", err)
		}
		c.Nodes = append(c.Nodes, process.New(dir, name, process.Listens(ports[i].MQTT), func() *exec.Cmd { return exec.Command(program, "-c", file) }))
	}
	return c, nil
}
