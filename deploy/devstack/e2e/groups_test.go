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

// settleOf is a settle time in which so many sensors are lost on a busy machine; very many are for a
// quiet one.
func settleOf(sensors int) time.Duration {
	return time.Duration(50+min(sensors, 1000)/8+max(sensors-1000, 0)/45) * time.Second
}

// modelsOf are the models of the test, for so many sensors.
func modelsOf(t *testing.T, sensors int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"sensor.yaml", "hub.yaml", "plant.yaml"} {
		src, err := os.ReadFile("testdata/groups/" + name)
		if err != nil {
			t.Fatal(err)
		}
		src = bytes.Replace(src, []byte("settle: 1m"), []byte("settle: "+settleOf(sensors).String()), 1)
		if sensors > 5000 {
			src = bytes.Replace(src, []byte("aggregators: 4"), []byte("aggregators: 16"), 1)
		}
		if err := os.WriteFile(filepath.Join(dir, name), src, 0o600); err != nil {
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
	told   map[string]time.Time // when each of them came first
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
		text := n.Data.Alarm + " of " + n.Data.Of
		p.texts = append(p.texts, text)
		if _, ok := p.told[text]; !ok {
			p.told[text] = time.Now()
		}
	}
}

func (p *plant) notified() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(slices.Values(p.texts))
}

