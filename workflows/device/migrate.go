package device

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/devicefsm/calendar"
	"devicetwin/devicefsm/replay"
)

// A device is moved to another version of its model by a plan, between two events and wholly, or
// it stays as it was. The run ends behind it, so that no later one needs the old model.

// QueryMigration asks what a Migrate would make of the device at a time: a MigrationQuestion is
// its argument, and the answer is an OperationResult. It changes nothing.
const QueryMigration = "migration"

// changeMigrate is known of runs in which a worker that can migrate devices has met a migration.
// One of an earlier release refuses the operation, and the run must replay like that.
const changeMigrate = "migrate"

// MaxPlan bounds a plan, as JSON, in bytes.
const MaxPlan = 256 << 10

const (
	keptMigrations = 8
	maxNote        = 512 // bytes
	maxLost        = 20  // remarks of a result
	shownFaults    = 5   // of a plan, in a refusal
)

// Migrate moves the device to another version of its model.
type Migrate struct {
	// Plan names both models by their hashes. From is the one that the device has to run.
	Plan devicefsm.Plan `json:"plan"`
	// Hash is that of the plan, as its sender has it; "" is not looked at.
	Hash string `json:"hash,omitempty"`
	// Note is why, for people; at most 512 bytes are kept.
	Note string `json:"note,omitempty"`
}

// MigrationQuestion is the argument of QueryMigration.
type MigrationQuestion struct {
	Migrate
	At time.Time `json:"at"`
}

// Migration is one that was carried out.
type Migration struct {
	From string    `json:"from"` // hash of the old model
	To   string    `json:"to"`   // hash of the new one
	Plan string    `json:"plan"` // hash of the plan
	Note string    `json:"note,omitempty"`
	At   time.Time `json:"at,omitzero"`
	Who  string    `json:"who,omitempty"`
	ID   string    `json:"id,omitempty"` // of the operation
}

// Migrated is the result of a Migrate.
type Migrated struct {
	Migration
	Model string `json:"model"` // the name of both
	// Already says that this plan had moved the device before, and nothing was done.
	Already bool `json:"already,omitempty"`
	// States are the state's names before and after.
	States EventTaken `json:"states"`
	// Lost says what the device no longer knows, for people; at most 20 remarks.
	Lost []string `json:"lost,omitempty"`
}

// operateMigrate carries out a migration.
func (d *run) operateMigrate(ctx workflow.Context, op Operation, now time.Time) OperationResult {
	if workflow.GetVersion(ctx, changeMigrate, workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return unknownOperation() // so said the worker that had the run then
	}
	in := *op.Migrate
	made, result := d.checkMigrate(in)
	if result != nil {
		return *result
	}
	made.At, made.Who, made.ID = now, bounded(op.Who), op.ID
	to, refused := d.modelToMigrate(in.Plan.To, d.recordHas(ctx, in.Plan.To))
	if refused != nil {
		return OperationResult{Refused: refused}
	}
	zones, err := d.zonesToMigrate(to, d.readZones)
	if err != nil {
		return refusal(409, "%v", err)
	}
	d.advance(ctx) // what is due happens in the old model
	moved, refused := d.plannedMove(in.Plan, to, d.state.Snapshot, zones, now)
	if refused != nil {
		return OperationResult{Refused: refused}
	}
	done := Migrated{Migration: made, Model: to.Name(), States: EventTaken{From: d.model.StateName(d.state.Snapshot)}, Lost: boundedLost(moved.Lost)}
	d.becomes(ctx, to, moved, made, in.Plan, zones)
	done.States.To = d.model.StateName(d.state.Snapshot)
	return OperationResult{Migrated: &done}
}

// checkMigrate looks at what does not depend on the models. The result is that of a migration
// that is refused, or was carried out before.
func (d *run) checkMigrate(in Migrate) (Migration, *OperationResult) {
	made := Migration{From: in.Plan.From, To: in.Plan.To, Note: device.Clip(in.Note, maxNote)}
	refuse := func(code int, format string, args ...any) (Migration, *OperationResult) {
		r := refusal(code, format, args...)
		return made, &r
	}
	text, err := json.Marshal(in.Plan)
	if err == nil {
		made.Plan, err = in.Plan.Hash()
	}
	last := len(d.state.Migrations) - 1
	switch {
	case err != nil:
		return refuse(400, "the plan cannot be read: %v", err)
	case len(text) > MaxPlan:
		return refuse(413, "the plan has %d bytes, the limit is %d", len(text), MaxPlan)
	case in.Hash != "" && in.Hash != made.Plan:
		return refuse(400, "the plan has the hash %.12s, and not %.12s", made.Plan, in.Hash)
	case made.From == made.To:
		return refuse(422, "the plan leads from a model to itself: %.12s", made.To)
	case d.state.Model == made.From && in.Plan.Model != "" && in.Plan.Model != d.model.Name():
		return refuse(422, "the plan is for model %s, and the device runs %s", in.Plan.Model, d.model.Name())
	case d.state.Model == made.From:
		return made, nil
	case d.state.Model == made.To && last >= 0 && d.state.Migrations[last].Plan == made.Plan:
		state := d.model.StateName(d.state.Snapshot)
		return made, &OperationResult{Migrated: &Migrated{
			Migration: d.state.Migrations[last], Model: d.model.Name(), Already: true, States: EventTaken{From: state, To: state},
		}}
	case d.state.Model == made.To:
		return refuse(412, "the device runs model %.12s already, and was not moved there by this plan", made.To)
	}
	return refuse(412, "the device runs model %.12s, and the plan is for %.12s", d.state.Model, made.From)
}

