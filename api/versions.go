package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"devicetwin/device"
)

// VersionText is a version of a model as people call it, such as pump@3. A version without a number,
// which no registry has, is called by its model.
func VersionText(model string, number int) string {
	if number == 0 {
		return model
	}
	return model + "@" + strconv.Itoa(number)
}

// readVersionText reads pump@3.
func readVersionText(text string) (model string, number int, ok bool) {
	model, digits, _ := strings.Cut(text, "@")
	number, err := strconv.Atoi(digits)
	return model, number, err == nil && number > 0 && model != "" && digits[0] != '0' && digits[0] != '+'
}

const (
	// versionsWait is how long an answer may wait for the registry. Without its answer, versions have
	// hashes only.
	versionsWait = time.Second
	// The registry is asked again for a version that it did not have, for one after it did not
	// answer, and for what has changed otherwise: a version that was removed and is pushed again
	// has another number.
	versionsAgain  = time.Second
	versionsFailed = 10 * time.Second
	versionsOld    = time.Minute
	// maxVersionNames bounds what is remembered, with versions that were removed: records of
	// devices still name these.
	maxVersionNames = 5000
)

// versions names versions of models by their numbers in the registry. Most answers need no question:
// a version never changes.
type versions struct {
	models Models // nil: there is no registry
	now    func() time.Time

	mu     sync.Mutex
	byHash map[string]versionName
	read   time.Time // when the registry last answered
	next   time.Time // when it may be asked again
}

type versionName struct {
	model  string
	number int
}

func newVersions(models Models) *versions {
	return &versions{models: models, now: time.Now, byHash: map[string]versionName{}}
}

// know asks the registry if one of the hashes is not known, unless it was asked a moment ago.
func (v *versions) know(ctx context.Context, hashes ...string) {
	if !v.due(hashes) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, versionsWait)
	defer cancel()
	_, _ = v.ask(ctx) // without an answer, there are no numbers
}

