package apitest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/api"
	"devicetwin/device"
)

// Contract tests what every api.Backend promises to the API: the fake of this
// package, and the device workflows behind a server. open returns a backend, and
// the id of a device that it knows, which has no tags, desired properties or
// commands yet, whose only fault is ContractFault, and whose model has the events
// "hello" and "good.bye" and no "unheard-of". It is called once for each test of the suite.
func Contract(t *testing.T, open func(t *testing.T) (api.Backend, device.ID)) {
	for name, test := range map[string]func(contract, *testing.T){
		"a device that is not there": contract.unknown,
		"tags":                       contract.tags,
		"desired properties":         contract.desired,
		"commands":                   contract.commands,
		"events":                     contract.events,
		"reprovisioning":             contract.reprovision,
		"nothing is held":            contract.nothingHeld,
		"faults":                     contract.faults,
		"migrations":                 contract.migrations,
		"a deleted device":           contract.deleted,
		"a device without its data":  contract.erased,
		"keys":                       contract.keys,
		"keys of a deletion":         contract.keysOfADeletion,
	} {
		t.Run(name, func(t *testing.T) {
			backend, id := open(t)
			test(contract{backend: backend, id: id}, t)
		})
	}
}

// ContractFault is what the device of the contract sent, twice, and nobody
// understood.
func ContractFault() device.Fault {
	return device.Fault{
		At: Now, Topic: "events/door", Reason: device.FaultUnknownEvent, Detail: `model pump does not know the event "door"`, Value: `{"open":true}`, Count: 2,
	}
}

type contract struct {
	backend api.Backend
	id      device.ID
}

var ann = device.By{Who: "ann"}

func by(key string) device.By { return device.By{Who: "ann", ID: key} }

// wantCode expects a refusal.
func wantCode(t *testing.T, what string, err error, code int) {
	t.Helper()
	var refused *device.Refused
	if !errors.As(err, &refused) || refused.Code != code || refused.Message == "" {
		t.Errorf("%s: %v, want a refusal with code %d and a message", what, err, code)
	}
}

// unknownTo expects device.ErrUnknown of every method.
func (c contract) unknownTo(t *testing.T, id device.ID) {
	t.Helper()
	ctx := t.Context()
	for what, call := range map[string]func() error{
		"Device":  func() error { _, err := c.backend.Device(ctx, id); return err },
		"Command": func() error { _, err := c.backend.Command(ctx, id, "x"); return err },
		"Desire": func() error {
			_, err := c.backend.Desire(ctx, id, ann, api.DesiredChange{Patch: api.Object(`{"a":1}`)})
			return err
		},
		"SetTags": func() error { return c.backend.SetTags(ctx, id, ann, map[string]string{"a": "b"}) },
		"SendCommand": func() error {
			_, err := c.backend.SendCommand(ctx, id, ann, api.NewCommand{Name: "reboot"})
			return err
		},
		"CancelCommand": func() error { _, err := c.backend.CancelCommand(ctx, id, ann, "x"); return err },
		"SendEvent":     func() error { _, err := c.backend.SendEvent(ctx, id, ann, "hello", nil); return err },
		"Reprovision":   func() error { _, err := c.backend.Reprovision(ctx, id, ann, ""); return err },
		"Migrate": func() error {
			_, err := c.backend.Migrate(ctx, id, ann, api.NewMigration{Plan: contractPlan})
			return err
		},
		"DecideProcess": func() error {
			_, err := c.backend.DecideProcess(ctx, id, ann, api.ProcessDecision{Do: "retry"})
			return err
		},
		"Delete": func() error { return c.backend.Delete(ctx, id, ann) },
		"Erase":  func() error { return c.backend.Erase(ctx, id, ann) },
	} {
		if err := call(); !errors.Is(err, device.ErrUnknown) {
			t.Errorf("%s of a device that is not there: %v, want %v", what, err, device.ErrUnknown)
		}
	}
}

func (c contract) unknown(t *testing.T) { c.unknownTo(t, "nobody-by-this-name") }

// contractPlan is a plan that can be read, for a model that no device runs.
const contractPlan = `{"plan": "x", "from": "a", "to": "b", "states": {}}`

