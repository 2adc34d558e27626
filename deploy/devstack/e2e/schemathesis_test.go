package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"devicetwin/api"
	"devicetwin/api/apitest"
	"devicetwin/api/client"
	"devicetwin/deploy/devstack/servers"
	"devicetwin/deploy/devstack/servers/serverstest"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/internal/testfile"
	"devicetwin/service"
)

// Schemathesis finds nothing in the API of a whole system: bridge, worker and Temporal
// behind it, with devices that have twins, commands and tags.
func TestSchemathesis(t *testing.T) {
	program, err := servers.Find("schemathesis", "st")
	serverstest.Need(t, err)
	t.Run("without tokens", func(t *testing.T) {
		trySchema(t, program, startSystem(t, 10_000), "")
	})
	t.Run("with tokens", func(t *testing.T) {
		token, line, err := api.NewToken("schemathesis", []api.Scope{api.ScopeAdmin})
		if err != nil {
			t.Fatal(err)
		}
		file := testfile.Write(t, "tokens", line+"\n")
		s := startSystemWriting(t, stack.Options{}, nil, 10_000, func(c *service.Config) { c.API.TokenFile = file })
		trySchema(t, program, s, token)
	})
}

// trySchema runs Schemathesis on a fleet.
func trySchema(t *testing.T, program string, s *system, token string) {
	t.Helper()
	startFleet(t, s, operatorOf(t, s, token), 40) // some of them are deleted
	apitest.Schemathesis(t, program, s.api, token, 20*time.Second)
	expectTried(t, s)
}

// startFleet starts devices that have what an operator can ask for.
func startFleet(t *testing.T, s *system, operator *client.Client, devices int) {
	t.Helper()
	broker := connect(t, s.MQTT.URL(), "fleet")
	for i := range devices {
		topics := fmt.Sprintf("devices/pump-%d", i)
		broker.publish(topics+"/status", `{"status": "boot", "firmware": "1.4.2", "site": "north"}`)
		broker.publish(topics+"/twin/update", `{"state": {"reported": {"interval": 5}}}`)
	}
	eventually(t, "the devices are listed", func(ctx context.Context) bool {
		n, err := operator.CountDevices(ctx, "state:online")
		return err == nil && n.Count == devices
	})
	for i := range devices {
		id := device.ID(fmt.Sprintf("pump-%d", i))
		_, err := operator.Desire(t.Context(), id, api.DesiredChange{Patch: api.Object(`{"interval": 10}`)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := operator.SendCommand(t.Context(), id, api.NewCommand{Name: "reboot"}); err != nil {
			t.Fatal(err)
		}
		tags := map[string]string{"hall": "3"}
		if err := s.twins.ReplaceTags(t.Context(), id, device.By{}, tags); err != nil {
			t.Fatal(err)
		}
	}
}

// expectTried checks that there was no server error, and that devices that are there
// were tried, and not only what was made up.
func expectTried(t *testing.T, s *system) {
	t.Helper()
	_, metrics := get(s.http, "/metrics")
	requests := map[string]string{}
	for line := range strings.Lines(metrics) {
		if name, count, ok := strings.Cut(strings.TrimSpace(line), "} "); ok && strings.HasPrefix(name, "devicetwin_api_requests_total{") {
			requests[name+"}"] = count
		}
	}
	for name, count := range requests {
		if strings.Contains(name, `status="5`) {
			t.Errorf("server errors: %s %s", name, count)
		}
	}
	for operation, status := range map[string]int{
		"list-devices": http.StatusOK, "count-devices": http.StatusOK, "get-device": http.StatusOK, "why-device": http.StatusOK,
		"patch-desired": http.StatusOK, "put-tags": http.StatusOK, "send-command": http.StatusCreated, "get-command": http.StatusOK,
		"reprovision-device": http.StatusOK, "delete-device": http.StatusNoContent,
	} {
		if name := fmt.Sprintf(`devicetwin_api_requests_total{operation=%q,status="%d"}`, operation, status); requests[name] == "" {
			t.Errorf("no %s: %v", name, requests)
		}
	}
}
