package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"devicetwin/bridge/ingest"
	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/modelfile"
	"devicetwin/internal/testfile"
	twinclient "devicetwin/workflows/client"
	"devicetwin/workflows/registry"
)

// fakeRegistry is a registry of models in memory; it does not exist while index is nil.
type fakeRegistry struct {
	mu      sync.Mutex
	index   *registry.Index
	texts   map[string]registry.Text
	fail    error // of every request
	unread  string
	seeds   []registry.Change
	changes []registry.Change
	begun   int
	asked   int
}

func (f *fakeRegistry) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeRegistry) ModelIndex(_ context.Context, have uint64) (*registry.Index, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	switch {
	case f.fail != nil:
		return nil, f.fail
	case f.index == nil:
		return nil, fmt.Errorf("query: %w", twinclient.ErrNoRegistry)
	case have == f.index.Revision && have != 0:
		return nil, nil
	}
	index := *f.index
	index.Models = slices.Clone(index.Models)
	return &index, nil
}

func (f *fakeRegistry) ModelChanges(context.Context) ([]registry.Record, error) {
	return []registry.Record{{At: time.Unix(1, 0).UTC(), Who: "ann", What: "push", Model: "lamp", Version: 1, Hash: "h", Note: "n", Revision: 1}}, f.fail
}

func (f *fakeRegistry) ModelText(_ context.Context, hash string) (registry.Text, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text, ok := f.texts[hash]
	switch {
	case f.fail != nil:
		return text, f.fail
	case hash == f.unread:
		return text, fmt.Errorf("read: %w", device.ErrUnavailable)
	case !ok:
		return text, fmt.Errorf("read: %w", device.ErrUnknown)
	}
	return text, nil
}

func (f *fakeRegistry) ChangeModels(_ context.Context, c registry.Change) (registry.Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes = append(f.changes, c)
	if refused := c.Check(); refused != nil {
		return registry.Result{}, refused
	}
	return registry.Result{Revision: 9, Model: "lamp", Version: 2, Hash: "h", Created: true}, f.fail
}

func (f *fakeRegistry) BeginRegistry(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begun++
	if f.index == nil {
		f.index = &registry.Index{}
	}
	return f.fail
}

