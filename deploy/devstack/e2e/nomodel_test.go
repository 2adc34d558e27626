package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"devicetwin/api"
	"devicetwin/api/client"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/service"
)

// Two versions of one model, as somebody edits its file.
const (
	editedBefore = "model: lamp\nevents: {boot: {channel: status}}\ninitial: off\nstates: {off: {on: {boot: on}}, on: {on: {boot: off}}}\n"
	editedAfter  = "model: lamp\nevents: {boot: {channel: status}}\ninitial: dark\nstates: {dark: {on: {boot: bright}}, bright: {on: {boot: dark}}}\n"
)

// lamps is a service whose model is edited, on servers that stay.
type lamps struct {
	*testing.T
	servers *stack.Stack
	config  service.Config
	running *service.Service
	api     *client.Client
	devices map[string]*mqttDevice
	births  int
}

func startLamps(t *testing.T, keys string) *lamps {
	dir := t.TempDir()
	l := &lamps{T: t, devices: map[string]*mqttDevice{}, servers: start(t, stack.Options{Parts: []stack.Part{stack.PartMQTT, stack.PartTemporal}})}
	c := service.DefaultConfig()
	c.MQTT.URL, c.Temporal.Address, c.Temporal.Namespace, c.Temporal.Keys = []string{l.servers.MQTT.URL()}, l.servers.Temporal.Addr(), stack.Namespace, keys
	c.Influx.URL, c.HTTP.Listen, c.API.Listen = "", "127.0.0.1:0", "127.0.0.1:0"
	c.Model.Model, c.Model.Copies = filepath.Join(dir, "lamp.yaml"), filepath.Join(dir, "copies")
	c.Bridge.ID, c.Worker.Credentials, c.Worker.CountEvery = "lamps", filepath.Join(dir, "credentials"), time.Second
	l.config = c
	t.Cleanup(l.stop)
	return l
}

// run starts the service with a model.
func (l *lamps) run(model string) {
	l.Helper()
	l.stop()
	if err := os.WriteFile(l.config.Model.Model, []byte(model), 0o600); err != nil {
		l.Fatal(err)
	}
	running, err := service.Start(l.config, service.Bridge|service.Worker|service.API, testLogger(l.T))
	if err != nil {
		l.Fatal(err)
	}
	l.running = running
	awaitReady(l.T, running.HTTPAddr())
	if l.api, err = client.New(running.APIURL(), ""); err != nil {
		l.Fatal(err)
	}
}

func (l *lamps) stop() {
	if l.running == nil {
		return
	}
	if err := l.running.Close(); err != nil {
		l.Error(err)
	}
	l.running = nil
}

func (l *lamps) boot(id string) {
	l.Helper()
	l.births++
	if l.devices[id] == nil {
		l.devices[id] = connect(l.T, l.servers.MQTT.URL(), id)
	}
	l.devices[id].publish("devices/"+id+"/status", `{"status":"boot","birth":`+strings.Repeat("1", l.births)+`}`)
}

func (l *lamps) becomes(id device.ID, state string) (hash string) {
	l.Helper()
	eventually(l.T, string(id)+" is "+state, func(ctx context.Context) bool {
		d, err := l.api.Device(ctx, id)
		hash = d.ModelHash
		return err == nil && d.State == state
	})
	return hash
}

// says awaits what /readyz answers, and the metrics.
func (l *lamps) says(remark string, models, devices float64) {
	l.Helper()
	var status int
	var body string
	at := l.running.HTTPAddr()
	eventually(l.T, "readiness and metrics say "+remark, func(context.Context) bool {
		status, body = get(at, "/readyz")
		return (remark == "" && body == "ready\n" || remark != "" && strings.Contains(body, remark)) &&
			metric(at, "devicetwin_worker_models_missing") == models && metric(at, "devicetwin_worker_devices_without_model") == devices
	})
	if status != http.StatusOK || !strings.HasPrefix(body, "ready\n") {
		l.Errorf("status %d, %s: a worker that lacks one model is ready for all other devices", status, body)
	}
}

