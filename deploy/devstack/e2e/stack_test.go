package e2e

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"devicetwin/deploy/devstack/stack"
)

// start runs a stack for a test, on free ports and, unless o says otherwise, on
// temporary data.
func start(t *testing.T, o stack.Options) *stack.Stack {
	t.Helper()
	s, err := open(t, o)
	if err != nil {
		t.Fatalf("start the stack: %v", err)
	}
	t.Cleanup(func() { shut(t, s) })
	return s
}

func open(t *testing.T, o stack.Options) (*stack.Stack, error) {
	t.Helper()
	if o.Logger == nil {
		o.Logger = testLogger(t)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return stack.Start(ctx, o)
}

func shut(t *testing.T, s *stack.Stack) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close the stack: %v", err)
	}
}

func TestOptionsReportEveryFaultAtOnce(t *testing.T) {
	_, err := stack.Start(t.Context(), stack.Options{
		Host:  "localhost",
		Parts: []stack.Part{stack.PartMQTT, stack.PartUI, stack.PartGrafana},
		Ports: stack.Ports{MQTT: 70000, UI: 8000, Grafana: 8000},
	})
	if err == nil {
		t.Fatal("started with wrong options")
	}
	for _, want := range []string{
		`host "localhost": expected an IP address`,
		"part ui needs part temporal",
		"part grafana needs part influxdb",
		"part grafana needs the folder",
		"port 70000 of mqtt: expected 0 (any free port) to 65535",
		"port 8000 is given to both ui and grafana",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not say %q:\n%v", want, err)
		}
	}
}

func TestParseParts(t *testing.T) {
	parts, err := stack.ParseParts(" mqtt,influxdb ,mqtt")
	if err != nil || len(parts) != 2 || parts[0] != stack.PartMQTT || parts[1] != stack.PartInfluxDB {
		t.Errorf("got %v, %v", parts, err)
	}
	if _, err := stack.ParseParts("mqtt,kafak"); err == nil || !strings.Contains(err.Error(), `"kafak"`) {
		t.Errorf("unknown part: got %v", err)
	}
}

func TestTakenPortIsNamedAndNothingIsStarted(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	for part, ports := range map[stack.Part]stack.Ports{
		stack.PartMQTT:     {MQTT: port},
		stack.PartTemporal: {Temporal: port},
		stack.PartUI:       {UI: port},
		stack.PartInfluxDB: {InfluxDB: port},
	} {
		dir := filepath.Join(t.TempDir(), "data")
		_, err := open(t, stack.Options{Ports: ports, DataDir: dir})
		var taken *stack.PortError
		if !errors.As(err, &taken) || taken.Part != part || taken.Port != port {
			t.Errorf("%s on a taken port: got %v", part, err)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s on a taken port: the data directory was made", part)
		}
	}
}

func TestDataDirectoryIsLocked(t *testing.T) {
	o := stack.Options{DataDir: t.TempDir(), Parts: []stack.Part{stack.PartMQTT}}
	start(t, o)
	if s, err := open(t, o); err == nil {
		shut(t, s)
		t.Fatal("two brokers on one data directory")
	} else if !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("got %v", err)
	}
	// Another part on the same directory does not conflict.
	o.Parts = []stack.Part{stack.PartInfluxDB}
	start(t, o)
}

func TestTemporaryDataIsRemoved(t *testing.T) {
	s, err := open(t, stack.Options{Parts: []stack.Part{stack.PartInfluxDB}})
	if err != nil {
		t.Fatal(err)
	}
	dir := s.DataDir()
	shut(t, s)
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("temporary data directory %s is still there: %v", dir, err)
	}
}

// The whole stack twice on one data directory: everything is kept, although
// every port is another one.
func TestRestartKeepsEverything(t *testing.T) {
	o := stack.Options{DataDir: filepath.Join(t.TempDir(), "with space #1%")}
	s, err := open(t, o)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	session := connect(t, s.MQTT.URL(), "restart-reader", persistent)
	session.subscribe("devices/#")
	session.disconnect()
	writer := connect(t, s.MQTT.URL(), "restart-writer")
	writer.publish("devices/d1/telemetry", `{"n":1}`)
	runWorkflow(t, s, "device/restart")
	targetOf(s.InfluxDB).write(t, `restart,device=d1 n=1i`)
	shut(t, s)
	t.Logf("first run took %v", time.Since(began).Round(time.Millisecond))

	s = start(t, o)
	session = connect(t, s.MQTT.URL(), "restart-reader", persistent)
	if !session.present {
		t.Error("the broker forgot the session")
	}
	if got := session.next(); got.topic != "devices/d1/telemetry" || got.payload != `{"n":1}` {
		t.Errorf("message after the restart: %+v", got)
	}
	if got := countWorkflows(t, s, `WorkflowId = "device/restart" AND DeviceState = "online"`); got != 1 {
		t.Errorf("%d workflows after the restart", got)
	}
	if rows := queryInflux(t, s.InfluxDB.URL(), `SELECT n FROM restart`); len(rows) != 1 {
		t.Errorf("points after the restart: %v", rows)
	}
}
