package device

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/internal/measure"
)

// quietModel does nothing about anything.
const quietModel = "model: quiet\ninitial: idle\nstates: {idle: {}}\n"

func lines(s ...string) string { return strings.Join(s, "\n") }

// An update is answered in the protocol's order: delta and documents on every
// scheme, accepted where it was asked; all with one version.
func TestAnUpdateIsAnswered(t *testing.T) {
	h := newTwinHarness(t, quietModel, 0)
	h.ask(time.Second, "", "update", `{"state":{"desired":{"fan":"high"}},"clientToken":"t1"}`)
	view := h.runUntil(10 * time.Second)
	want := lines(
		shadowBase+"/update/delta", twinBase+"/update/delta",
		shadowBase+"/update/documents", twinBase+"/update/documents",
		shadowBase+"/update/accepted")
	if got := h.wire.topics(); got != want {
		t.Errorf("published to\n%s\nwant\n%s", got, want)
	}
	for _, topic := range []string{"/update/delta", "/update/accepted"} {
		if p := h.wire.payload(t, shadowBase+topic); p["version"] != 1.0 || p["clientToken"] != "t1" {
			t.Errorf("%s: %v, want version 1 and the token", topic, p)
		}
	}
	if p := h.wire.payload(t, twinBase+"/update/documents"); p["current"].(map[string]any)["version"] != 1.0 {
		t.Errorf("documents: %v", p)
	}
	if len(view.Twins) != 1 || view.Twins[0].Document.Version() != 1 {
		t.Errorf("twins %v", view.Twins)
	}
	if p := h.world.last(measure.Twin); h.world.count(measure.Twin) != 1 || p.Fields[measure.TwinVersion] != int64(1) {
		t.Errorf("point of the version: %+v", p)
	}
}

// A device that reports what is desired gets no delta any more.
func TestReportedEndsTheDelta(t *testing.T) {
	h := newTwinHarness(t, quietModel, 0)
	h.ask(time.Second, "", "update", `{"state":{"desired":{"fan":"high"}}}`)
	h.RegisterDelayedCallback(h.wire.forget, 2*time.Second)
	h.ask(3*time.Second, "", "update", `{"state":{"reported":{"fan":"high"}}}`)
	h.runUntil(10 * time.Second)
	if got, want := h.wire.topics(), lines(shadowBase+"/update/documents", twinBase+"/update/documents", shadowBase+"/update/accepted"); got != want {
		t.Errorf("published to\n%s\nwant\n%s", got, want)
	}
}

func TestRequestsAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name, shadow, method, payload string
		code                          float64
	}{
		{"get of nothing", "", "get", "", 404},
		{"get of nothing by name", "other", "get", "", 404},
		{"delete of nothing", "other", "delete", "", 404},
		{"no JSON", "", "update", "{", 400},
		{"another version", "air", "update", `{"state":{"desired":{"a":1}},"version":7}`, 409},
		{"too large", "", "update", `{"state":{"desired":{"a":"` + strings.Repeat("x", 9000) + `"}}}`, 413},
		{"one shadow too many", "third", "update", `{"state":{"desired":{"a":1}}}`, 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newTwinHarness(t, quietModel, 0)
			h.workflow.Twin.Shadows = 2
			h.ask(time.Second, "air", "update", `{"state":{"reported":{"a":1}}}`)
			h.ask(time.Second, "water", "update", `{"state":{"reported":{"a":1}}}`)
			h.RegisterDelayedCallback(h.wire.forget, 2*time.Second)
			h.ask(3*time.Second, tt.shadow, tt.method, tt.payload)
			h.runUntil(10 * time.Second)
			base := shadowBase
			if tt.shadow != "" {
				base += "/name/" + tt.shadow
			}
			topic := base + "/" + tt.method + "/rejected"
			if got := h.wire.topics(); got != topic {
				t.Fatalf("published to\n%s\nwant %s", got, topic)
			}
			if p := h.wire.payload(t, topic); p["code"] != tt.code {
				t.Errorf("%v, want code %v", p, tt.code)
			}
		})
	}
}

