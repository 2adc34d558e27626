package e2e

import (
	"path/filepath"
	"testing"

	"devicetwin/deploy/devstack/process"
)

// Kill -9 of the bridge and of the worker, again and again in the middle of a
// run, with every part in a process of its own.
func TestKilledBridgeAndWorkerLoseNothing(t *testing.T) {
	data, report := t.TempDir(), filepath.Join(t.TempDir(), "report.json")
	servers := serve(t, "--only", "mqtt,temporal,influxdb", "--data-dir", data,
		"--mqtt-port", "0", "--temporal-port", "0", "--influx-port", "0")
	common := []string{
		"--model", "models/pump.yaml",
		"--mqtt-url", servers.settings["DEVICETWIN_MQTT_URL"],
		"--temporal-address", servers.settings["DEVICETWIN_TEMPORAL_ADDRESS"],
	}
	points := []string{"--influx-url", servers.settings["DEVICETWIN_INFLUX_URL"]}
	bridgeHTTP, workerHTTP := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	run := func(command, http string, more ...string) *process.Process {
		args := append([]string{command, "--http-listen", http}, append(append(more, common...), points...)...)
		return background(t, "devicetwin", args...)
	}
	startBridge := func() *process.Process { return run("bridge", bridgeHTTP) }
	startWorker := func() *process.Process {
		return run("worker", workerHTTP, "--worker-credentials", servers.settings["DEVICETWIN_WORKER_CREDENTIALS"], "--worker-run-events", "20")
	}
	bridge, worker := startBridge(), startWorker()
	awaitReady(t, bridgeHTTP)
	awaitReady(t, workerHTTP)

	fleet := background(t, "devicetwin", append([]string{"simulate",
		"--devices", "40", "--rate", "5", "--duration", "30s", "--seed", "11", "--report", report}, common...)...)
	// Each round waits for some work of the new bridge, so that the kills fall
	// into the middle of it.
	for round := range 4 {
		awaitMetric(t, bridgeHTTP, process.MetricReceived, 300)
		if round%2 == 0 {
			worker.Kill()
			awaitMetric(t, bridgeHTTP, process.MetricReceived, 450)
			bridge.Kill()
			bridge, worker = startBridge(), startWorker()
		} else {
			bridge.Kill()
			worker.Kill()
			worker, bridge = startWorker(), startBridge()
		}
		awaitReady(t, bridgeHTTP)
		awaitReady(t, workerHTTP)
		if fleet.Over() {
			t.Fatal("the fleet ended before the last kill")
		}
	}
	if err := fleet.Wait(); err != nil {
		t.Errorf("simulate: %v", err)
	}
	expectClean(t, readReport(t, report), 5)
}
