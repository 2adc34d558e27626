package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"devicetwin/deploy/devstack/chaos"
	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/servers"
	"devicetwin/deploy/devstack/servers/serverstest"
)

// The short form of make chaos, in both ways to acknowledge: a part or a link of each
// kind.
func TestChaos(t *testing.T) {
	runChaos(t, chaos.Options{},
		chaos.Choice{Short: true, Influx: chaos.Influx1, Ack: process.Logged, Brokers: brokers(t)},
		chaos.Choice{Short: true, Influx: chaos.Influx1, Ack: process.Accepted, Brokers: brokers(t)})
}

// The short form of make chaos INFLUX=2: a killed InfluxDB 2, and points that it does
// not keep any more among those of the fleet.
func TestChaosInflux2(t *testing.T) {
	_, err := servers.FindInfluxDB()
	serverstest.Need(t, err)
	runChaos(t, chaos.Options{}, chaos.Choice{Short: true, Influx: chaos.Influx2, Ack: process.Logged, Brokers: brokers(t)})
}

// The simulator's ledger with reprovisioning, on brokers that make servers installs, which ask
// "devicetwin auth": what has to be refused is, and a bridge that is killed loses nothing. Not on
// a NATS cluster, which delivers again after newer messages what the bridge had not acknowledged.
func TestChaosOnRealBrokers(t *testing.T) {
	for kind, find := range map[process.BrokerKind]func() (string, error){
		process.RabbitMQ: servers.FindRabbitMQ, process.HiveMQ: servers.FindHiveMQ,
	} {
		t.Run(string(kind), func(t *testing.T) {
			_, err := find()
			serverstest.Need(t, err)
			runChaos(t, chaos.Options{}, chaos.Choice{Short: true, Influx: chaos.Influx1, Ack: process.Logged, Brokers: []process.BrokerKind{kind}})
		})
	}
}

// brokers are those that can be run with.
func brokers(t *testing.T) []process.BrokerKind {
	t.Helper()
	_, err := process.FindMosquitto()
	if err == nil {
		_, err = mosquittoPlugin()
	}
	if err != nil {
		t.Logf("left out what needs Mosquitto: %v", err)
		return []process.BrokerKind{process.NATS}
	}
	return []process.BrokerKind{process.NATS, process.Mosquitto}
}

// mosquittoPlugin builds the plugin, once, and is its file. It stays in the temporary folder of the
// system until the end of all tests.
var mosquittoPlugin = sync.OnceValues(func() (string, error) {
	if _, err := os.Stat("/usr/include/mosquitto_plugin.h"); err != nil {
		return "", process.ErrNoMosquittoPlugin
	}
	var err error
	if pluginDir, err = os.MkdirTemp("", "devicetwin-plugin-"); err != nil {
		return "", err
	}
	file := filepath.Join(pluginDir, process.MosquittoPlugin)
	build := exec.Command("go", "build", "-tags", "mosquitto_plugin", "-buildmode=c-shared", "-o", file, "./deploy/mosquitto/plugin")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the plugin for Mosquitto: %w\n%s", err, out)
	}
	return file, nil
})

// pluginDir is the folder of mosquittoPlugin; "" if it was not built.
var pluginDir string

// runChaos runs cases, which have to pass. Logs of failed ones stay in the temporary
// folder.
func runChaos(t *testing.T, o chaos.Options, choices ...chaos.Choice) {
	t.Helper()
	for _, choice := range choices {
		cases, err := choice.Cases()
		if err != nil {
			t.Fatal(err)
		}
		o.Cases = append(o.Cases, cases...)
	}
	if slices.ContainsFunc(o.Cases, func(c chaos.Case) bool { return c.Broker == process.Mosquitto }) {
		plugin, err := mosquittoPlugin()
		if err != nil {
			t.Fatal(err)
		}
		o.MosquittoPlugin = plugin
	}
	o.Program = func(name string, args ...string) *exec.Cmd { return program(t, name, args...) }
	o.Out = t.Output()
	report, err := chaos.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := report.WriteTable(t.Output()); err != nil {
		t.Fatal(err)
	}
	if !report.Clean || len(report.Outcomes) != len(o.Cases) {
		t.Errorf("%d of %d cases are in the report, which has violations", len(report.Outcomes), len(o.Cases))
	}
}
