package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/modelfile"
	"devicetwin/workflows/registry"
)

// A model that a worker lacks is read from the registry after a workflow has asked for it, once
// at a time, and checked; a failure is made up for when a workflow asks again.
func TestAMissingModelIsFetched(t *testing.T) {
	const src = "initial: on\nstates: {on: {}}\n"
	want, err := devicefsm.Load("lamp.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	packed, err := registry.Compress([]byte(src))
	if err != nil {
		t.Fatal(err)
	}
	text := registry.Text{Name: "lamp", Hash: want.Hash(), File: "lamp.yaml", Gzip: packed}
	copies, err := modelfile.OpenCopies(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		r := newModelRegistry(models{copies: copies}, slog.New(slog.NewTextHandler(&log, nil)))
		asked, fail, other := 0, error(nil), false
		r.fetch = func(_ context.Context, hash string) (registry.Text, error) {
			asked++
			if other {
				return registry.Text{File: "other.yaml", Hash: hash, Gzip: packed}, fail
			}
			return text, fail
		}
		ask := func(hash string) bool {
			_, ok := r.ByHash(hash)
			r.ByHash(hash) // another workflow, meanwhile
			synctest.Wait()
			return ok
		}
		for n, failure := range []error{errors.New("down"), fmt.Errorf("no: %w", device.ErrUnknown)} {
			fail = failure
			if ask(want.Hash()) || asked != n+1 || len(r.asked()) != 1 {
				t.Errorf("%v: asked %d times, %v are missing", failure, asked, r.asked())
			}
		}
		if n := strings.Count(log.String(), "cannot read a model from the registry"); n != 1 {
			t.Errorf("%d warnings:\n%s", n, log.String())
		}
		fail = nil
		ask(want.Hash())
		if m, ok := r.ByHash(want.Hash()); !ok || m.Name() != "lamp" || asked != 3 || len(r.asked()) != 0 {
			t.Errorf("%v, %v, asked %d times, %v are missing", m, ok, asked, r.asked())
		}
		if m, err := copies.Load(want.Hash()); err != nil || m.Hash() != want.Hash() {
			t.Errorf("no copy was kept: %v", err)
		}
		other = true // what is there under a hash may be anything
		wrong := strings.Repeat("0", 64)
		first := ask(wrong)
		if again := ask(wrong); first || again || !strings.Contains(log.String(), "another model") {
			t.Errorf("a model of another hash was taken:\n%s", log.String())
		}
	})
}
