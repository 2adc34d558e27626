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
	// It changes devices that are there, and not only what it has made up: usually hundreds of times, but
	// not in the time that it has on a busy machine, where it gets more.
	n := 0
	for range 3 {
		apitest.Schemathesis(t, program, s.URL, token, 45*time.Second)
		if n = len(s.fleet.Calls()); n >= 20 {
			break
		}
	}
	t.Logf("%d changes reached a device", n)
	if n < 20 {
		t.Errorf("only %d changes reached a device", n)
	}
	if log := s.log.String(); strings.Contains(log, "level=WARN") || strings.Contains(log, "level=ERROR") {
		t.Errorf("the service logged\n%s", log)
	}
}
