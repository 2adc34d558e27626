// Package apitest is an in-memory fleet that implements the contract of
// api.Backend, for tests of the API and its clients.
package apitest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"devicetwin/api"
	"devicetwin/device"
	"devicetwin/twin"
)

// Backend is an in-memory fleet. Its devices do not answer commands.
type Backend struct {
	mu      sync.Mutex
	devices map[device.ID]*api.Device
	done    map[string]applied // by device and operation
	fault   error
	calls   []device.By
	erased  []device.ID

	migrations map[string]api.FleetMigration
}

// Now is the time of everything that happens in the fleet.
var Now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// applied is a change that was requested with an id.
type applied struct {
	request string
	result  any
	err     error
}

// New makes an empty fleet.
func New() *Backend {
	return &Backend{devices: map[device.ID]*api.Device{}, done: map[string]applied{}}
}

// Put adds a device, or changes it.
func (b *Backend) Put(d api.Device) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.devices[d.ID] = &d
}

// Change changes a device.
func (b *Backend) Change(id device.ID, change func(*api.Device)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(b.devices[id])
}

// Fail lets every call fail with an error, until it is nil.
func (b *Backend) Fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = err
}

// Calls returns the callers of all changes.
func (b *Backend) Calls() []device.By {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.calls)
}

// find locks the fleet; the caller unlocks.
func (b *Backend) find(ctx context.Context, id device.ID) (*api.Device, error) {
	b.mu.Lock()
	switch d, ok := b.devices[id]; {
	case b.fault != nil:
		return nil, b.fault
	case ctx.Err() != nil:
		return nil, fmt.Errorf("ask device %s: %w", id, ctx.Err())
	case !ok:
		return nil, fmt.Errorf("device %s: %w", id, device.ErrUnknown)
	default:
		return d, nil
	}
}

// Devices implements api.Backend. Cursors are numbers.
func (b *Backend) Devices(_ context.Context, query api.Query, limit int, cursor []byte) ([]api.Summary, []byte, error) {
	found, err := b.matching(query)
	if err != nil {
		return nil, nil, err
	}
	from := 0
	if cursor != nil {
		from, _ = strconv.Atoi(string(cursor))
	}
	to := min(from+limit, len(found))
	var next []byte
	if to < len(found) {
		next = []byte(strconv.Itoa(to))
	}
	return found[min(from, to):to], next, nil
}

// CountDevices implements api.Backend.
func (b *Backend) CountDevices(_ context.Context, query api.Query) (int, error) {
	found, err := b.matching(query)
	return len(found), err
}

func (b *Backend) matching(query api.Query) ([]api.Summary, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fault != nil {
		return nil, b.fault
	}
	var found []api.Summary
	for _, id := range slices.Sorted(maps.Keys(b.devices)) {
		d := b.devices[id]
		summary := api.Summary{
			ID: id, Model: d.Model, ModelHash: d.ModelHash, State: d.State, Connection: d.Connection, Firmware: d.Firmware, Site: d.Site, Tags: d.Tags,
			Properties: propertiesOf(d.Twin), LastSeen: d.LastSeen, ReportCount: d.ReportCount,
		}
		summary.Processing, summary.ProcessFailed = processingOf(d.Processing)
		if query == nil || query.Matches(summary) {
			found = append(found, summary)
		}
	}
	return found, nil
}

// TwinOf is a twin whose reported and desired properties are strings, given by their
// paths.
func TwinOf(properties map[string]string) api.Twin {
	var t api.Twin
	reported, desired := map[string]string{}, map[string]string{}
	for path, value := range properties {
		if key, ok := strings.CutPrefix(path, "reported."); ok {
			reported[key] = value
		} else if key, ok := strings.CutPrefix(path, "desired."); ok {
			desired[key] = value
		}
	}
	if len(properties) > 0 {
		t.Version, t.Reported, t.Desired = 1, api.ObjectOf(reported), api.ObjectOf(desired)
	}
	return t
}

