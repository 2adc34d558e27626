package dialect

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/wire"
)

// shops is a dialect in which one message is of a device and of a customer, who may have the
// same name.
const shops = `
dialect: shops
topics:
  - topic: "shop/{till}/sale"
    messages:
      - {channel: telemetry, id: "{till}", data: {amount: payload.amount}}
      - {channel: events, kind: customer, id: "{customer}", vars: {customer: payload.customer}, name: purchase, data: {amount: payload.amount}}
  - {topic: "crm/{id}/changed", channel: reported, kind: customer}
commands:
  - {topic: "shop/{till}/do/{command}", id: "{till}"}
  - {topic: "crm/{customer}/do/{command}", kind: customer, id: "{customer}"}
  - {topic: "crm/{id}/note/{command}", kind: customer}
`

func shopSet(t *testing.T, cfg wire.Config) *Set {
	t.Helper()
	d, err := Load("shops.yaml", []byte(shops))
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSet(cfg, d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOneMessageOfTwoKinds(t *testing.T) {
	s := shopSet(t, wire.DefaultConfig())
	got, err := s.Decode("shop/pump-1/sale", []byte(`{"amount":3,"customer":"pump-1"}`), false, time.UnixMilli(1))
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got[0].ID != "pump-1" || got[0].Message.Channel != device.ChannelTelemetry {
		t.Errorf("of the till: %+v", got[0])
	}
	if got[1].ID != "customer/pump-1" || got[1].Message.Name != "purchase" {
		t.Errorf("of the customer: %+v", got[1])
	}
	for i, topic := range []string{"shop/pump-1/do/x", "crm/pump-1/do/x"} {
		sent, err := s.Encode(got[i].ID, got[i].Message.From, wire.Command{ID: "1", Name: "x"})
		if err != nil || len(sent.Publications) != 1 || sent.Publications[0].Topic != topic {
			t.Errorf("%s, at %+v, is sent %+v, %v", got[i].ID, got[i].Message.From, sent, err)
		}
	}
	if _, err := s.Encode("pump-1", got[1].Message.From, wire.Command{ID: "1", Name: "x"}); err == nil || !strings.Contains(err.Error(), "device pump-1") {
		t.Errorf("a device at the address of a customer: %v", err)
	}
	got, err = s.Decode("crm/pump-1/changed", []byte(`{"vip":true}`), false, time.UnixMilli(1))
	if err != nil || len(got) != 1 || got[0].ID != "customer/pump-1" {
		t.Errorf("a report: %+v, %v", got, err)
	}
	sent, err := s.Encode("customer/pump-1", got[0].Message.From, wire.Command{ID: "1", Name: "x"})
	if err != nil || sent.Publications[0].Topic != "crm/pump-1/note/x" {
		t.Errorf("%+v, %v", sent, err)
	}
}

// What the configuration does not allow as an id is refused, and is nobody's.
func TestIDsThatAreNotAllowed(t *testing.T) {
	cfg := wire.DefaultConfig()
	cfg.CheckID = func(id device.ID) error {
		if len(id.Name()) < 4 {
			return fmt.Errorf("%s is too short", id.Entity())
		}
		return nil
	}
	s := shopSet(t, cfg)
	for topic, want := range map[string]string{
		"crm/abc/changed":            "customer abc is too short",
		"devices/abc/telemetry":      "device abc is too short",
		"$aws/things/abc/shadow/get": "device abc is too short",
	} {
		_, err := s.Decode(topic, []byte(`{}`), false, time.UnixMilli(1))
		var refused *wire.Refused
		if !errors.As(err, &refused) || refused.Reason != wire.ReasonBadDeviceID || refused.Detail != want || refused.ID != "" {
			t.Errorf("%s: %#v, want %s", topic, err, want)
		}
	}
	if got, err := s.Decode("crm/abcd/changed", []byte(`{"a":1}`), false, time.UnixMilli(1)); err != nil || got[0].ID != "customer/abcd" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestFaultsOfKinds(t *testing.T) {
	for text, want := range map[string]string{
		"kind: Customer\ntopics: [{topic: 'a/{id}', channel: telemetry}]":                                `x.yaml:2:7: kind "Customer": expected ^[a-z]`,
		"topics: [{topic: 'a/{id}', channel: status, kind: customer}]":                                   "x.yaml:2:37: channel status: it is of the connection, which only devices have, and not entities of kind customer",
		"kind: customer\ntopics: [{topic: 'a/{id}', channel: status}]":                                   "only devices have, and not entities of kind customer",
		"topics: [{topic: 'a/{id}', channel: telemetry}]\ncommands: [{topic: 'c/{id}', kind: customer}]": `device id "customer/{id}": no topic has devices with it; those that there are: {id}`,
	} {
		_, err := Load("x.yaml", []byte("dialect: x\n"+text+"\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n%v\nwant %s", text, err, want)
		}
	}
	if _, err := Load("x.yaml", []byte("dialect: x\nkind: customer\ntopics:\n  - {topic: 'a/{id}', channel: telemetry}\n  - {topic: 'b/{id}', channel: status, kind: device}\n")); err != nil {
		t.Errorf("a device in a file of customers: %v", err)
	}
}
