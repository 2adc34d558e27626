package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/modelfile"
	"devicetwin/workflows/registry"
)

// models are those of a process.
type models struct {
	files []modelfile.File
	given []*devicefsm.Model // of the files
	// kept are copies of what was given before, and is not given now: devices that
	// began with them go on with them.
	kept   []*devicefsm.Model
	copies *modelfile.Copies // nil: none are kept
	// kinds are the models of new entities that are not devices.
	kinds map[device.Kind]*devicefsm.Model
}

func (m models) all() []*devicefsm.Model { return slices.Concat(m.given, m.kept) }

// groups are the models of groups among the files.
func (m models) groups() []*devicefsm.Model { return onlyGroups(m.given) }

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
	m := models{files: files}
	for _, f := range files {
		m.given = append(m.given, f.Model)
	}
	faults := []error{checkNames(m.given)}
	// With a registry, the models of kinds may be there.
	if m.kinds, err = kindModels(p.Kinds, m.given, p.Models.Registry); err != nil {
		faults = append(faults, err)
	}
	if p.Models.Model != "" && m.given[0].Kind() != device.KindDevice {
		faults = append(faults, fmt.Errorf("model %s (--model) is of kind %s, and devices cannot run it", m.given[0].Name(), m.given[0].Kind().Word()))
	}
	if p.Parts.has(Worker) {
		faults = append(faults, checkSources(m.given))
	}
	if len(m.given) == 0 && !p.Models.Registry {
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
// another worker may have put it since the start, and then in the registry.
type modelRegistry struct {
	copies *modelfile.Copies
	// journaled are the copies next to the journal; nil without one.
	journaled atomic.Pointer[modelfile.Copies]
	log       *slog.Logger
	now       func() time.Time

	// fetch reads the content of a version from the registry of models. Nil: there is none.
	fetch func(ctx context.Context, hash string) (registry.Text, error)
	// unknown counts those that a workflow asked for and that were missing. Nil: nobody counts.
	unknown *atomic.Uint64
	// wanted are hashes of models for run to read.
	wanted chan string

	mu       sync.Mutex
	fetching map[string]bool // by hash: those that are wanted or being read
	byHash   map[string]*devicefsm.Model
	missed   map[string]time.Time // by hash: when a workflow last asked for one that is missing
}

func newModelRegistry(m models, log *slog.Logger) *modelRegistry {
	r := &modelRegistry{
		copies: m.copies, log: log, now: time.Now, wanted: make(chan string, wantedModels),
		byHash: map[string]*devicefsm.Model{}, missed: map[string]time.Time{}, fetching: map[string]bool{},
	}
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
		r.want(hash)
		return nil, false
	}
	r.found(m, "among the copies")
	return m, true
}

func (r *modelRegistry) found(m *devicefsm.Model, where string) {
	r.byHash[m.Hash()] = m
	delete(r.missed, m.Hash())
	r.log.Info("a model was found "+where, "model", m.Name(), "hash", m.Hash())
}

// fetchTimeout bounds one attempt to read a model from the registry. The next one is made when a
// workflow asks again.
const fetchTimeout = 10 * time.Second

// wantedModels is how many models may wait to be read. A workflow that asks for one more asks
// again.
const wantedModels = 64

// want has a model read from the registry while the workflow task that asked for it fails:
// Temporal repeats the task within seconds, and a workflow must not wait for a server in its own code.
func (r *modelRegistry) want(hash string) {
	if r.fetch == nil || r.fetching[hash] {
		return
	}
	select {
	case r.wanted <- hash:
		r.fetching[hash] = true
	default:
	}
}

// run reads the models that workflows want, until ctx ends. When it returns, none is being read.
func (r *modelRegistry) run(ctx context.Context) {
	var reading sync.WaitGroup
	defer reading.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case hash := <-r.wanted:
			reading.Go(func() { r.read(ctx, hash) })
		}
	}
}

// read reads one model. A failure is logged, unless it is that the service ends or that the
// registry does not have the model either: that it is missing was logged.
func (r *modelRegistry) read(ctx context.Context, hash string) {
	attempt, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	m, err := r.fetchModel(attempt, hash)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.fetching, hash)
	switch {
	case err == nil:
		r.found(m, "in the registry")
	case !errors.Is(err, device.ErrUnknown) && ctx.Err() == nil:
		r.log.Warn("cannot read a model from the registry; it is read again when a device asks for it", "hash", hash, "error", err)
	}
}

// fetchModel reads a model from the registry, and keeps a copy of it.
func (r *modelRegistry) fetchModel(ctx context.Context, hash string) (*devicefsm.Model, error) {
	text, err := r.fetch(ctx, hash)
	if err != nil {
		return nil, err
	}
	src, err := text.Source()
	if err != nil {
		return nil, err
	}
	m, err := devicefsm.Load(text.File, src)
	if err != nil {
		return nil, fmt.Errorf("load model %s of the registry: %w", hash, err)
	}
	if m.Hash() != hash {
		return nil, fmt.Errorf("the registry has another model as %s: it has the hash %s", hash, m.Hash())
	}
	if r.copies != nil {
		if err := r.copies.Keep(hash, text.File, src); err != nil {
			r.log.Warn("no copy is kept of a model of the registry", "hash", hash, "error", err)
		}
	}
	r.keepJournaled(modelfile.File{Name: text.File, Source: src, Model: m})
	return m, nil
}

// obtain is a model that is there, or is read now: from the copies, or else from the registry.
func (r *modelRegistry) obtain(ctx context.Context, hash string) (*devicefsm.Model, error) {
	if m, ok := r.has(hash); ok {
		return m, nil
	}
	m, err := r.load(hash)
	if err != nil {
		m, err = r.fetchModel(ctx, hash)
	}
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byHash[hash] = m
	delete(r.missed, hash)
	return m, nil
}

func (r *modelRegistry) has(hash string) (*devicefsm.Model, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.byHash[hash]
	return m, ok
}

// name is that of a model that is there; "" of any other.
func (r *modelRegistry) name(hash string) string {
	if m, ok := r.has(hash); ok {
		return m.Name()
	}
	return ""
}

// all are the models that are there, by hash.
func (r *modelRegistry) all() []*devicefsm.Model {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := slices.Collect(maps.Values(r.byHash))
	slices.SortFunc(list, func(a, b *devicefsm.Model) int { return strings.Compare(a.Hash(), b.Hash()) })
	return list
}

func (r *modelRegistry) load(hash string) (*devicefsm.Model, error) {
	if r.copies == nil {
		return nil, fs.ErrNotExist
	}
	m, err := r.copies.Load(hash)
	if err == nil && r.journaled.Load() != nil {
		if f, err := r.copies.File(hash); err == nil {
			r.keepJournaled(f)
		}
	}
	return m, err
}

// keepJournaled keeps a copy of a model next to the journal, so that what devices did with it can
// be replayed.
func (r *modelRegistry) keepJournaled(f modelfile.File) {
	to := r.journaled.Load()
	if to == nil {
		return
	}
	if err := to.Keep(f.Model.Hash(), f.Name, f.Source); err != nil {
		r.log.Warn("no copy of a model is kept next to the journal", "hash", f.Model.Hash(), "error", err)
	}
}

func (r *modelRegistry) miss(hash string, err error) {
	if _, known := r.missed[hash]; !known {
		if r.unknown != nil {
			r.unknown.Add(1)
		}
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