// propertiesOf are the strings at the top of a twin, by their paths: the fleet indexes
// them all.
func propertiesOf(t api.Twin) map[string]string {
	var properties map[string]string
	for head, object := range map[string]api.Object{"reported": t.Reported, "desired": t.Desired} {
		for key, value := range object.Map() {
			if text, ok := value.(string); ok {
				if properties == nil {
					properties = map[string]string{}
				}
				properties[head+"."+key] = text
			}
		}
	}
	return properties
}

// Device implements api.Backend.
func (b *Backend) Device(ctx context.Context, id device.ID) (api.Device, error) {
	d, err := b.find(ctx, id)
	defer b.mu.Unlock()
	if err != nil {
		return api.Device{}, err
	}
	out := *d
	out.Tags, out.Shadows, out.Commands = maps.Clone(d.Tags), maps.Clone(d.Shadows), slices.Clone(d.Commands)
	out.Faults, out.Reports = slices.Clone(d.Faults), slices.Clone(d.Reports)
	return out, nil
}

// change executes a change once for each operation: request is its name and what it
// is to do. What deleted a device is known as long as the device is not there.
func change[T any](ctx context.Context, b *Backend, id device.ID, by device.By, request []any, do func(*api.Device) (T, error)) (T, error) {
	d, err := b.find(ctx, id)
	defer b.mu.Unlock()
	var none T
	if err != nil && !errors.Is(err, device.ErrUnknown) {
		return none, err
	}
	key, print := string(id)+" "+by.ID, fmt.Sprintf("%q", request)
	known, ok := b.done[key]
	ok = ok && by.ID != "" && (err == nil || known.deleted())
	if err != nil && !ok {
		return none, err
	}
	b.calls = append(b.calls, by)
	switch {
	case ok && known.request != print:
		return none, device.Refuse(422, "the idempotency key was used for another request to this device")
	case ok && known.err != nil:
		return none, known.err
	case ok:
		return known.result.(T), nil
	}
	result, err := do(d)
	b.done[key] = applied{print, result, err}
	return result, err
}

func (a applied) deleted() bool { return a.request == `["delete"]` || a.request == `["erase"]` }

// Desire implements api.Backend.
func (b *Backend) Desire(ctx context.Context, id device.ID, by device.By, c api.DesiredChange) (api.Desired, error) {
	return change(ctx, b, id, by, []any{"desire", c.Shadow, string(c.Patch), c.Version, c.Within}, func(d *api.Device) (api.Desired, error) {
		doc := d.Twin
		if c.Shadow != "" {
			doc = d.Shadows[c.Shadow]
		}
		if c.Version != 0 && c.Version != doc.Version {
			return api.Desired{}, device.Refuse(412, "the document has version %d, not %d", doc.Version, c.Version)
		}
		doc, answer, err := desire(doc, c.Patch)
		if err != nil {
			return api.Desired{}, err
		}
		if c.Shadow == "" {
			d.Twin = doc
		} else {
			d.Shadows = maps.Clone(d.Shadows)
			if d.Shadows == nil {
				d.Shadows = map[string]api.Twin{}
			}
			d.Shadows[c.Shadow] = doc
		}
		return answer, nil
	})
}

