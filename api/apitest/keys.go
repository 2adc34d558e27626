package apitest

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"devicetwin/api"
	"devicetwin/device"
)

// call makes one change with a key, and returns the change's result.
type call func(t *testing.T, key string) (any, error)

// kindOfChange is one change of a kind, and another one of the same kind.
type kindOfChange struct{ one, other call }

// changes are the kinds of changes, by name. Two commands are there to be cancelled.
func (c contract) changes(t *testing.T) map[string]kindOfChange {
	desire := func(patch string) call {
		return func(t *testing.T, key string) (any, error) {
			return c.backend.Desire(t.Context(), c.id, by(key), api.DesiredChange{Patch: api.Object(patch)})
		}
	}
	tags := func(value string) call {
		return func(t *testing.T, key string) (any, error) {
			return nil, c.backend.SetTags(t.Context(), c.id, by(key), map[string]string{"hall": value})
		}
	}
	command := func(data string) call {
		return func(t *testing.T, key string) (any, error) {
			sent, err := c.backend.SendCommand(t.Context(), c.id, by(key), api.NewCommand{Name: "reboot", Data: api.Object(data)})
			return sent.ID, err
		}
	}
	cancel := func(name string) call {
		sent, err := c.backend.SendCommand(t.Context(), c.id, by("to cancel: "+name), api.NewCommand{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		return func(t *testing.T, key string) (any, error) {
			cancelled, err := c.backend.CancelCommand(t.Context(), c.id, by(key), sent.ID)
			return cancelled.ID, err
		}
	}
	event := func(name string) call {
		return func(t *testing.T, key string) (any, error) {
			return c.backend.SendEvent(t.Context(), c.id, by(key), name, nil)
		}
	}
	reprovision := func(reason string) call {
		return func(t *testing.T, key string) (any, error) {
			return c.backend.Reprovision(t.Context(), c.id, by(key), reason)
		}
	}
	return map[string]kindOfChange{
		"desire":      {desire(`{"interval":1}`), desire(`{"interval":2}`)},
		"tags":        {tags("3"), tags("4")},
		"command":     {command(`{"delay":1}`), command(`{"delay":2}`)},
		"cancel":      {cancel("first"), cancel("second")},
		"event":       {event("hello"), event("good.bye")},
		"reprovision": {reprovision("lost"), reprovision("stolen")},
	}
}

func (c contract) delete(t *testing.T, key string) error {
	return c.backend.Delete(t.Context(), c.id, by(key))
}

// keys tests all pairs of changes: the second one with the key of the first is refused
// and changes nothing; the first one again gets its result.
func (c contract) keys(t *testing.T) {
	kinds := c.changes(t)
	names := slices.Sorted(maps.Keys(kinds))
	for _, first := range names {
		key := "key of " + first
		result, err := kinds[first].one(t, key)
		if err != nil {
			t.Errorf("%s: %v", first, err)
		}
		before := c.device(t.Context(), t)
		for _, second := range names {
			_, err := kinds[second].other(t, key)
			wantCode(t, second+" with the key of "+first, err, 422)
		}
		wantCode(t, "delete with the key of "+first, c.delete(t, key), 422)
		after := c.device(t.Context(), t)
		if !maps.Equal(after.Tags, before.Tags) || after.Twin.Version != before.Twin.Version || len(after.Commands) != len(before.Commands) || after.State != before.State {
			t.Errorf("changes with the key of %s changed %+v to %+v", first, before, after)
		}
		again, err := kinds[first].one(t, key)
		if err != nil || text(again) != text(result) {
			t.Errorf("%s again: %s, %v; want %s", first, text(again), err, text(result))
		}
	}
}

// keysOfADeletion tests that a deletion which is repeated was successful, and that its
// key is not another change's.
func (c contract) keysOfADeletion(t *testing.T) {
	kinds := c.changes(t)
	for _, again := range []string{"the first time", "again"} {
		if err := c.delete(t, "k"); err != nil {
			t.Errorf("%s: %v", again, err)
		}
	}
	if err := c.delete(t, "l"); !errors.Is(err, device.ErrUnknown) {
		t.Errorf("another deletion: %v, want %v", err, device.ErrUnknown)
	}
	for name, kind := range kinds {
		_, err := kind.one(t, "k")
		wantCode(t, name+" with the key of the deletion", err, 422)
		if _, err := kind.one(t, "l"); !errors.Is(err, device.ErrUnknown) {
			t.Errorf("%s: %v, want %v", name, err, device.ErrUnknown)
		}
	}
}

func text(v any) string { return string(api.ObjectOf(map[string]any{"result": v})) }
