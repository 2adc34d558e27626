package e2e

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/api"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/service"
	twinclient "devicetwin/workflows/client"
	"devicetwin/workflows/registry"
)

// Devices are moved between versions that are named by their numbers, with plans and models from the
// registry alone: no process and no command has a file of a model. The old version is kept as long as a
// device runs it.
func TestAFleetIsMovedBetweenVersionsOfTheRegistry(t *testing.T) {
	p := startPublished(t, "")
	p.begin("api", service.API, "")
	p.begin("worker-1", service.Worker, "")
	p.ready("worker-1")
	p.begin("bridge", service.Bridge, "")
	p.commanded("lamp@1 (", "push", p.file("one.yaml", editedBefore))
	p.commanded("the rules are replaced", "rules", p.file("rules.json", `{"sources": {"mqtt": {"model": "lamp"}}}`))
	p.ready("bridge")
	ids := []device.ID{"lamp-1", "lamp-2", "lamp-3", "held", "alone"}
	for _, id := range ids {
		p.boot(string(id))
		p.becomes(id, "on", 1)
	}
	p.boot("held")
	p.becomes("held", "off", 1)
	p.commanded("lamp@2 (", "push", p.file("two.yaml", editedAfter), "--note", "brighter")
	eventuallyWithin(t, 2*registry.SettleTime, time.Second, "the second version is the default", func(context.Context) bool {
		_, err := p.command("default", "lamp@2")
		return err == nil
	})

	// The plan is derived from the versions by their numbers, and fits nothing else.
	text := planOfLamps(p, `"off": hold`, `"on": bright`)
	plan := p.file("plan.yaml", text)
	p.commanded(": ok, hash", "plan", "lamp@1", "lamp@2", plan)
	if out, err := p.command("plan", "lamp@2", "lamp@1", plan); err == nil {
		t.Errorf("a plan for other versions is taken:\n%s", out)
	}
	if out := p.devicesCommand("migrate", "--plan", plan, "--dry-run", "model:lamp@1"); !strings.Contains(out, "would be moved") || !strings.Contains(out, "bright") {
		t.Errorf("a dry run:\n%s", out)
	}
	remove := func(version int) error {
		_, err := p.api.ChangeModels(t.Context(), api.ModelChange{Remove: &api.VersionOfModel{Model: "lamp", Version: version}})
		return err
	}

	// One device is moved by the API, when every bridge knows of it; what is refused is refused at once.
	one, err := p.api.Migrate(t.Context(), "alone", api.NewMigration{Plan: text, Note: "to try it"})
	if err != nil || one.Migration == "" || one.From != "on" || one.To != "bright" || one.FromVersion != 1 || one.ToVersion != 2 {
		t.Fatalf("%+v, %v", one, err)
	}
	_, err = p.api.Migrate(t.Context(), "held", api.NewMigration{Plan: text})
	p.refused(err, http.StatusConflict, "stays with its model")
	p.becomes("alone", "on", 1)
	eventually(t, "bridges know of the device", func(ctx context.Context) bool {
		moves, err := twinclient.New(dialTemporal(t, p.servers.Temporal.Addr()), stack.Namespace, taskQueue, "").Moves(ctx)
		return err == nil && len(moves) == 1 && len(moves[0].Open) == 0 && len(moves[0].Devices) == 1 && moves[0].Devices[0].ID == "alone"
	})

	// A bridge and a worker that do not know the versions yet do the work.
	out := p.devicesCommand("migrate", "--plan", plan, "--no-wait", "--note", "brighter", "model:lamp@1 NOT id:alone")
	if !strings.Contains(out, "from lamp@1 (") || !strings.Contains(out, "to lamp@2 (") {
		t.Errorf("the migration does not name its versions:\n%s", out)
	}
	_, id, _ := strings.Cut(out, "migration ")
	id, _, _ = strings.Cut(id, "\n")
	eventuallyWithin(t, 2*registry.RestTime, time.Second, "the old version is kept for what is announced", func(context.Context) bool {
		err := remove(1)
		return err != nil && strings.Contains(err.Error(), "devices are being moved to or from version 1 of model lamp")
	})
	p.begin("worker-2", service.Worker, "")
	p.ready("worker-2")
	p.stop("worker-1")
	p.stop("bridge")
	p.begin("bridge-2", service.Bridge, "")
	p.ready("bridge-2")
	var done api.FleetMigration
	eventuallyWithin(t, 10*time.Minute, time.Second, "the migration is done", func(ctx context.Context) bool {
		m, err := p.api.Migration(ctx, id)
		done = m
		return err == nil && m.Ended != nil
	})
	if done.Moved != 3 || done.Refused != 1 || done.FromVersion != 1 || done.ToVersion != 2 {
		t.Errorf("%+v", done)
	}
	eventuallyWithin(t, 10*time.Minute, time.Second, "the device is moved", func(ctx context.Context) bool {
		m, err := p.api.Migration(ctx, one.Migration)
		return err == nil && m.Ended != nil && m.Moved == 1 && m.Note == "to try it"
	})
	p.named(map[device.ID]int{"lamp-1": 2, "lamp-2": 2, "lamp-3": 2, "held": 1, "alone": 2})
	for _, id := range slices.Concat(ids[:3], ids[4:]) {
		p.becomes(id, "bright", 2)
	}
	if why, err := p.api.Why(t.Context(), "lamp-1", 1); err != nil || why.Transitions[0].Migration == nil || why.Transitions[0].Migration.FromVersion != 1 || why.Transitions[0].Migration.ToVersion != 2 {
		t.Errorf("why %+v, %v", why, err)
	}
	p.boot("lamp-1") // its message is filtered by the second version
	p.becomes("lamp-1", "dark", 2)

	// The old version goes when no device runs it, and not before.
	p.refused(remove(1), http.StatusConflict, "devices run version 1 of model lamp")
	if err := p.api.Delete(t.Context(), "held"); err != nil {
		t.Fatal(err)
	}
	eventuallyWithin(t, 3*registry.RestTime, time.Second, "the old version is removed", func(context.Context) bool { return remove(1) == nil })
	if _, err := p.api.ModelVersion(t.Context(), "lamp", "1"); err == nil {
		t.Error("the removed version is there")
	}
	p.named(map[device.ID]int{"lamp-1": 2, "lamp-2": 2, "lamp-3": 2, "alone": 2})
}

// planOfLamps is the derived plan with lines in the place of those of the states.
func planOfLamps(p *published, states ...string) string {
	p.Helper()
	text, err := p.command("plan", "lamp@1", "lamp@2")
	if err != nil {
		p.Fatalf("plan: %v\n%s", err, text)
	}
	for _, line := range states {
		name, _, _ := strings.Cut(line, ":")
		before, rest, ok := strings.Cut(text, "\n  "+name+":")
		if !ok {
			p.Fatalf("the plan has no state %s:\n%s", name, text)
		}
		_, after, _ := strings.Cut(rest, "\n")
		text = before + "\n  " + line + "\n" + after
	}
	return text
}
