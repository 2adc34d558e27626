package client

import (
	"errors"
	"testing"
	"testing/synctest"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"

	"devicetwin/device"
	deviceworkflow "devicetwin/workflows/device"
)

// The first event of an entity starts it, together with the event, unless that is refused.
func TestIntroduce(t *testing.T) {
	missing := serviceerror.NewNotFound("workflow not found for ID: customer/1")
	const print = "f5nroYQFfcvdZ5IY" // of the event
	refusal := device.Refuse(422, "model loyalty does not know the event")
	taken := deviceworkflow.OperationResult{Taken: &deviceworkflow.EventTaken{From: "new", To: "regular"}}
	for name, c := range map[string]struct {
		updates  []error
		status   enums.WorkflowExecutionStatus
		deletion deviceworkflow.Deletion
		starts   int
		code     int // of the refusal
		unknown  bool
	}{
		"known":                {[]error{nil}, enums.WORKFLOW_EXECUTION_STATUS_RUNNING, deviceworkflow.Deletion{}, 0, 0, false},
		"its first event":      {[]error{missing, nil}, 0, deviceworkflow.Deletion{}, 1, 0, false},
		"after a deletion":     {[]error{missing, nil}, enums.WORKFLOW_EXECUTION_STATUS_COMPLETED, deviceworkflow.Deletion{ID: "0", Print: "x"}, 1, 0, false},
		"another was refused":  {[]error{missing, missing, nil}, enums.WORKFLOW_EXECUTION_STATUS_COMPLETED, deviceworkflow.Deletion{ID: "0", Print: "x", Refused: refusal}, 2, 0, false},
		"again and again":      {[]error{missing}, enums.WORKFLOW_EXECUTION_STATUS_COMPLETED, deviceworkflow.Deletion{ID: "0", Print: "x", Refused: refusal}, maxIntroductions, 0, true},
		"refused":              {[]error{missing}, enums.WORKFLOW_EXECUTION_STATUS_COMPLETED, deviceworkflow.Deletion{ID: "k", Print: print, Refused: refusal}, 0, 422, false},
		"another with its key": {[]error{missing}, enums.WORKFLOW_EXECUTION_STATUS_COMPLETED, deviceworkflow.Deletion{ID: "k", Print: "x", Refused: refusal}, 0, 422, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeTemporal{updates: c.updates, status: c.status, deletion: c.deletion, result: taken}
				got, err := New(f, "default", "devices", "").Introduce(t.Context(), "customer/1", device.By{ID: "k", Who: "shop"}, deviceworkflow.OperatorEvent{Name: "purchase"})
				var refused *device.Refused
				switch {
				case c.code > 0:
					if !errors.As(err, &refused) || refused.Code != c.code {
						t.Errorf("error %v, want code %d", err, c.code)
					}
				case errors.Is(err, device.ErrUnknown) != c.unknown || !c.unknown && (err != nil || got != *taken.Taken):
					t.Errorf("%+v, error %v", got, err)
				}
				if len(f.started) != c.starts {
					t.Fatalf("started %d times, want %d", len(f.started), c.starts)
				}
				for _, in := range f.started {
					if in.Device != "customer/1" || in.First == nil || in.First.ID != "k" || in.First.Who != "shop" || !in.First.Event.Source {
						t.Errorf("started with %+v", in)
					}
				}
			})
		})
	}
}
