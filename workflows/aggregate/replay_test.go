package aggregate

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
// every aggregator in the field.
func TestRecordedHistoriesReplay(t *testing.T) {
	files := recordedFiles(t)
	for _, file := range files {
		if err := replay(t, file, func(raw string) string { return raw }); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	// The test can fail: an aggregator that ends its runs elsewhere is found out.
	if err := replay(t, files[len(files)-1], func(raw string) string { return strings.Replace(raw, `"Ng=="`, `"NTA="`, 1) }); err == nil {
		t.Error("a history replays with another bound of its signals")
	}
}

func recordedFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(historiesDir + "/*.json")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d histories of aggregators, error %v; want at least 2: make histories", len(files), err)
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
	replayer.RegisterWorkflowWithOptions((&Workflow{}).Aggregator, workflow.RegisterOptions{Name: WorkflowType})
	return replayer.ReplayWorkflowHistory(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), recorded)
}