// desire merges a patch by the rules that the workflow of a device follows.
func desire(t api.Twin, patch api.Object) (api.Twin, api.Desired, error) {
	section := func(name string, o api.Object) string {
		if len(o) == 0 {
			o = api.Object("null")
		}
		return strconv.Quote(name) + ":" + string(o)
	}
	limits := twin.DefaultLimits()
	update := func(doc twin.Document, sections ...string) (twin.Document, error) {
		next, _, refused := twin.Update(doc, []byte(`{"state":{`+strings.Join(sections, ",")+`}}`), Now, limits)
		if refused != nil {
			return doc, device.Refuse(refused.Code, "%s", refused.Error())
		}
		return next, nil
	}
	before, err := update(twin.Document{}, section("desired", t.Desired), section("reported", t.Reported))
	if err != nil {
		return t, api.Desired{}, err
	}
	after, err := update(before, section("desired", patch))
	if err != nil {
		return t, api.Desired{}, err
	}
	var stored struct{ Desired api.Object }
	var delta struct{ State api.Object }
	raw, err := json.Marshal(after)
	if err == nil {
		err = json.Unmarshal(raw, &stored)
	}
	if payload := twin.Delta(after, Now); err == nil && payload != nil {
		err = json.Unmarshal(payload, &delta)
	}
	t.Version, t.Desired, t.Delta = t.Version+1, stored.Desired, delta.State
	return t, api.Desired{Version: t.Version, Changed: twin.ChangedPaths(before, after).Desired, Open: twin.DeltaPaths(after)}, err
}

// SetTags implements api.Backend.
func (b *Backend) SetTags(ctx context.Context, id device.ID, by device.By, tags map[string]string) error {
	_, err := change(ctx, b, id, by, []any{"tags", tags}, func(d *api.Device) (struct{}, error) {
		if err := device.CheckTags(tags); err != nil {
			return struct{}{}, device.Refuse(400, "%v", err)
		}
		d.Tags = maps.Clone(tags)
		return struct{}{}, nil
	})
	return err
}

// SendCommand implements api.Backend.
func (b *Backend) SendCommand(ctx context.Context, id device.ID, by device.By, c api.NewCommand) (api.Command, error) {
	return change(ctx, b, id, by, []any{"command", c.Name, string(c.Data), c.TTL, c.MaxDeliveries, c.Replace}, func(d *api.Device) (api.Command, error) {
		if c.Name == "unheard-of" {
			return api.Command{}, device.Refuse(409, "the model knows no such command")
		}
		if c.TTL > device.MaxCommandTTL {
			return api.Command{}, device.Refuse(400, "the time to live is %v; the limit is %v", c.TTL, device.MaxCommandTTL)
		}
		ttl := c.TTL
		if ttl == 0 {
			ttl = 24 * time.Hour
		}
		now, expires := Now, Now.Add(ttl)
		command := api.Command{
			ID: fmt.Sprintf("c%d", len(d.Commands)+1), Name: c.Name, Status: device.CommandWaiting, Data: c.Data, By: by.Who,
			Created: &now, Expires: &expires, MaxDeliveries: cmp.Or(c.MaxDeliveries, 10),
		}
		if c.Replace {
			for i := range d.Commands {
				if d.Commands[i].Name == c.Name && d.Commands[i].Status == device.CommandWaiting {
					d.Commands[i].Status, d.Commands[i].Done = device.CommandSuperseded, &now
				}
			}
		}
		d.Commands = append(d.Commands, command)
		return command, nil
	})
}

func commandOf(d *api.Device, id string) (*api.Command, error) {
	i := slices.IndexFunc(d.Commands, func(c api.Command) bool { return c.ID == id })
	if i < 0 {
		return nil, device.Refuse(404, "no such command of this device, or it was forgotten: %s", id)
	}
	return &d.Commands[i], nil
}

// Command implements api.Backend.
func (b *Backend) Command(ctx context.Context, id device.ID, command string) (api.Command, error) {
	d, err := b.find(ctx, id)
	defer b.mu.Unlock()
	if err != nil {
		return api.Command{}, err
	}
	c, err := commandOf(d, command)
	if err != nil {
		return api.Command{}, err
	}
	return *c, nil
}

// CancelCommand implements api.Backend.
func (b *Backend) CancelCommand(ctx context.Context, id device.ID, by device.By, command string) (api.Command, error) {
	return change(ctx, b, id, by, []any{"cancel", command}, func(d *api.Device) (api.Command, error) {
		c, err := commandOf(d, command)
		if err != nil {
			return api.Command{}, err
		}
		if c.Status.Ended() {
			return api.Command{}, device.Refuse(409, "%s", "the command is "+c.Status+" already")
		}
		now := Now
		c.Status, c.Done, c.Reason = device.CommandCancelled, &now, "by "+by.Who
		return *c, nil
	})
}

