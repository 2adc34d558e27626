package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/service"
	deviceworkflow "devicetwin/workflows/device"
)

var record = flag.Bool("record", false, "record the histories in workflows/device/testdata")

// historiesDir has a folder for each version of the rules. Only that of the present rules
// is written: devices in the field have histories like those of the others.
var historiesDir = fmt.Sprintf("%s/workflows/device/testdata/histories/rules-%d", root, deviceworkflow.Rules)

// TestRecordHistories plays thirteen devices and a group, and, with -record, writes what the
// server stored of them: the histories that the replay tests of package
// workflows hold every later version to. Without it, it only checks that they
// still end where the recorded ones did.
func TestRecordHistories(t *testing.T) {
	s := startSystemWriting(t, stack.Options{}, nil, 40, func(c *service.Config) { c.MQTT.Dialect = []string{spokenDialect} })
	connections := 0
	say := func(name, topic, payload string) {
		t.Helper()
		// The broker holds off a client id that comes back again and again.
		connections++
		d := connect(t, s.MQTT.URL(), fmt.Sprintf("%s-says-%d", name, connections))
		d.publish("devices/"+name+"/"+topic, payload)
		d.disconnect()
	}
	crash := func(name string) {
		t.Helper()
		for range 3 {
			say(name, "status", `{"status":"boot","firmware":"1.4.2","site":"north"}`)
		}
		say(name, "telemetry", `{"code":117}`)
	}
	// reach waits for a state, and for another credential than the one before.
	reach := func(name, state, before string) (credential string) {
		t.Helper()
		eventually(t, name+" in state "+state, func(ctx context.Context) bool {
			view, err := s.twins.Snapshot(ctx, device.ID(name))
			if err != nil || view.StateName != state {
				return false
			}
			credential, _ = view.Snapshot.Context()["credential"].(string)
			return state != "awaiting_birth" || credential != before
		})
		return credential
	}

	// Crashes, is reprovisioned, comes back; then runs hot and cools down.
	crash("obedient")
	credential := reach("obedient", "awaiting_birth", "")
	say("obedient", "status", fmt.Sprintf(`{"status":"boot","credential":"%s"}`, credential))
	reach("obedient", "online", "")
	say("obedient", "telemetry", `{"temperature":95}`)
	reach("obedient", "overheated", "")
	reach("obedient", "online", "")

	// Refuses three times.
	crash("stubborn")
	credential = ""
	for range 3 {
		credential = reach("stubborn", "awaiting_birth", credential)
		say("stubborn", "commands/reprovision/ack", fmt.Sprintf(`{"id":"%s","status":"rejected","reason":"busy"}`, credential))
	}
	reach("stubborn", "quarantined", "")

	// Says so much that its workflow is continued as new.
	for i := range 60 {
		say("talkative", "status", fmt.Sprintf(`{"epoch":1,"seq":%d,"status":"boot"}`, i+1))
	}
	eventually(t, "talkative continued as new", func(ctx context.Context) bool {
		view, err := s.twins.Snapshot(ctx, "talkative")
		return err == nil && view.Runs > 0 && view.Delivery.Applied == 60
	})

	operate(t, s, say)
	confuse(t, s, say)
	redeliver(t, s, reach)
	speak(t, s)
	y := group(t, s)
	y.move()

	for _, query := range []string{
		`SELECT temperature FROM pump WHERE device = 'obedient'`,
		`SELECT "count" FROM transitions WHERE device = 'stubborn' AND "to" = 'quarantined'`,
		`SELECT "done" FROM reprovisions WHERE device = 'obedient' AND reason = 'crash_loop'`,
		`SELECT messages, events, signals FROM bridge`,
	} {
		eventually(t, query, func(context.Context) bool { return len(queryInflux(t, s.InfluxDB.URL(), query)) > 0 })
	}

	if !*record {
		return
	}
	if err := os.RemoveAll(historiesDir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(historiesDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"obedient", "stubborn", "talkative", "operated", "confused", "redelivered", "spoken"} {
		recordRuns(t, s, deviceworkflow.WorkflowID(device.ID(name)), filepath.Join(historiesDir, name))
	}
	recordModel(t, pumpModel)
	y.record(t, s)
	recordMoved(t, s)
}

// operate has a device with a twin, commands and an operator, over the end of a
// run.
func operate(t *testing.T, s *system, say func(name, topic, payload string)) {
	t.Helper()
	const name = "operated"
	say(name, "status", `{"status":"boot"}`)
	say(name, "twin/update", `{"state":{"reported":{"fan":"low"}}}`)
	eventually(t, "operated has a twin", func(ctx context.Context) bool {
		view, err := s.twins.Describe(ctx, name)
		return err == nil && len(view.Twins) == 1
	})
	by := device.By{Who: "ann"}
	ctx := t.Context()
	if _, err := s.twins.Desire(ctx, name, by, deviceworkflow.Desire{Patch: []byte(`{"fan":"high"}`), Within: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.twins.SetTags(ctx, name, by, map[string]*string{"line": new("3")}); err != nil {
		t.Fatal(err)
	}
	order := func(command string) string {
		c, err := s.twins.Command(ctx, name, by, deviceworkflow.Order{Name: command, TTL: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		return c.ID
	}
	first, second := order("first"), order("second")
	if _, err := s.twins.CancelCommand(ctx, name, by, second); err != nil {
		t.Fatal(err)
	}
	say(name, "status", `{"status":"offline"}`)
	say(name, "status", `{"status":"boot"}`)
	say(name, "commands/first/ack", fmt.Sprintf(`{"id":"%s","status":"succeeded"}`, first))
	for range 60 {
		say(name, "status", `{"status":"online"}`)
	}
	eventually(t, "operated continued as new", func(ctx context.Context) bool {
		view, err := s.twins.Describe(ctx, name)
		return err == nil && view.Runs > 0 && view.Commands.Flight == nil && len(view.Commands.Ended) == 2
	})
	// So that the last run has a completed task.
	if _, err := s.twins.SetTags(ctx, name, by, map[string]*string{"line": nil}); err != nil {
		t.Fatal(err)
	}
}

// confuse has a device whose numbers begin again and lie, whose clock is slow, whose words
// mean nothing and whose values have the wrong types, over the end of a run.
func confuse(t *testing.T, s *system, say func(name, topic, payload string)) {
	t.Helper()
	const name = "confused"
	say(name, "status", `{"status":"boot","firmware":1.4,"seq":1}`)
	say(name, "telemetry", `{"code":"117","seq":2}`)
	say(name, "status", `{"status":"sleepy","seq":3}`)
	say(name, "commands/reboot/ack", `{"id":"c-17","status":"done","seq":4}`)
	say(name, "status", `{"status":"boot","seq":1}`)
	say(name, "telemetry", `{"code":118,"seq":2}`)
	say(name, "telemetry", `{"code":119,"seq":1}`) // a counter of its own
	old := time.Now().Add(-time.Hour)
	for i := range 40 { // an upload
		say(name, "status", fmt.Sprintf(`{"status":"online","seq":%d,"ts":%d}`, 10+i, old.Add(time.Duration(i)*time.Minute).UnixMilli()))
	}
	say(name, "status", `{"status":"OFFLINE"}`)
	for i := range 10 {
		say(name, "status", fmt.Sprintf(`{"status":"online","epoch":3,"seq":%d}`, i+1))
	}
	eventually(t, "confused continued as new, with its faults", func(ctx context.Context) bool {
		view, err := s.twins.Snapshot(ctx, name)
		return err == nil && view.Runs > 0 && view.ReportCount >= 4 && view.Connection == device.Online && view.Delivery.Applied >= 55
	})
	// So that the last run has a completed task.
	if _, err := s.twins.SetTags(t.Context(), name, device.By{Who: "ann"}, map[string]*string{"line": new("4")}); err != nil {
		t.Fatal(err)
	}
}

// recordRuns writes the histories of all runs of a workflow, the last run first, to files whose
// names begin like that.
func recordRuns(t *testing.T, s *system, id, begin string) {
	t.Helper()
	temporal := dialTemporal(t, s.Temporal.Addr())
	run := ""
	for n := 0; ; n++ {
		var recorded history.History
		previous := ""
		events := temporal.GetWorkflowHistory(t.Context(), id, run, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for events.HasNext() {
			e, err := events.Next()
			if err != nil {
				t.Fatal(err)
			}
			if started := e.GetWorkflowExecutionStartedEventAttributes(); started != nil {
				previous = started.GetContinuedExecutionRunId()
			}
			recorded.Events = append(recorded.Events, e)
		}
		raw, err := protojson.MarshalOptions{Indent: " "}.Marshal(&recorded)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(fmt.Sprintf("%s-%d.json", begin, n), append(anonymous(raw), '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
		if run = previous; run == "" {
			return
		}
	}
}

var whoDidIt = regexp.MustCompile(`("identity": *|"name": *)"[^"]*(@|:)[^"]*"`)

// anonymous takes out who did the work: processes and hosts, which also name
// the queues of single workers.
func anonymous(raw []byte) []byte { return whoDidIt.ReplaceAll(raw, []byte(`$1"worker"`)) }

// recordModel keeps a model that histories were made with, under the first letters of its
// hash: other versions have other hashes.
func recordModel(t *testing.T, file string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	model, err := devicefsm.Load(file, raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(historiesDir, model.Name()+"-"+model.Hash()[:8]+".yaml"), raw, 0o644); err != nil {
		t.Fatal(err)
	}
}
