package client

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	temporalclient "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	deviceworkflow "devicetwin/workflows/device"
	"devicetwin/workflows/registry"
)

// ErrNoRegistry says that nobody has begun a registry of models.
var ErrNoRegistry = errors.New("there is no registry of models")

// ReadPayloads lets the client read contents of models that another converter than the default one
// has written, because they are encrypted. It returns the client.
func (c *Client) ReadPayloads(with converter.DataConverter) *Client {
	c.payloads = with
	return c
}

// ModelIndex asks for the index of the registry; nil if it is of the revision that the caller
// has, 0 for none. It costs one query. Without a registry, the error is ErrNoRegistry.
func (c *Client) ModelIndex(ctx context.Context, have uint64) (*registry.Index, error) {
	var answer registry.Answer
	if err := c.askRegistry(ctx, &answer, registry.QueryIndex, have); err != nil {
		return nil, err
	}
	return answer.Index, nil
}

// ModelChanges are the last changes of the registry, the newest first.
func (c *Client) ModelChanges(ctx context.Context) ([]registry.Record, error) {
	var records []registry.Record
	err := c.askRegistry(ctx, &records, registry.QueryAudit)
	return records, err
}

func (c *Client) askRegistry(ctx context.Context, into any, query string, args ...any) error {
	answer, err := c.temporal.QueryWorkflowWithOptions(ctx, &temporalclient.QueryWorkflowWithOptionsRequest{
		WorkflowID: registry.WorkflowID, QueryType: query, Args: args,
		QueryRejectCondition: enums.QUERY_REJECT_CONDITION_NOT_OPEN, // one that was ended by hand answers, too
	})
	switch {
	case err == nil && answer.QueryRejected != nil:
		return fmt.Errorf("query %s of the registry of models: %w: it has ended", query, ErrNoRegistry)
	case err == nil:
		err = answer.QueryResult.Get(into)
	}
	if err != nil {
		return fmt.Errorf("query %s of the registry of models: %w", query, registryError(err))
	}
	return nil
}

// registryError is availability for the registry: that it is not there is ErrNoRegistry.
func registryError(err error) error {
	if refused := registry.Refusal(err); refused != nil {
		return refused
	}
	if isNotFound(err) && !notReady(err) {
		return fmt.Errorf("%w: %w", ErrNoRegistry, err)
	}
	return availability(err)
}

// ModelText reads the text of a version from Temporal, for which no worker is needed. One that
// is not there is device.ErrUnknown.
func (c *Client) ModelText(ctx context.Context, hash string) (registry.Text, error) {
	var text registry.Text
	events := c.temporal.GetWorkflowHistory(ctx, registry.TextID(hash), "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	event, err := events.Next()
	if err == nil {
		err = c.payloads.FromPayloads(event.GetWorkflowExecutionStartedEventAttributes().GetInput(), &text)
	}
	if err == nil && text.Hash != hash {
		err = fmt.Errorf("it is that of %q", text.Hash)
	}
	if err != nil {
		return text, fmt.Errorf("read the text of model %s: %w", hash, availability(err))
	}
	return text, nil
}

// ChangeModels changes the registry, and returns when the change is durable. A refusal is a
// *device.Refused.
func (c *Client) ChangeModels(ctx context.Context, change registry.Change) (registry.Result, error) {
	if refused := change.Check(); refused != nil {
		return registry.Result{}, refused
	}
	return c.changeModels(ctx, func(ctx context.Context) (temporalclient.WorkflowUpdateHandle, error) {
		return c.temporal.UpdateWorkflow(ctx, registryUpdate(change))
	})
}

// SeedModels is ChangeModels, and begins the registry if there is none.
func (c *Client) SeedModels(ctx context.Context, change registry.Change) (registry.Result, error) {
	if refused := change.Check(); refused != nil {
		return registry.Result{}, refused
	}
	return c.changeModels(ctx, func(ctx context.Context) (temporalclient.WorkflowUpdateHandle, error) {
		start := c.temporal.NewWithStartWorkflowOperation(temporalclient.StartWorkflowOptions{
			ID: registry.WorkflowID, TaskQueue: c.taskQueue, WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		}, registry.WorkflowType, registry.Input{})
		return c.temporal.UpdateWithStartWorkflow(ctx, temporalclient.UpdateWithStartWorkflowOptions{
			StartWorkflowOperation: start, UpdateOptions: registryUpdate(change),
		})
	})
}

// BeginRegistry begins an empty registry, unless there is one.
func (c *Client) BeginRegistry(ctx context.Context) error {
	_, err := c.temporal.ExecuteWorkflow(ctx, temporalclient.StartWorkflowOptions{
		ID: registry.WorkflowID, TaskQueue: c.taskQueue, WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
	}, registry.WorkflowType, registry.Input{})
	if err != nil {
		return fmt.Errorf("begin the registry of models: %w", availability(err))
	}
	return nil
}

// registryUpdate has no id of its own: the change has a key, by which the registry knows it over
// its runs.
func registryUpdate(change registry.Change) temporalclient.UpdateWorkflowOptions {
	return temporalclient.UpdateWorkflowOptions{
		WorkflowID: registry.WorkflowID, UpdateName: registry.UpdateChange, Args: []any{change},
		WaitForStage: temporalclient.WorkflowUpdateStageCompleted,
	}
}

// changeModels repeats a change that met the end of a run.
func (c *Client) changeModels(ctx context.Context, send func(context.Context) (temporalclient.WorkflowUpdateHandle, error)) (result registry.Result, err error) {
	err = whileNotReady(ctx, updatePatience, func() error {
		handle, err := send(ctx)
		if err == nil {
			err = handle.Get(ctx, &result)
		}
		return c.whyNotFound(ctx, registry.WorkflowID, err)
	})
	if err != nil {
		return result, fmt.Errorf("change the registry of models: %w", registryError(err))
	}
	return result, nil
}

// CountOfModel counts the running entities that run the model of a hash. The count trails the
// truth by some tens of milliseconds.
func (c *Client) CountOfModel(ctx context.Context, hash string) (int, error) {
	return c.CountDevices(ctx, deviceworkflow.AttributeModelHash.GetName()+" = "+Quote(hash))
}

// EndText ends the workflow of the text, if it is there.
func (c *Client) EndText(ctx context.Context, workflowID, reason string) error {
	err := c.temporal.TerminateWorkflow(ctx, workflowID, "", reason)
	var gone *serviceerror.NotFound
	if err != nil && !errors.As(err, &gone) {
		return fmt.Errorf("end workflow %s: %w", workflowID, availability(err))
	}
	return nil
}
