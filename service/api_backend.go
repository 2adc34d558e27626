package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"devicetwin/api"
	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/devicefsm/plan"
	"devicetwin/internal/kinds"
	"devicetwin/twin"
	"devicetwin/twin/command"
	twinclient "devicetwin/workflows/client"
	deviceworkflow "devicetwin/workflows/device"
	"devicetwin/workflows/migration"
)

// APIBackend is the API's backend on device workflows.
func APIBackend(client *twinclient.Client) api.Backend { return apiBackend{client, nil} }

// apiBackend shows the device workflows to the API.
type apiBackend struct {
	client *twinclient.Client
	kinds  *kinds.Set
}

// hidden keeps what servers say of a device that is not there, or refuses, out of
// answers to callers: they read the words that all parts share.
func hidden(id device.ID, err error) error {
	var refused *device.Refused
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, device.ErrUnknown):
		return fmt.Errorf("%s: %w", id.Entity(), device.ErrUnknown)
	}
	return err
}

func connectionWord(s string) string {
	if s == "" {
		return api.Unknown
	}
	return s
}

func (b apiBackend) Device(ctx context.Context, id device.ID) (api.Device, error) {
	view, err := b.client.Describe(ctx, id)
	if err != nil {
		return api.Device{}, hidden(id, err)
	}
	shown := shownDevice(id, view, time.Now())
	b.showAttempt(ctx, id, shown.Processing)
	return shown, nil
}

// showAttempt adds how far the call is that is under way, which Temporal knows and the workflow does not.
// Without it, everything else is shown nevertheless.
func (b apiBackend) showAttempt(ctx context.Context, id device.ID, p *api.Processing) {
	if p == nil || p.First == nil || p.Held != "" {
		return
	}
	attempt, ok, err := b.client.CallUnderWay(ctx, id, p.First.Source)
	if err != nil || !ok {
		return
	}
	p.First.Attempt, p.First.LastFailure, p.First.NextAttempt = attempt.Number, attempt.LastFailure, moment(attempt.Next)
	p.Queue[0] = *p.First
}

func shownDevice(id device.ID, v deviceworkflow.View, now time.Time) api.Device {
	d := api.Device{
		ID: id, Model: v.ModelName, ModelHash: v.Model, State: v.StateName, Value: v.Value,
		Connection: connectionWord(v.Connection), LastSeen: moment(v.Seen), Firmware: v.Firmware, Site: v.Site,
		Parent: v.Parent, Tags: v.Tags, Faults: v.Faults, FaultCount: v.FaultCount, Reports: shownReports(v.Reports), ReportCount: v.ReportCount,
		Messages: api.Messages{Applied: v.Delivery.Applied, Duplicates: v.Delivery.Duplicates, Late: v.Delivery.Late},
	}
	if v.Snapshot != nil {
		d.Context = api.ObjectOf(v.Snapshot.Context())
	}
	for _, m := range v.Groups {
		if group, err := device.New(m.Kind, m.Name); err == nil {
			d.Groups = append(d.Groups, group)
		}
	}
	d.Windows = shownWindows(v.Windows)
	d.Processing = shownProcessing(v)
	d.Alarms, d.Counts = shownAlarms(v)
	for _, shadow := range v.Twins {
		if shadow.Name == "" {
			d.Twin = shownTwin(shadow.Document, now)
			continue
		}
		if d.Shadows == nil {
			d.Shadows = map[string]api.Twin{}
		}
		d.Shadows[shadow.Name] = shownTwin(shadow.Document, now)
	}
	if v.Address != nil {
		d.Dialect = v.Address.Dialect
	}
	for _, s := range v.Schedules {
		d.Schedules = append(d.Schedules, api.Schedule{Name: s.Name, State: s.State, Rule: s.Rule, Zone: s.Zone, Next: moment(s.Next)})
	}
	d.Commands, d.Waiting = shownCommands(v.Commands)
	for _, r := range v.Why { // the oldest first
		d.Transitions = append([]api.Transition{shownTransition(r)}, d.Transitions...)
	}
	return d
}

