package aggregate

import (
	"log/slog"
	"strings"
	"testing"

	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"devicetwin/internal/testhistory"
)

const historiesDir = "testdata/histories"

// Histories that a server recorded replay with today's code. A change that breaks them breaks
// every aggregator in the field.
func TestRecordedHistoriesReplay(t *testing.T) {
	files := testhistory.Files(t, historiesDir, 2)
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

// replay replays a history, after a change of its text.
func replay(t *testing.T, file string, change func(string) string) error {
	t.Helper()
	replayer := worker.NewWorkflowReplayer()
	replayer.RegisterWorkflowWithOptions((&Workflow{}).Aggregator, workflow.RegisterOptions{Name: WorkflowType})
	return replayer.ReplayWorkflowHistory(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), testhistory.Changed(t, file, change))
}