// SeedModels takes over everything.
func (f *fakeRegistry) SeedModels(_ context.Context, c registry.Change) (registry.Result, error) {
	if refused := c.Check(); refused != nil {
		return registry.Result{}, refused
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seeds = append(f.seeds, c)
	for _, t := range c.Seed.Contents {
		f.push(t)
	}
	rules := &f.index.Rules
	if rules.Sources == nil {
		rules.Sources, rules.Kinds = map[string]registry.Source{}, map[string]string{}
	}
	maps.Copy(rules.Sources, c.Seed.Sources)
	maps.Copy(rules.Kinds, c.Seed.Kinds)
	f.index.Revision++
	return registry.Result{Revision: f.index.Revision, Created: true}, nil
}

// push adds a version, which is the default if it is the first one.
func (f *fakeRegistry) push(t registry.Text) {
	at := slices.IndexFunc(f.index.Models, func(m registry.Model) bool { return m.Name == t.Name })
	if at < 0 {
		f.index.Models = append(f.index.Models, registry.Model{Name: t.Name, Kind: t.Kind, Default: 1})
		slices.SortFunc(f.index.Models, func(a, b registry.Model) int { return strings.Compare(a.Name, b.Name) })
		at = slices.IndexFunc(f.index.Models, func(m registry.Model) bool { return m.Name == t.Name })
	}
	m := &f.index.Models[at]
	m.Last++
	m.Versions = append(slices.Clone(m.Versions), registry.Version{Number: m.Last, Hash: t.Hash, File: t.File, Bytes: t.Bytes})
	f.texts[t.Hash] = t
	f.index.Revision++
}

// lampSource is a version of a model of a kind.
func lampSource(name, kind string, version int) string {
	text := fmt.Sprintf("model: %s\ncontext: {version: %d}\ninitial: on\nstates: {on: {}}\n", name, version)
	if kind != "" {
		text = "kind: " + kind + "\n" + text
	}
	return text
}

func textOf(t *testing.T, name, kind string, version int) registry.Text {
	t.Helper()
	src := lampSource(name, kind, version)
	m, err := devicefsm.Load("lamp.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	text, err := registryText(m, "lamp.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func newFakeRegistry(texts ...registry.Text) *fakeRegistry {
	f := &fakeRegistry{texts: map[string]registry.Text{}}
	if len(texts) > 0 {
		f.index = &registry.Index{}
	}
	for _, text := range texts {
		f.push(text)
	}
	return f
}

// given are models of files, by name, kind and version.
func given(t *testing.T, all ...registry.Text) models {
	t.Helper()
	var m models
	for _, text := range all {
		src, err := text.Source()
		if err != nil {
			t.Fatal(err)
		}
		model, err := devicefsm.Load(text.File, src)
		if err != nil {
			t.Fatal(err)
		}
		m.files = append(m.files, modelfile.File{Name: filepath.Join("models", text.File), Source: src, Model: model})
		m.given = append(m.given, model)
	}
	return m
}

// watching is a watch that runs in a bubble of synctest.
type watching struct {
	*registryWatch
	log *strings.Builder
}

func watchRegistry(t *testing.T, f *fakeRegistry, p Plan, m models) watching {
	t.Helper()
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, nil))
	w := newRegistryWatch(f, newModelRegistry(m, logger), logger)
	w.files = m.given
	var err error
	if w.seeds, err = p.seeds(m); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return watching{w, &log}
}

func (w watching) seen(t *testing.T) *registryView {
	t.Helper()
	synctest.Wait()
	view, _ := w.current()
	return view
}

// A process says how many versions it knows, since when the registry has not answered, and how many
// versions devices ran before it knew them.
func TestMetricsOfTheRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRegistry(textOf(t, "lamp", "", 1), textOf(t, "lamp", "", 2), textOf(t, "fan", "", 1))
		w := watchRegistry(t, f, Plan{Parts: Worker, Models: ModelConfig{Registry: true}}, models{})
		if w.counts.Value("registry_age_seconds") != 0 {
			t.Error("an age before the first answer")
		}
		view := w.seen(t)
		value := func(want float64, name string) {
			t.Helper()
			if got := w.counts.Value(name); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		value(3, "registry_versions")
		value(0, "registry_unread")
		value(0, "registry_unknown_total")
		for hash, want := range map[string]int{view.index.Models[1].Versions[1].Hash: 2, "none": 0, "": 0} {
			if got := w.number(hash); got != want {
				t.Errorf("version %q is number %d, want %d", hash, got, want)
			}
		}
		if (*registryWatch)(nil).number(view.index.Models[1].Versions[1].Hash) != 0 {
			t.Error("a number without a registry")
		}
		third := textOf(t, "lamp", "", 3)
		for range 3 {
			w.known.ByHash(third.Hash)
		}
		value(1, "registry_unknown_total")
		f.set(func() { f.push(third) })
		time.Sleep(registryEvery)
		w.seen(t)
		value(4, "registry_versions")
		if _, ok := w.known.ByHash(third.Hash); !ok {
			t.Error("what was pushed is not known")
		}
		value(1, "registry_unknown_total")
		f.set(func() { f.fail = device.ErrUnavailable })
		time.Sleep(10 * registryEvery)
		synctest.Wait()
		if age := w.counts.Value("registry_age_seconds"); age < 19 || age > 21 {
			t.Errorf("the registry answered %v s ago, want 20", age)
		}
		f.set(func() { f.fail = nil })
		time.Sleep(registryEvery)
		synctest.Wait()
		value(0, "registry_age_seconds")
	})
}

// planWith is a plan of a bridge with rules.
func planWith(rules ...string) Plan {
	p := Plan{Parts: Bridge, Process: "bridge-1", Models: ModelConfig{Model: "lamp.yaml", Registry: true}}
	p.Bridge.ModelRules = rules
	return p
}

