package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"devicetwin/api"
	"devicetwin/api/client"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/points"
	"devicetwin/service"
)

// Everything that a device can do wrong can be seen at it, from the broker to the API:
// with its topic, its reason and what was sent.
func TestFaultsOfADeviceAreShown(t *testing.T) {
	for version, open := range influxTargets {
		t.Run(version, func(t *testing.T) {
			influx := open(t, 24*time.Hour)
			s := startSystemWriting(t, stack.Options{}, &influx, 10_000, func(c *service.Config) { c.Bridge.ModelFromBirth = true })
			showFaults(t, s)
		})
	}
}

// aFault is what a device does wrong, and what is shown of it.
type aFault struct {
	topic, payload string
	want           api.Fault // its detail begins so
}

func faultsToMake(late string) []aFault {
	wide := make(map[string]int)
	for n := range points.MaxFields + 1 {
		wide[fmt.Sprint("f", n)] = n
	}
	tooMany, _ := json.Marshal(wide)
	old := strconv.FormatInt(time.Now().Add(-48*time.Hour).UnixMilli(), 10)
	return []aFault{
		{"telemetry", `{"code":"117"}`, api.Fault{Reason: device.FaultExpression, Detail: `when "has(msg.code) && msg.code >= 100" of event "fault": msg.code is a string ("117"), expected a number`, Value: `{"code":"117"}`}},
		{"status", `{"status":"sleepy"}`, api.Fault{Reason: device.FaultUnknownStatus, Detail: "expected a status word", Value: `"sleepy"`}},
		{"commands/reboot/ack", `{"id":"` + late + `","status":"done"}`, api.Fault{Reason: device.FaultUnknownAck, Detail: "expected the status accepted, succeeded, failed or rejected", Value: `"done"`}},
		{"commands/reboot/ack", `{"id":"c-17","status":"succeeded"}`, api.Fault{Reason: device.FaultUnknownCommand, Detail: "expected the id of a command", Value: `"c-17"`}},
		{"commands/reboot/ack", `{"id":"` + late + `","status":"succeeded"}`, api.Fault{Reason: device.FaultLateAck, Detail: "command " + late + " had ended before: expired", Value: `"succeeded"`}},
		{"telemetry", `{"n":1,"ts":"yesterday"}`, api.Fault{Reason: device.FaultTime, Detail: "ts: ", Value: `"yesterday"`}},
		{"events/dor", `{"open":true}`, api.Fault{Reason: device.FaultUnknownEvent, Detail: `model pump does not know the event "dor"`, Value: `{"open":true}`}},
		{"telemetry", `{"n":2,"ts":` + old + `}`, api.Fault{Reason: device.FaultPoint, Value: "n=2"}},
		{"telemetry", string(tooMany), api.Fault{Reason: device.FaultTooManyFields, Detail: "257 fields; a point has room for 256"}},
		{"telemetry", `{"temperature": NaN}`, api.Fault{Reason: device.FaultRefused, Value: `{"temperature": NaN}`}},
	}
}

