package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	temporalclient "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/wire"
	"devicetwin/workflows/aggregate"
	twinclient "devicetwin/workflows/client"
	deviceworkflow "devicetwin/workflows/device"
)

// aggregatorHistories is where the histories of an aggregator are. It has no rules.
const aggregatorHistories = root + "/workflows/aggregate/testdata/histories"

// nowhere is a broker and a database.
type nowhere struct{}

func (nowhere) Publish(context.Context, string, byte, bool, []byte) error       { return nil }
func (nowhere) WritePoint(string, map[string]string, map[string]any, time.Time) {}

// modelsByName are those of a worker.
type modelsByName map[string]*devicefsm.Model

// ByHash implements deviceworkflow.Models.
func (m modelsByName) ByHash(hash string) (*devicefsm.Model, bool) {
	for _, model := range m {
		if model.Hash() == hash {
			return model, true
		}
	}
	return nil, false
}

// yard is a worker of its own, which gets the model of groups while its devices run.
type yard struct {
	*testing.T
	temporal temporalclient.Client
	twins    *twinclient.Client
	groups   *deviceworkflow.GroupModels
	files    []string
	models   modelsByName
	seq      map[device.ID]uint64
}

const northYard, southYard = device.ID("yard/north"), device.ID("yard/south")

func newYard(t *testing.T, s *system) *yard {
	t.Helper()
	const queue = "yard"
	y := &yard{
		T: t, temporal: dialTemporal(t, s.Temporal.Addr()), groups: deviceworkflow.NewGroupModels(),
		models: modelsByName{}, seq: map[device.ID]uint64{},
	}
	for _, name := range []string{"member", "member-2", "yard", "clock"} {
		file := "testdata/histories/" + name + ".yaml"
		y.files, y.models[name] = append(y.files, file), loadModelOf(t, file)
	}
	dialect, err := wire.New(wire.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	w := worker.New(y.temporal, queue, worker.Options{})
	deviceworkflow.Register(w, &deviceworkflow.Workflow{Models: y.models, Groups: y.groups, RunEvents: 12},
		&deviceworkflow.Activities{Dialect: dialect, Publisher: nowhere{}, Points: nowhere{}, Models: y.models, Topics: []string{"yards/#"}})
	aggregate.Register(w, &aggregate.Workflow{RunSignals: 6}, &aggregate.Activities{Temporal: y.temporal, TaskQueue: queue})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	y.twins = twinclient.New(y.temporal, stack.Namespace, queue, y.models["member"].Hash())
	return y
}

// say delivers messages of a device, each as a batch: births at a site ("at north"), and events.
func (y *yard) say(id device.ID, model string, messages ...string) {
	y.Helper()
	for _, text := range messages {
		m := device.Message{Channel: device.ChannelEvents, Name: text}
		if site, ok := siteIn(text); ok {
			m = device.Message{Channel: device.ChannelStatus, Data: map[string]any{"status": "boot", "site": site}}
		}
		y.seq[id]++
		m.Epoch, m.Seq, m.Time = 1, y.seq[id], time.Now().UTC().Truncate(time.Millisecond)
		d := device.Delivery{ID: id, Model: y.models[model].Hash(), Start: true, Batch: device.Batch{ID: fmt.Sprint(id, m.Seq), Messages: []device.Message{m}}}
		if _, err := y.twins.Deliver(y.Context(), d); err != nil {
			y.Fatal(err)
		}
	}
}

func siteIn(text string) (site string, ok bool) {
	n, _ := fmt.Sscanf(text, "at %s", &site)
	return site, n == 1
}

func (y *yard) until(id device.ID, what string, is func(deviceworkflow.View) bool) {
	y.Helper()
	eventually(y.T, fmt.Sprintf("%s: %s", id, what), func(ctx context.Context) bool {
		view, err := y.twins.Snapshot(ctx, id)
		return err == nil && is(view)
	})
}

// heard is what a group has counted.
func heard(lost, back, silent int) func(deviceworkflow.View) bool {
	return func(v deviceworkflow.View) bool {
		c := v.Snapshot.Context()
		return c["lost"] == float64(lost) && c["back"] == float64(back) && c["silent"] == float64(silent)
	}
}

// group has a device whose worker gets the model of its group while it runs, one that begins
// with it, their gateway, the groups themselves over the end of a run, and a device with
// schedules.
func group(t *testing.T, s *system) *yard {
	t.Helper()
	y := newYard(t, s)
	const learned, grouped, gateway, clock = "learned", "grouped", "gateway-1", "scheduled"
	y.say(clock, "clock", "at north")

	y.say(learned, "member", "at north", "lost", "back", "lost")
	y.until(learned, "runs", func(v deviceworkflow.View) bool { return v.Delivery.Applied == 4 && len(v.Groups) == 0 })
	y.groups.Set(y.models["yard"])
	y.say(learned, "member", "other") // it learns, and joins
	y.until(northYard, "knows how learned is", heard(1, 0, 1))
	y.say(learned, "member", "back", "lost")
	y.until(northYard, "hears of learned", heard(2, 1, 2))

	y.say(gateway, "member", "at north", "lost")
	y.until(northYard, "knows of the gateway", func(v deviceworkflow.View) bool { return v.StateName == "cut" })
	y.say(grouped, "member", "at north", "lost")
	y.until(northYard, "has an explanation", heard(3, 1, 2))
	y.say(grouped, "member", "back")
	y.until(northYard, "knows of it", heard(3, 2, 2))
	y.say(grouped, "member", "at south") // what one task applies goes to the group of before
	y.until(grouped, "has moved", func(v deviceworkflow.View) bool { return len(v.Groups) == 1 && v.Groups[0].Name == "south" })
	y.say(grouped, "member", "lost")
	y.until(southYard, "hears of grouped", heard(1, 0, 1))
	y.say(gateway, "member", "back")
	y.until(northYard, "is connected", func(v deviceworkflow.View) bool { return v.StateName == "counting" })

	for n := range 10 { // over the end of a run of each
		y.say(learned, "member", "back", "lost")
		y.until(northYard, "hears each change", func(v deviceworkflow.View) bool { return v.Snapshot.Context()["back"] == float64(3+n) })
	}
	for _, id := range []device.ID{learned, northYard} {
		y.until(id, "continued as new", func(v deviceworkflow.View) bool { return v.Runs > 0 })
	}
	y.leave()
	for n := range 12 {
		y.say(clock, "clock", "other")
		y.until(clock, "beats", func(v deviceworkflow.View) bool { return v.Snapshot.Context()["beats"].(float64) > float64(n)/4 })
	}
	y.until(clock, "continued as new", func(v deviceworkflow.View) bool { return v.Runs > 0 && len(v.Snapshot.Zones()) > 0 })
	// So that the last runs have a completed task.
	for _, id := range []device.ID{learned, grouped, clock, northYard} {
		if _, err := y.twins.SetTags(t.Context(), id, device.By{Who: "ann"}, map[string]*string{"line": new("6")}); err != nil {
			t.Fatal(err)
		}
	}
	return y
}

// leave has a member whose second run begins on a worker without the model of its group, and knows
// nothing of it. It is deleted when the worker has the model again, and before anything else happens.
func (y *yard) leave() {
	y.Helper()
	const id = "left"
	lost, back := float64(0), float64(0)
	y.until(northYard, "is known", func(v deviceworkflow.View) bool {
		c := v.Snapshot.Context()
		lost, back = c["lost"].(float64), c["back"].(float64)
		return true
	})
	y.say(id, "member", "at north", "lost")
	y.until(northYard, "hears of left", func(v deviceworkflow.View) bool { return v.Snapshot.Context()["lost"] == lost+1 })
	y.groups.Set()
	for range 10 {
		y.say(id, "member", "other")
	}
	y.until(id, "continued as new", func(v deviceworkflow.View) bool { return v.Runs == 1 })
	y.say(id, "member", "other")
	y.until(id, "goes on", func(v deviceworkflow.View) bool { return v.Delivery.Applied == 13 && len(v.Groups) == 1 })
	y.groups.Set(y.models["yard"])
	if err := y.twins.Delete(y.Context(), id, device.By{Who: "ann"}); err != nil {
		y.Fatal(err)
	}
	y.until(northYard, "hears that left has left", func(v deviceworkflow.View) bool { return v.Snapshot.Context()["back"] == back+1 })
}

// record writes the histories.
func (y *yard) record(t *testing.T, s *system) {
	t.Helper()
	for name, id := range map[string]device.ID{"learned": "learned", "grouped": "grouped", "left": "left", "scheduled": "scheduled", "yard": northYard} {
		recordRuns(t, s, deviceworkflow.WorkflowID(id), filepath.Join(historiesDir, name))
	}
	for _, file := range y.files {
		recordModel(t, file)
	}
	if err := os.RemoveAll(aggregatorHistories); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(aggregatorHistories, 0o755); err != nil {
		t.Fatal(err)
	}
	at := aggregate.IndexOf("learned", 2)
	recordRuns(t, s, aggregate.WorkflowID(deviceworkflow.WorkflowID(northYard), at), filepath.Join(aggregatorHistories, "yard"))
}