// Files and flags fill a registry that is not there: each model separately, in which the version of
// the first file is the default, and then the rules. The next process changes nothing, and says
// what is different.
func TestAnEmptyRegistryIsSeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRegistry()
		m := given(t, textOf(t, "lamp", "", 2), textOf(t, "fan", "", 1), textOf(t, "lamp", "", 1), textOf(t, "loyalty", "customer", 1))
		m.kinds = map[device.Kind]*devicefsm.Model{"customer": m.given[3]}
		w := watchRegistry(t, f, planWith("fan-*=fan"), m)
		view := w.seen(t)
		if view == nil || f.begun != 1 || len(f.seeds) != 5 || view.index.Revision != f.index.Revision {
			t.Fatalf("view %+v, begun %d times, %d seeds\n%s", view, f.begun, len(f.seeds), w.log)
		}
		if lamp := f.seeds[0]; lamp.Who != "bridge-1" || len(lamp.Seed.Contents) != 2 || lamp.Seed.Contents[0].Hash != m.given[0].Hash() || lamp.Seed.Contents[0].File != "lamp.yaml" {
			t.Errorf("%+v", lamp)
		}
		rules := view.index.Rules
		if want := (registry.Source{Model: "lamp", Rules: []registry.Rule{{Pattern: "fan-*", Model: "fan"}}}); fmt.Sprint(rules.Sources["mqtt"]) != fmt.Sprint(want) || rules.Kinds["customer"] != "loyalty" {
			t.Errorf("rules %+v", rules)
		}
		if strings.Contains(w.log.String(), "differ") || w.remark() != "" {
			t.Errorf("%s\n%s", w.remark(), w.log)
		}

		again := watchRegistry(t, f, planWith("fan-*=fan"), m)
		if view := again.seen(t); view == nil || len(f.seeds) != 5 || strings.Contains(again.log.String(), "differ") {
			t.Errorf("%d seeds\n%s", len(f.seeds), again.log)
		}
		f.set(func() {
			f.push(textOf(t, "lamp", "", 3))
			f.index.Models[1].Default = 3
		})
		other := given(t, textOf(t, "lamp", "", 2), textOf(t, "fan", "", 7))
		next := watchRegistry(t, f, planWith("fan-1*=fan"), other)
		next.seen(t)
		for _, says := range []string{
			"model fan: the registry does not have the version of the file, " + other.given[1].Hash()[:12] + "; its default is version 1",
			"model lamp: the file is version 1, and the default is version 3",
			"devices of mqtt: the flags say fan-1*=fan *=lamp, and the registry fan-*=fan *=lamp",
		} {
			if !strings.Contains(next.log.String(), says) {
				t.Errorf("the log lacks %q:\n%s", says, next.log)
			}
		}
		if n := len(f.seeds); n != 5 {
			t.Errorf("%d seeds", n)
		}
	})
}

// What the registry refuses is logged once, and keeps nobody from following it.
func TestASeedIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRegistry()
		m := given(t, textOf(t, "lamp", "", 1))
		p := planWith("[=lamp")
		w := watchRegistry(t, f, p, m)
		time.Sleep(time.Minute)
		if view := w.seen(t); view == nil || len(f.seeds) != 1 || strings.Count(w.log.String(), "the registry refuses a model or a rule") != 1 {
			t.Errorf("view %+v, %d seeds\n%s", view, len(f.seeds), w.log)
		}
	})
}

// A process learns within seconds what has changed, with one request as long as nothing has; a
// failure is logged once, and what is known stays.
func TestTheRegistryIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRegistry(textOf(t, "lamp", "", 1))
		w := watchRegistry(t, f, Plan{Parts: Worker}, models{})
		first := w.seen(t)
		if first == nil || len(first.models) != 1 || w.counts.Value("registry_revision") != 1 {
			t.Fatalf("%+v\n%s", first, w.log)
		}
		time.Sleep(20 * time.Second)
		if view := w.seen(t); view != first || f.asked != 11 {
			t.Errorf("another view, or asked %d times, want 11", f.asked)
		}
		second := textOf(t, "lamp", "", 2)
		f.set(func() { f.unread = second.Hash; f.push(second) })
		time.Sleep(3 * time.Second)
		view := w.seen(t)
		if view == first || len(view.index.Models[0].Versions) != 2 || len(view.models) != 1 || w.counts.Value("registry_unread") != 1 {
			t.Errorf("%+v", view)
		}
		if remark := w.remark(); !strings.Contains(remark, "read version 2 of model lamp") {
			t.Errorf("remark %q", remark)
		}
		f.set(func() { f.unread, f.fail = "", device.ErrUnavailable })
		time.Sleep(time.Minute)
		if view != w.seen(t) || strings.Count(w.log.String(), "cannot read the registry of models") != 1 {
			t.Errorf("the view changed, or not one warning:\n%s", w.log)
		}
		f.set(func() { f.fail = nil })
		time.Sleep(3 * time.Second)
		if view = w.seen(t); len(view.models) != 2 || w.remark() != "" || w.counts.Value("registry_unread") != 0 || !strings.Contains(w.log.String(), "can be read again") {
			t.Errorf("%+v, %q\n%s", view, w.remark(), w.log)
		}
	})
}

