package service

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	temporalclient "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"google.golang.org/grpc"

	"devicetwin/api"
	"devicetwin/device"
	"devicetwin/devicefsm/plan"
	twinclient "devicetwin/workflows/client"
	deviceworkflow "devicetwin/workflows/device"
	"devicetwin/workflows/migration"
)

// migrationTemporal runs migrations of three pumps, from start to end at once; asked for a progress,
// it gives what the workflow said after a minute. What it does not have panics.
type migrationTemporal struct {
	temporalclient.Client
	t *testing.T
	// earlier: the worker is of a build that does not know migrations of one device.
	earlier  bool
	inputs   map[string]migration.Input
	progress map[string]migration.Progress
	moved    []device.ID
	would    deviceworkflow.OperationResult // of a device that is asked
	asked    int                            // devices
	down     error                          // of questions for a progress
}

func newMigrationTemporal(t *testing.T) *migrationTemporal {
	t.Helper()
	p, err := plan.Parse("plan", []byte(pumpPlan))
	if err != nil {
		t.Fatal(err)
	}
	hash, err := p.Hash()
	if err != nil {
		t.Fatal(err)
	}
	return &migrationTemporal{t: t, inputs: map[string]migration.Input{}, progress: map[string]migration.Progress{}, would: deviceworkflow.OperationResult{
		Migrated: &deviceworkflow.Migrated{
			Migration: deviceworkflow.Migration{From: "h1", To: "h2", Plan: hash}, States: deviceworkflow.EventTaken{From: "on", To: "bright"}, Lost: []string{"a timer"},
		},
	}}
}

func (f *migrationTemporal) backend() apiBackend {
	c := twinclient.New(f, "default", "devices", "")
	f.t.Cleanup(c.Close)
	return apiBackend{c, nil}
}

func (f *migrationTemporal) WorkflowService() workflowservice.WorkflowServiceClient {
	return sqliteService{}
}

// sqliteService says which database it has.
type sqliteService struct {
	workflowservice.WorkflowServiceClient
}

func (sqliteService) GetClusterInfo(context.Context, *workflowservice.GetClusterInfoRequest, ...grpc.CallOption) (*workflowservice.GetClusterInfoResponse, error) {
	return &workflowservice.GetClusterInfoResponse{VisibilityStore: "sqlite"}, nil
}

func (f *migrationTemporal) QueryWorkflowWithOptions(_ context.Context, r *temporalclient.QueryWorkflowWithOptionsRequest) (*temporalclient.QueryWorkflowWithOptionsResponse, error) {
	if r.QueryType != deviceworkflow.QueryMigration {
		return nil, errors.New("query " + r.QueryType)
	}
	f.asked++
	payloads, err := converter.GetDefaultDataConverter().ToPayloads(f.would)
	return &temporalclient.QueryWorkflowWithOptionsResponse{QueryResult: temporalclient.NewValue(payloads)}, err
}

func (f *migrationTemporal) QueryWorkflow(_ context.Context, id, _, _ string, _ ...any) (converter.EncodedValue, error) {
	p, ok := f.progress[id]
	switch {
	case f.down != nil:
		return nil, f.down
	case !ok:
		return nil, serviceerror.NewNotFound("workflow not found")
	}
	payloads, err := converter.GetDefaultDataConverter().ToPayloads(p)
	return temporalclient.NewValue(payloads), err
}

func (f *migrationTemporal) ExecuteWorkflow(_ context.Context, o temporalclient.StartWorkflowOptions, kind any, args ...any) (temporalclient.WorkflowRun, error) {
	if _, ok := f.progress[o.ID]; ok {
		return nil, nil
	}
	in := args[0].(migration.Input)
	f.inputs[o.ID] = in
	if f.earlier {
		in.Device, in.Expected = "", nil
	}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: 20 * time.Second})
	migration.Register(env, &migration.Activities{Devices: pumps{f}})
	var p migration.Progress
	env.RegisterDelayedCallback(func() {
		value, err := env.QueryWorkflow(migration.QueryProgress)
		if err == nil {
			err = value.Get(&p)
		}
		if err != nil {
			f.t.Errorf("progress of %s: %v", o.ID, err)
		}
	}, time.Minute)
	env.ExecuteWorkflow(kind, in)
	if err := env.GetWorkflowError(); err != nil {
		return nil, err
	}
	f.progress[o.ID] = p
	return nil, nil
}

// pumps are those that are moved.
type pumps struct{ *migrationTemporal }

func (f pumps) ListModel(_ context.Context, _, query string, _ int, _ []byte) (ids []device.ID, next []byte, err error) {
	for _, id := range []device.ID{"pump-1", "pump-10", "pump-2"} {
		if !slices.Contains(f.moved, id) && (query == "" || query == "WorkflowId = '"+deviceworkflow.WorkflowID(id)+"'") {
			ids = append(ids, id)
		}
	}
	return ids, nil, nil
}

func (f pumps) MoveDevice(_ context.Context, id device.ID, _ device.By, _ json.RawMessage, _, _ string) (from, to string, already bool, err error) {
	f.moved = append(f.moved, id)
	return "on", "bright", false, nil
}

func (f pumps) Announce(context.Context, migration.Change) error { return nil }

