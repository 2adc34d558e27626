package service

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"devicetwin/devicefsm"
	"devicetwin/workflows/registry"
)

// seedNote is why files and flags are in the registry.
const seedNote = "files and flags of a process"

// seeds are what the files and flags of a process give an empty registry: each model separately, and
// then which entities start with which.
func (p Plan) seeds(m models) ([]registry.Change, error) {
	var names []string
	texts := map[string][]registry.Text{}
	for i, model := range m.given {
		text, err := registryText(model, filepath.Base(m.files[i].Name), m.files[i].Source)
		if err != nil {
			return nil, err
		}
		if len(texts[text.Name]) == 0 {
			names = append(names, text.Name)
		}
		if !slices.ContainsFunc(texts[text.Name], func(t registry.Text) bool { return t.Hash == text.Hash }) {
			texts[text.Name] = append(texts[text.Name], text)
		}
	}
	var seeds []registry.Seed
	for _, name := range names {
		seeds = append(seeds, registry.Seed{Contents: texts[name]})
	}
	if sources := p.seedSources(m); len(sources) > 0 {
		seeds = append(seeds, registry.Seed{Sources: sources})
	}
	kinds := map[string]string{}
	for kind, model := range m.kinds {
		kinds[kind.Word()] = model.Name()
	}
	if len(kinds) > 0 {
		seeds = append(seeds, registry.Seed{Kinds: kinds})
	}
	var changes []registry.Change
	for _, seed := range seeds {
		key, err := seedKey(seed)
		if err != nil {
			return nil, err
		}
		changes = append(changes, registry.Change{Key: key, Who: p.Process, Note: seedNote, Seed: &seed})
	}
	return changes, nil
}

// seedKey is the same for each process with the same files and flags.
func seedKey(seed registry.Seed) (string, error) {
	raw, err := json.Marshal(seed)
	if err != nil {
		return "", fmt.Errorf("write what seeds the registry of models: %w", err)
	}
	return fmt.Sprintf("seed/%x", sha256.Sum256(raw)), nil
}

// seedSources are the rules of the bridge's flags.
func (p Plan) seedSources(m models) map[string]registry.Source {
	name, flags := registry.SourceMQTT, p.Bridge.ModelRules
	switch {
	case p.Parts.has(Kafka):
		name, flags = registry.SourceKafka, p.Kafka.ModelRules
	case !p.Parts.has(Bridge):
		return nil
	}
	var source registry.Source
	if p.Models.Model != "" {
		source.Model = m.given[0].Name()
	}
	for _, flag := range flags {
		pattern, model, _ := strings.Cut(flag, "=")
		source.Rules = append(source.Rules, registry.Rule{Pattern: pattern, Model: model})
	}
	if source.Model == "" && len(source.Rules) == 0 {
		return nil
	}
	return map[string]registry.Source{name: source}
}

// differences are what the files and flags of this process say that the registry does not.
func (w *registryWatch) differences(index *registry.Index) (list []string) {
	note := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	for _, m := range w.files {
		if _, _, ok := index.ByHash(m.Hash()); ok {
			continue
		}
		if has, ok := index.Find(m.Name()); ok {
			note("model %s: the registry does not have the version of the file, %.12s; its default is version %d", m.Name(), m.Hash(), has.Default)
		} else {
			note("model %s: the registry does not have it", m.Name())
		}
	}
	for _, change := range w.seeds {
		if contents := change.Seed.Contents; len(contents) > 0 {
			if m, v, ok := index.ByHash(contents[0].Hash); ok && v.Number != m.Default && m.Name == contents[0].Name {
				note("model %s: the file is version %d, and the default is version %d", m.Name, v.Number, m.Default)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(change.Seed.Sources)) {
			if mine, has := change.Seed.Sources[name], index.Rules.Sources[name]; !reflect.DeepEqual(mine, has) {
				note("devices of %s: the flags say %s, and the registry %s", name, sourceText(mine), sourceText(has))
			}
		}
		for _, kind := range slices.Sorted(maps.Keys(change.Seed.Kinds)) {
			if mine, has := change.Seed.Kinds[kind], index.Rules.Kinds[kind]; mine != has {
				note("kind %s: the files say %s, and the registry %q", kind, mine, has)
			}
		}
	}
	return list
}

// sourceText are rules as flags have them.
func sourceText(s registry.Source) string {
	var words []string
	for _, r := range s.Rules {
		words = append(words, r.Pattern+"="+r.Model)
	}
	if s.Model != "" {
		words = append(words, "*="+s.Model)
	}
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, " ")
}

// fileVersions are the versions of files that the registry does not have: devices may run them,
// and none starts with one.
func fileVersions(index *registry.Index, files []*devicefsm.Model) []*devicefsm.Model {
	return slices.DeleteFunc(slices.Clone(files), func(m *devicefsm.Model) bool {
		_, _, ok := index.ByHash(m.Hash())
		return ok
	})
}