func shownProcessing(v deviceworkflow.View) *api.Processing {
	p := v.Process
	if p == nil {
		return nil
	}
	shown := &api.Processing{
		State:   v.Attributes.Processing,
		Waiting: len(p.Queue), Capacity: p.Policy.Queue, Since: moment(p.Began), Held: p.Held, Done: p.Done, Failed: p.Failed, Skipped: p.Skipped,
	}
	for _, q := range p.Queue[:min(len(p.Queue), shownQueue)] {
		shown.Queue = append(shown.Queue, api.ProcessEvent{ID: q.ID, Number: q.Number, Event: q.Event, At: q.At, Source: q.Src, To: q.To})
	}
	if len(shown.Queue) > 0 {
		first := shown.Queue[0]
		shown.First = &first
	}
	for _, f := range p.Failures {
		failed := api.ProcessFailed{ID: f.ID, Number: f.Number, Event: f.Event, Message: f.Message, At: f.At}
		if d := f.Decision; d != nil {
			failed.Decision = &api.ProcessVerdict{Do: d.Do, Who: d.Who, Note: d.Note, At: d.At}
		}
		shown.Failures = append(shown.Failures, failed)
	}
	return shown
}

// shownQueue is how many events that wait a device's page has.
const shownQueue = 100

func shownWindows(windows []devicefsm.WindowView) []api.Window {
	var shown []api.Window
	for _, w := range windows {
		shown = append(shown, api.Window{
			Name: w.Name, Aggregate: w.Aggregate, Start: w.Start, End: w.End, Count: w.Count, Value: w.Value, Late: w.Late, Closes: moment(w.Closes),
		})
	}
	return shown
}

// shownAlarms are the alarms that are raised, and counts of those of which there are any.
func shownAlarms(v deviceworkflow.View) (active []api.Alarm, counts []api.AlarmCount) {
	for _, a := range v.ActiveAlarms {
		active = append(active, api.Alarm{Name: a.Alarm, Key: a.Key, Since: a.Since.UTC(), Explains: a.Explains})
	}
	for _, n := range v.Alarms {
		if n.Raised+n.Waiting+n.Explained > 0 {
			counts = append(counts, api.AlarmCount{Name: n.Alarm, Raised: n.Raised, Waiting: n.Waiting, Explained: n.Explained})
		}
	}
	return active, counts
}

func shownReports(faults []device.Fault) []api.Fault {
	shown := make([]api.Fault, len(faults))
	for i, f := range faults {
		shown[i] = api.Fault(f)
	}
	return shown
}

// shownTwin reads a document from the answer that a device would get.
func shownTwin(doc twin.Document, now time.Time) api.Twin {
	out := api.Twin{}
	payload, refused := twin.Get(doc, "", nil, now, twin.DefaultLimits())
	if refused != nil {
		return out // there is none
	}
	var answer struct {
		State struct{ Desired, Reported, Delta api.Object }
	}
	if err := json.Unmarshal(payload, &answer); err == nil {
		out.Desired, out.Reported, out.Delta = answer.State.Desired, answer.State.Reported, answer.State.Delta
	}
	out.Version = doc.Version()
	return out
}

const shownWaiting = 100

// shownCommands are the commands in the order in which they were, or will be, sent.
func shownCommands(q command.Queue) (shown []api.Command, waiting int) {
	for _, c := range q.Ended {
		shown = append(shown, shownCommand(c))
	}
	if q.Flight != nil {
		shown = append(shown, shownCommand(*q.Flight))
	}
	for _, c := range q.Waiting[:min(len(q.Waiting), shownWaiting)] {
		shown = append(shown, shownCommand(c))
	}
	return shown, len(q.Waiting)
}

