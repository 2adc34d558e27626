package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"devicetwin/api"
	"devicetwin/api/client"
	"devicetwin/device"
)

// An operator's day, with real servers and a device that answers.
func TestOperator(t *testing.T) {
	s := startSystem(t, 10_000)
	operator := operatorOf(t, s, "")
	_, err := operator.Device(t.Context(), "pump-1")
	expectStatus(t, err, http.StatusNotFound)

	pump := connect(t, s.MQTT.URL(), "pump-1")
	pump.subscribe("devices/pump-1/commands/+")
	pump.subscribe("devices/pump-1/twin/update/delta")
	pump.publish("devices/pump-1/status", `{"status": "boot", "firmware": "1.4.2", "site": "hall 3's"}`)
	known := func(what string, is func(api.Device) bool) {
		t.Helper()
		eventually(t, what, func(ctx context.Context) bool {
			d, err := operator.Device(ctx, "pump-1")
			return err == nil && is(d)
		})
	}
	known("the pump is online", func(d api.Device) bool {
		return d.State == "online" && d.Connection == device.Online && d.Firmware == "1.4.2" && d.LastSeen != nil
	})
	stream := listen(t, operator, "pump-1")
	stream.await(t, api.EventSnapshot)

	changeDesired(t, operator, pump)
	known("the pump has converged", func(d api.Device) bool { return d.Twin.Version == 2 && d.Twin.Delta == nil })
	stream.await(t, api.EventTwin)
	commandThePump(t, operator, pump)
	stream.await(t, api.EventCommand)
	if status := putTags(t, s.api, "pump-1", `{"old": "1"}`); status != http.StatusOK {
		t.Errorf("tags: status %d", status)
	}
	if status := putTags(t, s.api, "pump-1", `{"hall": "3 b"}`); status != http.StatusOK {
		t.Errorf("other tags: status %d", status)
	}
	stream.await(t, api.EventTags)
	findDevices(t, operator)

	_, err = operator.SendEvent(t.Context(), "pump-1", "device.silent", nil)
	expectStatus(t, err, http.StatusConflict)
	pump.publish("devices/pump-1/telemetry", `{"temperature": 95}`)
	stream.await(t, api.EventState)
	why, err := operator.Why(t.Context(), "pump-1", 1)
	if err != nil || len(why.Transitions) != 1 || why.Transitions[0].To != "overheated" || why.Transitions[0].Event != "reading" ||
		why.Transitions[0].Cause.Channel != "telemetry" || !slices.Contains(why.Transitions[0].Guards, "event.temperature > 90") {
		t.Errorf("why: %+v, %v", why, err)
	}

	if err := operator.Delete(t.Context(), "pump-1"); err != nil {
		t.Fatal(err)
	}
	stream.await(t, api.EventGone)
	_, err = operator.Device(t.Context(), "pump-1")
	expectStatus(t, err, http.StatusNotFound)
}

func expectStatus(t *testing.T, err error, status int) {
	t.Helper()
	var problem *client.Problem
	if !errors.As(err, &problem) || problem.Status != status {
		t.Errorf("%v, want status %d", err, status)
	}
}

// changeDesired changes what is desired; the pump gets the delta and follows.
func changeDesired(t *testing.T, operator *client.Client, pump *mqttDevice) {
	t.Helper()
	change := api.DesiredChange{Patch: api.Object(`{"interval": 12345678901234567890}`)}
	desired, err := operator.Desire(t.Context(), "pump-1", change)
	if err != nil || desired.Version != 1 || !slices.Equal(desired.Open, []string{"interval"}) {
		t.Fatalf("desired: %+v, %v", desired, err)
	}
	delta := pump.next()
	if !strings.Contains(delta.payload, `"state":{"interval":12345678901234567890}`) {
		t.Errorf("%s %s", delta.topic, delta.payload)
	}
	change.Version = 7
	_, err = operator.Desire(t.Context(), "pump-1", change)
	expectStatus(t, err, http.StatusPreconditionFailed)
	change = api.DesiredChange{Patch: api.Object(fmt.Sprintf(`{"x": %q}`, strings.Repeat("x", 9000)))}
	_, err = operator.Desire(t.Context(), "pump-1", change)
	expectStatus(t, err, http.StatusRequestEntityTooLarge)
	pump.publish("devices/pump-1/twin/update", `{"state": {"reported": {"interval": 12345678901234567890}}}`)
}

