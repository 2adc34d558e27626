package client

import (
	"context"
	"fmt"
	"time"

	"devicetwin/device"
	deviceworkflow "devicetwin/workflows/device"
)

// Migrate moves the device to another version of its model by a plan, or leaves it as it was: then
// the error is a *device.Refused that says why. With code 412 the device runs another model than
// the plan is for; with 503 its worker did not have the new one at that moment. Of a device that
// the plan has moved before, the result says so.
func (c *Client) Migrate(ctx context.Context, id device.ID, by device.By, m deviceworkflow.Migrate) (deviceworkflow.Migrated, error) {
	r, err := c.operate(ctx, id, by, deviceworkflow.Operation{Migrate: &m})
	if err != nil {
		return deviceworkflow.Migrated{}, fmt.Errorf("migrate device %s: %w", id, err)
	}
	return *r.Migrated, nil
}

// TryMigration says what Migrate would do now, and changes nothing.
func (c *Client) TryMigration(ctx context.Context, id device.ID, m deviceworkflow.Migrate) (deviceworkflow.Migrated, error) {
	var result deviceworkflow.OperationResult
	question := deviceworkflow.MigrationQuestion{Migrate: m, At: time.Now().UTC()}
	err := c.query(ctx, deviceworkflow.QueryMigration, runOf{device: id, open: true}, &result, question)
	if err == nil {
		err = result.Err()
	}
	if err != nil {
		return deviceworkflow.Migrated{}, fmt.Errorf("try a migration of device %s: %w", id, err)
	}
	if result.Migrated == nil {
		return deviceworkflow.Migrated{}, fmt.Errorf("try a migration of device %s: its worker answered nothing", id)
	}
	return *result.Migrated, nil
}
