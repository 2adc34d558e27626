package service

import (
	"reflect"
	"strings"
	"testing"

	"devicetwin/api"
	"devicetwin/bridge"
	"devicetwin/points"
	"devicetwin/twin"
	"devicetwin/workflows/migration"
)

// DefaultConfig starts the parts with the defaults of their packages.
func TestDefaultsAreThoseOfThePackages(t *testing.T) {
	c := DefaultConfig()
	c.Model.Model = pump
	p, err := NewPlan(c, Bridge|Worker|API)
	if err != nil {
		t.Fatal(err)
	}
	want := bridge.DefaultConfig()
	want.MovesFor = migration.KnownFor
	if !reflect.DeepEqual(p.Bridge, want) {
		t.Errorf("bridge\n%+v\nwant\n%+v", p.Bridge, want)
	}
	if want := points.DefaultConfig(); p.Points != want {
		t.Errorf("points %+v, want %+v", p.Points, want)
	}
	if want := bridge.DefaultConfig().MQTT.Named("devicetwin-out-bridge"); !reflect.DeepEqual(p.Publisher, want) {
		t.Errorf("publisher %+v, want %+v", p.Publisher, want)
	}
	if p.Worker.Twin.Limits != twin.DefaultLimits() {
		t.Errorf("limits of twins %+v", p.Worker.Twin.Limits)
	}
	if o := api.DefaultOptions(); p.API.Timeout != o.Timeout || p.API.Streams != o.Stream.Most {
		t.Errorf("API %+v", p.API)
	}
}

// Without --model, a worker runs what --models gives; a bridge has to know what
// new devices start with.
func TestWhichModels(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Config)
		parts  Parts
		says   string // "": it is fine
	}{
		{"none", func(*Config) {}, Worker, "expected --model, or --models"},
		{"none for a bridge", func(*Config) {}, Bridge, "expected --model, or --models"},
		{"the API needs none", func(*Config) {}, API, ""},
		{"a worker with a folder", func(c *Config) { c.Model.Models = []string{"../models"} }, Worker, ""},
		{"a bridge with a folder", func(c *Config) { c.Model.Models = []string{"../models"} }, Bridge, "no model for new devices"},
		{"both", func(c *Config) { c.Model.Models = []string{"../models"} }, Bridge | Worker, "no model for new devices"},
		{"a bridge with rules", func(c *Config) {
			c.Model.Models, c.Bridge.ModelRule = []string{"../models"}, []string{"p-*=pump"}
		}, Bridge, ""},
		{"a bridge with births", func(c *Config) {
			c.Model.Models, c.Bridge.ModelFromBirth = []string{"../models"}, true
		}, Bridge, ""},
	} {
		c := DefaultConfig()
		tt.change(&c)
		_, err := NewPlan(c, tt.parts)
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
	}
}