// What the rules say is what a bridge is given: versions by their hashes, what is not read as
// such, and what is only in files is kept.
func TestAssignmentOfTheRegistry(t *testing.T) {
	lamp1, lamp2, fan, loyalty := textOf(t, "lamp", "", 1), textOf(t, "lamp", "", 2), textOf(t, "fan", "", 1), textOf(t, "loyalty", "customer", 1)
	f := newFakeRegistry(lamp1, lamp2, fan, loyalty)
	f.index.Models[1].Default = 2 // of lamp
	f.index.Rules = registry.Rules{Sources: map[string]registry.Source{
		"mqtt":  {Model: "lamp", Rules: []registry.Rule{{Pattern: "old-*", Model: "lamp@1"}, {Pattern: "fan-*", Model: fan.Hash}}},
		"kafka": {Rules: []registry.Rule{{Pattern: "x", Model: "gone"}}},
	}}
	read := given(t, lamp1, fan, loyalty)
	view := &registryView{index: f.index, models: map[string]*devicefsm.Model{}}
	for _, m := range read.given {
		view.models[m.Hash()] = m
	}
	kinds, err := KindConfig{Kinds: testfile.Write(t, "kinds.yaml", "kinds: {customer: {source: api}, order: {source: api}}")}.readKinds()
	if err != nil {
		t.Fatal(err)
	}
	files := given(t, lamp1, textOf(t, "lamp", "", 9)).given
	a, err := view.assignment("mqtt", kinds, files)
	if err != nil {
		t.Fatal(err)
	}
	if a.Model.Hash() != lamp2.Hash || a.Model.Name() != "lamp" || a.Model.MayLeaveOut(device.Message{Channel: device.ChannelTelemetry}) {
		t.Errorf("default %s, which is not read", a.Model.Hash())
	}
	if want := []string{"old-*=" + lamp1.Hash, "fan-*=" + fan.Hash}; !slices.Equal(a.Rules, want) {
		t.Errorf("rules %q", a.Rules)
	}
	if len(a.Models) != 4 || len(a.Defaults) != 3 || len(a.Kept) != 1 || a.Kept[0].Hash() != files[1].Hash() {
		t.Errorf("%d models, %d defaults, %d kept", len(a.Models), len(a.Defaults), len(a.Kept))
	}
	if m := a.Kinds["customer"]; m == nil || m.Hash() != loyalty.Hash || len(a.Kinds) != 1 {
		t.Errorf("kinds %v", a.Kinds)
	}
	if err := a.Check(ingest.DefaultConfig()); err != nil {
		t.Error(err)
	}
	if _, err := view.assignment("kafka", kinds, nil); err == nil || !strings.Contains(err.Error(), `rule "x" of kafka: there is no model`) {
		t.Errorf("%v", err)
	}
}

// fakeBridge keeps what it is assigned.
type fakeBridge struct {
	mu       sync.Mutex
	assigned []ingest.Assignment
	forgot   []device.ID
	ready    error
}

func (b *fakeBridge) Ready() error { return b.ready }

func (b *fakeBridge) Assign(_ context.Context, a ingest.Assignment) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.assigned = append(b.assigned, a)
	return nil
}