// A model that is edited in place leaves its devices at work: they go on with the copy of
// the version that they have. Without that copy they wait, and the API, readiness and
// metrics name the hash; nothing is lost, and no restart is needed to give it back.
func TestAModelEditedInPlace(t *testing.T) {
	for name, keys := range map[string]string{"plain": "", "encrypted": aKeyFile(t)} {
		t.Run(name, func(t *testing.T) {
			l := startLamps(t, keys)
			l.run(editedBefore)
			l.boot("idle-1")
			l.boot("busy-1")
			old := l.becomes("idle-1", "on")
			l.becomes("busy-1", "on")

			l.run(editedAfter)
			l.boot("idle-1")
			l.boot("busy-1")
			l.boot("new-1")
			l.becomes("busy-1", "off")
			if hash := l.becomes("idle-1", "off"); hash != old {
				t.Errorf("the device has the model %s after the edit, want %s", hash, old)
			}
			l.becomes("new-1", "bright")
			l.says("", 0, 0)

			away := l.config.Model.Copies + ".away"
			l.stop()
			if err := os.Rename(l.config.Model.Copies, away); err != nil {
				t.Fatal(err)
			}
			l.run(editedAfter)
			l.boot("busy-1")
			l.says(old+" (devices: 2)", 1, 2)
			l.refused("idle-1", old)
			l.refused("busy-1", old)
			page, err := l.api.Devices(t.Context(), "model_hash:"+old, 10, "")
			if err != nil || len(page.Devices) != 2 {
				t.Errorf("found by the hash: %+v, %v", page.Devices, err)
			}

			if keys != "" {
				return // the rest does not depend on it, and takes Temporal's time
			}
			if err := os.Rename(filepath.Join(away, old), filepath.Join(l.config.Model.Copies, old)); err != nil {
				t.Fatal(err)
			}
			// Temporal tries a task again after 10 seconds, and then ever less often.
			eventuallyWithin(t, 110*time.Second, time.Second, "busy-1 is on", func(ctx context.Context) bool {
				d, err := l.api.Device(ctx, "busy-1")
				return err == nil && d.State == "on"
			})
			l.becomes("idle-1", "off")
			l.says("", 0, 0)
		})
	}
}

// refused expects 409 with the hash of every route of a device.
func (l *lamps) refused(id device.ID, hash string) {
	l.Helper()
	ctx := l.Context()
	type route struct {
		name string
		ask  func() error
	}
	routes := []route{
		{"get", func() error { _, err := l.api.Device(ctx, id); return err }},
		{"why", func() error { _, err := l.api.Why(ctx, id, 1); return err }},
		{"command", func() error { _, err := l.api.Command(ctx, id, "c"); return err }},
		{"stream", func() error { return l.ask(http.MethodGet, id, "/stream", "") }},
		{"desired", func() error {
			_, err := l.api.Desire(ctx, id, api.DesiredChange{Patch: api.Object(`{"a":1}`)})
			return err
		}},
		{"send", func() error { _, err := l.api.SendCommand(ctx, id, api.NewCommand{Name: "blink"}); return err }},
		{"event", func() error { _, err := l.api.SendEvent(ctx, id, "go", nil); return err }},
		{"cancel", func() error { return l.ask(http.MethodDelete, id, "/commands/c", "") }},
		{"reprovision", func() error { return l.ask(http.MethodPost, id, "/reprovision", `{"reason":"test"}`) }},
		{"tags", func() error { return l.ask(http.MethodPut, id, "/tags", `{"a":"b"}`) }},
		{"get", func() error { _, err := l.api.Device(ctx, id); return err }},
	}
	if l.config.Temporal.Keys != "" { // a change may be made after all when the model is back
		routes = append(routes, route{"delete", func() error { return l.api.Delete(ctx, id) }})
	}
	for _, r := range routes {
		began := time.Now()
		err := r.ask()
		var problem *client.Problem
		if !errors.As(err, &problem) || problem.Status != http.StatusConflict || !strings.Contains(problem.Error(), hash) {
			l.Errorf("%s of %s: %v, want 409 with the hash %s", r.name, id, err, hash)
		}
		if took := time.Since(began); took > 8*time.Second {
			l.Errorf("%s of %s: answered after %v", r.name, id, took)
		}
	}
}

// ask makes a request that the client has no method for; the error is a Problem.
func (l *lamps) ask(method string, id device.ID, path, body string) error {
	request, err := http.NewRequestWithContext(l.Context(), method, l.running.APIURL()+"/v1/devices/"+string(id)+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	problem := &client.Problem{}
	if err := json.NewDecoder(response.Body).Decode(problem); err != nil {
		return err
	}
	return problem
}
