package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"devicetwin/api/client"
	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/internal/credentials"
	"devicetwin/service"
	"devicetwin/simulator"
	twinclient "devicetwin/workflows/client"
)

const (
	root      = "../../.."
	pumpModel = root + "/models/pump.yaml"
)

var taskQueue = service.DefaultConfig().Temporal.TaskQueue

// system is a stack with the bridge and the worker in this process.
type system struct {
	*stack.Stack
	influx influxTarget
	twins  *twinclient.Client
	http   string
	api    string // the operator's API
}

// startSystem runs everything but a fleet; each run of a workflow applies at
// most runEvents messages.
func startSystem(t *testing.T, runEvents int) *system {
	t.Helper()
	return startSystemOn(t, stack.Options{}, runEvents)
}

// startSystemOn is startSystem with more parts, and what they need.
func startSystemOn(t *testing.T, o stack.Options, runEvents int) *system {
	t.Helper()
	return startSystemWriting(t, o, nil, runEvents)
}

// startSystemWriting is startSystemOn with points in another InfluxDB than that of the
// stack, which is left out then, and with other settings.
func startSystemWriting(t *testing.T, o stack.Options, influx *influxTarget, runEvents int, change ...func(*service.Config)) *system {
	t.Helper()
	dir := t.TempDir()
	store, err := credentials.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	o.Parts = append(o.Parts, stack.PartMQTT, stack.PartTemporal)
	if influx == nil {
		o.Parts = append(o.Parts, stack.PartInfluxDB)
	}
	o.Credentials = store
	s := start(t, o)
	if influx == nil {
		embedded := targetOf(s.InfluxDB)
		influx = &embedded
	}
	config := service.DefaultConfig()
	config.MQTT.URL, config.Temporal.Address, config.Temporal.Namespace = []string{s.MQTT.URL()}, s.Temporal.Addr(), stack.Namespace
	config.Influx.InfluxServer = influx.InfluxServer
	config.Model.Model, config.HTTP.Listen, config.API.Listen = pumpModel, "127.0.0.1:0", "127.0.0.1:0"
	config.Model.Copies = filepath.Join(dir, "models")
	config.Bridge.ID, config.Bridge.QuotaRate = "e2e", 0 // tests send as fast as they can
	config.Worker.Credentials, config.Worker.RunEvents, config.Worker.CountEvery = dir, runEvents, 2*time.Second
	for _, c := range change {
		c(&config)
	}
	models := config.Model
	service, err := service.Start(config, service.Bridge|service.Worker|service.API, testLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := service.Close(); err != nil {
			t.Errorf("close bridge and worker: %v", err)
		}
	})
	awaitReady(t, service.HTTPAddr())
	loaded, err := models.LoadModels()
	if err != nil {
		t.Fatal(err)
	}
	temporal := dialTemporal(t, s.Temporal.Addr())
	return &system{
		Stack: s, influx: *influx, http: service.HTTPAddr(), api: service.APIURL(),
		twins: twinclient.New(temporal, stack.Namespace, taskQueue, loaded[0].Hash()),
	}
}

// operatorOf is an operator's client, with a token if the API asks for one.
func operatorOf(t *testing.T, s *system, token string) *client.Client {
	t.Helper()
	operator, err := client.New(s.api, token)
	if err != nil {
		t.Fatal(err)
	}
	return operator
}

func awaitReady(t *testing.T, addr string) {
	t.Helper()
	deadline := time.Now().Add(5 * patience)
	for {
		status, body := get(addr, "/readyz")
		if status == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not ready: %s", addr, body)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func get(addr, path string) (status int, body string) {
	response, err := http.Get("http://" + addr + path)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	raw, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(raw)
}

// metric reads one metric of a process; -1 while it does not answer.
func metric(addr, name string) float64 {
	_, body := get(addr, "/metrics")
	if value, ok := process.Metrics(body)[name]; ok {
		return value
	}
	return -1
}

// readReport reads the report of a simulation, and refuses a run that proved
// nothing.
func readReport(t *testing.T, file string) simulator.Report {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var report simulator.Report
	if err := json.Unmarshal(raw, &report); err != nil {
		t.Fatal(err)
	}
	return report
}

// expectClean checks the figures one by one: Clean is the simulator's conclusion.
func expectClean(t *testing.T, r simulator.Report, leastReprovisions uint64) {
	t.Helper()
	if !r.Clean || r.Lost+r.Duplicated+r.Reordered+r.Unexpected+r.ReprovisionsMissing+r.ReprovisionsSpurious != 0 || r.DevicesUnsettled != 0 {
		text, _ := json.MarshalIndent(r, "", "  ")
		t.Errorf("the run has violations:\n%s", text)
	}
	if r.Applied == 0 || r.Applied != r.Relevant || r.ReprovisionsDone < leastReprovisions || r.ReprovisionsDone != r.ReprovisionsExpected {
		t.Errorf("%d of %d relevant messages applied, %d of %d reprovisions done; want all of them, and at least %d reprovisions",
			r.Applied, r.Relevant, r.ReprovisionsDone, r.ReprovisionsExpected, leastReprovisions)
	}
}

// awaitMetric waits until a metric of a process has reached a value.
func awaitMetric(t *testing.T, addr, name string, least float64) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for metric(addr, name) < least {
		if time.Now().After(deadline) {
			t.Fatalf("%s of %s is %v after a minute, want %v", name, addr, metric(addr, name), least)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