// recordHas records in the run whether its worker has a model. One that has not may have read it
// from the registry soon, and the device goes on meanwhile.
func (d *run) recordHas(ctx workflow.Context, hash string) bool {
	has := false
	recorded := workflow.SideEffect(ctx, func(workflow.Context) any {
		_, ok := d.models.ByHash(hash)
		return ok
	})
	if err := recorded.Get(&has); err != nil {
		panic(fmt.Sprintf("device %s: read whether the worker has model %s: %v", d.state.Device, hash, err)) // the task fails, and is tried again
	}
	return has
}

// modelToMigrate is the new model.
func (d *run) modelToMigrate(hash string, has bool) (*devicefsm.Model, *device.Refused) {
	if !has {
		return nil, device.Refuse(codeTryAgain, "%s%s; if it is in the registry, the worker reads it now: ask again", noModel, hash)
	}
	to, ok := d.models.ByHash(hash)
	if !ok {
		panic(fmt.Sprintf("device %s: %s%s", d.state.Device, noModel, hash)) // as loaded does
	}
	switch kind := d.state.Device.Kind(); {
	case to.Kind() != kind:
		return nil, device.Refuse(422, "%s cannot run model %s, which is of kind %s", d.state.Device.Entity(), to.Name(), to.Kind().Word())
	case to.Name() != d.model.Name(): // bridges know versions of a model by its name
		return nil, device.Refuse(422, "the plan leads from model %s to %s: expected two versions of one model", d.model.Name(), to.Name())
	}
	return d.inEdition(to), nil
}

// codeTryAgain is that of a refusal that may be another result at any moment: it is not kept for
// the operation's id.
const codeTryAgain = 503

// zonesToMigrate are the time zones by which the new model goes; nil: it has none.
func (d *run) zonesToMigrate(to *devicefsm.Model, read func([]string) (calendar.Zones, error)) (calendar.Zones, error) {
	names := to.Zones()
	if len(names) == 0 {
		return nil, nil
	}
	zones, err := read(names)
	if err != nil {
		return nil, fmt.Errorf("time zones of model %s: %w", to.Name(), err)
	}
	return zones, nil
}

// plannedMove is what a plan makes of a snapshot. It changes nothing.
func (d *run) plannedMove(p devicefsm.Plan, to *devicefsm.Model, from *devicefsm.Snapshot, zones calendar.Zones, now time.Time) (devicefsm.Migrated, *device.Refused) {
	migration, faults := devicefsm.NewMigration(d.model, to, p)
	if len(faults) > 0 {
		var texts []string
		for _, f := range faults[:min(len(faults), shownFaults)] {
			texts = append(texts, f.Message)
		}
		if more := len(faults) - len(texts); more > 0 {
			texts = append(texts, fmt.Sprintf("and %d more", more))
		}
		return devicefsm.Migrated{}, device.Refuse(422, "the plan does not fit its models: %s", strings.Join(texts, "; "))
	}
	moved, err := migration.Apply(from, devicefsm.MigrationInput{At: now, Zones: zones, Twin: d.twinFor(to), Recent: d.recentFor(to)})
	var held *devicefsm.Held
	switch {
	case errors.As(err, &held):
		return moved, device.Refuse(409, "%s", device.Clip(held.Error(), maxReason))
	case err != nil:
		return moved, device.Refuse(409, "%s", device.Clip(err.Error(), maxReason))
	}
	return moved, nil
}