// SendEvent implements api.Backend: the state becomes the event's name.
func (b *Backend) SendEvent(ctx context.Context, id device.ID, by device.By, name string, data api.Object) (api.Taken, error) {
	return change(ctx, b, id, by, []any{"event", name, string(data)}, func(d *api.Device) (api.Taken, error) {
		if strings.HasPrefix(name, "device.") {
			return api.Taken{}, device.Refuse(409, "%s", "event "+name+" is the service's own")
		}
		if name == "unheard-of" {
			return api.Taken{}, device.Refuse(422, `model %s does not know the event "unheard-of"; an operator can send hello, maintenance`, d.Model)
		}
		taken := move(d, name, name, by.Who)
		d.Transitions[0].Cause.Note = by.Note
		return taken, nil
	})
}

func move(d *api.Device, to, event, who string) api.Taken {
	taken := api.Taken{From: d.State, To: to}
	at := Now.Add(time.Duration(len(d.Transitions)) * time.Second)
	d.Transitions = append([]api.Transition{{
		At: at, From: d.State, To: to, Event: event, ModelHash: d.ModelHash,
		Cause: api.Cause{Kind: "operation", Name: "event", Who: who},
	}}, d.Transitions...)
	d.State = to
	return taken
}

// Reprovision implements api.Backend.
func (b *Backend) Reprovision(ctx context.Context, id device.ID, by device.By, reason string) (api.Reprovisioning, error) {
	return change(ctx, b, id, by, []any{"reprovision", reason}, func(d *api.Device) (api.Reprovisioning, error) {
		return api.Reprovisioning{Taken: move(d, "reprovisioning", "operator.reprovision", by.Who), ByModel: true}, nil
	})
}

// Migrate implements api.Backend. Plans are JSON: from, to and states, each with one image.
func (b *Backend) Migrate(ctx context.Context, id device.ID, by device.By, m api.NewMigration) (api.Migrated, error) {
	migrate := func(d *api.Device) (api.Migrated, error) { return migrated(d, by, m) }
	if m.Try {
		d, err := b.find(ctx, id)
		defer b.mu.Unlock()
		if err != nil {
			return api.Migrated{}, err
		}
		return migrate(d)
	}
	return change(ctx, b, id, by, []any{"migrate", m.Plan, m.Note}, migrate)
}

// DecideProcess implements api.Backend.
func (b *Backend) DecideProcess(ctx context.Context, id device.ID, by device.By, decision api.ProcessDecision) (api.ProcessDecided, error) {
	return change(ctx, b, id, by, []any{"process", decision.ID, decision.Do, decision.Note}, func(d *api.Device) (api.ProcessDecided, error) {
		p := d.Processing
		switch {
		case p == nil || p.Held == "":
			return api.ProcessDecided{}, device.Refuse(409, "no event has failed that holds the queue")
		case decision.ID != "" && decision.ID != p.First.ID:
			return api.ProcessDecided{}, device.Refuse(412, "the event that holds the queue is %s", p.First.ID)
		}
		now := *p
		if now.Held, now.State = "", ""; decision.Do == "skip" {
			now.Waiting, now.Skipped, now.Queue, now.First = p.Waiting-1, p.Skipped+1, p.Queue[1:], nil
			if len(now.Queue) > 0 {
				now.First = &now.Queue[0]
			}
		}
		if last := len(p.Failures) - 1; last >= 0 {
			now.Failures = slices.Clone(p.Failures)
			now.Failures[last].Decision = &api.ProcessVerdict{Do: decision.Do, Who: by.Who, Note: decision.Note, At: Now}
		}
		d.Processing = &now
		move(d, d.State, device.EventProcess, by.Who)
		return api.ProcessDecided{ID: p.First.ID, Number: p.First.Number, Event: p.First.Event, Waiting: now.Waiting}, nil
	})
}

