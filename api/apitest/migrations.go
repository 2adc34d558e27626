package apitest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"devicetwin/api"
	"devicetwin/device"
)

// plan is what the fleet reads of a plan.
type plan struct {
	Plan, From, To string
	States         map[string]string
}

func readPlan(text string) (p plan, err error) {
	if json.Unmarshal([]byte(text), &p) != nil {
		return p, device.Refuse(422, "the plan cannot be read")
	}
	return p, nil
}

// migrated moves a device, or only says what would happen.
func migrated(d *api.Device, by device.By, m api.NewMigration) (api.Migrated, error) {
	p, err := readPlan(m.Plan)
	if err != nil {
		return api.Migrated{}, err
	}
	if d.ModelHash != p.From {
		return api.Migrated{}, device.Refuse(412, "the device runs model %.12s, and the plan is for %.12s", d.ModelHash, p.From)
	}
	to := p.States[d.State]
	if to == "" || to == "hold" {
		return api.Migrated{}, device.Refuse(409, "the device stays with its model: state %q has no image", d.State)
	}
	done := api.Migrated{Taken: api.Taken{From: d.State, To: to}, FromModel: p.From, ToModel: p.To, Plan: planHash, DryRun: m.Try}
	if !m.Try {
		d.ModelHash = p.To
		move(d, to, "migration", by.Who)
		d.Transitions[0].Cause.Name = "migrate"
		d.Transitions[0].Migration = &api.Migration{FromModel: p.From, ToModel: p.To, Plan: planHash, Note: m.Note}
	}
	return done, nil
}

// planHash is that of every plan.
const planHash = "abcdef0123456789"

// StartMigration implements api.Migrations: a migration is done at once.
func (b *Backend) StartMigration(ctx context.Context, by device.By, m api.NewFleetMigration) (api.FleetMigration, error) {
	p, err := readPlan(m.Plan)
	if err != nil {
		return api.FleetMigration{}, err
	}
	if p.From == "" || p.To == "" {
		return api.FleetMigration{}, device.Refuse(422, "the plan does not say from which version of which model it leads to which other one")
	}
	found, err := b.matching(m.Query)
	if err != nil {
		return api.FleetMigration{}, err
	}
	id := fmt.Sprintf("%x", sha256.Sum256([]byte(by.ID)))[:20]
	if known, err := b.FleetMigration(ctx, id); err == nil {
		return known, nil
	}
	done := api.FleetMigration{
		ID: id, Query: m.Words, Model: p.Plan, FromModel: p.From, ToModel: p.To, Plan: planHash, Who: by.Who, Note: m.Note, Rate: m.Rate,
		Phase: "done", Since: Now, Begins: &Now, Ended: &Now, Pass: 2,
	}
	for _, d := range found {
		if d.ModelHash != p.From {
			continue
		}
		moved, err := b.Migrate(ctx, d.ID, device.By{Who: by.Who}, api.NewMigration{Plan: m.Plan, Note: m.Note})
		var refused *device.Refused
		switch {
		case errors.As(err, &refused):
			done.Refused++
			done.Refusals = append(done.Refusals, api.MigrationRefusal{Device: d.ID, Code: refused.Code, Message: refused.Message})
			done.Reasons = append(done.Reasons, api.MigrationReason{Code: refused.Code, Message: refused.Message, Devices: 1})
			continue
		case err != nil:
			return api.FleetMigration{}, err
		}
		done.Moved++
		i := slices.IndexFunc(done.Images, func(i api.MigrationImage) bool { return i.Taken == moved.Taken })
		if i < 0 {
			done.Images = append(done.Images, api.MigrationImage{Taken: moved.Taken, First: d.ID})
			i = len(done.Images) - 1
		}
		done.Images[i].Devices++
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.migrations == nil {
		b.migrations = map[string]api.FleetMigration{}
	}
	b.migrations[id] = done
	return done, nil
}

// FleetMigration implements api.Migrations.
func (b *Backend) FleetMigration(_ context.Context, id string) (api.FleetMigration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fault != nil {
		return api.FleetMigration{}, b.fault
	}
	m, ok := b.migrations[id]
	if !ok {
		return m, device.Refuse(404, "no migration %s is under way, or it was forgotten", id)
	}
	return m, nil
}

// StopMigration implements api.Migrations.
func (b *Backend) StopMigration(ctx context.Context, id string) error {
	_, err := b.FleetMigration(ctx, id)
	return err
}
