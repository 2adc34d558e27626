package e2e

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"golang.org/x/sync/errgroup"

	"devicetwin/api"
	"devicetwin/api/apitest"
	"devicetwin/deploy/devstack/servers/serverstest"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/internal/cli"
	"devicetwin/service"
	twinclient "devicetwin/workflows/client"
	deviceworkflow "devicetwin/workflows/device"
)

// onEveryDatabase runs a test with each database that Temporal can look for workflows
// in, by the names that Temporal has for them.
func onEveryDatabase(t *testing.T, test func(t *testing.T, database, address string)) {
	t.Helper()
	for _, database := range []struct {
		name  string
		start func(t *testing.T) (address string)
	}{
		{"sqlite", func(t *testing.T) string {
			return start(t, stack.Options{Parts: []stack.Part{stack.PartTemporal}}).Temporal.Addr()
		}},
		{"postgres12", func(t *testing.T) string {
			return withNamespace(t, serverstest.Temporal(t, ports, serverstest.PostgreSQL(t, ports), nil).Addr)
		}},
		{"elasticsearch", func(t *testing.T) string {
			search := serverstest.OpenSearch(t, ports)
			return withNamespace(t, serverstest.Temporal(t, ports, serverstest.PostgreSQL(t, ports), search).Addr)
		}},
	} {
		t.Run(database.name, func(t *testing.T) { test(t, database.name, database.start(t)) })
	}
}

// Queries mean the same on every database that Temporal can look for workflows in.
func TestQueriesOnEveryDatabase(t *testing.T) {
	onEveryDatabase(t, func(t *testing.T, database, address string) {
		c := dialTemporal(t, address)
		twins := twinclient.New(c, stack.Namespace, "nobody-works", "")
		t.Cleanup(twins.Close)
		if got := twins.VisibilityDatabase(t.Context()); got != database {
			t.Fatalf("Temporal looks for workflows in %q, not in %s", got, database)
		}
		apitest.Queries(t, func(t *testing.T, devices []api.Summary) api.Backend {
			showDevices(t, c, devices)
			eventually(t, "all devices are listed", func(ctx context.Context) bool {
				n, err := twins.CountDevices(ctx, "")
				return err == nil && n == len(devices)
			})
			return service.APIBackend(twins)
		})
	})
}

// withNamespace makes the namespace of the stack in another Temporal.
func withNamespace(t *testing.T, addr string) string {
	t.Helper()
	if status, log := setUp(addr, stack.Namespace); status != cli.ExitOK {
		t.Fatalf("setup: exit status %d: %s", status, log)
	}
	return addr
}

// showDevices starts workflows that nobody works on, with the search attributes of
// devices.
func showDevices(t *testing.T, c client.Client, devices []api.Summary) {
	t.Helper()
	starts, ctx := errgroup.WithContext(t.Context())
	starts.SetLimit(8)
	for _, d := range devices {
		starts.Go(func() error {
			_, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
				ID: deviceworkflow.WorkflowID(d.ID), TaskQueue: "nobody-works", TypedSearchAttributes: attributesOf(d),
			}, deviceworkflow.WorkflowType)
			return err
		})
	}
	if err := starts.Wait(); err != nil {
		t.Fatal(err)
	}
}

// attributesOf are the search attributes by which the workflow of a device shows it.
func attributesOf(d api.Summary) temporal.SearchAttributes {
	updates := []temporal.SearchAttributeUpdate{deviceworkflow.AttributeState.ValueSet(strings.Split(d.State, ","))}
	word := func(key temporal.SearchAttributeKeyKeyword, value string) {
		if value != "" {
			updates = append(updates, key.ValueSet(value))
		}
	}
	list := func(key temporal.SearchAttributeKeyKeywordList, values map[string]string) {
		var pairs []string
		for _, name := range slices.Sorted(maps.Keys(values)) {
			pairs = append(pairs, name+"="+values[name])
		}
		if len(pairs) > 0 {
			updates = append(updates, key.ValueSet(pairs))
		}
	}
	word(deviceworkflow.AttributeModel, d.Model)
	word(deviceworkflow.AttributeModelHash, d.ModelHash)
	word(deviceworkflow.AttributeFirmware, d.Firmware)
	word(deviceworkflow.AttributeSite, d.Site)
	if d.Connection != api.Unknown {
		word(deviceworkflow.AttributeConnection, d.Connection)
	}
	if d.LastSeen != nil {
		updates = append(updates, deviceworkflow.AttributeLastSeen.ValueSet(*d.LastSeen))
	}
	if d.ReportCount > 0 {
		updates = append(updates, deviceworkflow.AttributeFaults.ValueSet(int64(d.ReportCount)))
	}
	word(deviceworkflow.AttributeProcessing, d.Processing)
	if d.ProcessFailed > 0 {
		updates = append(updates, deviceworkflow.AttributeProcessFailed.ValueSet(int64(d.ProcessFailed)))
	}
	list(deviceworkflow.AttributeTags, d.Tags)
	list(deviceworkflow.AttributeProperties, d.Properties)
	return temporal.NewSearchAttributes(updates...)
}
