package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
)

// countedModels is a registry that counts what it is asked.
type countedModels struct {
	Models
	index ModelIndex
	fault error
	asked int
}

func (m *countedModels) Index(context.Context) (ModelIndex, error) {
	m.asked++
	return m.index, m.fault
}

func (m *countedModels) push(model, hash string, version int) {
	at := slices.IndexFunc(m.index.Models, func(has Model) bool { return has.Name == model })
	if at < 0 {
		at = len(m.index.Models)
		m.index.Models = append(m.index.Models, Model{Name: model})
	}
	m.index.Models[at].Versions = append(m.index.Models[at].Versions, ModelVersion{Version: version, Hash: hash})
}

// fewDevices is a backend with devices that run models of these hashes.
type fewDevices struct {
	Backend
	hashes []string
	device Device
}

func (b fewDevices) Devices(context.Context, Query, int, []byte) (all []Summary, _ []byte, _ error) {
	for _, hash := range b.hashes {
		all = append(all, Summary{Model: "pump", ModelHash: hash})
	}
	return all, nil, nil
}

func (b fewDevices) Device(context.Context, device.ID) (Device, error) { return b.device, nil }

// listed are the devices of a list as people read them.
func (b numbered) listed(t *testing.T) string {
	t.Helper()
	devices, _, err := b.Devices(t.Context(), nil, 10, nil)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, d := range devices {
		words = append(words, VersionText(d.Model, d.ModelVersion))
	}
	return strings.Join(words, " ")
}

// The registry is asked for versions that are not known, and otherwise once a minute; while it does
// not answer, versions have no numbers, and answers do not wait for it again and again.
func TestTheRegistryIsAskedSeldom(t *testing.T) {
	registry, now := &countedModels{fault: device.ErrUnavailable}, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	b := numbered{fewDevices{hashes: []string{"aa", "", "bb", "cc"}}, newVersions(registry)}
	b.versions.now = func() time.Time { return now }
	after := func(d time.Duration, want string, asked int) {
		t.Helper()
		now = now.Add(d)
		if got := b.listed(t); got != want || registry.asked != asked {
			t.Errorf("listed %q after %d questions, want %q after %d", got, registry.asked, want, asked)
		}
	}
	after(0, "pump pump pump pump", 1)
	after(9*time.Second, "pump pump pump pump", 1)
	registry.fault = nil
	registry.push("pump", "aa", 1)
	registry.push("pump", "bb", 2)
	after(time.Second, "pump@1 pump pump@2 pump", 2)
	registry.push("pump", "cc", 3)
	after(time.Second/2, "pump@1 pump pump@2 pump", 2)
	after(time.Second/2, "pump@1 pump pump@2 pump@3", 3)
	after(30*time.Second, "pump@1 pump pump@2 pump@3", 3)

	// A version that was removed keeps its name, until it is pushed again under another number.
	registry.index.Models[0].Versions = registry.index.Models[0].Versions[1:]
	after(time.Minute, "pump@1 pump pump@2 pump@3", 4)
	registry.push("pump", "aa", 4)
	after(time.Minute, "pump@4 pump pump@2 pump@3", 5)
	registry.fault = errors.New("it is down")
	after(time.Minute, "pump@4 pump pump@2 pump@3", 6)
	after(time.Second, "pump@4 pump pump@2 pump@3", 6)
}

// What is remembered is bounded.
func TestNamesOfVersionsAreBounded(t *testing.T) {
	registry := &countedModels{}
	v := newVersions(registry)
	for n := range 4 * maxVersionNames / 1000 {
		registry.index = ModelIndex{}
		for i := range 1000 {
			registry.push("pump", fmt.Sprintf("%d-%d", n, i), n*1000+i+1)
		}
		if _, err := v.ask(t.Context()); err != nil {
			t.Fatal(err)
		}
		if v.number(fmt.Sprintf("%d-7", n)) != n*1000+8 || len(v.byHash) > maxVersionNames+1000 {
			t.Fatalf("%d names, of which that of %d-7 is %d", len(v.byHash), n, v.number(fmt.Sprintf("%d-7", n)))
		}
	}
}