// processingOf is what a list says of what is processed.
func processingOf(p *api.Processing) (word string, failed uint64) {
	if p == nil {
		return "", 0
	}
	return p.State, p.Failed
}

// ProcessingOf is what a device has that is listed like this.
func ProcessingOf(s api.Summary) *api.Processing {
	if s.Processing == "" && s.ProcessFailed == 0 {
		return nil
	}
	return &api.Processing{State: s.Processing, Failed: s.ProcessFailed}
}

// Delete implements api.Backend.
func (b *Backend) Delete(ctx context.Context, id device.ID, by device.By) error {
	_, err := change(ctx, b, id, by, []any{"delete"}, func(d *api.Device) (struct{}, error) {
		delete(b.devices, d.ID)
		return struct{}{}, nil
	})
	return err
}

// Erase implements api.Backend.
func (b *Backend) Erase(ctx context.Context, id device.ID, by device.By) error {
	_, err := change(ctx, b, id, by, []any{"erase"}, func(d *api.Device) (struct{}, error) {
		delete(b.devices, d.ID)
		b.erased = append(b.erased, d.ID)
		return struct{}{}, nil
	})
	return err
}

// Erased are the devices that were deleted with their data, in that order.
func (b *Backend) Erased() []device.ID {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.erased)
}

// Fleet are three devices for examples.
func Fleet() *Backend {
	b := New()
	seen := Now.Add(-90 * time.Second)
	b.Put(api.Device{
		ID: "pump-1", Model: "pump", ModelHash: PumpHash, State: "online", Value: "online", Connection: device.Online,
		LastSeen: &seen, Firmware: "1.4.2", Site: "north", Tags: map[string]string{"hall": "3"},
		Context: api.Object(`{"attempts":0}`), Messages: api.Messages{Applied: 17, Duplicates: 1},
		Twin:        api.Twin{Version: 7, Desired: api.Object(`{"interval":10}`), Reported: api.Object(`{"interval":5}`), Delta: api.Object(`{"interval":10}`)},
		ReportCount: 4, Reports: []api.Fault{{
			At: Now.Add(-time.Hour), Topic: "status", Reason: device.FaultUnknownStatus, Value: `"SLEEPY"`,
			Detail: "expected a status word, or a rule of the model that knows this one",
		}, {
			At: Now.Add(-2 * time.Minute), Topic: "telemetry", Reason: device.FaultExpression, Value: `{"temp":"95"}`, Count: 3,
			Detail: `when "msg.temp > 90" of event "hot": msg.temp is a string ("95"), expected a number`,
		}},
		Transitions: []api.Transition{{
			At: Now.Add(-time.Hour), From: "awaiting_birth", To: "online", Event: "boot",
			Data: map[string]any{"status": "boot"}, Guards: []string{"event.credential == context.credential"},
			Cause:  api.Cause{Kind: "message", Channel: "status", Epoch: 2, Seq: 4},
			Before: map[string]any{"attempts": 1}, After: map[string]any{"attempts": 0}, ModelHash: PumpHash,
		}, {
			At: Now.Add(-time.Hour - time.Minute), From: "online", To: "awaiting_birth", Event: "crash_loop",
			Cause: api.Cause{Kind: "message", Channel: "telemetry", Epoch: 2, Seq: 3}, ModelHash: PumpHash,
		}},
	})
	b.Put(api.Device{ID: "pump-2", Model: "pump", ModelHash: PumpHash, State: "quarantined", Value: "quarantined", Connection: device.Offline, Site: "south"})
	b.Put(api.Device{ID: "truck-1", Model: "coldchain", ModelHash: "fedcba9876543210", State: "ok", Value: "ok", Connection: api.Unknown})
	return b
}
