package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"devicetwin/api"
	"devicetwin/api/client"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/internal/measure"
	"devicetwin/service"
)

// A till is a device, its customers come with its messages, and orders by the API; a customer
// and an order have the name of the till. What was sent and what arrived are counted.
func TestEntitiesOfSeveralKinds(t *testing.T) {
	s := startSystemWriting(t, stack.Options{}, nil, 50, func(c *service.Config) { // several runs
		c.Model.Kinds, c.Model.Models = "testdata/kinds.yaml", []string{"testdata/loyalty.yaml", "testdata/fulfilment.yaml"}
		c.MQTT.Dialect, c.Bridge.StartOn = []string{"testdata/shops.yaml"}, "any"
	})
	ctx, operator := t.Context(), operatorOf(t, s, "")
	const name = "pump-1"
	const customer, order = device.ID("customer/" + name), device.ID("order/" + name)
	d, crm := connect(t, s.MQTT.URL(), "till"), connect(t, s.MQTT.URL(), "crm")
	d.subscribe("devices/" + name + "/commands/+")
	crm.subscribe("crm/#")

	spent, times := map[string]float64{}, map[string]float64{}
	for n := 1; n <= 200; n++ {
		to := []string{name, "4711", "4712"}[n%3]
		d.publish("shop/"+name+"/sale", fmt.Sprintf(`{"n":%d,"amount":%d,"customer":"%s"}`, n, n, to))
		spent[to] += float64(n)
		times[to]++
	}
	d.publish("shop/"+name+"/sale", `{"n":201,"amount":1,"customer":"x"}`) // an id against the rule
	for of := range spent {
		eventually(t, "customer "+of+" has all purchases, each once", func(ctx context.Context) bool {
			c, err := operator.Device(ctx, device.ID("customer/"+of))
			return err == nil && string(c.Context) == fmt.Sprintf(`{"spent":%v,"times":%v}`, spent[of], times[of]) && c.Messages.Duplicates == 0
		})
	}
	if c, err := operator.Device(ctx, customer); err != nil || c.Connection != api.Unknown || c.Model != "loyalty" || c.State != "regular" {
		t.Errorf("customer %+v, %v", c, err)
	}
	till, err := operator.Device(ctx, name)
	if err != nil || till.Model != "pump" || strings.Contains(string(till.Context), "spent") {
		t.Errorf("till %+v, %v", till, err)
	}

	// Orders exist by their first event, which the model's rules name.
	for i, want := range []string{"open", "open", "shipped"} {
		taken, err := operator.SendEvent(ctx, order, "payment", api.Object(fmt.Sprintf(`{"amount":%d}`, 5+3*i)))
		if err != nil || taken.To != want {
			t.Fatalf("payment %d: %+v, %v, want %s", i, taken, err, want)
		}
	}
	var shipped api.Device
	eventually(t, "the command is in the order's record, with its data", func(ctx context.Context) bool {
		shipped, err = operator.Device(ctx, order)
		return err == nil && len(shipped.Commands) == 1 && shipped.Commands[0].Status == device.CommandSucceeded && string(shipped.Commands[0].Data) == `{"by":"post"}`
	})
	if string(shipped.Context) != `{"payments":2}` || shipped.LastSeen == nil {
		t.Errorf("order %+v", shipped)
	}
	refused := func(what string, err error, status int, says string) {
		t.Helper()
		var problem *client.Problem
		if !errors.As(err, &problem) || problem.Status != status || !strings.Contains(problem.Error(), says) {
			t.Errorf("%s: %v, want %d %s", what, err, status, says)
		}
	}
	_, err = operator.SendEvent(ctx, "order/A", "payment", nil)
	refused("an id against the rule", err, http.StatusUnprocessableEntity, `order id "A"`)
	_, err = operator.SendEvent(ctx, "order/b-1", "paymnt", nil)
	refused("an event that the model does not know", err, http.StatusUnprocessableEntity, "paymnt")
	_, err = operator.Device(ctx, "order/b-1")
	refused("there is no such order", err, http.StatusNotFound, "order b-1")
	if taken, err := operator.SendEvent(ctx, "order/b-1", "payment", api.Object(`{"amount":5}`)); err != nil || taken.From != "open" {
		t.Errorf("its first event: %+v, %v", taken, err)
	}
	_, err = operator.SendEvent(ctx, "customer/0815", "purchase", nil)
	refused("a customer whose source is MQTT", err, http.StatusNotFound, "customer 0815: unknown device")

	// Commands go to the topic of the kind, and to the device only its own.
	for _, id := range []device.ID{customer, name} {
		if _, err := operator.SendCommand(ctx, id, api.NewCommand{Name: "hello", TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	if m := crm.next(); m.topic != "crm/customers/"+name+"/commands/hello" {
		t.Errorf("the customer is sent %s", m.topic)
	}
	if m := d.next(); m.topic != "devices/"+name+"/commands/hello" {
		t.Errorf("the device is sent %s", m.topic)
	}
	if n := len(crm.inbox) + len(d.inbox); n > 0 {
		t.Errorf("%d more messages were sent", n)
	}

	// Lists and points know the kinds.
	for kind, want := range map[device.Kind]int{"customer": 3, "order": 2, device.KindDevice: 1} {
		eventually(t, fmt.Sprintf("%d of kind %s are listed", want, kind.Word()), func(ctx context.Context) bool {
			page, err := operator.Entities(ctx, kind, "id:*", 10, "")
			n, failed := operator.CountEntities(ctx, kind, "")
			return err == nil && failed == nil && len(page.Devices) == want && n.Count == want
		})
	}
	if page, err := operator.Devices(ctx, "", 10, ""); err != nil || len(page.Devices) != 1 || page.Devices[0].ID != name {
		t.Errorf("devices %+v, %v", page, err)
	}
	points := func(id device.ID) func(context.Context) bool {
		return func(context.Context) bool {
			return len(s.influx.query(t, fmt.Sprintf(`SELECT "count" FROM "%s" WHERE "device" = '%s' AND "kind" = '%s'`, measure.Transitions, id, id.Kind()))) > 0
		}
	}
	eventually(t, "points of the customer", points(customer))
	eventually(t, "points of the order", points(order))

	if err := operator.Erase(ctx, customer); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the points of the customer are gone", func(ctx context.Context) bool { return !points(customer)(ctx) })
	if !points(order)(ctx) {
		t.Error("the points of the order are gone, too")
	}
	for id, want := range map[device.ID]bool{customer: false, order: true, name: true} {
		if _, err := operator.Device(ctx, id); (err == nil) != want {
			t.Errorf("%s: %v", id, err)
		}
	}
}