// The transitions of a device have the versions that decided, and their migrations both. Nothing is
// written into what the backend returned.
func TestTransitionsNameVersions(t *testing.T) {
	registry := &countedModels{}
	registry.push("pump", "aa", 1)
	registry.push("pump", "bb", 2)
	move := &Migration{FromModel: "aa", ToModel: "bb"}
	is := Device{Model: "pump", ModelHash: "bb", Transitions: []Transition{{ModelHash: "bb", Event: "migration", Migration: move}, {ModelHash: "aa"}, {ModelHash: "zz"}}}
	d, err := numbered{fewDevices{device: is}, newVersions(registry)}.Device(t.Context(), "pump-1")
	if err != nil {
		t.Fatal(err)
	}
	if d.ModelVersion != 2 || d.Transitions[0].ModelVersion != 2 || d.Transitions[1].ModelVersion != 1 || d.Transitions[2].ModelVersion != 0 {
		t.Errorf("%+v", d)
	}
	if m := d.Transitions[0].Migration; m.FromVersion != 1 || m.ToVersion != 2 || move.FromVersion != 0 || is.Transitions[1].ModelVersion != 0 {
		t.Errorf("%+v, and of the backend %+v", m, is)
	}
	// A reader of a stream is not told again of transitions whose version has got a number.
	if fresh := newTransitions(is.Transitions, d.Transitions); len(fresh) > 0 {
		t.Errorf("new transitions %+v", fresh)
	}
}

// Versions in queries become hashes, wherever they are.
func TestVersionsInQueries(t *testing.T) {
	registry := &countedModels{}
	registry.push("pump", "aa", 1)
	registry.push("pump", "bb", 2)
	registry.push("fan.v2", "cc", 1)
	v := newVersions(registry)
	for query, want := range map[string]string{
		"model:pump":                           "{model  pump}",
		"model:pump@2":                         "{model_hash  bb}",
		"NOT (model:pump@1 OR model:fan.v2@1)": "{[{model_hash  aa} {model_hash  cc}]}",
		"site:pump@2 model:pump@1":             "[{site  pump@2} {model_hash  aa}]",
		"model:pump@3":                         "the registry has no version pump@3",
		"model:tank@1":                         `there is no model "tank" in the registry`,
		"model:pump@0":                         "NAME@NUMBER",
		"model:pump@01":                        "NAME@NUMBER",
		"model:pump@+1":                        "NAME@NUMBER",
		"model:pump@aabbccdd":                  "NAME@NUMBER",
		"model:@1":                             "NAME@NUMBER",
		"model:pump@":                          "NAME@NUMBER",
		"model:pump@1*":                        "without an asterisk",
		"model:pump@99999999999999999999":      "NAME@NUMBER",
	} {
		q, err := ParseQuery(query)
		if err == nil {
			q, err = v.resolve(t.Context(), q)
		}
		got := shortQuery(q)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if q, err := v.resolve(t.Context(), nil); q != nil || err != nil {
		t.Errorf("%v, %v", q, err)
	}
	var refused *device.Refused
	registry.fault = fmt.Errorf("%w: nobody began it", ErrNoRegistry)
	if _, err := v.resolve(t.Context(), Term{Field: FieldModel, Value: "pump@1"}); !errors.As(err, &refused) || refused.Code != 400 {
		t.Errorf("without a registry: %v", err)
	}
	registry.fault = device.ErrUnavailable
	if _, err := v.resolve(t.Context(), Term{Field: FieldModel, Value: "pump@1"}); !errors.Is(err, device.ErrUnavailable) {
		t.Errorf("while it does not answer: %v", err)
	}
}

// shortQuery is a query without what its terms do not have.
func shortQuery(q Query) string {
	switch q := q.(type) {
	case And:
		return shortQueries(q)
	case Or:
		return shortQueries(q)
	case Not:
		return "{" + shortQuery(q.Query) + "}"
	case Term:
		return fmt.Sprintf("{%s %s %s}", q.Field, q.Key, q.Value)
	}
	return ""
}

func shortQueries(all []Query) string {
	var words []string
	for _, q := range all {
		words = append(words, shortQuery(q))
	}
	return fmt.Sprint(words)
}
