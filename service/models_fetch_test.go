package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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
		s := &Service{log: r.log}
		s.runPart("models", r.run)
		defer s.Close()
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

// When a service has stopped, nothing reads a model any more, and what its end cut short is not
// called a fault.
func TestStoppingWaitsForModels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		r := newModelRegistry(models{}, slog.New(slog.NewTextHandler(&log, nil)))
		const hang = 3 * time.Second // of a request that notices late that it is of no use
		var reading atomic.Int64
		r.fetch = func(ctx context.Context, _ string) (registry.Text, error) {
			reading.Add(1)
			defer reading.Add(-1)
			<-ctx.Done()
			time.Sleep(hang)
			return registry.Text{}, ctx.Err()
		}
		s := &Service{log: r.log}
		s.runPart("models", r.run)
		r.ByHash("aa")
		r.ByHash("bb")
		synctest.Wait()
		if n := reading.Load(); n != 2 {
			t.Fatalf("%d models are read at once, want 2", n)
		}
		began := time.Now()
		if err := s.Close(); err != nil || reading.Load() != 0 || time.Since(began) != hang {
			t.Errorf("%v: closed after %v, while %d models were being read", err, time.Since(began), reading.Load())
		}
		if strings.Contains(log.String(), "cannot read") {
			t.Errorf("logged:\n%s", log.String())
		}
		r.ByHash("cc")
		if synctest.Wait(); reading.Load() != 0 {
			t.Error("a model is read after the end")
		}
	})
}

// A workflow that asks for a model is not kept waiting, however many are wanted: it asks again.
func TestMoreModelsAreWantedThanWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newModelRegistry(models{}, slog.New(slog.DiscardHandler))
		var read atomic.Int64
		r.fetch = func(context.Context, string) (registry.Text, error) {
			read.Add(1)
			return registry.Text{}, device.ErrUnknown
		}
		for i := range wantedModels + 1 {
			r.ByHash(fmt.Sprint(i)) // nothing reads them yet
		}
		s := &Service{log: r.log}
		s.runPart("models", r.run)
		defer s.Close()
		for _, want := range []int64{wantedModels, wantedModels + 1} {
			if synctest.Wait(); read.Load() != want {
				t.Errorf("%d models were read, want %d", read.Load(), want)
			}
			r.ByHash(fmt.Sprint(wantedModels))
		}
	})
}
