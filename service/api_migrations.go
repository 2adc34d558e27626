package service

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"devicetwin/api"
	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/devicefsm/plan"
	twinclient "devicetwin/workflows/client"
	"devicetwin/workflows/migration"
)

// migrationIDBytes is how much of a hash names a migration: whoever asks for one again with the
// same key finds the one that was started.
const migrationIDBytes = 10

// StartMigration implements api.Migrations.
func (b apiBackend) StartMigration(ctx context.Context, by device.By, m api.NewFleetMigration) (api.FleetMigration, error) {
	parsed, err := plan.Parse("plan", []byte(m.Plan))
	if err != nil {
		return api.FleetMigration{}, device.Refuse(422, "%v", err)
	}
	text, exact := visibilityQuery(m.Query, b.client.VisibilityDatabase(ctx))
	if !exact {
		return api.FleetMigration{}, device.Refuse(422, "Temporal's database may find more devices than the query asks for: expected a query without this term")
	}
	in, err := migrationOf(parsed, by)
	if err != nil {
		return api.FleetMigration{}, err
	}
	in.Query, in.Words, in.Note, in.Rate = text, m.Words, m.Note, m.Rate
	return b.startMigration(ctx, in)
}

// migrationOf is a migration by a plan, without what says which devices are moved. Each id of by
// has its own.
func migrationOf(p devicefsm.Plan, by device.By) (migration.Input, error) {
	sum := sha256.Sum256([]byte(by.ID))
	by.ID = hex.EncodeToString(sum[:migrationIDBytes])
	return twinclient.MigrationOf(p, by)
}

// startMigration starts a migration, unless it has begun before.
func (b apiBackend) startMigration(ctx context.Context, in migration.Input) (api.FleetMigration, error) {
	if err := b.client.StartMigration(ctx, in); err != nil {
		return api.FleetMigration{}, err
	}
	p, err := b.client.Migration(ctx, in.ID)
	if err == nil {
		err = sameMigration(in, p)
	}
	if err != nil {
		return api.FleetMigration{}, err
	}
	return shownProgress(p), nil
}

// sameMigration refuses a request with the key of another one.
func sameMigration(in migration.Input, p migration.Progress) error {
	if p.Plan != in.Hash || p.Words != in.Words || p.Rate != in.Rate || p.Note != in.Note {
		return device.Refuse(422, "the idempotency key was used for another request")
	}
	return nil
}

// FleetMigration implements api.Migrations.
func (b apiBackend) FleetMigration(ctx context.Context, id string) (api.FleetMigration, error) {
	p, err := b.client.Migration(ctx, id)
	if err != nil {
		return api.FleetMigration{}, err
	}
	return shownProgress(p), nil
}

// StopMigration implements api.Migrations.
func (b apiBackend) StopMigration(ctx context.Context, id string) error {
	return b.client.StopMigration(ctx, id)
}

func shownProgress(p migration.Progress) api.FleetMigration {
	out := api.FleetMigration{
		ID: p.ID, Query: p.Words, Model: p.Model, FromModel: p.From, ToModel: p.To, Plan: p.Plan, Who: p.Who, Note: p.Note, Rate: p.Rate,
		Phase: p.Phase, Since: p.Since.UTC(), Begins: moment(p.Begins), Ended: moment(p.Ended), Pass: p.Pass,
		Moved: p.Moved, Already: p.Already, Gone: p.Gone, Refused: p.Refused,
	}
	for _, i := range p.Images {
		out.Images = append(out.Images, api.MigrationImage{Taken: api.Taken{From: i.From, To: i.To}, Devices: i.Devices, First: i.First})
	}
	for _, r := range p.Reasons {
		out.Reasons = append(out.Reasons, api.MigrationReason(r))
	}
	for _, r := range p.Refusals {
		out.Refusals = append(out.Refusals, api.MigrationRefusal(r))
	}
	return out
}
