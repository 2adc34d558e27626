package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/service"
	twinclient "devicetwin/workflows/client"
	deviceworkflow "devicetwin/workflows/device"
)

const callers = 1000

// TestAThousandCallersOneDevice lets a thousand callers give one device an order
// at once, while workers are killed: each order is carried out once, one after
// the other, in the order in which the device's workflow took them.
func TestAThousandCallersOneDevice(t *testing.T) {
	dir := t.TempDir()
	servers := serve(t, "--only", "mqtt,temporal", "--data-dir", dir, "--mqtt-port", freePort(t), "--temporal-port", freePort(t))
	common := []string{
		"--model", "models/pump.yaml", "--mqtt-url", servers.settings["DEVICETWIN_MQTT_URL"], "--temporal-address", servers.settings["DEVICETWIN_TEMPORAL_ADDRESS"],
		"--influx-url", "",
	}
	bridgeHTTP, workerHTTP := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	background(t, "devicetwin", append([]string{"bridge", "--http-listen", bridgeHTTP}, common...)...)
	startWorker := func() *process.Process {
		// A run ends after 300 messages and orders: some of them meet its end.
		w := background(t, "devicetwin", append([]string{"worker", "--http-listen", workerHTTP,
			"--worker-credentials", t.TempDir(), "--worker-run-events", "300"}, common...)...)
		awaitReady(t, workerHTTP)
		return w
	}
	worker := startWorker()
	awaitReady(t, bridgeHTTP)

	pump := newObedient(t, servers.settings["DEVICETWIN_MQTT_URL"], "p1")
	pump.publish("devices/p1/status", `{"status":"boot"}`)
	models, err := service.ModelConfig{Model: pumpModel}.LoadModels()
	if err != nil {
		t.Fatal(err)
	}
	twins := twinclient.New(dialTemporal(t, servers.settings["DEVICETWIN_TEMPORAL_ADDRESS"]), stack.Namespace, taskQueue, models[0].Hash())
	eventually(t, "p1 has a workflow", func(ctx context.Context) bool {
		view, err := twins.Describe(ctx, "p1")
		return err == nil && view.Connection == device.Online
	})

	ordered := make([]string, callers)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			c, err := twins.Command(t.Context(), "p1", device.By{Who: fmt.Sprint("caller ", i)}, deviceworkflow.Order{
				Name: "count", Data: json.RawMessage(fmt.Sprintf(`{"caller":%d}`, i)), TTL: time.Hour,
			})
			if err != nil {
				t.Errorf("caller %d: %v", i, err)
			}
			ordered[i] = c.ID
		})
	}
	for _, least := range []int{100, 400, 700} {
		pump.awaitDone(least)
		worker.Kill()
		worker = startWorker()
	}
	all.Wait()
	pump.awaitDone(callers)
	pump.checkOrder(ordered)
}

// obedient is a device that carries out each command once and says so.
type obedient struct {
	*mqttDevice
	stop     chan struct{}
	mu       sync.Mutex
	done     []string // ids, in the order of carrying out
	data     []int    // who called
	repeated int
}

func newObedient(t *testing.T, url, id string) *obedient {
	o := &obedient{mqttDevice: connect(t, url, id), stop: make(chan struct{})}
	o.subscribe("devices/" + id + "/commands/+")
	var working sync.WaitGroup
	working.Go(func() {
		for {
			select {
			case m := <-o.inbox:
				o.obey(m)
			case <-o.stop:
				return
			}
		}
	})
	t.Cleanup(func() { close(o.stop); working.Wait() })
	return o
}

// obey answers also what it has done already: its answer may have been lost.
func (o *obedient) obey(m received) {
	var c struct {
		ID   string
		Data struct{ Caller int }
	}
	if err := json.Unmarshal([]byte(m.payload), &c); err != nil {
		o.t.Errorf("command %s: %v", m.payload, err)
		return
	}
	o.mu.Lock()
	if n := len(o.done); n > 0 && o.done[n-1] == c.ID {
		o.repeated++
	} else {
		o.done, o.data = append(o.done, c.ID), append(o.data, c.Data.Caller)
	}
	o.mu.Unlock()
	o.client.Publish(m.topic+"/ack", 1, false, `{"id":"`+c.ID+`","status":"succeeded"}`)
}

func (o *obedient) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.done)
}

func (o *obedient) awaitDone(least int) {
	o.t.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	for o.count() < least {
		if time.Now().After(deadline) {
			o.t.Fatalf("%d commands are done after three minutes, want %d", o.count(), least)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// checkOrder wants each order once, and their ids, which the workflow counted,
// ascending.
func (o *obedient) checkOrder(ordered []string) {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.done) != len(ordered) {
		o.t.Errorf("%d commands were carried out, want %d", len(o.done), len(ordered))
	}
	before := 0
	for i, id := range o.done {
		n, err := strconv.Atoi(id[strings.LastIndexByte(id, '-')+1:])
		if err != nil || n <= before {
			o.t.Fatalf("command %s came after number %d", id, before)
		}
		before = n
		if caller := o.data[i]; ordered[caller] != id {
			o.t.Errorf("caller %d received %s, and the device got %s", caller, ordered[caller], id)
		}
	}
	o.t.Logf("%d commands in order, %d of them delivered twice around a kill", len(o.done), o.repeated)
}