// What was deleted goes on counting its versions, and makes room for another.
func TestADeletedShadowCountsOn(t *testing.T) {
	h := newTwinHarness(t, quietModel, 0)
	h.workflow.Twin.Shadows = 1
	h.ask(time.Second, "air", "update", `{"state":{"reported":{"a":1}}}`)
	h.ask(2*time.Second, "air", "delete", ``)
	h.ask(3*time.Second, "air", "get", ``)
	h.ask(4*time.Second, "air", "update", `{"state":{"reported":{"a":2}}}`)
	h.ask(50*time.Hour, "air", "delete", ``)
	h.ask(100*time.Hour, "air", "update", `{"state":{"reported":{"a":3}}}`)
	var second any
	base := shadowBase + "/name/air"
	h.RegisterDelayedCallback(func() { second = h.wire.payload(t, base+"/update/accepted")["version"] }, 5*time.Second)
	h.runUntil(101 * time.Hour)
	if second != 2.0 {
		t.Errorf("version %v after the deletion, want 2", second)
	}
	if p := h.wire.payload(t, base+"/get/rejected"); p["code"] != 404.0 {
		t.Errorf("get of the deleted one: %v", p)
	}
	if v := h.wire.payload(t, base+"/update/accepted")["version"]; v != 1.0 {
		t.Errorf("version %v two days after the deletion, want 1", v)
	}
}

// A redelivered update is applied once.
func TestARedeliveredRequestIsAppliedOnce(t *testing.T) {
	h := newTwinHarness(t, quietModel, 0)
	h.RegisterDelayedCallback(func() {
		m := h.request("", "update", `{"state":{"reported":{"a":1}}}`)
		m.Digest = "d"
		again := m
		again.Redelivered = true
		h.signalRaw(m)
		h.signalRaw(again)
	}, time.Second)
	if view := h.runUntil(5 * time.Second); view.Twins[0].Document.Version() != 1 || view.Delivery.Duplicates != 1 {
		t.Errorf("version %d, %d duplicates; want 1, 1", view.Twins[0].Document.Version(), view.Delivery.Duplicates)
	}
}

// A device that reconnects gets the delta of each shadow, once.
func TestTheDeltaIsSentAgainOnConnect(t *testing.T) {
	h := newTwinHarness(t, quietModel, 0)
	h.ask(time.Second, "", "update", `{"state":{"desired":{"fan":"high"}}}`)
	h.ask(time.Second, "air", "update", `{"state":{"desired":{"flow":1},"reported":{"flow":1.0}}}`)
	h.ask(time.Second, "box", "update", `{"state":{"desired":{"lid":"shut"}}}`)
	h.at(2*time.Second, status("offline"))
	h.RegisterDelayedCallback(h.wire.forget, 3*time.Second)
	h.at(4*time.Second, status("boot"), status("boot"))
	view := h.runUntil(5 * time.Second)
	want := lines(shadowBase+"/update/delta", twinBase+"/update/delta", shadowBase+"/name/box/update/delta", twinBase+"/box/update/delta")
	if got := h.wire.topics(); got != want {
		t.Errorf("published to\n%s\nwant\n%s", got, want)
	}
	if view.Connection != device.Online {
		t.Errorf("connection %q", view.Connection)
	}
}

func TestTheDocumentIsRetained(t *testing.T) {
	h := newTwinHarness(t, quietModel, 0)
	h.workflow.Twin.Retain = true
	h.ask(time.Second, "air", "update", `{"state":{"desired":{"fan":"high"}}}`)
	h.ask(3*time.Second, "air", "delete", ``)
	topic := twinBase + "/air/documents/current"
	h.RegisterDelayedCallback(func() {
		if p := h.wire.payload(t, topic); p["version"] != 1.0 {
			t.Errorf("retained: %v", p)
		}
	}, 2*time.Second)
	h.runUntil(5 * time.Second)
	last := h.wire.sent[len(h.wire.sent)-1]
	if last.topic != topic || !last.retained || last.payload != "" {
		t.Errorf("the last message is %+v, want an empty retained one", last)
	}
}

const desiringModel = `
model: desiring
context: {log: []}
initial: calm
on:
  twin.reported.changed: {actions: [{assign: {log: "context.log + ['reported ' + event.paths[0] + ' ' + string(event.version)]"}}]}
  twin.desired.changed: {actions: [{assign: {log: "context.log + ['desired ' + event.paths[0]]"}}]}
  twin.diverged: {target: .sad, actions: [{assign: {log: "context.log + ['diverged ' + event.paths[0]]"}}]}
states:
  calm:
    on:
      hot: {actions: [{desire: {fan: "'high'", count: "3"}, within: 1m}, {desire: {lamp: "'red'"}, shadow: panel}]}
    always: {guard: "twin.version > 0 && has(twin.reported.fan) && twin.reported.fan == twin.desired.fan && twin.shadows.panel.delta.lamp == 'red'", target: content}
  content: {}
  sad: {}
`

func event(name string) device.Message {
	return device.Message{Channel: device.ChannelEvents, Name: name}
}

