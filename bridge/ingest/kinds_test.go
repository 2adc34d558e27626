package ingest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/wire"
)

// ofCustomers is a model of another kind than devices.
type ofCustomers struct{ *devicefsm.Model }

func (ofCustomers) Kind() device.Kind { return "customer" }

// kinded reads customers/{id}/… and orders/{id}/… as the topics of devices.
type kinded struct{ wire.Dialect }

func (k kinded) Decode(topic string, payload []byte, dup bool, at time.Time) ([]wire.Received, error) {
	kind, rest, _ := strings.Cut(topic, "s/")
	received, err := k.Dialect.Decode("devices/"+rest, payload, dup, at)
	for i := range received {
		if kind != "device" {
			received[i].ID = device.ID(kind + "/" + string(received[i].ID))
		}
	}
	return received, err
}

// A device and a customer of one name have their own model, queue, filter and numbers.
func TestEntitiesOfOneName(t *testing.T) {
	pumps, customers := variant(t, "pump", 90, 80), ofCustomers{variant(t, "loyalty", 50, 40)}
	b := newBench(DefaultConfig(), pumps, customers)
	b.dialect = kinded{b.dialect}
	send := func(of string, degrees, seq int) string {
		before := len(b.out.signals)
		b.deliver(of+"/pump-1/telemetry", fmt.Sprintf(`{"t":%d,"epoch":1,"seq":%d}`, degrees, seq), "", false)
		var got []string
		for _, s := range b.out.signals[before:] {
			got = append(got, fmt.Sprint(s.device, " ", s.model, " ", s.existing, " ", len(s.batch.Messages)))
		}
		return strings.Join(got, ", ")
	}
	customer := "customer/pump-1 " + customers.Hash() + " false 1"
	for i, step := range []struct {
		of      string
		degrees int
		seq     int
		want    string
	}{
		{"customers", 60, 1, customer},
		{"devices", 95, 1, "pump-1  false 1"}, // also while a signal of the customer is in flight
		{"orders", 60, 1, "order/pump-1  true 1"},
		{"devices", 96, 2, ""}, {"customers", 61, 2, ""}, // settled, of each by its own model
		{"customers", 30, 3, customer},
		{"devices", 30, 3, "pump-1  false 1"},
	} {
		if got := send(step.of, step.degrees, step.seq); got != step.want {
			t.Errorf("%d: %s at %d: %q, want %q", i, step.of, step.degrees, got, step.want)
		}
		if i >= 2 {
			b.acceptAll()
		}
	}
	if n := b.counts.Gaps.Load(); n != 0 {
		t.Errorf("%d gaps: numbers of one are compared with those of the other", n)
	}
	var points []string
	for _, p := range b.out.points {
		id, _, _ := strings.Cut(p, " ")
		points = append(points, id)
	}
	if got := strings.Join(points, " "); got != "customer/pump-1 pump-1 pump-1 customer/pump-1 customer/pump-1 pump-1" {
		t.Errorf("points of %s", got)
	}
	known := 0
	for _, g := range b.survey(10, 10).Groups {
		known += g.Online + g.Silent + g.Offline
	}
	if known != 1 {
		t.Errorf("%d entities have a connection, expected the device", known)
	}
	b.ended("customer/pump-1")
	if got := send("devices", 31, 4); got != "" {
		t.Errorf("after the end of the customer, the device is signalled again: %s", got)
	}
	if got := send("customers", 31, 4); got != customer {
		t.Errorf("after its end, the customer is signalled %q", got)
	}
}

func TestModelsAreOfOneKind(t *testing.T) {
	customers := ofCustomers{variant(t, "loyalty", 50, 40)}
	if _, err := newAssignment(DefaultConfig(), nil, customers, nil); err == nil || !strings.Contains(err.Error(), "default model loyalty: it is of kind customer, and devices cannot run it") {
		t.Errorf("as the default: %v", err)
	}
	cfg := DefaultConfig()
	cfg.ModelRules = []string{"*=loyalty"}
	kinds := map[device.Kind]Model{"customer": customers}
	if _, err := newAssignment(cfg, kinds, nil, []Model{customers}); err == nil || !strings.Contains(err.Error(), `model rule "*=loyalty": model loyalty is of kind customer, and devices cannot run it`) {
		t.Errorf("by a rule: %v", err)
	}
	cfg = DefaultConfig()
	cfg.ModelFromBirth = true
	a, err := newAssignment(cfg, kinds, nil, []Model{customers})
	if err != nil || a.named["loyalty"] != nil {
		t.Errorf("by birth: %v, %v", a.named, err)
	}
	old := ofCustomers{variant(t, "loyalty", 30, 20)}
	a, err = newAssignment(DefaultConfig(), kinds, nil, []Model{customers}, old)
	if err != nil || len(a.of("customer/1").possible) != 2 || a.of("customer/1").start.Hash() != customers.Hash() {
		t.Errorf("without devices: %v", err)
	}
	if a.of("order/1").start.Hash() != "" || a.of("1").start.Hash() != "" {
		t.Error("an entity of another kind, or a device, has a model")
	}
}
