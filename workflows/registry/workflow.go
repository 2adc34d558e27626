package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"devicetwin/device"
)

// Names that workers, clients and people use. No entity's workflow has such ids.
const (
	WorkflowType = "ModelRegistry"
	WorkflowID   = "model-registry"
	TextType     = "ModelText"
	textPrefix   = "model-text:"

	UpdateChange = "change" // carries a Change, answered with a Result
	QueryIndex   = "index"  // carries a revision, answered with an Answer
	QueryAudit   = "audit"  // answered with Records, the newest first

	ActivityCount  = "registry.count"  // carries a hash, answered with the number of entities
	ActivityRemove = "registry.remove" // carries a hash
)

// TextID is the id of the workflow that has the text of a version.
func TextID(hash string) string { return textPrefix + hash }

// Input starts a run of the registry: State is its State, as JSON, compressed. A first run
// has none.
type Input struct {
	State []byte `json:"state,omitempty"`
}

// Answer is the index, if it is not the one that the asker has.
type Answer struct {
	Revision uint64 `json:"revision"`
	Index    *Index `json:"index,omitempty"`
}

const (
	// runChanges is how many changes a run makes before it is continued as new. The server
	// takes 2,000 updates of one run.
	runChanges  = 200
	softHistory = 4_000 // history events, likewise
)

// Activities are what the registry does to the world.
type Activities struct {
	// Running counts the entities that run a model.
	Running func(ctx context.Context, hash string) (int, error)
	// Moving reports whether devices are being moved to or from a version: soon one may run it.
	// Nil: nobody moves devices.
	Moving func(ctx context.Context, hash string) (bool, error)
	// End ends a workflow; one that is not there is no error.
	End func(ctx context.Context, workflowID, reason string) error
}

// isMoving is the count of a version to or from which devices are being moved.
const isMoving = -1

// Count counts the entities that run a version.
func (a *Activities) Count(ctx context.Context, hash string) (int, error) {
	if a.Moving != nil {
		moving, err := a.Moving(ctx, hash)
		if err != nil {
			return 0, fmt.Errorf("find out whether devices are moved to model %s: %w", hash, err)
		}
		if moving {
			return isMoving, nil
		}
	}
	n, err := a.Running(ctx, hash)
	if err != nil {
		return 0, fmt.Errorf("count the devices that run model %s: %w", hash, err)
	}
	return n, nil
}

// Remove ends the workflow that has the text of a version.
func (a *Activities) Remove(ctx context.Context, hash string) error {
	if err := a.End(ctx, TextID(hash), "the version was removed from the registry"); err != nil {
		return fmt.Errorf("remove the text of model %s: %w", hash, err)
	}
	return nil
}

// Register registers the workflows and their activities with a worker.
func Register(r worker.Registry, a *Activities) {
	r.RegisterWorkflowWithOptions(Registry, workflow.RegisterOptions{Name: WorkflowType})
	r.RegisterWorkflowWithOptions(KeepText, workflow.RegisterOptions{Name: TextType})
	r.RegisterActivityWithOptions(a.Count, activity.RegisterOptions{Name: ActivityCount})
	r.RegisterActivityWithOptions(a.Remove, activity.RegisterOptions{Name: ActivityRemove})
}

// KeepText is the workflow of a version: it keeps its input, until it is ended.
func KeepText(ctx workflow.Context, _ Text) error {
	ctx.Done().Receive(ctx, nil)
	return ctx.Err()
}

// run is a run in progress.
type run struct {
	state *State
	made  int            // changes
	turn  workflow.Mutex // of changes that wait for something
}

// Registry is the workflow of the index. It ends only by continue-as-new, or when it is
// cancelled or terminated.
func Registry(ctx workflow.Context, in Input) error {
	state, err := decodeInput(in)
	if err != nil {
		panic(err.Error()) // the workflow task fails, and waits for another worker
	}
	r := &run{state: state, turn: workflow.NewMutex(ctx)}
	if err := r.setHandlers(ctx); err != nil {
		return err
	}
	if err := workflow.Await(ctx, func() bool { return r.isLong(ctx) && workflow.AllHandlersFinished(ctx) }); err != nil {
		return err
	}
	r.state.Runs++
	next, err := r.state.compressed()
	if err != nil {
		return err
	}
	return workflow.NewContinueAsNewError(ctx, WorkflowType, Input{State: next})
}

func (s *State) compressed() ([]byte, error) {
	raw, err := json.Marshal(s)
	if err == nil {
		raw, err = Compress(raw)
	}
	if err != nil {
		return nil, fmt.Errorf("write the state of the registry of models: %w", err)
	}
	return raw, nil
}

func (r *run) isLong(ctx workflow.Context) bool {
	info := workflow.GetInfo(ctx)
	return r.made >= runChanges || info.GetCurrentHistoryLength() >= softHistory || info.GetContinueAsNewSuggested()
}

