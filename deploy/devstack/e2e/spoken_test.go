package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"devicetwin/device"
	deviceworkflow "devicetwin/workflows/device"
)

// spokenDialect is the file of the dialect that the device of speak has.
const spokenDialect = "testdata/spoken.yaml"

// speak has a device that speaks a dialect: it is sent commands that end in each way, one of
// them over the end of a run, and desired state; it answers without ids, and sleeps.
func speak(t *testing.T, s *system) {
	t.Helper()
	const name = "spoken"
	ctx, by := t.Context(), device.By{Who: "ann"}
	d := connect(t, s.MQTT.URL(), "spoken-says")
	defer d.disconnect()
	say := func(topic, payload string) { d.publish("own/north/"+name+"/"+topic, payload) }
	order := func(command, data string) {
		t.Helper()
		if _, err := s.twins.Command(ctx, name, by, deviceworkflow.Order{Name: command, Data: json.RawMessage(data), TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	until := func(what string, is func(deviceworkflow.View) bool) {
		t.Helper()
		eventually(t, "spoken: "+what, func(ctx context.Context) bool {
			view, err := s.twins.Describe(ctx, name)
			return err == nil && is(view)
		})
	}
	ended := func(n int) {
		t.Helper()
		until(fmt.Sprintf("%d commands have ended", n), func(v deviceworkflow.View) bool { return len(v.Commands.Ended) == n })
	}

	say("lwt", "online")
	say("state", `{"power":"OFF","level":1}`)
	until("it has an address and a twin", func(v deviceworkflow.View) bool { return v.Address != nil && len(v.Twins) == 1 })
	for i := range 5 {
		order(fmt.Sprintf("blink-%d", i), "1")
	}
	order("mute", "1") // no words
	order("set-1", `{"level":1.0}`)
	ended(7)
	if _, err := s.twins.Desire(ctx, name, by, deviceworkflow.Desire{Patch: []byte(`{"fan":"high"}`)}); err != nil {
		t.Fatal(err)
	}
	order("power", `"ON"`)
	until("power is under way", func(v deviceworkflow.View) bool { return v.Commands.Flight != nil })
	say("did/other", "{}")
	say("did/POWER", "{}")
	ended(8)
	order("set-2", `{"power":"ON"}`)
	until("set-2 is under way", func(v deviceworkflow.View) bool { return v.Commands.Flight != nil && v.Commands.Flight.Shows != nil })
	for range 60 {
		say("lwt", "online")
	}
	until("continued as new", func(v deviceworkflow.View) bool { return v.Runs > 0 })
	say("state", `{"power":"ON"}`)
	ended(9)
	say("last-reading", `{"temperature":95}`)
	until("it sleeps", func(v deviceworkflow.View) bool {
		return v.Address.Awake > 0 && time.Since(v.Seen) > 2*v.Address.Awake
	})
	order("blink-late", "1")
	until("a command waits", func(v deviceworkflow.View) bool { return len(v.Commands.Waiting) == 1 })
	say("reading", `{"other":1}`)
	ended(10)
	// So that the last run has a completed task.
	if _, err := s.twins.SetTags(ctx, name, by, map[string]*string{"line": new("5")}); err != nil {
		t.Fatal(err)
	}
}