// migrations that are refused leave the device as it was; what a plan says is the backend's own.
func (c contract) migrations(t *testing.T) {
	before := c.device(t.Context(), t)
	for _, try := range []bool{true, false} {
		_, err := c.backend.Migrate(t.Context(), c.id, by(fmt.Sprint("m", try)), api.NewMigration{Plan: "nothing", Try: try})
		wantCode(t, "a plan that cannot be read", err, 422)
		_, err = c.backend.Migrate(t.Context(), c.id, by(fmt.Sprint("n", try)), api.NewMigration{Plan: contractPlan, Try: try})
		wantCode(t, "a plan for another model", err, 412)
	}
	_, err := c.backend.StartMigration(t.Context(), by("f1"), api.NewFleetMigration{Plan: "nothing", Rate: 1})
	wantCode(t, "a migration by a plan that cannot be read", err, 422)
	_, err = c.backend.StartMigration(t.Context(), by("f2"), api.NewFleetMigration{Plan: `{"from": "a", "to": "", "states": {}}`, Rate: 1})
	wantCode(t, "a plan that leads nowhere", err, 422)
	_, err = c.backend.FleetMigration(t.Context(), "nothing")
	wantCode(t, "a migration that is not known", err, 404)
	wantCode(t, "to stop it", c.backend.StopMigration(t.Context(), "nothing"), 404)
	if after := c.device(t.Context(), t); after.ModelHash != before.ModelHash || after.State != before.State {
		t.Errorf("model %s, state %s; want %s, %s", after.ModelHash, after.State, before.ModelHash, before.State)
	}
}

func (c contract) deleted(t *testing.T) {
	if err := c.backend.Delete(t.Context(), c.id, ann); err != nil {
		t.Fatal(err)
	}
	c.unknownTo(t, c.id)
}

func (c contract) erased(t *testing.T) {
	for _, again := range []string{"the first time", "again"} {
		if err := c.backend.Erase(t.Context(), c.id, by("erase")); err != nil {
			t.Errorf("%s: %v", again, err)
		}
	}
	wantCode(t, "delete with the same key", c.backend.Delete(t.Context(), c.id, by("erase")), 422)
	c.unknownTo(t, c.id)
}

func (c contract) device(ctx context.Context, t *testing.T) api.Device {
	t.Helper()
	d, err := c.backend.Device(ctx, c.id)
	if err != nil || d.ID != c.id {
		t.Fatalf("device %s: %+v, %v", c.id, d.ID, err)
	}
	return d
}

// nothingHeld tests that there is nothing to decide on where no event holds a queue.
func (c contract) nothingHeld(t *testing.T) {
	for _, do := range []string{"retry", "skip"} {
		_, err := c.backend.DecideProcess(t.Context(), c.id, ann, api.ProcessDecision{Do: do})
		wantCode(t, do, err, 409)
	}
}

func (c contract) faults(t *testing.T) {
	d := c.device(t.Context(), t)
	if want := []api.Fault{api.Fault(ContractFault())}; !slices.Equal(d.Reports, want) || d.ReportCount != 2 {
		t.Errorf("%d faults, %+v; want 2, %+v", d.ReportCount, d.Reports, want)
	}
}

func (c contract) tags(t *testing.T) {
	ctx := t.Context()
	for _, tags := range []map[string]string{{"site/hall": "3 b", "old": "1"}, {"site/hall": "4"}, {}} {
		if err := c.backend.SetTags(ctx, c.id, ann, tags); err != nil {
			t.Fatal(err)
		}
		if got := c.device(ctx, t).Tags; !maps.Equal(got, tags) {
			t.Errorf("tags %v, want %v", got, tags)
		}
	}
	for _, tags := range []map[string]string{{"a b": "x"}, {"empty": ""}, {"line": "a\nb"}, {"": "x"}} {
		wantCode(t, "a tag that is against the rule", c.backend.SetTags(ctx, c.id, ann, tags), 400)
	}
	if got := c.device(ctx, t).Tags; len(got) != 0 {
		t.Errorf("refused tags %v are there", got)
	}
}

