package kinds_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"devicetwin/device"
	"devicetwin/internal/kinds"
)

const file = `
kinds:
  customer: {id: "[0-9]+|pump-.*", model: loyalty, source: api, publish: "crm/{id}"}
  order: {source: mqtt}
  device: {id: "pump-[0-9]+"}
`

func TestKinds(t *testing.T) {
	s, err := kinds.Load("kinds.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[device.ID]string{
		"customer/4711": "", "customer/pump-1": "", "order/x": "", "pump-1": "",
		"customer/x4711": `customer id "x4711": expected ^(?:[0-9]+|pump-.*)$`,
		"customer/4711x": `customer id "4711x"`,
		"pump-x":         `device id "pump-x": expected ^(?:pump-[0-9]+)$`,
		"area/1":         `kind "area" is not configured (--kinds); there is device, customer, order`,
	} {
		err := s.Check(id)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", id, err, want)
		}
	}
	if got := s.Topics(); !maps.Equal(got, map[device.Kind]string{"customer": "crm/{id}"}) {
		t.Errorf("topics %v", got)
	}
	if got := s.Others(); !slices.Equal(got, []device.Kind{"customer", "order"}) {
		t.Errorf("kinds %v", got)
	}
	if k, ok := s.Of("customer"); !ok || k.Source != kinds.API || k.Model != "loyalty" {
		t.Errorf("customer %+v", k)
	}
}

func TestWithoutAFileThereAreDevices(t *testing.T) {
	s, err := kinds.Read("")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check("pump-1"); err != nil {
		t.Error(err)
	}
	if err := s.Check("customer/1"); err == nil || !strings.Contains(err.Error(), "there is device") {
		t.Error(err)
	}
	if s.Topics() != nil || s.Others() != nil {
		t.Error("other kinds than devices")
	}
}

func TestEveryFaultOfAFileHasItsPlace(t *testing.T) {
	_, err := kinds.Load("kinds.yaml", []byte(`
kinds:
  Customer: {source: api}
  area: {source: ap, id: "["}
  order: {model: x}
  device: {model: pump}
`))
	for _, want := range []string{
		`kinds.yaml:3:3: kind "Customer": expected ^[a-z]`,
		`kinds.yaml:4:18: source "ap": expected one of mqtt, kafka, api`,
		`kinds.yaml:4:26: id "[": expected a regular expression`,
		`kinds.yaml:5:10: key "source" is missing`,
		`kinds.yaml:6:19: model: expected only id of the kind device`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
	for _, src := range []string{"", "a: 1\n", "kinds: 7\n"} {
		if _, err := kinds.Load("kinds.yaml", []byte(src)); err == nil {
			t.Errorf("%q was read", src)
		}
	}
	if _, err := kinds.Read("no-such-file"); err == nil {
		t.Error("a file that is not there was read")
	}
}