// The model desires, hears of it, and sees the twin in its guards.
func TestTheModelDesires(t *testing.T) {
	h := newTwinHarness(t, desiringModel, 0)
	h.at(time.Second, event("hot"))
	h.ask(10*time.Second, "", "update", `{"state":{"reported":{"fan":"high","count":3}}}`)
	view := h.runUntil(3 * time.Minute)
	want := []any{"desired count", "desired lamp", "reported count 2"}
	if got := view.Snapshot.Context()["log"]; !reflect.DeepEqual(got, want) || view.StateName != "content" {
		t.Errorf("log %v, state %s, faults %v; want %v, content", got, view.StateName, view.Reports, want)
	}
	if len(view.Convergence) != 0 {
		t.Errorf("%v is still watched", view.Convergence)
	}
}

func TestADeviceThatDoesNotConverge(t *testing.T) {
	h := newTwinHarness(t, desiringModel, 0)
	h.at(time.Second, event("hot"))
	h.ask(10*time.Second, "", "update", `{"state":{"reported":{"count":3}}}`)
	view := h.runUntil(3 * time.Minute)
	want := []any{"desired count", "desired lamp", "reported count 2", "diverged fan"}
	if got := view.Snapshot.Context()["log"]; !reflect.DeepEqual(got, want) || view.StateName != "sad" {
		t.Errorf("log %v, state %s; want %v, sad", got, view.StateName, want)
	}
	if why := view.Why[len(view.Why)-1]; why.Event != "twin.diverged" || why.Cause.Kind != CauseTwin || why.From != "calm" {
		t.Errorf("why %+v", why)
	}
}

// A model that answers its own changes with changes is stopped; one that desires
// what is so already makes nothing of it.
func TestDesireInResponseToDesireIsBounded(t *testing.T) {
	h := newTwinHarness(t, `
initial: a
states:
  a:
    on:
      go: {actions: [{desire: {n: "0"}}]}
      same: {actions: [{desire: {n: "twin.desired.n"}}]}
      twin.desired.changed: {actions: [{desire: {n: "twin.desired.n + 1"}}]}
`, 0)
	h.at(time.Second, event("go"))
	h.at(2*time.Second, event("same"))
	view := h.runUntil(5 * time.Second)
	if got := view.Twins[0].Document.Version(); got != maxChain+1 || view.ReportCount != 1 || !strings.Contains(view.Reports[0].Detail, "in a row") {
		t.Errorf("version %d, faults %v; want %d and one fault", got, view.Reports, maxChain+1)
	}
}

// The indexed properties are written once for each change of them.
func TestPropertiesAreIndexed(t *testing.T) {
	h := newTwinHarness(t, quietModel, 0)
	h.workflow.Twin.Properties = []string{"reported.fan", "reported.net.ip", "desired.none"}
	h.ask(time.Second, "", "update", `{"state":{"reported":{"fan":3,"net":{"ip":"10.0.0.1"}}}}`)
	h.ask(2*time.Second, "", "update", `{"state":{"reported":{"other":1}}}`)
	view := h.runUntil(5 * time.Second)
	if want := []string{"reported.fan=3", "reported.net.ip=10.0.0.1"}; !reflect.DeepEqual(view.Attributes.Properties, want) {
		t.Errorf("properties %v, want %v", view.Attributes.Properties, want)
	}
	h.AssertNumberOfCalls(t, "workflow.UpsertTypedSearchAttributes", 2) // the start, and the report
}

// What a device reports in a dialect of its own is merged, and nobody is answered; what cannot
// be merged is a fault of the device.
func TestAReportInADialectIsNotAnswered(t *testing.T) {
	h := newTwinHarness(t, quietModel, 0)
	for i, payload := range []string{`{"state":{"reported":{"fan":"high"}}}`, `{"state":1}`} {
		h.RegisterDelayedCallback(func() {
			m := h.request("", "update", payload)
			m.Twin.Reply = ""
			h.signalRaw(m)
		}, time.Duration(i+1)*time.Second)
	}
	view := h.runUntil(10 * time.Second)
	if got, want := h.wire.topics(), lines(shadowBase+"/update/documents", twinBase+"/update/documents"); got != want {
		t.Errorf("published to\n%s\nwant\n%s", got, want)
	}
	if len(view.Twins) != 1 || view.Twins[0].Document.Version() != 1 {
		t.Errorf("twins %v", view.Twins)
	}
	if len(view.Reports) != 1 || view.Reports[0].Reason != device.FaultRefused {
		t.Errorf("faults %v", view.Reports)
	}
}