const pumpPlan = "plan: pump\nfrom: h1\nto: h2\nstates: {'on': bright}\n"

// A migration of one device moves this one and no other, whichever build of a worker it has.
func TestOneDeviceIsMovedByWorkersOfEveryBuild(t *testing.T) {
	for name, earlier := range map[string]bool{"this one": false, "an earlier one": true} {
		t.Run(name, func(t *testing.T) {
			f := newMigrationTemporal(t)
			f.earlier = earlier
			done, err := f.backend().Migrate(t.Context(), "pump-1", device.By{Who: "ann", ID: "ann/k"}, api.NewMigration{Plan: pumpPlan, Note: "why"})
			if err != nil || done.Migration == "" || done.From != "on" || done.To != "bright" {
				t.Fatalf("%+v, %v", done, err)
			}
			if !slices.Equal(f.moved, []device.ID{"pump-1"}) {
				t.Errorf("moved %q, want pump-1", f.moved)
			}
			if in := f.inputs[migration.WorkflowID(done.Migration)]; in.Device != "pump-1" || in.Words != "id:pump-1" || in.Query != "WorkflowId = 'device/pump-1'" {
				t.Errorf("started with %+v", in)
			}
		})
	}
}

// A request with the same key is given the first answer, whatever the device would do now.
func TestAMigrationOfOneDeviceIsRepeated(t *testing.T) {
	f := newMigrationTemporal(t)
	b := f.backend()
	by := device.By{Who: "ann", ID: "ann/k"}
	request := api.NewMigration{Plan: pumpPlan, Note: "why"}
	first, err := b.Migrate(t.Context(), "pump-1", by, request)
	if err != nil || len(first.Lost) != 1 {
		t.Fatalf("%+v, %v", first, err)
	}
	refusal := deviceworkflow.OperationResult{Refused: device.Refuse(409, "stays with its model")}
	already := deviceworkflow.OperationResult{Migrated: &deviceworkflow.Migrated{Already: true}}
	for name, would := range map[string]deviceworkflow.OperationResult{"it would be moved": f.would, "it is refused": refusal, "it is moved": already} {
		f.would, f.asked = would, 0
		again, err := b.Migrate(t.Context(), "pump-1", by, request)
		if err != nil || !reflect.DeepEqual(again, first) || f.asked != 0 {
			t.Errorf("%s: %+v, %v, want %+v; the device was asked %d times", name, again, err, first, f.asked)
		}
	}
	if len(f.inputs) != 1 || len(f.moved) != 1 {
		t.Errorf("%d migrations moved %q", len(f.inputs), f.moved)
	}

	// What is not that request is not answered so.
	f.would = refusal
	for name, c := range map[string]struct {
		id   device.ID
		by   device.By
		m    api.NewMigration
		code int
	}{
		"a dry run":                      {"pump-1", device.By{}, api.NewMigration{Plan: pumpPlan, Note: "why", Try: true}, 409},
		"another key":                    {"pump-1", device.By{Who: "ann", ID: "ann/l"}, request, 409},
		"another device with the key":    {"pump-2", by, request, 422},
		"another note with the key":      {"pump-1", by, api.NewMigration{Plan: pumpPlan, Note: "because"}, 422},
		"another plan with the key":      {"pump-1", by, api.NewMigration{Plan: strings.Replace(pumpPlan, "bright", "dim", 1), Note: "why"}, 422},
		"a fleet's with the key":         {"", by, api.NewMigration{}, 422},
		"no plan, whatever the key says": {"pump-1", by, api.NewMigration{Plan: "plan: pump\n", Note: "why"}, 422},
	} {
		var err error
		if c.id == "" {
			_, err = b.StartMigration(t.Context(), c.by, api.NewFleetMigration{Words: "", Plan: pumpPlan, Note: "why", Rate: 1})
		} else {
			_, err = b.Migrate(t.Context(), c.id, c.by, c.m)
		}
		var refused *device.Refused
		if !errors.As(err, &refused) || refused.Code != c.code {
			t.Errorf("%s: %v, want code %d", name, err, c.code)
		}
	}
	f.down = serviceerror.NewUnavailable("away")
	if _, err := b.Migrate(t.Context(), "pump-1", by, request); !errors.Is(err, device.ErrUnavailable) {
		t.Errorf("while it is not known whether it has begun: %v", err)
	}
	if len(f.inputs) != 1 || len(f.moved) != 1 {
		t.Errorf("in the end, migrations %q moved %q", slices.Sorted(maps.Keys(f.inputs)), f.moved)
	}
}

// Of a migration that a worker of an earlier build has, the first answer is not known: the device is asked.
func TestAMigrationOfAnEarlierBuildIsRepeated(t *testing.T) {
	f := newMigrationTemporal(t)
	f.earlier = true
	b := f.backend()
	by := device.By{Who: "ann", ID: "ann/k"}
	request := api.NewMigration{Plan: pumpPlan}
	first, err := b.Migrate(t.Context(), "pump-1", by, request)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := b.Migrate(t.Context(), "pump-1", by, request); err != nil || !reflect.DeepEqual(again, first) || f.asked != 2 || len(f.inputs) != 1 {
		t.Errorf("%+v, %v, want %+v; the device was asked %d times", again, err, first, f.asked)
	}
}
