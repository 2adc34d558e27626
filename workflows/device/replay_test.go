package device

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"devicetwin/devicefsm"
)

const historiesDir = "testdata/histories"

// Histories that a real server recorded replay with today's code. A change that
// breaks them breaks every device in the field: guard it with
// workflow.GetVersion and record a new history in addition to the old ones.
func TestRecordedHistoriesReplay(t *testing.T) {
	files, err := filepath.Glob(historiesDir + "/*.json")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d recorded histories, error %v: want at least 6", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if err := replay(t, file, recordedModels(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// The replay test can fail: a worker that decides otherwise is found out.
func TestReplayFindsAChangeOfBehaviour(t *testing.T) {
	other := recordedModels(t)
	for hash := range other.byHash {
		src := []byte("model: pump\ninitial: idle\nstates: {idle: {}}\n")
		model, err := devicefsm.Load("changed.yaml", src)
		if err != nil {
			t.Fatal(err)
		}
		other.byHash[hash] = model
	}
	if err := replay(t, historiesDir+"/obedient-0.json", other); err == nil {
		t.Error("a history of a reprovisioning replays with a model that knows none")
	}
}

func recordedModels(t *testing.T) *Registry {
	t.Helper()
	files, err := filepath.Glob(historiesDir + "/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var models []*devicefsm.Model
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		model, err := devicefsm.Load(file, src)
		if err != nil {
			t.Fatal(err)
		}
		models = append(models, model)
	}
	return NewRegistry(models...)
}

func replay(t *testing.T, file string, models Models) error {
	t.Helper()
	replayer := worker.NewWorkflowReplayer()
	device := &Workflow{Models: models}
	replayer.RegisterWorkflowWithOptions(device.Device, workflow.RegisterOptions{Name: WorkflowType})
	quiet := log.NewStructuredLogger(slog.New(slog.DiscardHandler))
	return replayer.ReplayWorkflowHistoryFromJSONFile(quiet, file)
}
