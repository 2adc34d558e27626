package apitest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"devicetwin/api"
	"devicetwin/device"
	"devicetwin/source"
)

// Models is a registry of models in memory.
type Models struct {
	// Read reads a model that is pushed. Nil: only its name is read, and its hash is that of
	// its source.
	Read func(file, source string) (name, kind, hash string, err error)

	mu      sync.Mutex
	index   api.ModelIndex
	sources map[string]string // by hash
	records []api.ModelRecord // the oldest first
	done    map[string]changed
	fault   error
	calls   []device.By
}

type changed struct {
	change api.ModelChange
	result api.ModelChanged
}

// NewModels makes an empty registry.
func NewModels() *Models {
	return &Models{sources: map[string]string{}, done: map[string]changed{}}
}

// The sources of a pump's versions in FleetModels.
const (
	pumpSource    = "model: pump\ninitial: online\nstates: {online: {}}\n"
	hotPumpSource = "model: pump\ninitial: online\nstates: {online: {}, hot: {}}\n"
)

// Hashes of pump@1, which the pumps of Fleet run, and of pump@2.
var PumpHash, HotPumpHash = hashOf(pumpSource), hashOf(hotPumpSource)

// FleetModels are those of examples: two versions of a pump, and rules.
func FleetModels() *Models {
	m := NewModels()
	for n, change := range []api.ModelChange{
		{Note: "as delivered", Push: &api.ModelFile{File: "pump.yaml", Source: pumpSource}},
		{Note: "hot at a lower temperature", Push: &api.ModelFile{File: "pump.yaml", Source: hotPumpSource}},
		{Push: &api.ModelFile{File: "fan.yaml", Source: "initial: idle\nstates: {idle: {}}\n"}},
		{Rules: &api.ModelRules{Sources: map[string]api.SourceModels{"mqtt": {Model: "pump", Rules: []api.ModelRule{{Pattern: "fan-*", Model: "fan"}}}}}},
	} {
		if _, err := m.Change(context.Background(), device.By{Who: "ann", ID: fmt.Sprint("example-", n)}, change); err != nil {
			panic(err) // they are right
		}
	}
	m.calls = nil
	return m
}

// Fail lets every call fail with an error, until it is nil.
func (m *Models) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = err
}

// Calls returns the callers of all changes.
func (m *Models) Calls() []device.By {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.calls)
}

// Index implements api.Models.
func (m *Models) Index(context.Context) (api.ModelIndex, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	index := m.index
	index.Models = slices.Clone(index.Models)
	return index, m.fault
}

// Source implements api.Models.
func (m *Models) Source(_ context.Context, hash string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	src, ok := m.sources[hash]
	switch {
	case m.fault != nil:
		return "", m.fault
	case !ok:
		return "", fmt.Errorf("model %s: %w", hash, device.ErrUnknown)
	}
	return src, nil
}

// Audit implements api.Models.
func (m *Models) Audit(context.Context) ([]api.ModelRecord, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	records := slices.Clone(m.records)
	slices.Reverse(records)
	return records, m.fault
}

// Change implements api.Models.
func (m *Models) Change(_ context.Context, by device.By, change api.ModelChange) (api.ModelChanged, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fault != nil {
		return api.ModelChanged{}, m.fault
	}
	m.calls = append(m.calls, by)
	if known, ok := m.done[by.ID]; ok {
		if !reflect.DeepEqual(known.change, change) {
			return api.ModelChanged{}, device.Refuse(422, "the idempotency key was used for another request")
		}
		return known.result, nil
	}
	result, err := m.change(by, change)
	if err == nil {
		m.done[by.ID] = changed{change, result}
	}
	return result, err
}

func (m *Models) change(by device.By, c api.ModelChange) (api.ModelChanged, error) {
	record := api.ModelRecord{At: Now, Who: by.Who, Note: c.Note}
	switch {
	case len(c.Note) > 512:
		return api.ModelChanged{}, device.Refuse(400, "note of %d bytes: expected at most 512, without control characters", len(c.Note))
	case c.Push != nil:
		return m.push(record, c)
	case c.Default != nil:
		record.What = "default"
		return m.of(record, c.Expected, *c.Default, func(has *api.Model, v api.ModelVersion) (bool, error) {
			was := has.Default
			has.Default = v.Version
			return was != v.Version, nil
		})
	case c.Remove != nil:
		record.What = "remove"
		return m.of(record, c.Expected, *c.Remove, func(has *api.Model, v api.ModelVersion) (bool, error) {
			if has.Default == v.Version {
				return false, device.Refuse(409, "version %d of model %s is its default", v.Version, has.Name)
			}
			has.Versions = slices.DeleteFunc(slices.Clone(has.Versions), func(one api.ModelVersion) bool { return one.Version == v.Version })
			return true, nil
		})
	}
	return m.rule(record, c)
}

