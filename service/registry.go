package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"devicetwin/bridge/ingest"
	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/figures"
	"devicetwin/internal/measure"
	twinclient "devicetwin/workflows/client"
	"devicetwin/workflows/registry"
)

const (
	// registryEvery is how often a process asks for the index of the registry: several times
	// within registry.SettleTime.
	registryEvery = 2 * time.Second
	// registryTimeout bounds each request to the registry.
	registryTimeout = 10 * time.Second
	// registryPatience is how long a process waits for the registry before it goes on with what
	// an earlier one knew of it.
	registryPatience = 15 * time.Second
)

// registryView is what a process knows of the registry of models. It does not change.
type registryView struct {
	index *registry.Index
	// models are the versions that could be read, by hash. The others are read again later.
	models map[string]*devicefsm.Model
	// stale says that it is what an earlier process knew.
	stale bool
}

// registryWatch follows the registry of models, and seeds it with the files and flags of this
// process where it knows nothing of them.
type registryWatch struct {
	client registryClient
	known  *modelRegistry // has the versions that were read
	seeds  []registry.Change
	files  []*devicefsm.Model
	every  time.Duration
	counts *registryCounts
	log    *slog.Logger

	// Of the goroutine that runs:
	seeded, recalled bool

	mu      sync.Mutex
	view    *registryView // nil: the registry was not read yet
	changed chan struct{} // closed when there is another view
	failure error         // of the last attempt
}

// registryCounts are the metrics of a registryWatch.
type registryCounts struct {
	*figures.Set
	revision, versions, unread, age *atomic.Int64
	failures, unknown               *atomic.Uint64
}

// newRegistryCounts declares them.
func newRegistryCounts() *registryCounts {
	s := figures.NewSet("devicetwin_models_")
	process := func(name string) figures.Field { return figures.Field{Measurement: measure.Process, Name: name} }
	return &registryCounts{
		Set:      s,
		revision: s.Gauge("registry_revision", "Revision of the registry of models that this process knows; 0 before it was read.", process(measure.RegistryRevision)),
		versions: s.Gauge("registry_versions", "Versions of all models in the registry that this process knows.", process(measure.RegistryVersions)),
		unread:   s.Gauge("registry_unread", "Versions of the registry of models that this process could not read: nothing of devices that may run them is left out.", process(measure.RegistryUnread)),
		age:      s.Age("registry_age_seconds", "Time since the registry last answered this process; 0 before it did. It is asked every 2 seconds.", process(measure.RegistryAge)),
		failures: s.Counter("registry_failures_total", "Attempts to read the registry of models that failed; they are repeated every 2 seconds.", process(measure.RegistryFailures)),
		unknown:  s.Counter("registry_unknown_total", "Versions that a device ran and this process did not have when it met them; it reads them from the registry.", process(measure.RegistryUnknown)),
	}
}

func newRegistryWatch(client registryClient, known *modelRegistry, log *slog.Logger) *registryWatch {
	counts := newRegistryCounts()
	known.fetch, known.unknown = client.ModelText, counts.unknown
	return &registryWatch{client: client, known: known, every: registryEvery, counts: counts, log: log, changed: make(chan struct{})}
}

// current is what is known, nil before the registry was read, and a channel that is closed when
// there is something else.
func (w *registryWatch) current() (*registryView, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.view, w.changed
}

