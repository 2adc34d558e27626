package e2e

import (
	"context"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"devicetwin/deploy/devstack/stack"
)

// What the broker has acknowledged survives kill -9: the messages, the session
// that waits for them, and what was in flight and unacknowledged.
func TestBrokerSurvivesKill(t *testing.T) {
	args := []string{"--only", "mqtt", "--data-dir", t.TempDir(), "--mqtt-port", freePort(t)}
	broker := serve(t, args...)
	url := broker.settings["DEVICETWIN_MQTT_URL"]
	bridge := connect(t, url, "bridge", persistent)
	bridge.subscribe("devices/#")
	pump := connect(t, url, "pump")
	next := 0
	publish := func(n int) {
		for range n {
			pump.publish("devices/p1/telemetry", strconv.Itoa(next))
			next++
		}
	}
	low, high := 0, 0
	for round := range 4 {
		publish(100)
		low = bridge.inOrder(low, high, next-1)
		high = low + 30
		bridge.acknowledge(30)
		if round%2 == 1 {
			// Nobody is there to receive them when the broker is killed.
			bridge.disconnect()
			publish(100)
		}
		broker.Kill()
		broker = serve(t, args...)
		pump = connect(t, url, "pump")
		publish(10) // before the bridge reconnects: they have to wait their turn
		bridge = connect(t, url, "bridge", persistent)
		if !bridge.present {
			t.Fatalf("round %d: the broker forgot the session", round)
		}
	}
	bridge.inOrder(low, high, next-1)
	bridge.nothingFor(300 * time.Millisecond)
	if err := broker.StopBy(os.Interrupt); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
}

func TestTemporalSurvivesKill(t *testing.T) {
	args := []string{"--only", "temporal", "--data-dir", t.TempDir(), "--temporal-port", freePort(t)}
	server := serve(t, args...)
	c := dialTemporal(t, server.settings["DEVICETWIN_TEMPORAL_ADDRESS"])
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range 20 {
		id := "device/" + strconv.Itoa(i)
		if _, err := c.SignalWithStartWorkflow(ctx, id, "events", "x", client.StartWorkflowOptions{TaskQueue: "nobody"}, "probe"); err != nil {
			t.Fatalf("signal with start: %v", err)
		}
	}
	server.Kill()
	serve(t, args...)
	for i := range 20 {
		id := "device/" + strconv.Itoa(i)
		eventually(t, "workflow "+id, func(ctx context.Context) bool {
			_, err := c.DescribeWorkflowExecution(ctx, id, "")
			return err == nil
		})
		history := c.GetWorkflowHistory(ctx, id, "", false, 1)
		signals := 0
		for history.HasNext() {
			event, err := history.Next()
			if err != nil {
				t.Fatal(err)
			}
			if event.GetWorkflowExecutionSignaledEventAttributes() != nil {
				signals++
			}
		}
		if signals != 1 {
			t.Errorf("workflow %s has %d signals", id, signals)
		}
	}
}

func TestInfluxDBSurvivesKill(t *testing.T) {
	args := []string{"--only", "influxdb", "--data-dir", t.TempDir(), "--influx-port", freePort(t)}
	server := serve(t, args...)
	address := server.settings["DEVICETWIN_INFLUX_URL"]
	for i := range 20 {
		response, err := http.Post(address+"/api/v2/write?bucket="+stack.BucketName, "text/plain",
			strings.NewReader("crash n="+strconv.Itoa(i)+"i "+strconv.Itoa(1764000000000000000+i)))
		if err != nil || response.StatusCode != http.StatusNoContent {
			t.Fatalf("write: %v, %v", response, err)
		}
		response.Body.Close()
	}
	server.Kill()
	serve(t, args...)
	if rows := queryInflux(t, address, "SELECT n FROM crash"); len(rows) != 20 {
		t.Errorf("%d points of 20 are left", len(rows))
	}
}

func TestTakenPortNamesTheFlag(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	out, err := program(t, "devstack", "serve", "--only", "influxdb", "--data-dir", t.TempDir(), "--influx-port", port).CombinedOutput()
	if err == nil {
		t.Error("exit status 0 although the port is taken")
	}
	for _, want := range []string{"influxdb: cannot listen on port " + port, "--influx-port", "DEVICETWIN_INFLUX_PORT in the environment"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("output does not say %q:\n%s", want, out)
		}
	}
}

func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{
		{"serve", "--only", "mqtt,pulsar"},
		{"serve", "--mqtt-port", "many"},
		{"demo", "--devices", "0"},
		{"demo", "--model", "models/none.yaml"},
		{"dev", "--http-listen", ""},
		{"nonsense"},
	} {
		command := program(t, "devstack", args...)
		out, _ := command.CombinedOutput()
		if status := command.ProcessState.ExitCode(); status != 2 {
			t.Errorf("devstack %v: exit status %d\n%s", args, status, out)
		}
	}
}
