package tap

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"devicetwin/internal/cli"
	"devicetwin/internal/testfile"
	"devicetwin/internal/testlog"
	"devicetwin/mqtt"
	"devicetwin/mqtt/mqtttest"
	"devicetwin/service"
)

const model = `model: plug
events:
  down: {channel: status, when: "msg.status == 'Offline'"}
  hot: {channel: telemetry, when: "msg.t > 90"}
initial: up
states:
  up: {on: {down: away}}
  away: {}
`

// tapped runs the command on a broker that delivers messages, and returns what it prints.
func tapped(t *testing.T, change func(*Command), messages ...mqtt.Message) (stdout, stderr string) {
	t.Helper()
	broker := &mqtttest.Broker{}
	c := New(service.DefaultConfig())
	c.dial = func(mqtt.Config) (mqtt.Dialer, error) { return broker.Dial, nil }
	c.Count = len(messages)
	change(&c)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var out, progress testlog.Lines
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, cli.Streams{Out: &out, Err: &progress}) }()
	for broker.Count() == 0 || len(broker.First().Subscribed()) == 0 {
		time.Sleep(time.Millisecond)
	}
	for _, m := range messages {
		m.At = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		broker.First().Deliver(m)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return out.String(), progress.String()
}

func message(topic, payload string) mqtt.Message {
	return mqtt.Message{Topic: topic, Payload: []byte(payload), Ack: func() {}}
}

func TestWhatArrives(t *testing.T) {
	path := testfile.Write(t, "plug.yaml", model)
	retained := message("tele/p1/LWT", "Online")
	retained.Retained = true
	kept := message("elsewhere/y", "on")
	kept.Retained = true
	plant := testfile.Write(t, "plant.yaml", "dialect: plant\nabsent: n/a\ntopics: [{topic: 'plant/{id}', channel: telemetry, payload: text}]\n")
	out, progress := tapped(t, func(c *Command) { c.Dialect, c.Model = []string{"tasmota", plant}, path },
		retained,
		message("tele/p1/LWT", "Offline"),
		message("tele/p1/SENSOR", `{"t":20}`),
		message("stat/p1/RESULT", `{"POWER":"ON"}`),
		message("tele/p1/SENSOR", `{"t":`),
		message("elsewhere/x", "23.5"),
		message("plant/m1", "n/a"),
		message("tele/p1/UPTIME", "{}"),
		message("devices/d/telemetry", `{"t":95}`),
		message("devices/d/commands/go", `{}`),
		kept,
	)
	const at = "03:04:05.000 "
	want := at + "tele/p1/LWT (retained) → ignored: a retained copy\n" +
		at + "tele/p1/LWT → tasmota {device: p1, channel: status, connection: offline, data: {\"status\":\"Offline\"}}: relevant, event down\n" +
		at + "tele/p1/SENSOR → tasmota {device: p1, channel: telemetry, data: {\"t\":20}}: left out, not an event of the model\n" +
		at + "stat/p1/RESULT → tasmota {device: p1, channel: answers, name: POWER, data: {\"result\":\"ON\",\"status\":\"succeeded\"}}: relevant, event POWER.succeeded\n" +
		at + "stat/p1/RESULT → tasmota {device: p1, channel: answers, name: Power1, data: {\"result\":\"ON\",\"status\":\"succeeded\"}}: relevant, event Power1.succeeded\n" +
		at + "stat/p1/RESULT → tasmota {device: p1, channel: reported, data: {\"POWER\":\"ON\"}}: relevant, it is for the twin\n" +
		at + "tele/p1/SENSOR → refused, bad_payload: json: line 1, column 5: unexpected end of JSON input: \"{\\\"t\\\":\"\n" +
		at + "elsewhere/x → no dialect reads it: 23.5\n" +
		at + "plant/m1 → plant: says nothing: \"n/a\"\n" +
		at + "tele/p1/UPTIME → tasmota: ignored\n" +
		at + "devices/d/telemetry → standard {device: d, channel: telemetry, data: {\"t\":95}}: left out, event hot can do nothing\n" +
		at + "devices/d/commands/go → ignored: not a message of a device\n" +
		at + "elsewhere/y (retained) → no dialect reads it: \"on\"\n"
	if out != want {
		t.Errorf("%s\nwant\n%s", out, want)
	}
	for _, says := range []string{"listening on ", "tele/#", "11 messages: 3 ignored, 1 refused, 1 that say nothing, 2 that no dialect reads; of devices, 4 relevant, 2 left out"} {
		if !strings.Contains(progress, says) {
			t.Errorf("%q is missing in %s", says, progress)
		}
	}
}

