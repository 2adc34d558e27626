package e2e

import (
	"context"
	"testing"
	"time"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/internal/testfile"
	"devicetwin/service"
	twinclient "devicetwin/workflows/client"
)

// talkative is a model that is gone when it is silent for a few seconds.
const talkative = `
model: talkative
liveness: {silent_after: 6s, tolerance: 1s}
initial: here
states:
  here: {on: {device.silent: gone}}
  gone: {}
`

// TestWhatCannotBeReadIsASignOfLife has a device that publishes nothing but NaN every
// two seconds, which is not JSON: it is never silent. One that stops is. Status words
// count in upper and in lower case, and an unknown one is reported.
func TestWhatCannotBeReadIsASignOfLife(t *testing.T) {
	model := testfile.Write(t, "talkative.yaml", talkative)
	servers := serve(t, "--only", "mqtt,temporal", "--data-dir", t.TempDir(), "--mqtt-port", freePort(t), "--temporal-port", freePort(t))
	common := []string{
		"--model", model, "--mqtt-url", servers.settings["DEVICETWIN_MQTT_URL"], "--temporal-address", servers.settings["DEVICETWIN_TEMPORAL_ADDRESS"],
		"--influx-url", "",
	}
	bridge, worker := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	background(t, "devicetwin", append([]string{"bridge", "--http-listen", bridge}, common...)...)
	background(t, "devicetwin", append([]string{"worker", "--http-listen", worker, "--worker-credentials", t.TempDir()}, common...)...)
	awaitReady(t, bridge)
	awaitReady(t, worker)
	models, err := service.ModelConfig{Model: model}.LoadModels()
	if err != nil {
		t.Fatal(err)
	}
	twins := twinclient.New(dialTemporal(t, servers.settings["DEVICETWIN_TEMPORAL_ADDRESS"]), stack.Namespace, taskQueue, models[0].Hash())
	describe := func(ctx context.Context, id device.ID) (state, connection string, reports []device.Fault) {
		view, err := twins.Describe(ctx, id)
		if err != nil {
			return "", err.Error(), nil
		}
		return view.StateName, view.Connection, view.Reports
	}

	publisher := connect(t, servers.settings["DEVICETWIN_MQTT_URL"], "publisher")
	for _, id := range []string{"nan", "quiet"} {
		publisher.publish("devices/"+id+"/status", `{"status":"Boot"}`)
	}
	eventually(t, "both have a workflow", func(ctx context.Context) bool {
		_, nan, _ := describe(ctx, "nan")
		_, quiet, _ := describe(ctx, "quiet")
		return nan == device.Online && quiet == device.Online
	})
	for range 8 {
		publisher.publish("devices/nan/telemetry", `{"temperature": NaN}`)
		time.Sleep(2 * time.Second) // the pace of the device
	}
	if state, connection, reports := describe(t.Context(), "nan"); state != "here" || connection != device.Online || !has(reports, device.FaultRefused) {
		t.Errorf("nan is %s, %s, reported %+v", state, connection, reports)
	}
	eventually(t, "the other one is silent", func(ctx context.Context) bool {
		state, _, _ := describe(ctx, "quiet")
		return state == "gone"
	})

	publisher.publish("devices/nan/status", `{"status":"OFFLINE"}`)
	eventually(t, "it is offline", func(ctx context.Context) bool {
		_, connection, _ := describe(ctx, "nan")
		return connection == device.Offline
	})
	publisher.publish("devices/nan/status", `{"status":"dozing"}`)
	eventually(t, "the unknown word is reported, and changes nothing", func(ctx context.Context) bool {
		_, connection, reports := describe(ctx, "nan")
		return connection == device.Offline && has(reports, device.FaultUnknownStatus)
	})
	publisher.publish("devices/nan/telemetry", `{"temperature": NaN}`)
	eventually(t, "it is online again", func(ctx context.Context) bool {
		_, connection, _ := describe(ctx, "nan")
		return connection == device.Online
	})
}

func has(reports []device.Fault, reason device.FaultReason) bool {
	for _, r := range reports {
		if r.Reason == reason {
			return true
		}
	}
	return false
}