func (c contract) desired(t *testing.T) {
	ctx := t.Context()
	first, err := c.backend.Desire(ctx, c.id, by("d1"), api.DesiredChange{Patch: api.Object(`{"interval":12345678901234567890}`)})
	if err != nil || first.Version != 1 || len(first.Open) != 1 {
		t.Fatalf("%+v, %v; want version 1 and one open path", first, err)
	}
	again, err := c.backend.Desire(ctx, c.id, by("d1"), api.DesiredChange{Patch: api.Object(`{"interval":12345678901234567890}`)})
	if err != nil || again.Version != 1 {
		t.Errorf("the same operation again: %+v, %v; want version 1", again, err)
	}
	_, err = c.backend.Desire(ctx, c.id, by("d2"), api.DesiredChange{Patch: api.Object(`{"interval":1}`), Version: 8})
	wantCode(t, "another version", err, 412)
	_, err = c.backend.Desire(ctx, c.id, by("d3"), api.DesiredChange{Patch: api.Object(`{"x":"` + strings.Repeat("x", 9000) + `"}`)})
	wantCode(t, "a document that is too large", err, 413)
	next, err := c.backend.Desire(ctx, c.id, by("d4"), api.DesiredChange{Patch: api.Object(`{"name":"a"}`), Version: 1})
	if err != nil || next.Version != 2 {
		t.Errorf("%+v, %v; want version 2", next, err)
	}
	if got := c.device(ctx, t).Twin; got.Version != 2 || string(got.Desired) != `{"interval":12345678901234567890,"name":"a"}` {
		t.Errorf("twin %d %s", got.Version, got.Desired)
	}
	nested, err := c.backend.Desire(ctx, c.id, by("d5"), api.DesiredChange{Patch: api.Object(`{"name":null,"net":{"a.b":1,"dns":["1.1.1.1"]}}`)})
	if want := []string{"name", `net.a\.b`, "net.dns"}; err != nil || !slices.Equal(nested.Changed, want) {
		t.Errorf("changed %q, %v; want %q", nested.Changed, err, want)
	}
	if want := []string{"interval", `net.a\.b`, "net.dns"}; !slices.Equal(nested.Open, want) {
		t.Errorf("open %q, want %q", nested.Open, want)
	}
}

func (c contract) commands(t *testing.T) {
	ctx := t.Context()
	sent, err := c.backend.SendCommand(ctx, c.id, by("c1"), api.NewCommand{Name: "reboot", Data: api.Object(`{"delay":10}`)})
	if err != nil || sent.ID == "" || sent.Name != "reboot" || sent.Status != device.CommandWaiting || sent.By != "ann" {
		t.Fatalf("%+v, %v", sent, err)
	}
	again, err := c.backend.SendCommand(ctx, c.id, by("c1"), api.NewCommand{Name: "reboot", Data: api.Object(`{"delay":10}`)})
	if err != nil || again.ID != sent.ID {
		t.Errorf("the same operation again: %+v, %v; want command %s", again, err, sent.ID)
	}
	if found, err := c.backend.Command(ctx, c.id, sent.ID); err != nil || found.ID != sent.ID || found.Status.Ended() {
		t.Errorf("%+v, %v", found, err)
	}
	_, err = c.backend.Command(ctx, c.id, "no-such-command")
	wantCode(t, "a command that is not known", err, 404)
	_, err = c.backend.CancelCommand(ctx, c.id, by("c2"), "no-such-command")
	wantCode(t, "to cancel a command that is not known", err, 404)
	cancelled, err := c.backend.CancelCommand(ctx, c.id, by("c3"), sent.ID)
	if err != nil || cancelled.Status != device.CommandCancelled || cancelled.Done == nil {
		t.Errorf("%+v, %v", cancelled, err)
	}
	longest := device.MaxCommandTTL
	if kept, err := c.backend.SendCommand(ctx, c.id, by("c5"), api.NewCommand{Name: "reboot", TTL: longest}); err != nil || kept.Expires.Sub(*kept.Created) != longest {
		t.Errorf("the longest time to live: %+v, %v", kept, err)
	}
	_, err = c.backend.SendCommand(ctx, c.id, by("c6"), api.NewCommand{Name: "reboot", TTL: longest + time.Second})
	wantCode(t, "a longer time to live", err, 400)
	_, err = c.backend.CancelCommand(ctx, c.id, by("c4"), sent.ID)
	wantCode(t, "to cancel a command that has ended", err, 409)
}

func (c contract) events(t *testing.T) {
	ctx := t.Context()
	before := c.device(ctx, t).State
	taken, err := c.backend.SendEvent(ctx, c.id, by("e1"), "hello", nil)
	if err != nil || taken.From != before || taken.To != c.device(ctx, t).State {
		t.Errorf("%+v, %v; want from %s to the state that it has now", taken, err, before)
	}
	again, err := c.backend.SendEvent(ctx, c.id, by("e1"), "hello", nil)
	if err != nil || again != taken {
		t.Errorf("the same operation again: %+v, %v; want %+v", again, err, taken)
	}
	_, err = c.backend.SendEvent(ctx, c.id, by("e2"), device.EventSilent, nil)
	wantCode(t, "an event of the service's own", err, 409)
	_, err = c.backend.SendEvent(ctx, c.id, by("e3"), "unheard-of", nil)
	wantCode(t, "an event that the model does not know", err, 422)
}

func (c contract) reprovision(t *testing.T) {
	done, err := c.backend.Reprovision(t.Context(), c.id, by("r1"), "by hand")
	if err != nil || done.From == "" || done.To == "" {
		t.Errorf("%+v, %v", done, err)
	}
}