// What is learned on the way is read, and what cannot be is named.
func TestDiscovery(t *testing.T) {
	retained := message("home/lamp", `{"on":"ON","lux":5}`)
	retained.Retained = true
	sensor := message("home/lux", "5")
	sensor.Retained = true
	out, progress := tapped(t, func(c *Command) { c.Dialect = []string{"home-assistant"} },
		message("homeassistant/switch/lamp/config", `{"stat_t":"home/lamp","val_tpl":"{{ value_json.on }}","cmd_t":"home/lamp/set","dev":{"ids":"l1"}}`),
		message("homeassistant/sensor/lux/config", `{"stat_t":"home/lux","avty_t":"cellar/lwt","dev":{"ids":"l1"}}`),
		retained, sensor,
		message("home/lux", "6"),
	)
	const at = "03:04:05.000 "
	want := at + "homeassistant/switch/lamp/config → home-assistant: discovery of lamp of device l1, a switch, on home/lamp\n" +
		at + "homeassistant/sensor/lux/config → home-assistant: discovery of lux of device l1, a sensor, on home/lux\n" +
		at + "home/lamp (retained) → home-assistant {device: l1, channel: reported, data: {\"lamp\":true}}\n" +
		at + "home/lux (retained) → ignored: a retained copy\n" +
		at + "home/lux → home-assistant {device: l1, channel: telemetry, data: {\"lux\":6}}\n"
	if out != want {
		t.Errorf("%s\nwant\n%s", out, want)
	}
	if note := "note: dialect home-assistant: topic cellar/lwt of sensor lux of device l1: no filter of subscribe brings it in"; !strings.Contains(progress, note) {
		t.Errorf("%q is missing in %s", note, progress)
	}
}

func TestASuggestion(t *testing.T) {
	out, progress := tapped(t, func(c *Command) { c.Suggest = true },
		message("plant/north/press-1/temp", "23.5"), message("plant/north/press-2/temp", "24"), message("plant/south/press-7/temp", "n/a"),
		message("home/lamp1", `{"on":true}`), message("home/lamp2", `{"on":false}`),
		message("devices/d/telemetry", `{}`),
	)
	for _, want := range []string{
		"# 2 topics, such as home/lamp1\n  # id: lamp1, lamp2\n  - topic: \"home/{id}\"\n    channel: telemetry\n",
		"# 3 topics, such as plant/north/press-1/temp\n  # l2: north, south; l3: press-1, press-2, press-7\n  - topic: \"plant/{l2}/{l3}/temp\"\n    id: \"{l2}:{l3}\"\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("missing:\n%s\nin\n%s", want, out)
		}
	}
	if !strings.Contains(progress, "for #;") {
		t.Errorf("it does not listen to everything: %s", progress)
	}
	if strings.Contains(out, "→") || !strings.Contains(progress, "home/lamp1 → no dialect reads it") {
		t.Errorf("messages are in the proposal:\n%s\nor not in\n%s", out, progress)
	}
}

// Discovery is read by a dialect, and not by templates.
func TestDiscoveryIsNotProposed(t *testing.T) {
	out, _ := tapped(t, func(c *Command) { c.Suggest = true },
		message("homeassistant/sensor/a/config", `{"stat_t":"home/a"}`), message("homeassistant/sensor/b/n/config", `{"stat_t":"home/b"}`), message("home/a", "5"))
	if want := "# Left out: 2 topics of Home Assistant's discovery. With --dialect home-assistant, what they announce is read.\n"; !strings.Contains(out, want) ||
		strings.Contains(out, "topic: \"homeassistant") || !strings.Contains(out, "such as home/a") {
		t.Errorf("%s\nwant %s", out, want)
	}
}

func TestNothingArrived(t *testing.T) {
	out, _ := tapped(t, func(c *Command) { c.Suggest, c.For = true, 50*time.Millisecond })
	if out != "# nothing arrived: there is nothing to propose\n" {
		t.Errorf("%s", out)
	}
	out, _ = tapped(t, func(c *Command) { c.Suggest = true }, message("devices/d/telemetry", "{}"))
	if out != "# every topic is read: there is nothing to propose\n" {
		t.Errorf("%s", out)
	}
}

// Whoever calls tap in a script has to see that it did not listen.
func TestWithoutASubscriptionItFails(t *testing.T) {
	broker := &mqtttest.Broker{Plans: []mqtttest.Plan{{ConnectErr: errors.New("refused")}}}
	c := New(service.DefaultConfig())
	c.dial = func(mqtt.Config) (mqtt.Dialer, error) { return broker.Dial, nil }
	c.For, c.Suggest = 20*time.Millisecond, true
	var out, progress testlog.Lines
	err := c.Run(t.Context(), cli.Streams{Out: &out, Err: &progress})
	if err == nil || !strings.Contains(err.Error(), "there was no connection with a subscription") || out.String() != "" {
		t.Errorf("%v, %q", err, out.String())
	}
}

func TestFaultsAreUsage(t *testing.T) {
	for name, change := range map[string]func(*Command){
		"no such dialect": func(c *Command) { c.Dialect = []string{"tasmata"} },
		"no such model":   func(c *Command) { c.Model = "none.yaml" },
		"a bad filter":    func(c *Command) { c.Filter = []string{"a/#/b"} },
		"a bad broker":    func(c *Command) { c.MQTT.URL = []string{"ftp://x"} },
	} {
		c := New(service.DefaultConfig())
		change(&c)
		var out bytes.Buffer
		if err := c.Run(t.Context(), cli.Streams{Out: &out, Err: &out}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
