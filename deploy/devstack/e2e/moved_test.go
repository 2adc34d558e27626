package e2e

import (
	"errors"
	"maps"
	"path/filepath"
	"testing"

	"devicetwin/device"
	"devicetwin/devicefsm"
	deviceworkflow "devicetwin/workflows/device"
)

// memberPlan moves a member to its second version.
func memberPlan(from, to *devicefsm.Model) devicefsm.Plan {
	return devicefsm.Plan{
		Model: "member", From: from.Hash(), To: to.Hash(),
		States:    map[string][]string{"reached": {"present"}, "missed": {"missed"}},
		Context:   map[string]string{"losses": "7"},
		Entry:     map[string]string{"missed": devicefsm.PlanSkip},
		NewTimers: map[string]string{"missed after 1d": devicefsm.PlanStart},
	}
}

// memberBack is the way back.
func memberBack(from, to *devicefsm.Model) devicefsm.Plan {
	return devicefsm.Plan{
		Model: "member", From: from.Hash(), To: to.Hash(),
		States:    map[string][]string{"present": {"reached"}, "missed": {"missed"}},
		Context:   map[string]string{"losses": devicefsm.PlanDrop},
		Timers:    map[string]devicefsm.PlanItem{"missed after 1d": {Do: devicefsm.PlanDrop}},
		Schedules: map[string]devicefsm.PlanItem{"schedule daily": {Do: devicefsm.PlanDrop}},
	}
}

// move has a member that is moved to the second version of its model, after a plan for another
// model was refused, and back, while its group counts it.
func (y *yard) move() {
	y.Helper()
	const id = "migrated"
	ctx, by := y.Context(), device.By{Who: "ann"}
	one, two := y.models["member"], y.models["member-2"]
	y.say(id, "member", "at east", "lost")
	y.until(id, "is lost", func(v deviceworkflow.View) bool { return v.StateName == "missed" && len(v.Groups) == 1 })
	var refused *device.Refused
	if _, err := y.twins.Migrate(ctx, id, by, deviceworkflow.Migrate{Plan: memberBack(two, one)}); !errors.As(err, &refused) || refused.Code != 412 {
		y.Fatalf("a plan for another model: %v", err)
	}
	there := deviceworkflow.Migrate{Plan: memberPlan(one, two), Note: "a longer memory"}
	if would, err := y.twins.TryMigration(ctx, id, there); err != nil || would.States.To != "missed" || would.Already {
		y.Fatalf("a dry run: %+v, %v", would, err)
	}
	if done, err := y.twins.Migrate(ctx, id, by, there); err != nil || done.Already || done.States.To != "missed" {
		y.Fatalf("%+v, %v", done, err)
	}
	if again, err := y.twins.Migrate(ctx, id, by, there); err != nil || !again.Already {
		y.Fatalf("again: %+v, %v", again, err)
	}
	y.say(id, "member", "back", "lost")
	y.until(id, "runs the second version", func(v deviceworkflow.View) bool {
		return v.Model == two.Hash() && v.Runs == 1 && v.StateName == "missed" && maps.Equal(v.Snapshot.Context(), map[string]any{"losses": 8.0}) &&
			v.Attributes.ModelHash == two.Hash() && len(v.Groups) == 1
	})
	if done, err := y.twins.Migrate(ctx, id, by, deviceworkflow.Migrate{Plan: memberBack(two, one)}); err != nil || done.States.To != "missed" {
		y.Fatalf("back: %+v, %v", done, err)
	}
	y.say(id, "member", "back")
	y.until(id, "runs the first version again", func(v deviceworkflow.View) bool {
		return v.Model == one.Hash() && v.Runs == 2 && v.StateName == "reached" && len(v.Migrations) == 2
	})
	// So that the last run has a completed task.
	if _, err := y.twins.SetTags(ctx, id, by, map[string]*string{"line": new("7")}); err != nil {
		y.Fatal(err)
	}
}

// recordMoved writes the histories of the member that was moved.
func recordMoved(t *testing.T, s *system) {
	t.Helper()
	recordRuns(t, s, deviceworkflow.WorkflowID("migrated"), filepath.Join(historiesDir, "migrated"))
}
