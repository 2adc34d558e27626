package service

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/bridge/history"
	"devicetwin/device"
	"devicetwin/points"
)

const (
	loyalty    = "model: loyalty\nkind: customer\ninitial: a\nstates: {a: {}}\n"
	fulfilment = "model: fulfilment\nkind: order\ninitial: a\nstates: {a: {}}\n"
	shops      = "dialect: shops\nkind: customer\ntopics: [{topic: 'crm/{id}', channel: telemetry}]\n"
)

// planned is what a bridge and a worker make of files by their names.
func planned(t *testing.T, files map[string]string, change func(*Config, func(name string) string)) (Plan, models, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := DefaultConfig()
	c.Model.Model, c.Model.Copies = pump, ""
	change(&c, func(name string) string { return filepath.Join(dir, name) })
	p, err := NewPlan(c, Bridge|Worker)
	if err != nil {
		return p, models{}, err
	}
	m, err := p.loadModels(slog.New(slog.DiscardHandler))
	return p, m, err
}

func TestKindsOfAService(t *testing.T) {
	for _, tt := range []struct {
		name, kinds string
		models      []string
		dialect     string
		model       string // instead of the pump's
		says        string // "": it is fine
	}{
		{name: "a model for its kind", kinds: "kinds: {customer: {source: mqtt}}", models: []string{loyalty}, dialect: shops},
		{name: "by name", kinds: "kinds: {customer: {source: api, model: loyalty}}", models: []string{loyalty}},
		{name: "no devices", kinds: "kinds: {customer: {source: api, model: loyalty}}", models: []string{loyalty}, model: "-"},
		{name: "no model", kinds: "kinds: {customer: {source: api}}", says: "kind customer: no model says kind: customer (--models)"},
		{name: "another name", kinds: "kinds: {customer: {source: api, model: vip}}", models: []string{loyalty}, says: "kind customer: there is no model vip of it; there is loyalty"},
		{name: "of another kind", kinds: "kinds: {customer: {source: api, model: fulfilment}, order: {source: api}}", models: []string{loyalty, fulfilment},
			says: "kind customer: model fulfilment is of kind order, and a customer cannot run it"},
		{name: "of devices", kinds: "kinds: {customer: {source: api, model: pump}}", says: "kind customer: model pump is of kind device, and a customer cannot run it"},
		{name: "which of two", kinds: "kinds: {customer: {source: api}}", models: []string{loyalty, strings.Replace(loyalty, "loyalty", "vip", 1)},
			says: "kind customer: which of its models new ones run is not said (--kinds, model:); there is loyalty, vip"},
		{name: "a kind that is not configured", models: []string{loyalty}, says: `model loyalty: kind "customer" is not configured (--kinds); there is device`},
		{name: "the default", kinds: "kinds: {customer: {source: api}}", model: loyalty, says: "(--model) is of kind customer, and devices cannot run it"},
		{name: "a dialect of no kind", dialect: shops, says: `dialect shops: kind "customer" is not configured (--kinds); there is device`},
		{name: "a dialect of another source", kinds: "kinds: {customer: {source: api}}", models: []string{loyalty}, dialect: shops, says: "dialect shops: the source of kind customer is api (--kinds), and not mqtt"},
		{name: "a topic of devices", kinds: "kinds: {customer: {source: api, publish: 'devices/{id}'}}", models: []string{loyalty}, says: "it is below devices, where the topics of devices are"},
		{name: "a fault", kinds: "kinds: {customer: {source: x}}", says: "kinds of entities (--kinds):"},
	} {
		files := map[string]string{"kinds.yaml": tt.kinds, "shops.yaml": tt.dialect, "model.yaml": tt.model}
		for i, m := range tt.models {
			files[string(rune('a'+i))+".yaml"] = m
		}
		_, m, err := planned(t, files, func(c *Config, file func(string) string) {
			if tt.kinds != "" {
				c.Model.Kinds = file("kinds.yaml")
			}
			if tt.dialect != "" {
				c.MQTT.Dialect = []string{file("shops.yaml")}
			}
			switch tt.model {
			case "":
			case "-":
				c.Model.Model = ""
			default:
				c.Model.Model = file("model.yaml")
			}
			for i := range tt.models {
				c.Model.Models = append(c.Model.Models, file(string(rune('a'+i))+".yaml"))
			}
		})
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
		if tt.says != "" {
			continue
		}
		if hash, ok := m.newModel("customer"); !ok || m.kinds["customer"].Name() != "loyalty" || hash == "" {
			t.Errorf("%s: model %v", tt.name, m.kinds)
		}
	}
}

// The rule for ids reaches the topics of bridge and worker.
func TestIDRulesOfAService(t *testing.T) {
	p, _, err := planned(t, map[string]string{"kinds.yaml": "kinds: {customer: {source: api, id: '[0-9]+', publish: 'crm/{id}'}, device: {id: 'pump-.*'}}", "a.yaml": loyalty}, func(c *Config, file func(string) string) {
		c.Model.Kinds, c.Model.Models = file("kinds.yaml"), []string{file("a.yaml")}
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, ok := range map[device.ID]bool{"pump-1": true, "tank-1": false, "customer/1": true, "customer/x": false, "order/1": false} {
		for _, c := range []func(device.ID) error{p.Bridge.Wire.CheckID, p.Worker.Wire.CheckID} {
			if err := c(id); (err == nil) != ok {
				t.Errorf("%s: %v", id, err)
			}
		}
	}
	if p.Worker.Wire.EntityTopics["customer"] != "crm/{id}" {
		t.Errorf("topics %v", p.Worker.Wire.EntityTopics)
	}
}

// Of a customer and a device of one name, each is erased without the other.
func TestEntitiesOfOneNameAreErasedOnTheirOwn(t *testing.T) {
	const customer, pump = "customer/pump-1", "pump-1"
	for _, tt := range []struct{ erased, left device.ID }{{customer, pump}, {pump, customer}} {
		e := newErasing(t)
		for _, id := range []device.ID{customer, pump} {
			e.arrival(id, 1)
			e.put(history.KindOutcome, 1, history.Outcome{ID: id, UpTo: 1}.Append(nil))
		}
		e.put(points.KindLines, 1, points.LinesRecord([]string{"a,device=customer/pump-1,kind=customer x=1 1", "a,device=pump-1 x=1 1"}, time.Unix(1, 0)).Data)
		if err := e.add(t.Context(), ending(tt.erased, 2)); err != nil {
			t.Fatal(err)
		}
		e.once()
		line := "a,device=pump-1 x=1 1"
		if tt.left == customer {
			line = "a,device=customer/pump-1,kind=customer x=1 1"
		}
		want := []string{fmt.Sprintf("1 1 [%s] <nil>", tt.left), fmt.Sprintf(`3 1 {"id":"%s","to":1}`, tt.left), fmt.Sprintf("2 1 [%s] <nil>", line)}
		if got := e.content(); !slices.Equal(got, want) {
			t.Errorf("after %s: got\n%s\nwant\n%s", tt.erased, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if got := strings.Join(e.influx.got, " "); got != string(tt.erased)+"2" {
			t.Errorf("points of %s were deleted, want %s", got, tt.erased)
		}
	}
}