// A bridge takes nothing before the registry says which models there are, and then learns of each
// change. Rules that leave devices without a model do not stop it.
func TestABridgeBeginsWithTheRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lamp := textOf(t, "lamp", "", 1)
		f := newFakeRegistry()
		f.fail = device.ErrUnavailable
		w := watchRegistry(t, f, Plan{Parts: Worker}, models{})
		var log strings.Builder
		s := &Service{log: slog.New(slog.NewTextHandler(&log, nil)), failed: make(chan error, 1)}
		b := &fakeBridge{}
		var began []ingest.Assignment
		stopped := 0
		ready := s.startLater(Plan{}, models{}, w.registryWatch, assigned{
			name: "bridge", source: "mqtt", check: func(a ingest.Assignment) error { return a.Check(ingest.DefaultConfig()) },
			start: func(inner *Service, a ingest.Assignment, unnamed string) (assignable, error) {
				began = append(began, a)
				inner.onStop("fake", func(context.Context) error { stopped++; return nil })
				inner.forget = func(_ context.Context, ids ...device.ID) { b.forgot = append(b.forgot, ids...) }
				if unnamed != "" {
					t.Errorf("deliveries without a model are of %q", unnamed)
				}
				return b, nil
			},
		})
		expect := func(what, says string, n int) {
			t.Helper()
			synctest.Wait()
			err := ready(t.Context())
			if len(began) != n || says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
				t.Errorf("%s: begun %d times, ready %v, want %d, %q\n%s", what, len(began), err, n, says, log.String())
			}
		}
		time.Sleep(time.Minute)
		expect("Temporal is down", "waiting for the registry of models", 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		s.forget(ctx, "lamp-1") // nobody waits forever
		cancel()
		f.set(func() { f.fail = nil })
		time.Sleep(3 * time.Second)
		expect("the registry is empty", "a default model is needed", 0)
		f.set(func() {
			f.push(lamp)
			f.index.Rules.Sources = map[string]registry.Source{"mqtt": {Model: "lamp"}}
		})
		time.Sleep(3 * time.Second)
		expect("it has a model", "", 1)
		if began[0].Model.Hash() != lamp.Hash {
			t.Errorf("%+v", began[0])
		}
		s.forget(t.Context(), "lamp-2")
		b.ready = errors.New("no broker")
		expect("it is begun", "no broker", 1)
		f.set(func() { f.push(textOf(t, "lamp", "", 2)) })
		time.Sleep(3 * time.Second)
		expect("a version is pushed", "no broker", 1)
		if len(b.assigned) != 1 || len(b.assigned[0].Models) != 2 || !slices.Equal(b.forgot, []device.ID{"lamp-2"}) {
			t.Errorf("assigned %+v, forgot %q", b.assigned, b.forgot)
		}
		f.set(func() { f.index.Rules.Sources = nil; f.index.Revision++ })
		time.Sleep(3 * time.Second)
		expect("there are no rules", "no broker", 1)
		if len(b.assigned) != 1 || !strings.Contains(log.String(), "level=ERROR") {
			t.Errorf("assigned %+v\n%s", b.assigned, log.String())
		}
		if err := s.Close(); err != nil || stopped != 1 {
			t.Errorf("%v, stopped %d times", err, stopped)
		}
	})
}