// becomes takes over what a plan has made of the device.
func (d *run) becomes(ctx workflow.Context, to *devicefsm.Model, moved devicefsm.Migrated, made Migration, plan devicefsm.Plan, zones calendar.Zones) {
	now, from, before := made.At, d.model, d.state.Snapshot
	tell := d.leaveModel(to, now)
	d.model, d.state.Model, d.migrated, d.moving = to, made.To, true, &made
	d.state.ZonesAt = time.Time{}
	if len(zones) > 0 {
		d.state.ZonesAt = now
	}
	d.setCause(Cause{Kind: CauseOperation, Name: "migrate", ID: bounded(made.ID), Who: made.Who})
	outcome := moved.Outcome
	d.journaled(&replay.Entry{
		Do: replay.DoMigrate, Arrived: now, Zones: zones, Plan: &plan, Recent: d.recentFor(to), After: moved.Snapshot, Result: replay.ResultOf(outcome),
	})
	if !slices.ContainsFunc(outcome.Transitions, isMigration) { // the state has the same name
		at := devicefsm.Transition{
			Time: moved.Snapshot.EventTime(), From: from.StateName(before), To: to.StateName(moved.Snapshot), Event: devicefsm.EventMigration,
			Before: before.Context(), After: moved.Snapshot.Context(),
		}
		if !at.Time.Equal(moved.Snapshot.Time()) {
			at.Arrived = moved.Snapshot.Time()
		}
		outcome.Transitions = append([]devicefsm.Transition{at}, outcome.Transitions...)
	}
	moves := d.moves
	d.accept(moved.Snapshot, outcome)
	d.moves, d.moving = moves, nil // tell reports these to groups
	d.state.Migrations = append(slices.Clone(d.state.Migrations), made)
	d.state.Migrations = d.state.Migrations[max(0, len(d.state.Migrations)-keptMigrations):]
	tell(ctx)
	d.stepRaised(now)
}

func isMigration(t devicefsm.Transition) bool { return t.Event == devicefsm.EventMigration }

// leaveModel reports to the groups of the device that it is no longer in states that the new
// model does not have. What is returned reports the rest, when the device has been moved: a state
// that stays is neither left nor entered, so that nothing that groups count goes down and up.
func (d *run) leaveModel(to *devicefsm.Model, now time.Time) func(workflow.Context) {
	if !d.follows(rulesGroups) {
		d.leaveAllGroups(now)
		d.newIdentity, d.newFeeds = true, len(d.settings.Groups) > 0
		return func(workflow.Context) {}
	}
	d.reportMoves()
	d.learnToLeave()
	was := d.memberState()
	gone := keep(d.model.Changes(was.State, ""), func(c devicefsm.Change) bool { return len(to.Changes(c.State, "")) == 0 })
	if len(gone) > 0 {
		d.noteUntold(now)
	}
	groups := slices.Clone(d.state.Groups)
	for i := range groups {
		d.reportAll(groups[i], gone, now)
		if groups[i].Heard == nil {
			heard := was
			groups[i].Heard = &heard
		}
	}
	d.state.Groups = groups
	known := len(d.settings.Groups) > 0
	return func(ctx workflow.Context) {
		if known {
			d.recordFeeds(ctx, func() []groupFeed { return d.groups.feedsOf(d.model) })
		}
	}
}

func boundedLost(lost []string) []string {
	var texts []string
	for _, l := range lost[:min(len(lost), maxLost)] {
		texts = append(texts, device.Clip(l, maxGuard))
	}
	return texts
}

// askMigration answers QueryMigration: what would happen, if nothing came in between.
func (d *run) askMigration(q MigrationQuestion) OperationResult {
	made, result := d.checkMigrate(q.Migrate)
	if result != nil {
		return *result
	}
	if d.state.Snapshot == nil {
		return refusal(codeTryAgain, "the device has not begun")
	}
	_, has := d.models.ByHash(q.Plan.To)
	to, refused := d.modelToMigrate(q.Plan.To, has)
	if refused != nil {
		return OperationResult{Refused: refused}
	}
	zones, err := d.zonesToMigrate(to, func(names []string) (calendar.Zones, error) { return d.zoneDatabase(names, q.At) })
	if err != nil {
		return refusal(409, "%v", err)
	}
	from := d.state.Snapshot
	if at, ok := d.model.NextDeadline(from); ok && !at.After(q.At) {
		due := d.ofService(devicefsm.Event{Twin: d.twinFor(d.model)}, q.At)
		from, _ = d.model.Step(from, due)
	}
	moved, refused := d.plannedMove(q.Plan, to, from, zones, q.At)
	if refused != nil {
		return OperationResult{Refused: refused}
	}
	return OperationResult{Migrated: &Migrated{
		Migration: made, Model: to.Name(), Lost: boundedLost(moved.Lost),
		States: EventTaken{From: d.model.StateName(from), To: to.StateName(moved.Snapshot)},
	}}
}
