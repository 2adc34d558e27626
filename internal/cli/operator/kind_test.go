package operator

import (
	"strings"
	"testing"

	"devicetwin/api"
)

// Each command takes a customer by its name or its whole id, and never the device of its name.
func TestCommandsOfAnotherKind(t *testing.T) {
	fleet, _ := serveFleet(t)
	fleet.Put(api.Device{ID: "customer/pump-1", Model: "loyalty", State: "new", Connection: api.Unknown})
	fleet.Put(api.Device{ID: "customer/4711", Model: "loyalty", State: "new", Connection: api.Unknown})
	for _, tt := range []struct{ line, want string }{
		{"devices list --kind customer", "customer/4711"},
		{"devices list --kind customer id:pump-*", "customer/pump-1"},
		{"devices count --kind customer", "2"},
		{"devices count", "3"},
		{"devices get --kind customer pump-1", "loyalty"},
		{"devices get customer/pump-1", "loyalty"},
		{"devices get pump-1", "coldchain|pump"},
		{"devices why --kind customer pump-1", ""},
		{"desired set --kind customer pump-1 language=de", "version"},
		{"command send --kind customer pump-1 coupon", "coupon"},
		{"events send --kind customer pump-1 hello", "customer/pump-1 went from new to hello"},
		{"devices delete --kind customer pump-1", "customer/pump-1 deleted"},
	} {
		status, out, errs := run(strings.Fields(tt.line)...)
		if status != 0 || errs != "" {
			t.Errorf("%s: status %d %s", tt.line, status, errs)
		}
		found := tt.want == ""
		for _, want := range strings.Split(tt.want, "|") {
			found = found || strings.Contains(out, want)
		}
		if !found {
			t.Errorf("%s: %s, want %s", tt.line, out, tt.want)
		}
	}
	if _, err := fleet.Device(t.Context(), "customer/pump-1"); err == nil {
		t.Error("the customer was not deleted")
	}
	d, err := fleet.Device(t.Context(), "pump-1")
	if err != nil || d.Twin.Version != 7 || len(d.Commands) > 0 && d.Commands[len(d.Commands)-1].Name == "coupon" {
		t.Errorf("the device of the name: %+v, %v", d, err)
	}
	for line, want := range map[string]string{
		"devices get --kind Customer x":          "--kind: kind",
		"devices get --kind order customer/1":    "--kind order: customer/1 is of another kind",
		"devices delete --kind order customer/1": "customer/1 is of another kind",
	} {
		if status, _, errs := run(strings.Fields(line)...); status != 2 || !strings.Contains(errs, want) {
			t.Errorf("%s: status %d, %s", line, status, errs)
		}
	}
}
