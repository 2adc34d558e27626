package registry

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"devicetwin/internal/testhistory"
)

const historiesDir = "testdata/histories"

// Histories that a server recorded replay with today's code. A change that breaks them breaks
// every registry in the field.
func TestRecordedHistoriesReplay(t *testing.T) {
	for _, file := range testhistory.Files(t, historiesDir, 3) {
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

// replay replays a history, after a change of its text.
func replay(t *testing.T, file string, change func(string) string) error {
	t.Helper()
	replayer := worker.NewWorkflowReplayer()
	replayer.RegisterWorkflowWithOptions(Registry, workflow.RegisterOptions{Name: WorkflowType})
	replayer.RegisterWorkflowWithOptions(KeepText, workflow.RegisterOptions{Name: TextType})
	return replayer.ReplayWorkflowHistory(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), testhistory.Changed(t, file, change))
}