func shownCommand(c command.Command) api.Command {
	out := api.Command{
		ID: c.ID, Name: c.Name, Status: c.Status, By: c.By, Reason: c.Reason,
		Created: moment(c.Created), Sent: moment(c.Sent), Done: moment(c.Ended), Expires: moment(c.Expires),
		Deliveries: c.Deliveries, MaxDeliveries: c.MaxDeliveries, Result: plain(c.Result),
	}
	if len(c.Data) > 0 && c.Data[0] == '{' {
		out.Data = api.Object(c.Data)
	}
	if c.Late != nil {
		out.Late = &api.LateAck{Status: c.Late.Status, At: c.Late.At.UTC(), Reason: c.Late.Reason}
	}
	return out
}

func shownTransition(r deviceworkflow.Reason) api.Transition {
	return api.Transition{
		Migration: shownMigration(r.Migration),
		At:        r.At.UTC(), Arrived: moment(r.Arrived), From: r.From, To: r.To, Event: r.Event, Data: plain(r.Data), Guards: r.Guards,
		Cause: api.Cause{
			Kind: r.Cause.Kind, Channel: r.Cause.Channel, Name: r.Cause.Name, Epoch: r.Cause.Epoch, Seq: r.Cause.Seq, Who: r.Cause.Who, Note: r.Cause.Note,
		},
		Before: plain(r.Before), After: plain(r.After), ModelHash: r.Model,
	}
}

func shownMigration(m *deviceworkflow.Migration) *api.Migration {
	if m == nil {
		return nil
	}
	return &api.Migration{FromModel: m.From, ToModel: m.To, Plan: m.Plan, Note: m.Note}
}

// moment is a time, or nil for none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// plain is a JSON value; nil of none.
func plain(raw json.RawMessage) any {
	var v any
	if len(raw) == 0 || json.Unmarshal(raw, &v) != nil {
		return nil
	}
	return v
}

func (b apiBackend) Desire(ctx context.Context, id device.ID, by device.By, c api.DesiredChange) (api.Desired, error) {
	change := deviceworkflow.Desire{Shadow: c.Shadow, Patch: json.RawMessage(c.Patch), Within: c.Within}
	if c.Version != 0 {
		change.Version = &c.Version
	}
	d, err := b.client.Desire(ctx, id, by, change)
	return api.Desired{Version: d.Version, Changed: d.Changed, Open: d.Open}, hidden(id, err)
}

func (b apiBackend) SetTags(ctx context.Context, id device.ID, by device.By, tags map[string]string) error {
	return hidden(id, b.client.ReplaceTags(ctx, id, by, tags))
}

func (b apiBackend) SendCommand(ctx context.Context, id device.ID, by device.By, c api.NewCommand) (api.Command, error) {
	sent, err := b.client.Command(ctx, id, by, deviceworkflow.Order{
		Name: c.Name, Data: json.RawMessage(c.Data), TTL: c.TTL, MaxDeliveries: c.MaxDeliveries, Replace: c.Replace, Key: by.ID,
	})
	if err != nil {
		return api.Command{}, hidden(id, err)
	}
	return shownCommand(sent), nil
}

func (b apiBackend) Command(ctx context.Context, id device.ID, command string) (api.Command, error) {
	c, err := b.client.CommandStatus(ctx, id, command)
	if err != nil {
		return api.Command{}, hidden(id, err)
	}
	return shownCommand(c), nil
}

func (b apiBackend) CancelCommand(ctx context.Context, id device.ID, by device.By, command string) (api.Command, error) {
	c, err := b.client.CancelCommand(ctx, id, by, command)
	if err != nil {
		return api.Command{}, hidden(id, err)
	}
	return shownCommand(c), nil
}

