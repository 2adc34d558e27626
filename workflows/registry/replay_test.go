package registry

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

const historiesDir = "testdata/histories"

// Histories that a server recorded replay with today's code. A change that breaks them breaks
// every registry in the field.
func TestRecordedHistoriesReplay(t *testing.T) {
	for _, file := range recordedFiles(t) {
		if err := replay(t, file, func(raw string) string { return raw }); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	// The test can fail: another workflow of the text, and something else than the local activities
	// that count devices and end that workflow, are found out.
	first := filepath.Join(historiesDir, "registry-1.json")
	for _, name := range []string{TextType, "LocalActivity"} {
		other := func(raw string) string { return strings.ReplaceAll(raw, `"`+name+`"`, `"Other"`) }
		if err := replay(t, first, other); err == nil {
			t.Errorf("a history with another name than %s replays", name)
		}
	}
}

func recordedFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(historiesDir + "/*.json")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d histories of registries, error %v; want at least 3: make histories", len(files), err)
	}
	return files
}

// replay replays a history, after a change of its text.
func replay(t *testing.T, file string, change func(string) string) error {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	recorded, err := client.HistoryFromJSON(strings.NewReader(change(string(raw))), client.HistoryJSONOptions{})
	if err != nil {
		t.Fatal(err)
	}
	replayer := worker.NewWorkflowReplayer()
	replayer.RegisterWorkflowWithOptions(Registry, workflow.RegisterOptions{Name: WorkflowType})
	replayer.RegisterWorkflowWithOptions(KeepText, workflow.RegisterOptions{Name: TextType})
	return replayer.ReplayWorkflowHistory(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), recorded)
}
