package client

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"go.temporal.io/api/enums/v1"
	temporalclient "go.temporal.io/sdk/client"

	"devicetwin/device"
	"devicetwin/devicefsm"
	deviceworkflow "devicetwin/workflows/device"
	"devicetwin/workflows/migration"
)

// ListModel implements migration.Devices.
func (c *Client) ListModel(ctx context.Context, hash, query string, limit int, cursor []byte) (ids []device.ID, next []byte, err error) {
	of := deviceworkflow.AttributeModelHash.GetName() + " = " + Quote(hash)
	if query != "" {
		of += " AND (" + query + ")"
	}
	page, err := c.ListDevices(ctx, of, limit, cursor)
	for _, d := range page.Devices {
		ids = append(ids, d.Device)
	}
	return ids, page.Cursor, err
}

// MoveDevice implements migration.Devices.
func (c *Client) MoveDevice(ctx context.Context, id device.ID, by device.By, plan json.RawMessage, hash, note string) (from, to string, already bool, err error) {
	m := deviceworkflow.Migrate{Hash: hash, Note: note}
	if err := json.Unmarshal(plan, &m.Plan); err != nil {
		return "", "", false, device.Refuse(400, "the plan cannot be read: %v", err)
	}
	done, err := c.Migrate(ctx, id, by, m)
	return done.States.From, done.States.To, done.Already, err
}

// Announce implements migration.Devices: whoever asks for Moves afterwards sees it.
func (c *Client) Announce(ctx context.Context, change migration.Change) error {
	err := whileNotReady(ctx, updatePatience, func() error {
		start := c.temporal.NewWithStartWorkflowOperation(temporalclient.StartWorkflowOptions{
			ID: migration.MovesID, TaskQueue: c.taskQueue, WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		}, migration.MovesType, migration.MovesInput{})
		handle, err := c.temporal.UpdateWithStartWorkflow(ctx, temporalclient.UpdateWithStartWorkflowOptions{
			StartWorkflowOperation: start,
			UpdateOptions: temporalclient.UpdateWorkflowOptions{
				WorkflowID: migration.MovesID, UpdateName: migration.UpdateMove, Args: []any{change}, WaitForStage: temporalclient.WorkflowUpdateStageCompleted,
			},
		})
		if err == nil {
			err = handle.Get(ctx, nil)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("announce that devices of model %s are moved: %w", change.Model, availability(err))
	}
	return nil
}

// Moves are the models of which devices are, or were, moved between versions. No worker is needed.
func (c *Client) Moves(ctx context.Context) ([]migration.Move, error) {
	desc, err := c.temporal.DescribeWorkflowExecution(ctx, migration.MovesID, "")
	switch {
	case isNotFound(err):
		return nil, nil // none ever was
	case err != nil:
		return nil, fmt.Errorf("read which devices are moved: %w", availability(err))
	}
	memo, ok := desc.GetWorkflowExecutionInfo().GetMemo().GetFields()[migration.MemoMoves]
	if !ok {
		return nil, nil
	}
	var moves []migration.Move
	if err := c.payloads.FromPayload(memo, &moves); err != nil {
		return nil, fmt.Errorf("read which devices are moved: %w", err)
	}
	return moves, nil
}

// IsMoving reports whether devices are being moved, or are to be, to or from a version of a model.
func (c *Client) IsMoving(ctx context.Context, hash string) (bool, error) {
	moves, err := c.Moves(ctx)
	for _, m := range moves {
		if len(m.Open) > 0 && slices.Contains(m.Versions, hash) {
			return true, err
		}
		for _, d := range m.Devices {
			if len(d.Open) > 0 && slices.Contains(d.Versions, hash) {
				return true, err
			}
		}
	}
	return false, err
}

// StartMigration starts a migration of the devices that its query finds. One that was started with
// its id before goes on.
func (c *Client) StartMigration(ctx context.Context, in migration.Input) error {
	if refused := in.Check(); refused != nil {
		return fmt.Errorf("start a migration: %w", refused)
	}
	_, err := c.temporal.ExecuteWorkflow(ctx, temporalclient.StartWorkflowOptions{
		ID: migration.WorkflowID(in.ID), TaskQueue: c.taskQueue,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING, WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: false,
	}, migration.WorkflowType, in)
	if err != nil {
		return fmt.Errorf("start migration %s: %w", in.ID, availability(err))
	}
	return nil
}

// Migration is how far a migration is, also of one that has ended. One that is not known is a
// *device.Refused with code 404.
func (c *Client) Migration(ctx context.Context, id string) (migration.Progress, error) {
	var progress migration.Progress
	err := whileNotReady(ctx, queryPatience, func() error {
		value, err := c.temporal.QueryWorkflow(ctx, migration.WorkflowID(id), "", migration.QueryProgress)
		if err == nil {
			err = value.Get(&progress)
		}
		return err
	})
	if err != nil {
		return progress, fmt.Errorf("ask for migration %s: %w", id, migrationError(id, err))
	}
	return progress, nil
}

// StopMigration stops a migration: devices that were moved stay moved. Of one that was terminated
// it announces the end, which nobody else would.
func (c *Client) StopMigration(ctx context.Context, id string) error {
	err := c.temporal.CancelWorkflow(ctx, migration.WorkflowID(id), "")
	if isNotFound(err) {
		var left migration.Progress
		if left, err = c.Migration(ctx, id); err == nil && left.Ended.IsZero() {
			err = c.Announce(ctx, migration.Change{ID: id, Model: left.Model, From: left.From, To: left.To, Over: true, Device: left.Device})
		}
		return err
	}
	if err != nil {
		return fmt.Errorf("stop migration %s: %w", id, availability(err))
	}
	return nil
}

func migrationError(id string, err error) error {
	if isNotFound(err) && !notReady(err) {
		return device.Refuse(404, "no migration %s is under way, or it was forgotten", id)
	}
	return availability(err)
}

// MigrationOf is a migration by a plan, without what says which devices are moved, how fast, and
// why; by says who asks, and its id is that of the migration.
func MigrationOf(p devicefsm.Plan, by device.By) (migration.Input, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return migration.Input{}, fmt.Errorf("write the plan: %w", err)
	}
	if len(text) > deviceworkflow.MaxPlan {
		return migration.Input{}, device.Refuse(413, "the plan has %d bytes, the limit is %d", len(text), deviceworkflow.MaxPlan)
	}
	hash, err := p.Hash()
	if err != nil {
		return migration.Input{}, err
	}
	return migration.Input{
		ID: by.ID, Plan: text, Hash: hash, Model: p.Model, From: p.From, To: p.To, Who: by.Who,
	}, nil
}