func (b apiBackend) SendEvent(ctx context.Context, id device.ID, by device.By, name string, data api.Object) (api.Taken, error) {
	e := deviceworkflow.OperatorEvent{Name: name, Data: data.Map()}
	if k, known := b.kinds.Of(id.Kind()); !known || k.Source != kinds.API {
		taken, err := b.client.SendEvent(ctx, id, by, e)
		return api.Taken{From: taken.From, To: taken.To}, hidden(id, err)
	}
	if err := b.kinds.Check(id); err != nil {
		return api.Taken{}, device.Refuse(422, "%v", err)
	}
	taken, err := b.client.Introduce(ctx, id, by, e)
	return api.Taken{From: taken.From, To: taken.To}, hidden(id, err)
}

func (b apiBackend) DecideProcess(ctx context.Context, id device.ID, by device.By, decision api.ProcessDecision) (api.ProcessDecided, error) {
	decided, err := b.client.DecideProcess(ctx, id, by, deviceworkflow.ProcessDecision(decision))
	return api.ProcessDecided(decided), hidden(id, err)
}

func (b apiBackend) Reprovision(ctx context.Context, id device.ID, by device.By, reason string) (api.Reprovisioning, error) {
	r, err := b.client.Reprovision(ctx, id, by, reason)
	return api.Reprovisioning{Taken: api.Taken{From: r.From, To: r.To}, ByModel: r.ByModel}, hidden(id, err)
}

func (b apiBackend) Migrate(ctx context.Context, id device.ID, by device.By, m api.NewMigration) (api.Migrated, error) {
	parsed, err := plan.Parse("plan", []byte(m.Plan))
	if err != nil {
		return api.Migrated{}, device.Refuse(422, "%v", err)
	}
	var in migration.Input
	if !m.Try {
		if in, err = migrationOf(parsed, by); err != nil {
			return api.Migrated{}, err
		}
		in.Device, in.Words, in.Note, in.Rate = id, "id:"+string(id), m.Note, 1
		in.Query = "WorkflowId = " + twinclient.Quote(deviceworkflow.WorkflowID(id)) // no database mangles an id
		// What the device would do now does not matter to a request that is repeated.
		if before, ok, err := b.migratedBefore(ctx, in); ok || err != nil {
			return before, err
		}
	}
	would, err := b.client.TryMigration(ctx, id, deviceworkflow.Migrate{Plan: parsed, Note: m.Note})
	if err != nil {
		return api.Migrated{}, hidden(id, err)
	}
	out := api.Migrated{
		Taken:     api.Taken{From: would.States.From, To: would.States.To},
		FromModel: would.From, ToModel: would.To, Plan: would.Plan, Already: would.Already, DryRun: m.Try, Lost: would.Lost,
	}
	if m.Try || would.Already {
		return out, nil
	}
	// Bridges have to know of it before.
	in.Expected = &migration.Expected{From: would.States.From, To: would.States.To, Lost: would.Lost}
	started, err := b.startMigration(ctx, in)
	if err != nil {
		return api.Migrated{}, hidden(id, err)
	}
	out.Migration = started.ID
	return out, nil
}

// migratedBefore is the first answer to a request for a migration of one device, if that has begun.
func (b apiBackend) migratedBefore(ctx context.Context, in migration.Input) (answer api.Migrated, ok bool, err error) {
	p, err := b.client.Migration(ctx, in.ID)
	var refused *device.Refused
	switch {
	case errors.As(err, &refused) && refused.Code == http.StatusNotFound:
		return api.Migrated{}, false, nil
	case err == nil:
		err = sameMigration(in, p)
	}
	if err != nil || p.Expected == nil {
		return api.Migrated{}, false, err
	}
	return api.Migrated{
		Taken:     api.Taken{From: p.Expected.From, To: p.Expected.To},
		FromModel: p.From, ToModel: p.To, Plan: p.Plan, Lost: p.Expected.Lost, Migration: p.ID,
	}, true, nil
}

func (b apiBackend) Delete(ctx context.Context, id device.ID, by device.By) error {
	return hidden(id, b.client.Delete(ctx, id, by))
}

func (b apiBackend) Erase(ctx context.Context, id device.ID, by device.By) error {
	return hidden(id, b.client.Erase(ctx, id, by))
}
