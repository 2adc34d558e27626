package e2e

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/types/known/durationpb"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/internal/cli"
	"devicetwin/internal/cli/devicetwin"
	"devicetwin/service"
	twinclient "devicetwin/workflows/client"
	deviceworkflow "devicetwin/workflows/device"
)

func setUp(addr, namespace string) (status int, log string) {
	var out bytes.Buffer
	status = devicetwin.Main([]string{"setup", "--temporal-address", addr, "--temporal-namespace", namespace, "--retention=36h"}, &out, &out)
	return status, out.String()
}

// On an empty Temporal, one command makes what devices need; the second time it
// changes nothing.
func TestSetup(t *testing.T) {
	s := start(t, stack.Options{Parts: []stack.Part{stack.PartTemporal}})
	for range 2 {
		if status, log := setUp(s.Temporal.Addr(), "fleet"); status != cli.ExitOK {
			t.Fatalf("exit status %d: %s", status, log)
		}
	}
	temporal := dialTemporal(t, s.Temporal.Addr())
	ctx := t.Context()
	namespace, err := temporal.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: "fleet"})
	if err != nil {
		t.Fatal(err)
	}
	if kept := namespace.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(); kept.Hours() != 36 {
		t.Errorf("closed workflows are kept for %v", kept)
	}
	client := twinclient.New(temporal, "fleet", "queue", "")
	defer client.Close()
	if kept, err := client.EndingsKept(ctx); kept.Hours() != 36 || err != nil {
		t.Errorf("the client finds closed workflows kept for %v, %v", kept, err)
	}
	have, err := temporal.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: "fleet"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range deviceworkflow.SearchAttributes() {
		if got := have.GetCustomAttributes()[name]; got != want {
			t.Errorf("search attribute %s is %v, not %v", name, got, want)
		}
	}
}

// A search attribute of another type can't be cured by waiting.
func TestSetupRefusesAnotherType(t *testing.T) {
	s := start(t, stack.Options{Parts: []stack.Part{stack.PartTemporal}})
	temporal := dialTemporal(t, s.Temporal.Addr())
	const namespace = "other"
	if _, err := temporal.WorkflowService().RegisterNamespace(t.Context(), &workflowservice.RegisterNamespaceRequest{
		Namespace: namespace, WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour),
	}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the attribute of another type", func(ctx context.Context) bool {
		_, err := temporal.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
			Namespace: namespace, SearchAttributes: map[string]enumspb.IndexedValueType{"DeviceTags": enumspb.INDEXED_VALUE_TYPE_INT},
		})
		return err == nil
	})
	status, log := setUp(s.Temporal.Addr(), namespace)
	if want := fmt.Sprintf("DeviceTags is %v", enumspb.INDEXED_VALUE_TYPE_INT); status != cli.ExitFailed || !strings.Contains(log, want) {
		t.Errorf("exit status %d, and not %q in %s", status, want, log)
	}
}

// A worker in a namespace that was not prepared says what to do, and works once it
// was done.
func TestAWorkerAsksForSetup(t *testing.T) {
	s := start(t, stack.Options{Parts: []stack.Part{stack.PartTemporal, stack.PartMQTT}})
	temporal := dialTemporal(t, s.Temporal.Addr())
	const namespace = "unprepared"
	if _, err := temporal.WorkflowService().RegisterNamespace(t.Context(), &workflowservice.RegisterNamespaceRequest{
		Namespace: namespace, WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour),
	}); err != nil {
		t.Fatal(err)
	}
	config := service.DefaultConfig()
	config.MQTT.URL, config.Influx.URL, config.HTTP.Listen = []string{s.MQTT.URL()}, "", "127.0.0.1:0"
	config.Temporal.Address, config.Temporal.Namespace = s.Temporal.Addr(), namespace
	config.Model.Model, config.Model.Copies, config.Worker.Credentials = pumpModel, t.TempDir(), t.TempDir()
	worker, err := service.Start(config, service.Worker, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = worker.Close() })
	eventually(t, "the worker asks for setup", func(context.Context) bool {
		status, body := get(worker.HTTPAddr(), "/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "run devicetwin setup: search attributes are missing: ")
	})
	if status, log := setUp(s.Temporal.Addr(), namespace); status != cli.ExitOK {
		t.Fatalf("exit status %d: %s", status, log)
	}
	awaitReady(t, worker.HTTPAddr())
}
