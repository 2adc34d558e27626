package e2e

import (
	"context"
	"net/http"
	"testing"
	"time"

	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"devicetwin/deploy/devstack/stack"
	deviceworkflow "devicetwin/workflows/device"
)

var deviceState = temporal.NewSearchAttributeKeyKeywordList("DeviceState")

// probe is about the least that a device workflow does: take a signal, show a
// state.
func probe(ctx workflow.Context) (string, error) {
	var event string
	workflow.GetSignalChannel(ctx, "events").Receive(ctx, &event)
	if err := workflow.UpsertTypedSearchAttributes(ctx, deviceState.ValueSet([]string{event})); err != nil {
		return "", err
	}
	return event, nil
}

func dialTemporal(t *testing.T, addr string) client.Client {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: addr, Namespace: stack.Namespace, Logger: testLogger(t)})
	if err != nil {
		t.Fatalf("connect to Temporal: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// runWorkflow runs a probe to its end, with the state "online".
func runWorkflow(t *testing.T, s *stack.Stack, id string) {
	t.Helper()
	c := dialTemporal(t, s.Temporal.Addr())
	w := worker.New(c, "probe", worker.Options{})
	w.RegisterWorkflow(probe)
	if err := w.Start(); err != nil {
		t.Fatalf("start a worker: %v", err)
	}
	defer w.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	run, err := c.SignalWithStartWorkflow(ctx, id, "events", "online", client.StartWorkflowOptions{TaskQueue: "probe"}, probe)
	if err != nil {
		t.Fatalf("signal with start: %v", err)
	}
	var result string
	if err := run.Get(ctx, &result); err != nil || result != "online" {
		t.Fatalf("workflow: %q, %v", result, err)
	}
}

func countWorkflows(t *testing.T, s *stack.Stack, query string) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	answer, err := dialTemporal(t, s.Temporal.Addr()).CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Namespace: stack.Namespace, Query: query,
	})
	if err != nil {
		t.Fatalf("count workflows %s: %v", query, err)
	}
	return answer.GetCount()
}

func TestTemporal(t *testing.T) {
	s := start(t, stack.Options{Parts: []stack.Part{stack.PartTemporal, stack.PartUI}})
	for name := range deviceworkflow.SearchAttributes() {
		if got := countWorkflows(t, s, name+` IS NOT NULL`); got != 0 {
			t.Errorf("%d workflows in an empty namespace", got)
		}
	}
	began := time.Now()
	runWorkflow(t, s, "device/a")
	t.Logf("a workflow took %v", time.Since(began).Round(time.Millisecond))
	runWorkflow(t, s, "device/b")
	eventually(t, "workflows found by state", func(context.Context) bool {
		return countWorkflows(t, s, `DeviceState = "online" AND WorkflowId STARTS_WITH "device/"`) == 2
	})

	for _, path := range []string{"/", "/namespaces/default/workflows", "/api/v1/namespaces/default"} {
		response, err := http.Get(s.UI.URL() + path)
		if err != nil {
			t.Fatalf("web UI: %v", err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("web UI: %s for %s", response.Status, path)
		}
	}
}

// A data directory of an earlier release lacks the search attributes of later
// ones; the stack adds them, and starts.
func TestSearchAttributesAreAdded(t *testing.T) {
	o := stack.Options{DataDir: t.TempDir(), Parts: []stack.Part{stack.PartTemporal}}
	s, err := open(t, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err = dialTemporal(t, s.Temporal.Addr()).OperatorService().RemoveSearchAttributes(ctx, &operatorservice.RemoveSearchAttributesRequest{
		Namespace: stack.Namespace, SearchAttributes: []string{"DeviceTags"},
	})
	if err != nil {
		t.Fatalf("remove a search attribute: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = start(t, o)
	have, err := dialTemporal(t, s.Temporal.Addr()).OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{
		Namespace: stack.Namespace,
	})
	if err != nil {
		t.Fatalf("list search attributes: %v", err)
	}
	if _, ok := have.GetCustomAttributes()["DeviceTags"]; !ok {
		t.Errorf("DeviceTags is not among %v", have.GetCustomAttributes())
	}
}
