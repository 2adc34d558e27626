package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	twinclient "devicetwin/workflows/client"
	deviceworkflow "devicetwin/workflows/device"
)

// These tests hold a server to the words, types and codes of errors by which the
// client of the device workflows decides. If an upgrade of Temporal changes one of
// them, a test fails here before a device is lost.

// A change of a deleted device is answered with 404 at once, although Temporal
// remembers the workflow that ended.
func TestChangesOfADeletedDevice(t *testing.T) {
	s := startSystem(t, 10_000)
	say := connect(t, s.MQTT.URL(), "says")
	say.publish("devices/gone/status", `{"status":"boot"}`)
	eventually(t, "the device is there", func(ctx context.Context) bool {
		_, err := s.twins.Describe(ctx, "gone")
		return err == nil
	})
	if status, body := change(t, http.MethodDelete, s.api+"/v1/devices/gone", ""); status != http.StatusNoContent {
		t.Fatalf("delete: %d %s", status, body)
	}
	for _, c := range []struct{ method, path, body string }{
		{http.MethodPatch, "/desired", `{"a":1}`},
		{http.MethodPost, "/commands", `{"name":"reboot"}`},
		{http.MethodPost, "/events", `{"name":"hello"}`},
		{http.MethodPost, "/reprovision", `{}`},
		{http.MethodPut, "/tags", `{"a":"b"}`},
		{http.MethodDelete, "/commands/x-1", ""},
		{http.MethodDelete, "", ""},
	} {
		began := time.Now()
		status, body := change(t, c.method, s.api+"/v1/devices/gone"+c.path, c.body)
		if took := time.Since(began); status != http.StatusNotFound || took > 2*time.Second {
			t.Errorf("%s %s: %d after %v, want 404 at once: %s", c.method, c.path, status, took, body)
		}
	}
}

// change asks the API for a change.
func change(t *testing.T, method, url, body string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(raw)
}

// endings is a workflow in a device's place: its runs accept operations and end
// in every way in which the server then says something of its own.
func endings(ctx workflow.Context, run int) error {
	accepted := false
	err := workflow.SetUpdateHandler(ctx, deviceworkflow.UpdateOperate, func(ctx workflow.Context, _ json.RawMessage) (json.RawMessage, error) {
		accepted = true
		if run == 0 { // ends before it answers
			return nil, workflow.Await(ctx, func() bool { return false })
		}
		return json.RawMessage(`{"results":[{}]}`), nil
	})
	if err != nil {
		return err
	}
	if err := workflow.Await(ctx, func() bool { return accepted }); err != nil {
		return err
	}
	if run == 0 {
		return workflow.NewContinueAsNewError(ctx, deviceworkflow.WorkflowType, run+1)
	}
	return workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
}

func TestWhatTheServerSaysOfOperations(t *testing.T) {
	s := start(t, stack.Options{Parts: []stack.Part{stack.PartTemporal}})
	server := dialTemporal(t, s.Temporal.Addr())
	w := worker.New(server, "endings", worker.Options{})
	w.RegisterWorkflowWithOptions(endings, workflow.RegisterOptions{Name: deviceworkflow.WorkflowType})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	twins := twinclient.New(server, stack.Namespace, "endings", "")
	begin := func(id device.ID) {
		t.Helper()
		_, err := server.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: deviceworkflow.WorkflowID(id), TaskQueue: "endings"}, deviceworkflow.WorkflowType, 0)
		if err != nil {
			t.Fatal(err)
		}
	}

	// Accepted by a run that ended before it answered: the next run answers.
	begin("continued")
	if err := twins.Delete(t.Context(), "continued", device.By{}); err != nil {
		t.Errorf("an operation that met the end of a run: %v", err)
	}
	eventually(t, "a workflow that ended is an unknown device", func(ctx context.Context) bool {
		began := time.Now()
		err := twins.Delete(ctx, "continued", device.By{})
		return errors.Is(err, device.ErrUnknown) && time.Since(began) < 2*time.Second
	})

	// What the server says in that case, as it says it.
	begin("as-it-says")
	handle, err := server.UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{
		WorkflowID: deviceworkflow.WorkflowID("as-it-says"), UpdateName: deviceworkflow.UpdateOperate, Args: []any{map[string]any{}},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = handle.Get(t.Context(), nil)
	}
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || app.Type() != "AcceptedUpdateCompletedWorkflow" {
		t.Errorf("an update whose run ended after it was accepted: %v, want an application error of type AcceptedUpdateCompletedWorkflow", err)
	}
}

// A batch that the server never takes is refused as such. A run that has no room
// for more signals is not one of those: its worker makes room, and the batch goes to
// the next run.
func TestWhatTheServerSaysOfBatches(t *testing.T) {
	s := start(t, stack.Options{Parts: []stack.Part{stack.PartTemporal}})
	twins := twinclient.New(dialTemporal(t, s.Temporal.Addr()), stack.Namespace, "nobody", "")
	large := device.Batch{ID: "b", Messages: []device.Message{{
		Channel: device.ChannelTelemetry, Data: map[string]any{"text": strings.Repeat("x", 2_500_000)}, Time: time.Now(),
	}}}
	for _, start := range []bool{true, false} {
		if !start { // a batch that fits makes the workflow
			small := device.Batch{ID: "a", Messages: []device.Message{{Channel: device.ChannelStatus, Time: time.Now()}}}
			if _, err := twins.Deliver(t.Context(), device.Delivery{ID: "large", Batch: small, Start: true}); err != nil {
				t.Fatal(err)
			}
		}
		_, err := twins.Deliver(t.Context(), device.Delivery{ID: "large", Batch: large, Start: start})
		var refused *device.Refused
		if !errors.As(err, &refused) || refused.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("a batch of 2.5 MB (start: %t): %v, want a refusal with code 413", start, err)
		}
	}
	_, err := twins.Deliver(t.Context(), device.Delivery{ID: "nobody", Batch: device.Batch{ID: "a"}})
	if !errors.Is(err, device.ErrNoTwin) {
		t.Errorf("a batch for a device without a workflow: %v, want %v", err, device.ErrNoTwin)
	}
}
