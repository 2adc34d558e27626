package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	temporalclient "go.temporal.io/sdk/client"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/workflows/aggregate"
	twinclient "devicetwin/workflows/client"
	deviceworkflow "devicetwin/workflows/device"
)

// modelsOf are the models of the test, with a settle time in which so many sensors are lost on a
// busy machine.
func modelsOf(t *testing.T, sensors int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"sensor.yaml", "hub.yaml", "plant.yaml"} {
		src, err := os.ReadFile("testdata/groups/" + name)
		if err != nil {
			t.Fatal(err)
		}
		settle := fmt.Sprintf("settle: %ds", 50+sensors/8)
		if err := os.WriteFile(filepath.Join(dir, name), bytes.Replace(src, []byte("settle: 1m"), []byte(settle), 1), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// plant is a group of sensors with their gateway, on workers that are killed.
type plant struct {
	*testing.T
	temporal temporalclient.Client
	twins    *twinclient.Client
	model    *devicefsm.Model
	sensors  int

	mu     sync.Mutex
	alarms map[string]int // by id of the notification
	texts  []string
}

const plantID = device.ID("plant/north")

// ServeHTTP takes notifications.
func (p *plant) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var n struct {
		ID   string
		Data struct{ Alarm, Of string }
	}
	if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
		p.Error(err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.alarms[n.ID]++; p.alarms[n.ID] == 1 {
		p.texts = append(p.texts, n.Data.Alarm+" of "+n.Data.Of)
	}
}

func (p *plant) notified() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(slices.Values(p.texts))
}

func loadModelOf(t *testing.T, file string) *devicefsm.Model {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m, err := devicefsm.Load(file, src)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// deliver delivers a message of each device, 16 at a time, in some order.
func (p *plant) deliver(model *devicefsm.Model, name string, ids []device.ID) {
	p.Helper()
	var all sync.WaitGroup
	next := make(chan device.ID)
	for range 16 {
		all.Go(func() {
			for id := range next {
				m := device.Message{Channel: device.ChannelEvents, Name: name, Time: time.Now().UTC().Truncate(time.Millisecond)}
				if name == "" {
					m.Channel, m.Data = device.ChannelStatus, map[string]any{"status": "boot", "site": "north"}
				}
				d := device.Delivery{ID: id, Model: model.Hash(), Start: true, Batch: device.Batch{ID: fmt.Sprint(id, name, m.Time), Messages: []device.Message{m}}}
				for _, err := p.twins.Deliver(p.Context(), d); err != nil; _, err = p.twins.Deliver(p.Context(), d) {
					if p.Context().Err() != nil {
						return
					}
					time.Sleep(100 * time.Millisecond)
				}
			}
		})
	}
	for _, id := range ids {
		next <- id
	}
	close(next)
	all.Wait()
}

// hears waits until the group has so many changes of sensors, and has such alarms.
func (p *plant) hears(lost, back int, alarms ...devicefsm.Alarms) {
	p.Helper()
	var last string
	defer func() {
		if p.Failed() {
			p.Logf("the group has %s", last)
		}
	}()
	want := map[string]any{"lost": float64(lost), "back": float64(back)}
	eventuallyWithin(p.T, 5*time.Minute, time.Second, fmt.Sprintf("the group has %v, %+v", want, alarms), func(ctx context.Context) bool {
		view, err := p.twins.Snapshot(ctx, plantID)
		if err != nil {
			last = err.Error()
			return false
		}
		got := p.model.Alarms(view.Snapshot)
		last = fmt.Sprintf("%v, %+v, %d duplicates, %d runs", view.Snapshot.Context(), got, view.Delivery.Duplicates, view.Runs)
		return maps.Equal(view.Snapshot.Context(), want) && reflect.DeepEqual(got, alarms)
	})
	p.Logf("the group has %s", last)
}

// signals counts the signals in the history of the present run of a workflow.
func (p *plant) signals(id string) (signals, events int) {
	p.Helper()
	it := p.temporal.GetWorkflowHistory(p.Context(), id, "", false, 0)
	for it.HasNext() {
		e, err := it.Next()
		if err != nil {
			p.Fatal(err)
		}
		events++
		if e.GetWorkflowExecutionSignaledEventAttributes() != nil {
			signals++
		}
	}
	return signals, events
}

// A gateway is cut while its sensors are lost one after the other, and both workers are
// killed with -9 in the middle: one alarm, nothing arrives twice or not at all, and the
// fleet next to it has a clean ledger. GROUP_MEMBERS is how many sensors there are; 10000
// take about ten minutes.
func TestAGatewayIsCut(t *testing.T) {
	p := &plant{T: t, alarms: map[string]int{}, sensors: 200}
	if n, err := strconv.Atoi(os.Getenv("GROUP_MEMBERS")); err == nil {
		p.sensors = n
	}
	models := modelsOf(t, p.sensors)
	sensor, hub := loadModelOf(t, models+"/sensor.yaml"), loadModelOf(t, models+"/hub.yaml")
	p.model = loadModelOf(t, models+"/plant.yaml")
	web := httptest.NewServer(p)
	t.Cleanup(web.Close)
	servers := serve(t, "--only", "mqtt,temporal", "--data-dir", t.TempDir(), "--mqtt-port", "0", "--temporal-port", "0")
	where := []string{
		"--model", "models/pump.yaml", "--mqtt-url", servers.settings["DEVICETWIN_MQTT_URL"], "--temporal-address", servers.settings["DEVICETWIN_TEMPORAL_ADDRESS"],
	}
	common := append(slices.Clone(where), "--models", models, "--influx-url", "")
	startWorker := func() *process.Process {
		listen := "127.0.0.1:" + freePort(t)
		w := background(t, "devicetwin", append([]string{"worker", "--http-listen", listen, "--worker-credentials", servers.settings["DEVICETWIN_WORKER_CREDENTIALS"],
			"--worker-notify", "on_call=" + web.URL, "--worker-run-events", "150"}, common...)...)
		awaitReady(t, listen)
		return w
	}
	workers := []*process.Process{startWorker(), startWorker()}
	bridgeHTTP := "127.0.0.1:" + freePort(t)
	background(t, "devicetwin", append([]string{"bridge", "--http-listen", bridgeHTTP}, common...)...)
	awaitReady(t, bridgeHTTP)
	p.temporal = dialTemporal(t, servers.settings["DEVICETWIN_TEMPORAL_ADDRESS"])
	p.twins = twinclient.New(p.temporal, stack.Namespace, taskQueue, sensor.Hash())

	report := filepath.Join(t.TempDir(), "report.json")
	fleet := background(t, "devicetwin", append([]string{"simulate", "--devices", "10", "--rate", "2", "--duration", "40s", "--seed", "18", "--report", report}, where...)...)
	ids := make([]device.ID, p.sensors)
	for i := range ids {
		ids[i] = device.ID(fmt.Sprintf("sensor-%05d", i))
	}
	p.deliver(sensor, "", ids)
	p.deliver(hub, "", []device.ID{"hub-1"})

	began := time.Now()
	p.deliver(sensor, "lost", ids[:p.sensors/2])
	for i := range workers {
		workers[i].Kill()
	}
	p.deliver(sensor, "lost", ids[p.sensors/2:]) // nobody works
	p.deliver(hub, "lost", []device.ID{"hub-1"})
	workers = []*process.Process{startWorker(), startWorker()}
	p.hears(p.sensors, 0, devicefsm.Alarms{Alarm: "outage", Raised: 1}, devicefsm.Alarms{Alarm: "silence", Explained: p.sensors})
	t.Logf("%d changes in %v", p.sensors, time.Since(began).Round(time.Second))
	for i := range 4 {
		signals, events := p.signals(aggregate.WorkflowID(deviceworkflow.WorkflowID(plantID), i))
		t.Logf("aggregator %d: %d signals, %d events in its run", i, signals, events)
	}
	signals, events := p.signals(deviceworkflow.WorkflowID(plantID))
	t.Logf("group: %d signals, %d events in its run", signals, events)

	p.deliver(hub, "back", []device.ID{"hub-1"})
	workers[0].Kill()
	workers[1].Kill()
	startWorker()
	p.deliver(sensor, "back", ids[1:])
	p.hears(p.sensors, p.sensors-1, devicefsm.Alarms{Alarm: "outage"}, devicefsm.Alarms{Alarm: "silence", Raised: 1})
	want := []string{"outage of hub-1", "silence of sensor-00000"}
	eventually(t, "both alarms are notified", func(context.Context) bool { return slices.Equal(p.notified(), want) })
	if err := fleet.Wait(); err != nil {
		t.Errorf("simulate: %v", err)
	}
	expectClean(t, readReport(t, report), 0)
}
