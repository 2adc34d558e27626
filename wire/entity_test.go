package wire_test

import (
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/wire"
)

// A customer and a device may have one name. What is sent to the customer goes to the topic
// of its kind, or nowhere, and never to the device.
func TestWhatOtherEntitiesAreSent(t *testing.T) {
	cfg := wire.DefaultConfig()
	cfg.EntityTopics = map[device.Kind]string{"customer": "crm/customers/{id}/out"}
	s, err := wire.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	command := wire.Command{ID: "c1", Name: "remind", At: time.UnixMilli(1), Data: map[string]any{"a": 1.0}}
	for id, want := range map[device.ID]string{"customer/pump-1": "crm/customers/pump-1/out/commands/remind", "order/pump-1": ""} {
		sent, err := s.Encode(id, nil, command)
		if err != nil || !sent.Done {
			t.Fatalf("%s: %+v, %v", id, sent, err)
		}
		var topics []string
		for _, p := range sent.Publications {
			topics = append(topics, p.Topic)
			if string(p.Payload) != `{"id":"c1","name":"remind","ts":1,"data":{"a":1}}` {
				t.Errorf("%s is sent %s", id, p.Payload)
			}
		}
		if got := strings.Join(topics, " "); got != want {
			t.Errorf("a command to %s goes to %q, want %q", id, got, want)
		}
	}
	for _, d := range []struct {
		document wire.ShadowDocument
		want     string
	}{
		{wire.ShadowDocument{Rest: "update/delta"}, "crm/customers/pump-1/out/twin/update/delta"},
		{wire.ShadowDocument{Shadow: "limits", Rest: "documents/current", Retained: true}, "crm/customers/pump-1/out/twin/limits/documents/current"},
	} {
		if got := strings.Join(s.ShadowTopics("customer/pump-1", d.document), " "); got != d.want {
			t.Errorf("%+v goes to %q, want %q", d.document, got, d.want)
		}
		if got := s.ShadowTopics("order/pump-1", d.document); got != nil {
			t.Errorf("%+v of an order goes to %v", d.document, got)
		}
	}
	sent, err := s.Encode("pump-1", nil, command)
	if err != nil || sent.Done || sent.Publications[0].Topic != "devices/pump-1/commands/remind" {
		t.Errorf("the device is sent %+v, %v", sent, err)
	}
}

func TestTopicsOfKindsAreChecked(t *testing.T) {
	for template, want := range map[string]string{
		"crm/{id}":                          "",
		"a/{id}/b":                          "",
		"crm/out":                           "one of which is {id}",
		"crm/{id}/{id}":                     "one of which is {id}",
		"crm/x{id}":                         "one of which is {id}",
		"crm/#/{id}":                        "one of which is {id}",
		"devices/{id}":                      "below devices",
		"{id}/devices":                      "below devices", // of an entity with the name devices
		"$aws/things/{id}/shadow":           "shadow protocol",
		"$aws/{id}":                         "shadow protocol", // of one with the name things
		strings.Repeat("x", 1100) + "/{id}": "at most 1024 bytes",
	} {
		cfg := wire.DefaultConfig()
		cfg.EntityTopics = map[device.Kind]string{"customer": template}
		err := cfg.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", template, err, want)
		}
	}
	cfg := wire.DefaultConfig()
	cfg.EntityTopics = map[device.Kind]string{"customer": "crm/{id}", "order": "crm/{id}"}
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "as well") {
		t.Errorf("two kinds on one topic: %v", err)
	}
}
