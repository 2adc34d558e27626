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

const shop = `
dialect: shop
topics:
  - topic: purchases/{key...}
    channel: events
    name: purchase
    vars: {customer: payload.customer}
    id: "{customer}"
  - topic: customers/{id}
    channel: events
    name: changed
  - topic: customers
    channel: ignored
  - topic: prices/#
    channel: ignored
`

func loadOne(t *testing.T, text string) *Dialect {
	t.Helper()
	d, err := Load("d.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func newRecords(t *testing.T) *Records {
	t.Helper()
	r, err := NewRecords(wire.DefaultConfig(), loadOne(t, shop))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRecordsAreReadByTheirKeyOrTheirValue(t *testing.T) {
	r := newRecords(t)
	if got := strings.Join(r.Topics(), " "); got != "customers purchases" {
		t.Errorf("topics %q", got)
	}
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		topic      string
		key        []byte
		value      string
		id, reason string
	}{
		{"purchases", []byte("a/b"), `{"customer":4711,"sum":3}`, "4711", ""},
		{"purchases", []byte(""), `{"customer":"x y"}`, "x--20y", ""},
		{"customers", []byte("4711"), `{"tier":"gold"}`, "4711", ""},
		{"customers", []byte("a#b"), `{}`, "a--23b", ""},
		{"customers", []byte("\xff"), `{}`, "", "bad_topic"},
		{"customers", []byte("4711"), `{"tier":`, "", "bad_payload"},
		{"customers", nil, `{}`, "", wire.ErrNotInput.Error()},
		{"customers", []byte("a/b"), `{}`, "", wire.ErrUnmapped.Error()},
		{"prices", []byte("a"), `{}`, "", wire.ErrNotInput.Error()},
		{"devices", []byte("pump-1/telemetry"), `{}`, "", wire.ErrUnmapped.Error()}, // the service's own topics are MQTT's
	} {
		got, err := r.Decode(r.Name(test.topic, test.key), []byte(test.value), false, at)
		switch {
		case test.reason != "":
			refused := (*wire.Refused)(nil)
			if errors.As(err, &refused) && string(refused.Reason) == test.reason || err != nil && err.Error() == test.reason {
				continue
			}
			t.Errorf("%s %q %s: %v, %v; want %s", test.topic, test.key, test.value, got, err, test.reason)
		case err != nil || len(got) != 1 || string(got[0].ID) != test.id:
			t.Errorf("%s %q %s: %v, %v; want one of %s", test.topic, test.key, test.value, got, err, test.id)
		}
	}
}

func TestTheEntityOfARecordWithoutAValue(t *testing.T) {
	r := newRecords(t)
	for name, want := range map[string]string{
		"customers/4711": "4711",
		"customers/a+b":  "a--2bb",
		"purchases/4711": "bad_payload: no value, and the key does not say which entity it is of",
		"customers/\xff": "bad_topic: not valid UTF-8",
		"customers/":     "bad_device_id",
		"customers":      wire.ErrNotInput.Error(),
		"elsewhere/1":    wire.ErrUnmapped.Error(),
	} {
		id, err := r.Entity(name)
		got := string(id)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) || err == nil && got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
	c := wire.DefaultConfig()
	c.Mine = func(name string) bool { return name != "4711" }
	r, err := NewRecords(c, loadOne(t, shop))
	if err != nil {
		t.Fatal(err)
	}
	if id, err := r.Entity("customers/4711"); !errors.Is(err, wire.ErrForeign) {
		t.Errorf("one of another partition: %q, %v", id, err)
	}
}

// What the configuration does not allow as an id is refused, with and without a value.
func TestRecordsOfIDsThatAreNotAllowed(t *testing.T) {
	c := wire.DefaultConfig()
	c.CheckID = func(id device.ID) error { return fmt.Errorf("%s is not allowed", id.Entity()) }
	r, err := NewRecords(c, loadOne(t, shop))
	if err != nil {
		t.Fatal(err)
	}
	_, read := r.Decode("customers/4711", []byte(`{}`), false, time.Now())
	_, named := r.Entity("customers/4711")
	for what, err := range map[string]error{"with a value": read, "without": named} {
		if refused := (*wire.Refused)(nil); !errors.As(err, &refused) || refused.Reason != wire.ReasonBadDeviceID || refused.Detail != "device 4711 is not allowed" {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The kind of an entity is that which the dialect says, with and without a value.
func TestRecordsOfAKind(t *testing.T) {
	r, err := NewRecords(wire.DefaultConfig(), loadOne(t, strings.Replace(shop, "dialect: shop", "dialect: shop\nkind: customer", 1)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Decode("customers/4711", []byte(`{"tier":"gold"}`), false, time.Now())
	if err != nil || len(got) != 1 || got[0].ID != "customer/4711" {
		t.Errorf("%v, %v; want one of customer/4711", got, err)
	}
	if id, err := r.Entity("customers/4711"); err != nil || id != "customer/4711" {
		t.Errorf("without a value it is of %q, %v", id, err)
	}
}

func TestDialectsThatCannotReadRecords(t *testing.T) {
	text := func(topic, more string) *Dialect {
		return loadOne(t, "dialect: d\ntopics:\n  - topic: \""+topic+"\"\n    channel: telemetry\n"+more)
	}
	for what, dialects := range map[string][]*Dialect{
		`topic "{site}/{id}": expected a topic of Kafka`:           {text("{site}/{id}", "    id: \"{site}:{id}\"\n")},
		`topic "a b/{id}": expected a topic of Kafka`:              {text("a b/{id}", "")},
		"there is another one with this name":                      {text("a/{id}", ""), text("b/{id}", "")},
		"expected none of commands, desired, ask and discovery":    {text("a/{id}", "commands:\n  - topic: c/{id}/{command}\n")},
		`nothing decides between them for topics that are of both`: {text("a/{id}", ""), loadOne(t, strings.Replace(shop, "customers/{id}", "a/{other}\n    id: \"{other}\"", 1))},
	} {
		if _, err := NewRecords(wire.DefaultConfig(), dialects...); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v; want %s", err, what)
		}
	}
}
