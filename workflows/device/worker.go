package device

import (
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// Register registers the device workflow and its activities with a worker.
func Register(r worker.Registry, w *Workflow, a *Activities) {
	r.RegisterWorkflowWithOptions(w.Device, workflow.RegisterOptions{Name: WorkflowType})
	r.RegisterActivityWithOptions(a.Emit, activity.RegisterOptions{Name: ActivityEmit})
	r.RegisterActivityWithOptions(a.Reprovision, activity.RegisterOptions{Name: ActivityReprovision})
	r.RegisterActivityWithOptions(a.Notify, activity.RegisterOptions{Name: ActivityNotify})
	r.RegisterActivityWithOptions(a.Record, activity.RegisterOptions{Name: ActivityRecord})
	r.RegisterActivityWithOptions(a.Call, activity.RegisterOptions{Name: ActivityCall})
}