func (m *Models) push(record api.ModelRecord, c api.ModelChange) (api.ModelChanged, error) {
	read := m.Read
	if read == nil {
		read = readName
	}
	name, kind, hash, err := read(c.Push.File, c.Push.Source)
	if err != nil {
		return api.ModelChanged{}, err
	}
	at := slices.IndexFunc(m.index.Models, func(has api.Model) bool { return has.Name == name })
	switch {
	case c.Expected != 0 && at < 0:
		return api.ModelChanged{}, device.Refuse(412, "model %s: revision %d was expected, and there is none", name, c.Expected)
	case at < 0:
		m.index.Models = append(m.index.Models, api.Model{Name: name, Kind: kind, Default: 1})
		slices.SortFunc(m.index.Models, func(a, b api.Model) int { return strings.Compare(a.Name, b.Name) })
		at = slices.IndexFunc(m.index.Models, func(has api.Model) bool { return has.Name == name })
	}
	has := &m.index.Models[at]
	if err := expects(c.Expected, "model "+name, has.Revision); err != nil {
		return api.ModelChanged{}, err
	}
	if v, err := has.Find(hash); err == nil {
		return api.ModelChanged{Revision: has.Revision, Model: name, Version: v.Version, Hash: hash}, nil
	}
	number := 1
	if n := len(has.Versions); n > 0 {
		number = has.Versions[n-1].Version + 1
	}
	v := api.ModelVersion{Version: number, Hash: hash, File: c.Push.File, Bytes: len(c.Push.Source), At: Now, Who: record.Who, Note: c.Note}
	has.Versions = append(has.Versions[:len(has.Versions):len(has.Versions)], v)
	m.sources[hash] = c.Push.Source
	record.What = "push"
	return m.record(record, has, v), nil
}

// readName is Models.Read without one. A source that has the word FAULT is refused.
func readName(file, src string) (name, kind, hash string, err error) {
	if before, _, faulty := strings.Cut(src, "FAULT"); faulty {
		return "", "", "", source.Faults{
			{File: file, Line: strings.Count(before, "\n") + 1, Column: 1, Message: "expected no FAULT", Hint: "remove it"}, {File: file, Message: "the file has a fault"},
		}
	}
	name, _, _ = strings.Cut(file, ".")
	if _, rest, ok := strings.Cut(src, "model: "); ok {
		name, _, _ = strings.Cut(rest, "\n")
	}
	return name, device.KindDevice.Word(), hashOf(src), nil
}

func hashOf(src string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(src))) }

// of changes a model, and reports whether that changed something.
func (m *Models) of(record api.ModelRecord, expected uint64, ref api.VersionOfModel, do func(*api.Model, api.ModelVersion) (bool, error)) (api.ModelChanged, error) {
	found, err := m.index.Find(ref.Model)
	if err != nil {
		return api.ModelChanged{}, err
	}
	v, err := found.Find(fmt.Sprint(ref.Version))
	if err == nil {
		err = expects(expected, "model "+found.Name, found.Revision)
	}
	if err != nil {
		return api.ModelChanged{}, err
	}
	at := slices.IndexFunc(m.index.Models, func(has api.Model) bool { return has.Name == ref.Model })
	news, err := do(&m.index.Models[at], v)
	if err != nil || !news {
		return api.ModelChanged{Revision: found.Revision, Model: found.Name, Version: v.Version, Hash: v.Hash}, err
	}
	return m.record(record, &m.index.Models[at], v), nil
}

func (m *Models) rule(record api.ModelRecord, c api.ModelChange) (api.ModelChanged, error) {
	if err := expects(c.Expected, "the rules", m.index.Rules.Revision); err != nil {
		return api.ModelChanged{}, err
	}
	for name := range c.Rules.Sources {
		if name != "mqtt" && name != "kafka" {
			return api.ModelChanged{}, device.Refuse(422, "source %q: expected mqtt or kafka", name)
		}
	}
	m.index.Rules = *c.Rules
	record.What = "rules"
	return m.record(record, nil, api.ModelVersion{}), nil
}

func expects(expected uint64, what string, revision uint64) error {
	if expected != 0 && expected != revision {
		return device.Refuse(412, "%s: revision %d was expected, and it is %d", what, expected, revision)
	}
	return nil
}

// record notes a change of a model, or of the rules if that is nil.
func (m *Models) record(r api.ModelRecord, has *api.Model, v api.ModelVersion) api.ModelChanged {
	m.index.Revision++
	r.Version, r.Hash, r.Revision = v.Version, v.Hash, m.index.Revision
	if has != nil {
		has.Revision, r.Model = m.index.Revision, has.Name
	} else {
		m.index.Rules.Revision = m.index.Revision
	}
	m.records = append(m.records, r)
	return api.ModelChanged{Revision: r.Revision, Model: r.Model, Version: r.Version, Hash: r.Hash, Created: true}
}
