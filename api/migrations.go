package api

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"devicetwin/device"
)

// MigrationParam is the migration of a path.
type MigrationParam struct {
	Migration string `path:"migration" minLength:"1" maxLength:"64" pattern:"^[a-z0-9]+$" patternDescription:"of a-z 0-9" doc:"Id of the migration."`
}

// defaultRate is how many devices a migration moves in a second, if it does not say.
const defaultRate = 50

func (s *Server) registerMigrations(api huma.API) {
	start := s.operation(http.MethodPost, "start-migration", "/v1/migrations", "Move the devices that a query finds to another version of their model by a plan", ScopeAdmin)
	start.DefaultStatus = http.StatusCreated
	start.Errors = append(start.Errors, http.StatusConflict, http.StatusRequestEntityTooLarge)
	start.MaxBodyBytes = maxMigration + 1
	huma.Register(api, start, s.startMigration)
	huma.Register(api, s.operation(http.MethodGet, "get-migration", "/v1/migrations/{migration}", "How far a migration is, and its results", ScopeRead), s.getMigration)
	huma.Register(api, s.operation(http.MethodDelete, "stop-migration", "/v1/migrations/{migration}", "Stop a migration; devices that were moved stay moved", ScopeAdmin), s.stopMigration)
}

type startMigrationInput struct {
	Key  string `header:"Idempotency-Key" maxLength:"64" pattern:"^[!-~]*$" doc:"Repeat a request with the same key: the migration is started once."`
	Body struct {
		Query string  `json:"query,omitempty" maxLength:"1024" doc:"Query as of list-devices; without it, all devices of the model that the plan leads from."`
		Plan  string  `json:"plan" minLength:"1" maxLength:"262144" doc:"The plan: the text of its file, as devicetwin model plan writes it, with every place filled in."`
		Note  string  `json:"note,omitempty" maxLength:"512" doc:"Why, for the records of the devices and the audit."`
		Rate  float64 `json:"rate,omitempty" exclusiveMinimum:"0" maximum:"1000" doc:"Maximum number of devices moved per second. Default: 50."`
	}
}

type startMigrationOutput struct {
	Location string `header:"Location" doc:"URL of the migration."`
	Body     FleetMigration
}

func (s *Server) startMigration(ctx context.Context, in *startMigrationInput) (*startMigrationOutput, error) {
	query, err := s.query(ctx, in.Body.Query, ofDevices)
	if err != nil {
		return nil, err
	}
	rate := in.Body.Rate
	if rate == 0 {
		rate = defaultRate
	}
	remark(ctx, slog.String("query", in.Body.Query), slog.String("note", clipTo(in.Body.Note, maxRemark)), slog.Float64("rate", rate))
	by := ChangeParams{Key: in.Key}.by(ctx)
	started, err := s.backend.StartMigration(ctx, by, NewFleetMigration{Query: query, Words: in.Body.Query, Plan: in.Body.Plan, Note: in.Body.Note, Rate: rate})
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	remark(ctx, slog.String("migration", started.ID), slog.String("plan", started.Plan))
	return &startMigrationOutput{Location: "/v1/migrations/" + started.ID, Body: started}, nil
}

func (s *Server) getMigration(ctx context.Context, in *MigrationParam) (*body[FleetMigration], error) {
	found, err := s.backend.FleetMigration(ctx, in.Migration)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	return &body[FleetMigration]{found}, nil
}

func (s *Server) stopMigration(ctx context.Context, in *MigrationParam) (*struct{}, error) {
	remark(ctx, slog.String("migration", in.Migration))
	if err := s.backend.StopMigration(ctx, in.Migration); err != nil {
		return nil, s.problem(ctx, err)
	}
	return nil, nil
}

// Migrations is the part of a Backend that moves the devices of a fleet. A migration that is not
// known is a *device.Refused with code 404.
type Migrations interface {
	// StartMigration starts a migration, once for each id of by.
	StartMigration(ctx context.Context, by device.By, m NewFleetMigration) (FleetMigration, error)
	FleetMigration(ctx context.Context, id string) (FleetMigration, error)
	StopMigration(ctx context.Context, id string) error
}
