package api

import (
	"context"
	"log/slog"

	"devicetwin/device"
)

// maxMigration bounds the body of a migration: as JSON, a plan may have twice its size.
const maxMigration = 2*maxPlan + 4096

// maxPlan is that of the documents of this package, in characters.
const maxPlan = 256 << 10

type migrateInput struct {
	ChangeParams
	DryRun bool `query:"dry_run" doc:"Only say what would happen: the device stays as it is."`
	Body   struct {
		Plan string `json:"plan" minLength:"1" maxLength:"262144" doc:"The plan: the text of its file, as devicetwin model plan writes it, with every place filled in."`
		Note string `json:"note,omitempty" maxLength:"512" doc:"Why, for the record of the device and the audit."`
	}
}

func (s *Server) migrate(ctx context.Context, in *migrateInput) (*body[Migrated], error) {
	remark(ctx, slog.String("note", clipTo(in.Body.Note, maxRemark)), slog.Bool("dry_run", in.DryRun))
	var by device.By
	if !in.DryRun {
		by = in.by(ctx)
	}
	done, err := s.backend.Migrate(ctx, in.ID, by, NewMigration{Plan: in.Body.Plan, Note: in.Body.Note, Try: in.DryRun})
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	remark(ctx, slog.String("migration", done.Migration), slog.String("plan", done.Plan), slog.String("from_model", done.FromModel), slog.String("to_model", done.ToModel))
	return &body[Migrated]{done}, nil
}