// toldAt is when an alarm was notified. It is waited for.
func (p *plant) toldAt(text string) (at time.Time) {
	p.Helper()
	eventuallyWithin(p.T, 5*time.Minute, 100*time.Millisecond, text+" is notified", func(context.Context) (ok bool) {
		p.mu.Lock()
		defer p.mu.Unlock()
		at, ok = p.told[text]
		return ok
	})
	return at
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
	eventuallyWithin(p.T, 5*time.Minute+settleOf(p.sensors), time.Second, fmt.Sprintf("the group has %v, %+v", want, alarms), func(ctx context.Context) bool {
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

// cost is what workflows have in their histories.
type cost struct {
	runs, signals, events int
	bytes                 int64
}

func (c cost) plus(o cost) cost {
	return cost{c.runs + o.runs, c.signals + o.signals, c.events + o.events, c.bytes + o.bytes}
}

func (c cost) minus(o cost) cost {
	return cost{c.runs - o.runs, c.signals - o.signals, c.events - o.events, c.bytes - o.bytes}
}

// over is the cost of each of so many changes.
func (c cost) over(changes int) string {
	n := float64(changes)
	return fmt.Sprintf("%.2f signals, %.1f history events, %.0f bytes", float64(c.signals)/n, float64(c.events)/n, float64(c.bytes)/n)
}

// costOf is that of all runs of a workflow.
func (p *plant) costOf(id string) (all cost) {
	p.Helper()
	for run := ""; ; {
		about, err := p.temporal.DescribeWorkflowExecution(p.Context(), id, run)
		if err != nil {
			p.Fatal(err)
		}
		all.runs++
		all.bytes += about.GetWorkflowExecutionInfo().GetHistorySizeBytes()
		it := p.temporal.GetWorkflowHistory(p.Context(), id, about.GetWorkflowExecutionInfo().GetExecution().GetRunId(), false, 0)
		run = ""
		for it.HasNext() {
			e, err := it.Next()
			if err != nil {
				p.Fatal(err)
			}
			all.events++
			if e.GetWorkflowExecutionSignaledEventAttributes() != nil {
				all.signals++
			}
			if started := e.GetWorkflowExecutionStartedEventAttributes(); started != nil {
				run = started.GetContinuedExecutionRunId()
			}
		}
		if run == "" {
			return all
		}
	}
}

// costs are those of the group, of its aggregators, and of some of its sensors.
func (p *plant) costs(sample []device.ID) (group, aggregators, sensors cost) {
	p.Helper()
	members, _ := p.model.Members()
	for i := range max(members.Aggregators, 1) {
		aggregators = aggregators.plus(p.costOf(aggregate.WorkflowID(deviceworkflow.WorkflowID(plantID), i)))
	}
	for _, id := range sample {
		sensors = sensors.plus(p.costOf(deviceworkflow.WorkflowID(id)))
	}
	return p.costOf(deviceworkflow.WorkflowID(plantID)), aggregators, sensors
}

// rate is how many of something there were in each second.
func rate(n int, took time.Duration) string {
	return fmt.Sprintf("%d in %v, %.0f/s", n, took.Round(time.Second), float64(n)/took.Seconds())
}

// A gateway is cut while its sensors are lost one after the other, and both workers are
// killed with -9 in the middle: one alarm, nothing arrives twice or not at all, and the
// fleet next to it has a clean ledger. GROUP_MEMBERS is how many sensors there are; 10000
// are for a quiet machine (docs/scaling.md has the figures that are logged).
func TestAGatewayIsCut(t *testing.T) {
	p := &plant{T: t, alarms: map[string]int{}, told: map[string]time.Time{}, sensors: 200}
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
	runEvents := strconv.Itoa(max(150, p.sensors/4)) // so that runs end in the middle
	startWorker := func() *process.Process {
		listen := "127.0.0.1:" + freePort(t)
		w := background(t, "devicetwin", append([]string{"worker", "--http-listen", listen, "--worker-credentials", servers.settings["DEVICETWIN_WORKER_CREDENTIALS"],
			"--worker-notify", "on_call=" + web.URL, "--worker-run-events", runEvents}, common...)...)
		awaitReady(t, listen)
		return w
	}
	workers := []*process.Process{startWorker(), startWorker()}
	bridgeHTTP := "127.0.0.1:" + freePort(t)
	background(t, "devicetwin", append([]string{"bridge", "--http-listen", bridgeHTTP}, common...)...)
	awaitReady(t, bridgeHTTP)
	p.temporal = dialTemporal(t, servers.settings["DEVICETWIN_TEMPORAL_ADDRESS"])
	p.twins = twinclient.New(p.temporal, stack.Namespace, taskQueue, sensor.Hash())

	ids := make([]device.ID, p.sensors)
	for i := range ids {
		ids[i] = device.ID(fmt.Sprintf("sensor-%05d", i))
	}
	sample := ids[1:min(len(ids), 51)]
	began := time.Now()
	p.deliver(sensor, "", ids)
	p.deliver(hub, "", []device.ID{"hub-1"})
	t.Logf("sensors that begin: %s", rate(p.sensors, time.Since(began)))

	report := filepath.Join(t.TempDir(), "report.json")
	fleet := background(t, "devicetwin", append([]string{"simulate", "--devices", "10", "--rate", "2", "--seed", "18", "--report", report,
		"--duration", (40*time.Second + time.Duration(p.sensors/45)*time.Second).String()}, where...)...)
	began = time.Now()
	p.deliver(sensor, "lost", ids[:p.sensors/2])
	for i := range workers {
		workers[i].Kill()
	}
	unattended := p.sensors/2 + min(p.sensors/2, 1000)
	p.deliver(sensor, "lost", ids[p.sensors/2:unattended]) // nobody works
	p.deliver(hub, "lost", []device.ID{"hub-1"})
	cut := time.Now()
	workers = []*process.Process{startWorker(), startWorker()}
	back := time.Now()
	p.deliver(sensor, "lost", ids[unattended:])
	p.hears(p.sensors, 0, devicefsm.Alarms{Alarm: "outage", Raised: 1}, devicefsm.Alarms{Alarm: "silence", Explained: p.sensors})
	t.Logf("changes that the group has heard: %s, without workers for %v of it", rate(p.sensors, time.Since(began)), back.Sub(cut).Round(time.Second))
	told := p.toldAt("outage of hub-1")
	t.Logf("the alarm is notified %v after the gateway was cut, %v after there were workers again", told.Sub(cut).Round(100*time.Millisecond), told.Sub(back).Round(100*time.Millisecond))
	group, aggregators, sensors := p.costs(sample)
	members, _ := p.model.Members()
	t.Logf("group: %+v, for each change %s", group, group.over(p.sensors))
	t.Logf("%d aggregators: %+v, for each change %s", max(members.Aggregators, 1), aggregators, aggregators.over(p.sensors))

	began = time.Now()
	p.deliver(hub, "back", []device.ID{"hub-1"})
	workers[0].Kill()
	workers[1].Kill()
	startWorker()
	p.deliver(sensor, "back", ids[1:])
	p.hears(p.sensors, p.sensors-1, devicefsm.Alarms{Alarm: "outage"}, devicefsm.Alarms{Alarm: "silence", Raised: 1})
	t.Logf("the last alarm is notified %v after the gateway was back; settle is %v", p.toldAt("silence of sensor-00000").Sub(began).Round(time.Second), settleOf(p.sensors))
	group2, aggregators2, sensors2 := p.costs(sample)
	t.Logf("group, way back: for each change %s", group2.minus(group).over(p.sensors-1))
	t.Logf("aggregators, way back: for each change %s", aggregators2.minus(aggregators).over(p.sensors-1))
	t.Logf("a sensor: for each change %s", sensors2.minus(sensors).over(len(sample)))
	want := []string{"outage of hub-1", "silence of sensor-00000"}
	eventually(t, "both alarms are notified", func(context.Context) bool { return slices.Equal(p.notified(), want) })
	if err := fleet.Wait(); err != nil {
		t.Errorf("simulate: %v", err)
	}
	expectClean(t, readReport(t, report), 0)
}