func showFaults(t *testing.T, s *system) {
	operator := operatorOf(t, s, "")
	pump := connect(t, s.MQTT.URL(), "pump-1")
	pump.publish("devices/pump-1/status", `{"status":"boot","model":"pmup","epoch":1,"seq":1}`)
	pump.publish("devices/pump-1/status", `{"status":"boot","model":"pump","epoch":1,"seq":2}`)
	pump.publish("devices/pump-1/status", `{"status":"boot","model":"pump","epoch":1,"seq":1,"again":true}`)
	made := faultsToMake(expired(t, operator))
	for _, f := range made {
		pump.publish("devices/pump-1/"+f.topic, f.payload)
	}
	made = append(made,
		aFault{"status", "", api.Fault{Reason: device.FaultUnknownModel, Detail: `model "pmup" is not loaded`, Value: `"pmup"`}},
		aFault{"status", "", api.Fault{Reason: device.FaultRestarted, Detail: "numbered from epoch 1, seq 1 after epoch 1, seq 2"}})
	// The last one is found after InfluxDB has refused it; the next message takes it along.
	eventually(t, "what InfluxDB refuses is counted", func(context.Context) bool {
		n := faultsCounted(s)
		return n[string(device.FaultPoint)] == 1 && n[string(device.FaultTooManyFields)] == 1 && n[string(device.FaultRefused)] == 1
	})
	pump.publish("devices/pump-1/status", `{"status":"online"}`)
	var shown api.Device
	eventually(t, "all faults are shown", func(ctx context.Context) bool {
		var err error
		shown, err = operator.Device(ctx, "pump-1")
		return err == nil && len(shown.Reports) >= len(made)
	})
	for _, f := range made {
		if !slices.ContainsFunc(shown.Reports, f.is) {
			t.Errorf("not shown: %s %s %s %s", f.topic, f.want.Reason, f.want.Detail, f.want.Value)
		}
	}
	if len(shown.Reports) != len(made) || shown.ReportCount != uint64(len(made)) || t.Failed() {
		t.Errorf("%d faults for %d:\n%+v", shown.ReportCount, len(made), shown.Reports)
	}
	// A transition takes along what would leave within a minute.
	pump.publish("devices/pump-1/telemetry", `{"temperature":95}`)
	keptFaults(t, s, made)
	// What only the workflow finds is not the bridge's to count.
	want := []string{"expression", "point", "refused", "time", "too_many_fields", "unknown_event", "unknown_model"}
	if n := faultsCounted(s); !slices.Equal(slices.Sorted(maps.Keys(n)), want) {
		t.Errorf("counted %v, want one of each of %q", n, want)
	}
}

// keptFaults expects a point of each fault that was made, with its reason as a tag.
func keptFaults(t *testing.T, s *system, made []aFault) {
	t.Helper()
	var want []string
	for _, f := range made {
		want = append(want, string(f.want.Reason)+" "+f.topic)
	}
	slices.Sort(want)
	var got []string
	eventually(t, "a point of each fault", func(context.Context) bool {
		got = nil
		for _, row := range s.influx.query(t, `SELECT "reason", "topic", "value", "text", "count" FROM "device_faults" WHERE "device" = 'pump-1'`) {
			got = append(got, fmt.Sprint(row[1], " ", row[2]))
		}
		return len(got) >= len(want)
	})
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("points of faults %q, want %q", got, want)
	}
}

// is reports whether it is this fault that is shown.
func (f aFault) is(shown api.Fault) bool {
	return shown.Topic == f.topic && shown.Reason == f.want.Reason && strings.HasPrefix(shown.Detail, f.want.Detail) &&
		strings.HasPrefix(shown.Value, f.want.Value) && time.Since(shown.At) < time.Minute && shown.Count <= 1
}

// expired is a command that the device did not answer in time.
func expired(t *testing.T, operator *client.Client) string {
	t.Helper()
	var sent api.Command
	eventually(t, "a command is sent", func(ctx context.Context) (ok bool) {
		var err error
		sent, err = operator.SendCommand(ctx, "pump-1", api.NewCommand{Name: "reboot", TTL: time.Second})
		return err == nil
	})
	eventually(t, "it expires", func(ctx context.Context) bool {
		c, err := operator.Command(ctx, "pump-1", sent.ID)
		return err == nil && c.Status == device.CommandExpired && c.Sent != nil
	})
	return sent.ID
}

var faultMetric = regexp.MustCompile(`(?m)^devicetwin_bridge_faults_total\{.*reason="(\w+)".*\} ([0-9]+)$`)

// faultsCounted are those that the bridge has counted, by reason.
func faultsCounted(s *system) map[string]uint64 {
	_, body := get(s.http, "/metrics")
	counted := map[string]uint64{}
	for _, m := range faultMetric.FindAllStringSubmatch(body, -1) {
		if n, _ := strconv.ParseUint(m[2], 10, 64); n > 0 {
			counted[m[1]] = n
		}
	}
	return counted
}