// due reports whether the registry is to be asked. Of several callers, one is to ask.
func (v *versions) due(hashes []string) bool {
	if v.models == nil {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.now()
	wanted := now.Sub(v.read) >= versionsOld
	for _, hash := range hashes {
		if _, known := v.byHash[hash]; hash != "" && !known {
			wanted = true
		}
	}
	if len(hashes) == 0 || !wanted || now.Before(v.next) {
		return false
	}
	v.next = now.Add(versionsFailed) // until it answers
	return true
}

// ask asks the registry, and remembers its answer.
func (v *versions) ask(ctx context.Context) (ModelIndex, error) {
	if v.models == nil {
		return ModelIndex{}, ErrNoRegistry
	}
	index, err := v.models.Index(ctx)
	if err != nil {
		return index, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.byHash) > maxVersionNames {
		clear(v.byHash)
	}
	for _, m := range index.Models {
		for _, has := range m.Versions {
			v.byHash[has.Hash] = versionName{m.Name, has.Version}
		}
	}
	v.read = v.now()
	v.next = v.read.Add(versionsAgain)
	return index, nil
}

// number is that of a version; 0 if it is not known.
func (v *versions) number(hash string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.byHash[hash].number
}

// resolve puts hashes in the place of numbers: the search attributes of workflows know only these.
// Its error is a *device.Refused, or says that the registry does not answer.
func (v *versions) resolve(ctx context.Context, q Query) (Query, error) {
	var wanted map[string]string
	each(q, func(t Term) Term {
		if t.Field == FieldModel && strings.Contains(t.Value, "@") {
			if wanted == nil {
				wanted = map[string]string{}
			}
			wanted[t.Value] = ""
		}
		return t
	})
	if wanted == nil {
		return q, nil
	}
	index, err := v.ask(ctx)
	if errors.Is(err, ErrNoRegistry) {
		return nil, device.Refuse(http.StatusBadRequest, "versions of models have no numbers, because there is no registry of models: expected model_hash:HASH")
	} else if err != nil {
		return nil, fmt.Errorf("find a version of a model by its number: %w", err)
	}
	for text := range wanted {
		name, number, _ := readVersionText(text) // the query was checked
		m, err := index.Find(name)
		if err != nil {
			return nil, device.Refuse(http.StatusBadRequest, "there is no model %q in the registry", name)
		}
		has, err := m.Find(strconv.Itoa(number))
		if err != nil {
			return nil, device.Refuse(http.StatusBadRequest, "the registry has no version %s", text)
		}
		wanted[text] = has.Hash
	}
	return each(q, func(t Term) Term {
		if hash, ok := wanted[t.Value]; ok && t.Field == FieldModel {
			return Term{Field: FieldModelHash, Value: hash}
		}
		return t
	}), nil
}

// each is a query with every term as f has it.
func each(q Query, f func(Term) Term) Query {
	all := func(parts []Query) []Query {
		out := make([]Query, len(parts))
		for i, part := range parts {
			out[i] = each(part, f)
		}
		return out
	}
	switch q := q.(type) {
	case And:
		return And(all(q))
	case Or:
		return Or(all(q))
	case Not:
		return Not{each(q.Query, f)}
	case Term:
		return f(q)
	}
	return q
}

// numbered is a Backend whose answers name versions by their numbers.
type numbered struct {
	Backend
	versions *versions
}

func (b numbered) Devices(ctx context.Context, query Query, limit int, cursor []byte) ([]Summary, []byte, error) {
	devices, next, err := b.Backend.Devices(ctx, query, limit, cursor)
	hashes := make([]string, len(devices))
	for i, d := range devices {
		hashes[i] = d.ModelHash
	}
	b.versions.know(ctx, hashes...)
	for i := range devices {
		devices[i].ModelVersion = b.versions.number(devices[i].ModelHash)
	}
	return devices, next, err
}

func (b numbered) Device(ctx context.Context, id device.ID) (Device, error) {
	d, err := b.Backend.Device(ctx, id)
	if err != nil {
		return d, err
	}
	hashes := []string{d.ModelHash}
	for _, t := range d.Transitions {
		hashes = append(hashes, t.ModelHash)
		if m := t.Migration; m != nil {
			hashes = append(hashes, m.FromModel, m.ToModel)
		}
	}
	b.versions.know(ctx, hashes...)
	d.ModelVersion = b.versions.number(d.ModelHash)
	transitions := make([]Transition, len(d.Transitions))
	for i, t := range d.Transitions {
		t.ModelVersion = b.versions.number(t.ModelHash)
		if t.Migration != nil {
			m := *t.Migration
			m.FromVersion, m.ToVersion = b.versions.number(m.FromModel), b.versions.number(m.ToModel)
			t.Migration = &m
		}
		transitions[i] = t
	}
	d.Transitions = transitions
	return d, nil
}

func (b numbered) Migrate(ctx context.Context, id device.ID, by device.By, m NewMigration) (Migrated, error) {
	done, err := b.Backend.Migrate(ctx, id, by, m)
	if err == nil {
		b.versions.know(ctx, done.FromModel, done.ToModel)
		done.FromVersion, done.ToVersion = b.versions.number(done.FromModel), b.versions.number(done.ToModel)
	}
	return done, err
}

func (b numbered) StartMigration(ctx context.Context, by device.By, m NewFleetMigration) (FleetMigration, error) {
	started, err := b.Backend.StartMigration(ctx, by, m)
	return b.migration(ctx, started, err)
}

func (b numbered) FleetMigration(ctx context.Context, id string) (FleetMigration, error) {
	found, err := b.Backend.FleetMigration(ctx, id)
	return b.migration(ctx, found, err)
}

func (b numbered) migration(ctx context.Context, m FleetMigration, err error) (FleetMigration, error) {
	if err == nil {
		b.versions.know(ctx, m.FromModel, m.ToModel)
		m.FromVersion, m.ToVersion = b.versions.number(m.FromModel), b.versions.number(m.ToModel)
	}
	return m, err
}