// commandThePump sends a command, which the pump carries out, and one that is
// cancelled before its turn.
func commandThePump(t *testing.T, operator *client.Client, pump *mqttDevice) {
	t.Helper()
	first, err := operator.SendCommand(t.Context(), "pump-1", api.NewCommand{Name: "reboot", Data: api.Object(`{"delay":10}`)})
	if err != nil {
		t.Fatal(err)
	}
	second, err := operator.SendCommand(t.Context(), "pump-1", api.NewCommand{Name: "reboot"})
	if err != nil || second.Status != device.CommandWaiting {
		t.Fatalf("second command: %+v, %v", second, err)
	}
	var got struct {
		ID   string
		Data struct{ Delay int }
	}
	m := pump.next()
	if err := json.Unmarshal([]byte(m.payload), &got); err != nil || m.topic != "devices/pump-1/commands/reboot" || got.ID != first.ID || got.Data.Delay != 10 {
		t.Fatalf("%s %s, %v, want command %s", m.topic, m.payload, err, first.ID)
	}
	pump.publish("devices/pump-1/commands/reboot/ack", fmt.Sprintf(`{"id": %q, "status": "succeeded", "result": {"uptime": 0}}`, first.ID))
	eventually(t, "the command succeeded", func(ctx context.Context) bool {
		c, err := operator.Command(ctx, "pump-1", first.ID)
		return err == nil && c.Status == device.CommandSucceeded && c.Done != nil && c.By == "anonymous"
	})
	if m := pump.next(); !strings.Contains(m.payload, second.ID) {
		t.Errorf("%s %s, want command %s", m.topic, m.payload, second.ID)
	}
	_, err = operator.Command(t.Context(), "pump-1", "none")
	expectStatus(t, err, http.StatusNotFound)
}

// putTags gives the status of the answer.
func putTags(t *testing.T, address, device, tags string) int {
	t.Helper()
	request, err := http.NewRequest(http.MethodPut, address+"/v1/devices/"+device+"/tags", strings.NewReader(tags))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// findDevices asks for the pump in every way there is, and in ways that must
// not find it, whatever they do to a query language.
func findDevices(t *testing.T, operator *client.Client) {
	t.Helper()
	find := func(ctx context.Context, query string) int {
		page, err := operator.Devices(ctx, query, 10, "")
		if err != nil {
			t.Errorf("%s: %v", query, err)
		}
		return len(page.Devices)
	}
	for _, query := range []string{
		"", "id:pump-1", "id:pum*", "state:online", "model:pump", "connection:online", "firmware:1.4.2",
		`site:"hall 3's"`, `tag.hall:"3 b"`, `state:online model:pump tag.hall:"3 b" id:p*`,
	} {
		eventually(t, "found by "+query, func(ctx context.Context) bool { return find(ctx, query) == 1 })
	}
	for _, query := range []string{
		"id:pump", "state:on", "connection:offline", "connection:unknown", "tag.hall:3", "tag.old:1", "reported.interval:1",
		`site:"x' OR '1'='1"`, `site:"\\' OR 1=1 OR DeviceSite = \\'"`, `tag.x:"' OR WorkflowType = 'Device"`, `id:"%"*`, `id:"_"*`,
	} {
		if n := find(t.Context(), query); n != 0 {
			t.Errorf("%s finds %d devices", query, n)
		}
	}
}

// listener collects the types of a stream's events.
type listener struct {
	mu   sync.Mutex
	seen map[string]int
}

func listen(t *testing.T, operator *client.Client, id device.ID) *listener {
	l := &listener{seen: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := operator.Stream(ctx, id, "", func(e client.Event) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.seen[e.Type]++
			return nil
		})
		if err != nil && ctx.Err() == nil {
			t.Errorf("stream: %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return l
}

func (l *listener) await(t *testing.T, kind string) {
	t.Helper()
	eventually(t, "event "+kind, func(context.Context) bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.seen[kind] > 0
	})
}
