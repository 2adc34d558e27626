package service

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/modelfile"
)

// models are those of a process.
type models struct {
	given []*devicefsm.Model // of its files
	// kept are copies of what was given before, and is not given now: devices that
	// began with them go on with them.
	kept   []*devicefsm.Model
	copies *modelfile.Copies // nil: none are kept
	// kinds are the models of new entities that are not devices.
	kinds map[device.Kind]*devicefsm.Model
}

func (m models) all() []*devicefsm.Model { return slices.Concat(m.given, m.kept) }

// groups are the models of groups among the files.
func (m models) groups() []*devicefsm.Model {
	return slices.DeleteFunc(slices.Clone(m.given), func(one *devicefsm.Model) bool {
		_, isGroup := one.Members()
		return !isGroup
	})
}

// loadModels reads the models, refuses those that this service cannot run, and keeps
// copies of the others.
func (p Plan) loadModels(log *slog.Logger) (models, error) {
	if !p.Parts.has(Bridge | Worker | Kafka) {
		return models{}, nil // the API needs none
	}
	files, err := p.Models.readModels()
	if err != nil {
		return models{}, err
	}
	var m models
	for _, f := range files {
		m.given = append(m.given, f.Model)
	}
	faults := []error{checkNames(m.given)}
	if m.kinds, err = kindModels(p.Kinds, m.given); err != nil {
		faults = append(faults, err)
	}
	if p.Models.Model != "" && m.given[0].Kind() != device.KindDevice {
		faults = append(faults, fmt.Errorf("model %s (--model) is of kind %s, and devices cannot run it", m.given[0].Name(), m.given[0].Kind().Word()))
	}
	if p.Parts.has(Worker) {
		faults = append(faults, checkSources(m.given))
	}
	if len(m.given) == 0 {
		faults = append(faults, errors.New("no model in the folders of --models"))
	}
	if err := errors.Join(faults...); err != nil {
		return models{}, &ConfigError{err}
	}
	if p.Models.Copies == "" {
		return m, nil
	}
	if err := m.keep(files, p.Models.Copies, log); err != nil {
		return models{}, &ConfigError{fmt.Errorf("%w: choose another folder with --model-copies", err)}
	}
	return m, nil
}

// keep keeps copies of the files, and reads those of others. One that cannot be read is
// logged, and missing like one that is gone: the devices that run it wait.
func (m *models) keep(files []modelfile.File, dir string, log *slog.Logger) error {
	var err error
	if m.copies, err = modelfile.OpenCopies(dir); err != nil {
		return err
	}
	for _, f := range files {
		if err := m.copies.Keep(f.Model.Hash(), f.Name, f.Source); err != nil {
			return err
		}
	}
	kept, err := m.copies.All()
	if err != nil {
		log.Error("some copies of models cannot be read; devices that run these wait", "error", err)
	}
	for _, k := range kept {
		if !slices.ContainsFunc(m.given, func(g *devicefsm.Model) bool { return g.Hash() == k.Hash() }) {
			m.kept = append(m.kept, k)
		}
	}
	return nil
}

// modelRegistry gives a worker's workflows their models, and notes which are missing.
// One that is in none of the files is looked for among the copies, where an operator or
// another worker may have put it since the start.
type modelRegistry struct {
	copies *modelfile.Copies
	log    *slog.Logger
	now    func() time.Time

	mu     sync.Mutex
	byHash map[string]*devicefsm.Model
	missed map[string]time.Time // by hash: when a workflow last asked for one that is missing
}

func newModelRegistry(m models, log *slog.Logger) *modelRegistry {
	r := &modelRegistry{copies: m.copies, log: log, now: time.Now, byHash: map[string]*devicefsm.Model{}, missed: map[string]time.Time{}}
	for _, one := range m.all() {
		r.byHash[one.Hash()] = one
	}
	return r
}

// ByHash implements deviceworkflow.Models.
func (r *modelRegistry) ByHash(hash string) (*devicefsm.Model, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m, ok := r.byHash[hash]; ok {
		return m, true
	}
	m, err := r.load(hash)
	if err != nil {
		r.miss(hash, err)
		return nil, false
	}
	r.byHash[hash] = m
	delete(r.missed, hash)
	r.log.Info("a model was found among the copies", "model", m.Name(), "hash", hash)
	return m, true
}

func (r *modelRegistry) load(hash string) (*devicefsm.Model, error) {
	if r.copies == nil {
		return nil, fs.ErrNotExist
	}
	return r.copies.Load(hash)
}

func (r *modelRegistry) miss(hash string, err error) {
	if _, known := r.missed[hash]; !known {
		r.log.Error("a device runs a model that this worker does not have: add its file to --models, or its copy to --model-copies; until then the device waits",
			"hash", hash, "error", err)
	}
	r.missed[hash] = r.now()
}

// hashes are those of the models that are there.
func (r *modelRegistry) hashes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]string, 0, len(r.byHash))
	for hash := range r.byHash {
		list = append(list, hash)
	}
	slices.Sort(list)
	return list
}

// missFor is how long a model is missing for that no workflow asks for: Temporal tries a
// workflow task again within ten minutes.
const missFor = 15 * time.Minute

// asked are the hashes of missing models that workflows asked for.
func (r *modelRegistry) asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for hash, at := range r.missed {
		if r.now().Sub(at) > missFor {
			delete(r.missed, hash)
			continue
		}
		list = append(list, hash)
	}
	slices.Sort(list)
	return list
}
