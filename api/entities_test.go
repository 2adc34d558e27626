package api_test

import (
	"net/http"
	"strings"
	"testing"

	"devicetwin/api"
	"devicetwin/api/apitest"
)

// A customer and a device of one name are two, on every path.
func TestEntitiesAndDevicesOfOneName(t *testing.T) {
	fleet := apitest.New()
	s := start(t, func(o *api.Options) { o.Backend = fleet })
	s.fleet = fleet
	s.fleet.Put(api.Device{ID: "pump-1", Model: "pump", State: "idle", Connection: "online"})
	s.fleet.Put(api.Device{ID: "customer/pump-1", Model: "loyalty", State: "new", Connection: api.Unknown})
	s.fleet.Put(api.Device{ID: "customer/4711", Model: "loyalty", State: "new", Connection: api.Unknown})
	for path, want := range map[string]string{
		"/v1/devices/pump-1":                                      `"id":"pump-1"`,
		"/v1/entities/device/pump-1":                              `"id":"pump-1"`,
		"/v1/entities/customer/pump-1":                            `"id":"customer/pump-1"`,
		"/v1/entities/customer/pump-1/why":                        `"id":"customer/pump-1"`,
		"/v1/devices":                                             `{"devices":[{"id":"pump-1"`,
		"/v1/devices?query=kind:customer":                         `{"devices":[]}`,
		"/v1/entities?kind=device":                                `{"devices":[{"id":"pump-1"`,
		"/v1/entities?kind=customer&query=id:pump-*":              `{"devices":[{"id":"customer/pump-1"`,
		"/v1/entities?query=id:pump-*":                            `{"devices":[{"id":"pump-1"`,
		"/v1/entities?query=kind:customer+NOT+id:customer/pump-*": `{"devices":[{"id":"customer/4711"`,
		"/v1/device-count":                                        `{"count":1}`,
		"/v1/entity-count":                                        `{"count":3}`,
		"/v1/entity-count?kind=customer":                          `{"count":2}`,
	} {
		r := s.call(http.MethodGet, path, "")
		if r.status != http.StatusOK || !strings.Contains(r.body, want) {
			t.Errorf("%s: %d %s, want %s", path, r.status, r.body, want)
		}
		if strings.Contains(path, "kind=") && strings.Contains(want, "devices") && strings.Count(r.body, `"id"`) != 1 {
			t.Errorf("%s: %s", path, r.body)
		}
	}
	for path, want := range map[string]int{
		"/v1/entities/order/pump-1":    http.StatusNotFound,
		"/v1/entities/Customer/pump-1": http.StatusUnprocessableEntity,
		"/v1/entities/customer/a%2Fb":  http.StatusUnprocessableEntity,
		"/v1/entities?kind=Customer":   http.StatusUnprocessableEntity,
		"/v1/entities?query=kind:a*":   http.StatusBadRequest,
	} {
		if r := s.call(http.MethodGet, path, ""); r.status != want {
			t.Errorf("%s: %d %s, want %d", path, r.status, r.body, want)
		}
	}
	r := s.call(http.MethodPost, "/v1/entities/customer/pump-1/commands", `{"name":"coupon"}`)
	if location := r.header.Get("Location"); r.status != http.StatusCreated || !strings.HasPrefix(location, "/v1/entities/customer/pump-1/commands/") {
		t.Errorf("%d, %s", r.status, location)
	} else if r := s.call(http.MethodGet, location, ""); r.status != http.StatusOK {
		t.Errorf("the command: %d %s", r.status, r.body)
	}
	if d, err := s.fleet.Device(t.Context(), "pump-1"); err != nil || len(d.Commands) != 0 {
		t.Errorf("the device has %v, %v", d.Commands, err)
	}
	if audit := s.audit.String(); !strings.Contains(audit, `"what":"entity-send-command","device":"customer/pump-1"`) {
		t.Errorf("audit %s", audit)
	}
}