func (r *run) setHandlers(ctx workflow.Context) error {
	err := errors.Join(
		workflow.SetQueryHandler(ctx, QueryIndex, func(have uint64) (Answer, error) {
			if have == r.state.Index.Revision && have != 0 {
				return Answer{Revision: have}, nil
			}
			return Answer{Revision: r.state.Index.Revision, Index: &r.state.Index}, nil
		}),
		workflow.SetQueryHandler(ctx, QueryAudit, func() ([]Record, error) { return r.state.newest(), nil }),
		workflow.SetUpdateHandlerWithOptions(ctx, UpdateChange, r.change, workflow.UpdateHandlerOptions{Validator: r.validate}),
	)
	if err != nil {
		return fmt.Errorf("set the handlers of the registry of models: %w", err)
	}
	return nil
}

// newest are the records, the newest first.
func (s *State) newest() []Record {
	out := make([]Record, 0, len(s.Records))
	for i := len(s.Records) - 1; i >= 0; i-- {
		out = append(out, s.Records[i])
	}
	return out
}

// validate refuses a change before it is in the history.
func (r *run) validate(ctx workflow.Context, c Change) error {
	if _, made := r.state.made(c); made {
		return nil
	}
	return failure(r.state.check(c, workflow.Now(ctx)))
}

// change makes one change after the other.
func (r *run) change(ctx workflow.Context, c Change) (Result, error) {
	if err := r.turn.Lock(ctx); err != nil {
		return Result{}, err
	}
	defer r.turn.Unlock()
	if result, made := r.state.made(c); made {
		return result, nil
	}
	if refused := r.state.check(c, workflow.Now(ctx)); refused != nil {
		return Result{}, failure(refused)
	}
	for _, t := range r.state.newTexts(c) {
		if err := keep(ctx, t); err != nil {
			return Result{}, err
		}
	}
	removed := ""
	if c.Remove != nil {
		_, v, _ := r.state.version(c, *c.Remove)
		removed = v.Hash
		if err := r.checkUnused(ctx, *c.Remove, removed); err != nil {
			return Result{}, err
		}
	}
	r.made++
	result := r.state.apply(c, workflow.Now(ctx))
	if removed != "" {
		end := local(ctx, time.Second)
		if err := workflow.ExecuteLocalActivity(end, ActivityRemove, removed).Get(ctx, nil); err != nil {
			// It stays, and is used if the version is pushed again.
			workflow.GetLogger(ctx).Warn("the text of a removed model stays", "hash", removed, "error", err)
		}
	}
	return result, nil
}

func local(ctx workflow.Context, each time.Duration) workflow.Context {
	return workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout: each, ScheduleToCloseTimeout: 3 * each,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: 100 * time.Millisecond, MaximumAttempts: 3},
	})
}

// checkUnused refuses to remove a version that entities run.
func (r *run) checkUnused(ctx workflow.Context, ref VersionRef, hash string) error {
	var running int
	if err := workflow.ExecuteLocalActivity(local(ctx, 2*time.Second), ActivityCount, hash).Get(ctx, &running); err != nil {
		return failure(device.Refuse(503, "it can't be found out whether a device runs version %d of model %s", ref.Version, ref.Model))
	}
	if running == isMoving {
		return failure(device.Refuse(409, "devices are being moved to or from version %d of model %s", ref.Version, ref.Model))
	}
	if running > 0 {
		return failure(device.Refuse(409, "%d devices run version %d of model %s", running, ref.Version, ref.Model))
	}
	return nil
}

// keep starts the workflow of the text. One that is there has the same model. It goes on if the
// registry ends, or is cancelled.
func keep(ctx workflow.Context, t Text) error {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID: TextID(t.Hash), ParentClosePolicy: enums.PARENT_CLOSE_POLICY_ABANDON,
		WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
	})
	err := workflow.ExecuteChildWorkflow(ctx, TextType, t).GetChildWorkflowExecution().Get(ctx, nil)
	if err != nil && !temporal.IsWorkflowExecutionAlreadyStartedError(err) {
		return fmt.Errorf("keep the text of model %s: %w", t.Name, err)
	}
	return nil
}

// refusedType begins the type of an error that is a refusal; its code follows.
const refusedType = "refused:"

// failure is a refusal as an error of an update.
func failure(refused *device.Refused) error {
	if refused == nil {
		return nil
	}
	return temporal.NewNonRetryableApplicationError(refused.Message, refusedType+strconv.Itoa(refused.Code), nil)
}

// Refusal is the refusal that an update's error is; nil if it is another one.
func Refusal(err error) *device.Refused {
	var app *temporal.ApplicationError
	if !errors.As(err, &app) {
		return nil
	}
	code, ok := strings.CutPrefix(app.Type(), refusedType)
	if !ok {
		return nil
	}
	n, err := strconv.Atoi(code)
	if err != nil {
		return nil
	}
	return device.Refuse(n, "%s", app.Message())
}
