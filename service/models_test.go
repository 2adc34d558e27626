package service

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/devicefsm"
	deviceworkflow "devicetwin/workflows/device"
)

const (
	firstModel  = "model: lamp\ninitial: off\nstates: {off: {}}\n"
	secondModel = "model: lamp\ninitial: dark\nstates: {dark: {}}\n"
)

// modelFiles is a service's files, whose model is edited in place.
type modelFiles struct {
	*testing.T
	plan Plan
	log  bytes.Buffer
}

func newModelFiles(t *testing.T) *modelFiles {
	dir := t.TempDir()
	return &modelFiles{T: t, plan: Plan{
		Parts: Worker, Models: ModelConfig{Model: filepath.Join(dir, "lamp.yaml"), Copies: filepath.Join(dir, "copies")},
	}}
}

// start is what a process loads that starts with this model.
func (f *modelFiles) start(src string) models {
	f.Helper()
	if err := os.WriteFile(f.plan.Models.Model, []byte(src), 0o600); err != nil {
		f.Fatal(err)
	}
	m, err := f.plan.loadModels(slog.New(slog.NewTextHandler(&f.log, nil)))
	if err != nil {
		f.Fatal(err)
	}
	return m
}

func hashOf(t *testing.T, src string) string {
	t.Helper()
	m, err := devicefsm.Load("lamp.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return m.Hash()
}

func TestAnEditedModelIsKept(t *testing.T) {
	f := newModelFiles(t)
	if m := f.start(firstModel); len(m.given) != 1 || len(m.kept) != 0 {
		t.Errorf("at first: %d given, %d kept", len(m.given), len(m.kept))
	}
	m := f.start(secondModel)
	if len(m.given) != 1 || len(m.kept) != 1 || m.given[0].Hash() != hashOf(t, secondModel) || m.kept[0].Hash() != hashOf(t, firstModel) {
		t.Errorf("after the edit: %d given, %d kept", len(m.given), len(m.kept))
	}
	f.plan.Models.Copies = ""
	if m := f.start(secondModel); len(m.kept) != 0 || m.copies != nil {
		t.Errorf("without a folder: %d kept", len(m.kept))
	}
}

// A copy that cannot be read keeps nobody from starting, and is logged.
func TestADamagedCopyIsLogged(t *testing.T) {
	f := newModelFiles(t)
	f.start(firstModel)
	file := filepath.Join(f.plan.Models.Copies, hashOf(t, firstModel), "lamp.yaml")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if m := f.start(secondModel); len(m.kept) != 0 || !strings.Contains(f.log.String(), file) {
		t.Errorf("%d kept; logged: %s", len(m.kept), f.log.String())
	}
}

func TestAFolderOfCopiesThatCannotBeMade(t *testing.T) {
	f := newModelFiles(t)
	f.start(firstModel)
	f.plan.Models.Copies = f.plan.Models.Model
	_, err := f.plan.loadModels(slog.New(slog.DiscardHandler))
	var config *ConfigError
	if !errors.As(err, &config) || !strings.Contains(err.Error(), "--model-copies") {
		t.Errorf("%v", err)
	}
}

// A worker takes the copy of a model when it comes, as by another worker; until then it
// says once that the model is missing.
func TestARegistryFindsCopiesThatComeLater(t *testing.T) {
	f := newModelFiles(t)
	other := newModelFiles(t)
	other.plan.Models.Copies = f.plan.Models.Copies
	r := newModelRegistry(f.start(secondModel), slog.New(slog.NewTextHandler(&f.log, nil)))
	now := time.Now()
	r.now = func() time.Time { return now }
	hash := hashOf(t, firstModel)
	for range 3 {
		if _, ok := r.ByHash(hash); ok {
			t.Fatal("found what is not there")
		}
	}
	if n := strings.Count(f.log.String(), hash); n != 1 || !slices.Equal(r.asked(), []string{hash}) {
		t.Errorf("logged %d times, missing %q", n, r.asked())
	}
	other.start(firstModel)
	if m, ok := r.ByHash(hash); !ok || m.Hash() != hash || len(r.asked()) != 0 || !slices.Contains(r.hashes(), hash) {
		t.Errorf("found: %t, missing %q", ok, r.asked())
	}
	r.ByHash("0")
	if now = now.Add(missFor + time.Second); len(r.asked()) != 0 {
		t.Errorf("still missing: %q", r.asked())
	}
}

// What is missing is a remark of readiness and a metric, and the worker stays ready.
func TestMissingModelsAreNamed(t *testing.T) {
	f := newModelFiles(t)
	counts := deviceworkflow.NewCounts()
	found, failed := map[string]int{}, error(nil)
	m := &missingModels{
		registry: newModelRegistry(f.start(secondModel), slog.New(slog.DiscardHandler)), counts: counts, log: slog.New(slog.DiscardHandler),
		count: func(_ context.Context, known []string) (map[string]int, error) {
			if !slices.Equal(known, []string{hashOf(t, secondModel)}) {
				t.Errorf("known %q", known)
			}
			return maps.Clone(found), failed
		},
	}
	look := func(wantErr bool, models, devices int64, says ...string) {
		t.Helper()
		if err := m.look(t.Context()); (err != nil) != wantErr {
			t.Errorf("%v", err)
		}
		status, body := readiness(Check{Name: "worker", Ready: func(context.Context) error { return nil }, Remark: m.remark})
		if status != http.StatusOK || !strings.HasPrefix(body, "ready\n") || len(says) == 0 && body != "ready\n" {
			t.Errorf("status %d, %q", status, body)
		}
		for _, want := range says {
			if !strings.Contains(body, want) {
				t.Errorf("%q does not name %s", body, want)
			}
		}
		if counts.ModelsMissing.Load() != models || counts.DevicesWithoutModel.Load() != devices {
			t.Errorf("%d models missing, %d devices; want %d, %d", counts.ModelsMissing.Load(), counts.DevicesWithoutModel.Load(), models, devices)
		}
	}
	look(false, 0, 0)
	found = map[string]int{"aa": 3, "bb": 1}
	look(false, 2, 4, "aa (devices: 3)", "bb (devices: 1)")
	failed = errors.New("away")
	look(true, 2, 4, "aa", "bb") // what was found last
	failed, found = nil, map[string]int{}
	look(false, 2, 2, "aa (devices: 1)", "bb (devices: 1)") // the registry was asked for them a moment ago
	m.registry.now = func() time.Time { return time.Now().Add(time.Hour) }
	look(false, 0, 0)
}

func TestARemarkIsShownWhenNotReady(t *testing.T) {
	status, body := readiness(
		Check{Name: "worker", Ready: func(context.Context) error { return nil }, Remark: func() string { return "degraded" }},
		Check{Name: "temporal", Ready: func(context.Context) error { return errors.New("away") }})
	if status != http.StatusServiceUnavailable || body != "temporal: away\nworker: degraded\n" {
		t.Errorf("status %d, %q", status, body)
	}
}

func readiness(checks ...Check) (status int, body string) {
	w := httptest.NewRecorder()
	answerReady(w, httptest.NewRequest(http.MethodGet, "/readyz", nil), checks)
	raw, _ := io.ReadAll(w.Result().Body)
	return w.Code, string(raw)
}
