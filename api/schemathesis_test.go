package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"devicetwin/api"
	"devicetwin/api/apitest"
	"devicetwin/device"
	"devicetwin/internal/testserver"
)

// Schemathesis finds nothing in an API with devices.
func TestSchemathesis(t *testing.T) {
	program := testserver.Installed(t, "schemathesis", "st")
	t.Run("without tokens", func(t *testing.T) { trySchema(t, program, start(t, withModels(apitest.FleetModels())), "") })
	t.Run("with tokens", func(t *testing.T) { trySchema(t, program, start(t, withKeys, withModels(apitest.FleetModels())), "a") })
}

func trySchema(t *testing.T, program string, s *service, token string) {
	for i := range 40 { // some of them are deleted
		s.fleet.Put(api.Device{ID: device.ID(fmt.Sprint("fan-", i)), Model: "fan", State: "idle", Connection: device.Online})
	}
	apitest.Schemathesis(t, program, s.URL, token, 45*time.Second)
	// It changed devices that are there, and not only what it had made up: usually hundreds, but on a
	// busy machine it was three.
	n := len(s.fleet.Calls())
	t.Logf("%d changes reached a device", n)
	if n == 0 {
		t.Error("no change reached a device")
	}
	if log := s.log.String(); strings.Contains(log, "level=WARN") || strings.Contains(log, "level=ERROR") {
		t.Errorf("the service logged\n%s", log)
	}
}