// each calls f with each view, from the present one on, until ctx ends.
func (w *registryWatch) each(ctx context.Context, f func(*registryView)) {
	for {
		view, changed := w.current()
		if view != nil {
			f(view)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// run follows the registry until ctx ends.
func (w *registryWatch) run(ctx context.Context) {
	failing, began := false, time.Now()
	for {
		err := w.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		w.mu.Lock()
		w.failure = err
		w.mu.Unlock()
		switch {
		case err != nil:
			w.counts.failures.Add(1)
			if !failing {
				w.log.Warn("cannot read the registry of models; what is known of it stays in use", "error", err)
			}
		case failing:
			w.log.Info("the registry of models can be read again")
		}
		failing = err != nil
		if view, _ := w.current(); view == nil && !w.recalled && time.Since(began) >= registryPatience {
			w.recalled = true
			w.recall()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(w.every):
		}
	}
}

// follow reads the registry, if it has changed.
func (w *registryWatch) follow(ctx context.Context) error {
	view, _ := w.current()
	index, err := w.ask(ctx, view)
	if err == nil && !w.seeded {
		index, err = w.seed(ctx, index)
	}
	if err != nil {
		return err
	}
	w.counts.age.Store(time.Now().UnixMilli())
	if view != nil && !view.stale && index == view.index && len(view.models) == versionsOf(index) {
		return nil
	}
	next := &registryView{index: index, models: map[string]*devicefsm.Model{}}
	err = w.read(ctx, next)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if view == nil || index != view.index {
		w.keep(index)
	}
	w.counts.revision.Store(int64(index.Revision))
	w.counts.versions.Store(int64(versionsOf(index)))
	w.counts.unread.Store(int64(versionsOf(index) - len(next.models)))
	if view == nil || view.stale || index != view.index || len(next.models) != len(view.models) {
		w.publish(next)
	}
	return err
}

// ask is the present index: that of the view, if it has not changed. A registry that is not there
// is begun.
func (w *registryWatch) ask(ctx context.Context, view *registryView) (*registry.Index, error) {
	ctx, cancel := context.WithTimeout(ctx, registryTimeout)
	defer cancel()
	have := uint64(0)
	if view != nil && !view.stale {
		have = view.index.Revision
	}
	index, err := w.client.ModelIndex(ctx, have)
	if errors.Is(err, twinclient.ErrNoRegistry) {
		w.seeded, view, have = false, nil, 0
		if err = w.client.BeginRegistry(ctx); err == nil {
			index, err = w.client.ModelIndex(ctx, 0)
		}
	}
	switch {
	case err != nil:
		return nil, err
	case view != nil && !view.stale && (index == nil || index.Revision == have): // of revision 0, it is answered each time
		return view.index, nil
	case index == nil:
		return nil, errors.New("the registry of models answers without an index")
	}
	return index, nil
}

// seed gives the registry what it knows nothing of, and reports what differs. It returns the index
// after that. What the registry refuses is logged, and stays in the files.
func (w *registryWatch) seed(ctx context.Context, index *registry.Index) (*registry.Index, error) {
	news := false
	for _, change := range w.seeds {
		if knows(index, *change.Seed) {
			continue
		}
		err := w.seedOne(ctx, change)
		var refused *device.Refused
		switch {
		case errors.As(err, &refused):
			w.log.Error("the registry refuses a model or a rule of the files and flags of this process; new devices do not go by it", "error", err)
		case err != nil:
			return nil, err
		default:
			news = true
		}
	}
	if news {
		var err error
		if index, err = w.ask(ctx, nil); err != nil {
			return nil, err
		}
	}
	if differences := w.differences(index); len(differences) > 0 {
		w.log.Warn("the files and flags of this process differ from the registry of models, which counts; devicetwin model push, default and rules change it", "differences", differences)
	}
	w.seeded = true
	return index, nil
}

func (w *registryWatch) seedOne(ctx context.Context, change registry.Change) error {
	ctx, cancel := context.WithTimeout(ctx, registryTimeout)
	defer cancel()
	done, err := w.client.SeedModels(ctx, change)
	if err == nil && done.Created {
		w.log.Info("the registry of models is seeded with files and flags of this process", "model", done.Model, "revision", done.Revision)
	}
	return err
}

// knows reports whether nothing of a seed is new to the registry.
func knows(index *registry.Index, seed registry.Seed) bool {
	for _, t := range seed.Contents {
		if _, ok := index.Find(t.Name); !ok {
			return false
		}
	}
	for name := range seed.Sources {
		if _, ok := index.Rules.Sources[name]; !ok {
			return false
		}
	}
	for kind := range seed.Kinds {
		if _, ok := index.Rules.Kinds[kind]; !ok {
			return false
		}
	}
	return true
}

// read reads the versions of a view. Those that cannot be read are left out; the error is that of
// the first one.
func (w *registryWatch) read(ctx context.Context, view *registryView) error {
	var first error
	for _, m := range view.index.Models {
		for _, v := range m.Versions {
			model, err := w.readVersion(ctx, v.Hash)
			switch {
			case err == nil:
				view.models[v.Hash] = model
			case first == nil:
				first = fmt.Errorf("read version %d of model %s: %w", v.Number, m.Name, err)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return first
}

func (w *registryWatch) readVersion(ctx context.Context, hash string) (*devicefsm.Model, error) {
	ctx, cancel := context.WithTimeout(ctx, registryTimeout)
	defer cancel()
	return w.known.obtain(ctx, hash)
}

func (w *registryWatch) publish(view *registryView) {
	w.mu.Lock()
	w.view = view
	close(w.changed)
	w.changed = make(chan struct{})
	w.mu.Unlock()
	if view.stale {
		return
	}
	w.log.Info("the registry of models is read", "revision", view.index.Revision, "models", len(view.index.Models), "versions", len(view.models))
}

// keep keeps the index for a later process. If that fails, the later one waits for the registry.
func (w *registryWatch) keep(index *registry.Index) {
	if w.known.copies == nil {
		return
	}
	raw, err := json.Marshal(index)
	if err == nil {
		err = w.known.copies.KeepIndex(raw)
	}
	if err != nil {
		w.log.Warn("what is known of the registry of models is not kept", "error", err)
	}
}

// recall goes on with what an earlier process knew, as far as that is kept.
func (w *registryWatch) recall() {
	if w.known.copies == nil {
		return
	}
	raw, err := w.known.copies.Index()
	index := new(registry.Index)
	if err == nil {
		err = json.Unmarshal(raw, index)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		w.log.Error("what an earlier process knew of the registry of models cannot be used", "error", err)
		return
	}
	w.log.Warn("the registry of models cannot be read: messages are taken by what an earlier process knew of it, and wait until it can", "revision", index.Revision)
	w.publish(&registryView{index: index, stale: true})
}

// isRead reports whether this process has read the registry.
func (w *registryWatch) isRead() bool {
	view, _ := w.current()
	return view != nil && !view.stale
}

// readFirst delivers nothing before the registry is read: it says with which model a device starts.
type readFirst struct {
	ingest.Sink
	watch *registryWatch
}

// sink is the sink of a bridge with this registry; nil has none.
func (w *registryWatch) sink(s ingest.Sink) ingest.Sink {
	if w == nil {
		return s
	}
	return readFirst{s, w}
}

// Deliver implements ingest.Sink.
func (r readFirst) Deliver(ctx context.Context, d device.Delivery) (run string, err error) {
	if !r.watch.isRead() {
		return "", fmt.Errorf("deliver a batch to device %s: %w", d.ID, errRegistryNotRead)
	}
	return r.Sink.Deliver(ctx, d)
}

// remark is what /readyz says of it, "" if it is read.
func (w *registryWatch) remark() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.failure != nil && (w.view == nil || w.view.stale):
		return fmt.Sprintf("degraded: it was not read yet: %v", w.failure)
	case w.failure != nil:
		return fmt.Sprintf("degraded: it cannot be read: %v", w.failure)
	case w.view == nil:
		return "it was not read yet"
	}
	return ""
}

// number is that of a version in the registry; 0 of one that it does not have, and without a registry.
func (w *registryWatch) number(hash string) int {
	if w == nil {
		return 0
	}
	if view, _ := w.current(); view != nil {
		if _, version, ok := view.index.ByHash(hash); ok {
			return version.Number
		}
	}
	return 0
}

func versionsOf(index *registry.Index) (n int) {
	for i := range index.Models {
		n += len(index.Models[i].Versions)
	}
	return n
}

// startRegistry follows the registry of models, if the plan has one; nil: it has none.
func (s *Service) startRegistry(p Plan, client registryClient, m models, known *modelRegistry, metrics prometheus.Registerer) (*registryWatch, error) {
	if !p.Models.Registry {
		return nil, nil
	}
	w := newRegistryWatch(client, known, s.log)
	w.files = m.given
	var err error
	if w.seeds, err = p.seeds(m); err != nil {
		return nil, err
	}
	if err := w.counts.Register(metrics); err != nil {
		return nil, err
	}
	s.runPart("registry of models", w.run)
	return w, nil
}

// checks are what /readyz says of it. The process works on with what it knows: who waits for the
// registry says so itself.
func (w *registryWatch) checks() []Check {
	if w == nil {
		return nil
	}
	return []Check{{"registry of models", func(context.Context) error { return nil }, w.remark}}
}