// A process that cannot read the registry goes on with what an earlier one knew: its bridge takes
// messages, and neither leaves out nor delivers any. What is read then counts.
func TestWhatAnEarlierProcessKnew(t *testing.T) {
	dir := t.TempDir()
	copies := func() models {
		kept, err := modelfile.OpenCopies(dir)
		if err != nil {
			t.Fatal(err)
		}
		return models{copies: kept}
	}
	lamp := textOf(t, "lamp", "", 1)
	f := newFakeRegistry(lamp)
	f.index.Rules.Sources = map[string]registry.Source{"mqtt": {Model: "lamp"}}
	reading := device.Message{Channel: device.ChannelTelemetry}
	synctest.Test(t, func(t *testing.T) {
		w := watchRegistry(t, f, Plan{Parts: Worker}, copies())
		if view := w.seen(t); view == nil || view.stale || !w.isRead() {
			t.Fatalf("%+v\n%s", view, w.log)
		}
	})
	f.fail = device.ErrUnavailable
	synctest.Test(t, func(t *testing.T) {
		w := watchRegistry(t, f, Plan{Parts: Worker}, copies())
		time.Sleep(registryPatience - time.Second)
		if view := w.seen(t); view != nil {
			t.Errorf("it did not wait for the registry: %+v", view)
		}
		time.Sleep(5 * time.Second)
		view := w.seen(t)
		if view == nil || !view.stale || w.isRead() || !strings.Contains(w.remark(), "it was not read yet") {
			t.Fatalf("%+v, %q\n%s", view, w.remark(), w.log)
		}
		a, err := view.assignment("mqtt", nil, nil)
		if err != nil || a.Model.Hash() != lamp.Hash || a.Model.Name() != "lamp" || a.Model.MayLeaveOut(reading) {
			t.Errorf("%+v, %v", a, err)
		}
		sink := w.sink(birthSink{})
		if _, err := sink.Deliver(t.Context(), device.Delivery{}); !errors.Is(err, errRegistryNotRead) {
			t.Errorf("delivered: %v", err)
		}
		if hash, ok := w.newModel("device"); ok {
			t.Errorf("new entities start with %s", hash)
		}
		f.set(func() { f.fail = nil })
		time.Sleep(3 * time.Second)
		if view := w.seen(t); view.stale || len(view.models) != 1 {
			t.Errorf("%+v", view)
		}
		if _, err := sink.Deliver(t.Context(), device.Delivery{}); err != nil {
			t.Error(err)
		}
	})
	f.fail = device.ErrUnavailable
	if err := os.WriteFile(filepath.Join(dir, "registry.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := watchRegistry(t, f, Plan{Parts: Worker}, copies())
		time.Sleep(time.Minute)
		if view := w.seen(t); view != nil || !strings.Contains(w.log.String(), "cannot be used") {
			t.Errorf("%+v\n%s", view, w.log)
		}
	})
}

// A bridge that cannot be started ends the service.
func TestABridgeOfTheRegistryFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRegistry(textOf(t, "lamp", "", 1))
		w := watchRegistry(t, f, Plan{Parts: Worker}, models{})
		s := &Service{log: slog.New(slog.DiscardHandler), failed: make(chan error, 1)}
		s.startLater(Plan{}, models{}, w.registryWatch, assigned{
			name: "bridge", source: "mqtt", check: func(ingest.Assignment) error { return nil },
			start: func(*Service, ingest.Assignment, string) (assignable, error) { return nil, errors.New("no such file") },
		})
		if err := <-s.Failed(); !strings.Contains(err.Error(), "start the bridge: no such file") {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// New entities of a kind start with the model of the rules, and wait before the registry is read.
func TestNewEntitiesOfTheRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two, other := textOf(t, "loyalty", "customer", 1), textOf(t, "loyalty", "customer", 2), textOf(t, "churn", "customer", 1)
		f := newFakeRegistry(one, two)
		f.fail = device.ErrUnavailable
		w := watchRegistry(t, f, Plan{Parts: Worker}, models{})
		want := func(what, hash string) {
			t.Helper()
			time.Sleep(3 * time.Second)
			synctest.Wait()
			if got, ok := w.newModel("customer"); got != hash || ok != (hash != "") {
				t.Errorf("%s: %q, %t, want %q", what, got, ok, hash)
			}
		}
		want("not read", "")
		f.set(func() { f.fail = nil })
		want("the default of the only model", one.Hash)
		f.set(func() { f.push(other) })
		want("two models", "")
		f.set(func() { f.index.Rules.Kinds = map[string]string{"customer": "loyalty@2"}; f.index.Revision++ })
		want("by the rules", two.Hash)
	})
}

// With a registry nothing has to be given as a file, and while Temporal is unavailable the bridge
// says what it waits for.
func TestARegistryWithoutServers(t *testing.T) {
	config := withoutServers()
	config.Model, config.Worker.Credentials = ModelConfig{Registry: true}, t.TempDir()
	s, err := Start(config, Bridge|Worker, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{
		"/readyz":  "bridge: waiting for the registry of models",
		"/metrics": "devicetwin_models_registry_revision 0",
	} {
		if page := get(t, s.HTTPAddr(), path); !strings.Contains(page, says) {
			t.Errorf("%s lacks %q:\n%s", path, says, page)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	config.Model.Registry = false
	if _, err := NewPlan(config, Bridge|Worker); err == nil || !strings.Contains(err.Error(), "no model") {
		t.Errorf("without a registry: %v", err)
	}
}
