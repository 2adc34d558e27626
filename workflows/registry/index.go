package registry

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of a registry.
const (
	MaxModels   = 200  // names
	MaxOfModel  = 100  // versions of one model
	MaxVersions = 1000 // in all
	MaxText     = 256 << 10
	MaxRules    = 100 // of one source
	MaxRecords  = 200 // in the audit
	MaxDone     = 200 // idempotency keys

	maxNote    = 512
	maxWho     = 128
	maxKey     = 256
	maxName    = 64
	maxFile    = 128
	maxPattern = 256
	maxRef     = 160
	maxSeed    = 1 << 20 // bytes of compressed contents in one change
)

const (
	// SettleTime is how long a version is known before an entity may start with it: bridges and
	// workers ask several times within it.
	SettleTime = 10 * time.Second
	// RestTime is how long no entity may have been able to start with a version before it can be
	// removed: searches trail the starts.
	RestTime = time.Minute
)

// Index is what is known of all models, without their contents.
type Index struct {
	// Revision counts the changes.
	Revision uint64  `json:"revision"`
	Models   []Model `json:"models,omitempty"` // by name
	Rules    Rules   `json:"rules,omitzero"`
}

// Model is the versions of one name.
type Model struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // of the entities that may run it
	// Revision is that of the registry with the last change of this model.
	Revision uint64 `json:"revision"`
	// Default is the number of the version with which new entities start.
	Default  int       `json:"default"`
	Last     int       `json:"last"`     // number that was given
	Versions []Version `json:"versions"` // ascending
}

// Version is one version of a model.
type Version struct {
	Number int       `json:"version"`
	Hash   string    `json:"hash"`
	File   string    `json:"file"`  // name of the file that it was read from
	Bytes  int       `json:"bytes"` // of its text
	At     time.Time `json:"at"`
	Who    string    `json:"who,omitempty"`
	Note   string    `json:"note,omitempty"`
	// Until is when entities could last be started with it; zero if they never could, or
	// still can.
	Until time.Time `json:"until,omitzero"`
}

// Rules say with which models entities start. A model in them is NAME, for its default version,
// or NAME@VERSION, or a hash.
type Rules struct {
	Revision uint64 `json:"revision"`
	// Sources are the rules of devices, by where their messages come from: mqtt, kafka.
	Sources map[string]Source `json:"sources,omitempty"`
	// Kinds are the models of entities of other kinds, by kind.
	Kinds map[string]string `json:"kinds,omitempty"`
}

// The sources of messages.
const (
	SourceMQTT  = "mqtt"
	SourceKafka = "kafka"
)

// Source is the rules of devices whose messages come from one source.
type Source struct {
	// Model is that of devices that no rule matches; "": they have none.
	Model string `json:"model,omitempty"`
	Rules []Rule `json:"rules,omitempty"` // the first match wins
}

// Rule is the model of the devices whose ids match a pattern, as of path.Match.
type Rule struct {
	Pattern string `json:"pattern"`
	Model   string `json:"model"`
}

// Find is the model of a name.
func (x *Index) Find(name string) (*Model, bool) {
	at, ok := slices.BinarySearchFunc(x.Models, name, func(m Model, name string) int { return strings.Compare(m.Name, name) })
	if !ok {
		return nil, false
	}
	return &x.Models[at], true
}

// ByHash is the version of a hash, and its model.
func (x *Index) ByHash(hash string) (*Model, *Version, bool) {
	for i := range x.Models {
		for j := range x.Models[i].Versions {
			if x.Models[i].Versions[j].Hash == hash {
				return &x.Models[i], &x.Models[i].Versions[j], true
			}
		}
	}
	return nil, nil, false
}

// Version is the version of a number.
func (m *Model) Version(number int) (*Version, bool) {
	at, ok := slices.BinarySearchFunc(m.Versions, number, func(v Version, n int) int { return v.Number - n })
	if !ok {
		return nil, false
	}
	return &m.Versions[at], true
}

// minHash is how many digits of a hash at least say which one it is.
const minHash = 8

// Resolve finds what a reference names: NAME, for the default version, NAME@VERSION, NAME@HASH,
// or HASH, of which the first digits are enough, at least 8, if there is one such version.
func (x *Index) Resolve(ref string) (*Model, *Version, error) {
	name, of, pinned := strings.Cut(ref, "@")
	m, ok := x.Find(name)
	switch {
	case ok && !pinned:
		v, _ := m.Version(m.Default)
		return m, v, nil
	case !ok && pinned:
		return nil, nil, fmt.Errorf("there is no model %q; there is %s", name, x.names())
	case !ok:
		return x.byDigits(ref)
	}
	number, err := strconv.Atoi(of)
	if v, ok := m.Version(number); err == nil && ok {
		return m, v, nil
	}
	if one := (&Index{Models: []Model{*m}}); len(of) >= minHash {
		if _, v, err := one.byDigits(of); err == nil {
			return m, v, nil
		}
	}
	return nil, nil, fmt.Errorf("model %s has no version %q; its newest is %d", name, of, m.Last)
}

func (x *Index) byDigits(digits string) (found *Model, version *Version, err error) {
	if len(digits) >= minHash {
		for i := range x.Models {
			for j := range x.Models[i].Versions {
				switch v := &x.Models[i].Versions[j]; {
				case !strings.HasPrefix(v.Hash, digits):
				case version != nil:
					return nil, nil, fmt.Errorf("hash %s…: several versions have it; expected more digits", digits)
				default:
					found, version = &x.Models[i], v
				}
			}
		}
	}
	if version == nil {
		return nil, nil, fmt.Errorf("there is no model, and no version with the hash, %q; there is %s", digits, x.names())
	}
	return found, version, nil
}

func (x *Index) names() string {
	if len(x.Models) == 0 {
		return "none"
	}
	names := make([]string, len(x.Models))
	for i := range x.Models {
		names[i] = x.Models[i].Name
	}
	return strings.Join(names, ", ")
}

// starting are the hashes of the versions with which entities may start.
func (x *Index) starting() map[string]bool {
	all := map[string]bool{}
	for i := range x.Models {
		if v, ok := x.Models[i].Version(x.Models[i].Default); ok {
			all[v.Hash] = true
		}
	}
	x.Rules.each(func(_, ref string) {
		if _, v, err := x.Resolve(ref); err == nil {
			all[v.Hash] = true
		}
	})
	return all
}

// each calls f with every reference to a model, and where it is, in order of the names.
func (r *Rules) each(f func(where, ref string)) {
	for _, name := range slices.Sorted(maps.Keys(r.Sources)) {
		s := r.Sources[name]
		if s.Model != "" {
			f("the default model of "+name, s.Model)
		}
		for _, rule := range s.Rules {
			f(fmt.Sprintf("rule %q of %s", rule.Pattern, name), rule.Model)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Kinds)) {
		f("kind "+kind, r.Kinds[kind])
	}
}

// checkPattern reports a pattern that path.Match does not read.
func checkPattern(pattern string) error {
	if _, err := path.Match(pattern, ""); err != nil || pattern == "" || len(pattern) > maxPattern {
		return fmt.Errorf("pattern %q: expected one such as pump-*, of at most %d bytes", pattern, maxPattern)
	}
	return nil
}
