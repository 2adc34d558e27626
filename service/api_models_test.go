package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"devicetwin/api"
	"devicetwin/device"
	"devicetwin/internal/testfile"
	"devicetwin/source"
	"devicetwin/workflows/registry"
)

// A model is checked as devicetwin model check does, and by what this service can run, before it
// reaches the registry.
func TestAPushedModelIsChecked(t *testing.T) {
	kinds, err := KindConfig{Kinds: testfile.Write(t, "kinds.yaml", "kinds: {customer: {source: api}}")}.readKinds()
	if err != nil {
		t.Fatal(err)
	}
	f := newFakeRegistry(textOf(t, "lamp", "", 1))
	models := apiModels{registry: f, kinds: kinds}
	by := device.By{Who: "ann", ID: "ann/k"}
	push := func(file, src string) error {
		_, err := models.Change(t.Context(), by, api.ModelChange{Note: "why", Push: &api.ModelFile{File: file, Source: src}})
		return err
	}
	var faults source.Faults
	if err := push("lamp.yaml", "model: lamp\ninitial: off\nstates:\n  on: {on: {x: of}}\n"); !errors.As(err, &faults) || len(faults) < 2 || faults[0].Line != 2 {
		t.Errorf("%v", err)
	}
	for name, tc := range map[string]struct {
		src  string
		code int
		says string
	}{
		"an activity that no worker has": {"initial: on\nstates: {on: {invoke: {src: dance, onDone: on}}}\n", 422, `invokes "dance": no such activity`},
		"a kind that there is not":       {lampSource("lamp", "order", 1), 422, "order"},
		"too large":                      {"# " + strings.Repeat("x", registry.MaxText) + "\n" + lampSource("lamp", "", 1), 413, "expected at most 262144"},
		"a name of the service":          {lampSource("devices", "", 1), 422, "devices"},
	} {
		var refused *device.Refused
		if err := push("lamp.yaml", tc.src); !errors.As(err, &refused) || refused.Code != tc.code || !strings.Contains(refused.Message, tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(f.changes) != 0 {
		t.Errorf("%d changes reached the registry", len(f.changes))
	}
	for _, src := range []string{lampSource("lamp", "", 2), lampSource("loyalty", "customer", 1)} {
		if err := push("lamp.yaml", src); err != nil {
			t.Error(err)
		}
	}
	text := textOf(t, "lamp", "", 2)
	if c := f.changes[0]; c.Key != "ann/k" || c.Who != "ann" || c.Note != "why" || c.Push.Hash != text.Hash || c.Push.Name != "lamp" || c.Push.Kind != "device" {
		t.Errorf("%+v", c)
	}
}

// The index, sources, changes and the audit are those of the registry.
func TestTheAPIAsksTheRegistry(t *testing.T) {
	f := newFakeRegistry(textOf(t, "lamp", "", 1))
	f.index.Rules = registry.Rules{Revision: 4, Sources: map[string]registry.Source{"mqtt": {Model: "lamp", Rules: []registry.Rule{{Pattern: "a*", Model: "lamp@1"}}}}, Kinds: map[string]string{"customer": "loyalty"}}
	models := apiModels{registry: f}
	index, err := models.Index(t.Context())
	raw, _ := json.Marshal(index)
	hash := textOf(t, "lamp", "", 1).Hash
	want := `{"Revision":1,"Models":[{"name":"lamp","kind":"device","revision":0,"default":1,"versions":[{"version":1,"hash":"` + hash + `","file":"lamp.yaml","bytes":64,"at":"0001-01-01T00:00:00Z"}]}],` +
		`"Rules":{"revision":4,"sources":{"mqtt":{"model":"lamp","rules":[{"pattern":"a*","model":"lamp@1"}]}},"kinds":{"customer":"loyalty"}}}`
	if want = strings.Replace(want, `"bytes":64`, fmt.Sprintf(`"bytes":%d`, len(lampSource("lamp", "", 1))), 1); err != nil || string(raw) != want {
		t.Errorf("%s, %v, want\n%s", raw, err, want)
	}
	if src, err := models.Source(t.Context(), hash); err != nil || src != lampSource("lamp", "", 1) {
		t.Errorf("%q, %v", src, err)
	}
	var refused *device.Refused
	if _, err := models.Source(t.Context(), "0"); !errors.As(err, &refused) || refused.Code != 404 {
		t.Errorf("a source that is gone: %v", err)
	}
	if records, err := models.Audit(t.Context()); err != nil || len(records) != 1 || records[0].Who != "ann" || records[0].Note != "n" || records[0].Revision != 1 {
		t.Errorf("%+v, %v", records, err)
	}
	for _, c := range []api.ModelChange{
		{Expected: 7, Default: &api.VersionOfModel{Model: "lamp", Version: 2}},
		{Remove: &api.VersionOfModel{Model: "lamp", Version: 2}},
		{Rules: &api.ModelRules{Sources: index.Rules.Sources, Kinds: index.Rules.Kinds}},
	} {
		if done, err := models.Change(t.Context(), device.By{ID: "k"}, c); err != nil || done != (api.ModelChanged{Revision: 9, Model: "lamp", Version: 2, Hash: "h", Created: true}) {
			t.Errorf("%+v, %v", done, err)
		}
	}
	ref := registry.VersionRef{Model: "lamp", Version: 2}
	if c := f.changes; c[0].Expected != 7 || *c[0].Default != ref || *c[1].Remove != ref || fmt.Sprint(c[2].Rules.Sources) != fmt.Sprint(f.index.Rules.Sources) || c[2].Rules.Kinds["customer"] != "loyalty" {
		t.Errorf("%+v", c)
	}
	f.index = nil
	if _, err := models.Index(t.Context()); !errors.Is(err, api.ErrNoRegistry) || !errors.As(err, &refused) || refused.Code != 409 {
		t.Errorf("without a registry: %v", err)
	}
}
