package registry

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"devicetwin/device"
)

const stateVersion = 1

// maxState bounds a state that is read: several times what the bounds of a registry allow.
const maxState int64 = 64 << 20

// State is all that the registry knows but contents, and all that one run hands to the next.
type State struct {
	Version int      `json:"v"`
	Index   Index    `json:"index"`
	Records []Record `json:"records,omitempty"` // oldest first
	Done    []done   `json:"done,omitempty"`    // oldest first
	Runs    int      `json:"runs,omitempty"`
}

// done is a change that was made.
type done struct {
	Key    string `json:"key"`
	Print  string `json:"print"`
	Result Result `json:"result"`
}

// made is the result of a change that was made before.
func (s *State) made(c Change) (Result, bool) {
	for _, d := range s.Done {
		if d.Key == c.Key && d.Print == c.print() {
			return d.Result, true
		}
	}
	return Result{}, false
}

// check refuses a change that cannot be made now.
func (s *State) check(c Change, now time.Time) *device.Refused {
	if refused := c.Check(); refused != nil {
		return refused
	}
	if slices.ContainsFunc(s.Done, func(d done) bool { return d.Key == c.Key && d.Print != c.print() }) {
		return device.Refuse(422, "the idempotency key was used for another request")
	}
	switch {
	case c.Push != nil:
		return s.checkPush(c)
	case c.Default != nil:
		return s.checkDefault(c, now)
	case c.Remove != nil:
		return s.checkRemove(c, now)
	case c.Rules != nil:
		if refused := expect(c, "the rules", s.Index.Rules.Revision); refused != nil {
			return refused
		}
		return s.checkRules(*c.Rules, now)
	}
	return s.checkSeed(c)
}

// expect refuses a change of another revision than that which it was meant for.
func expect(c Change, what string, revision uint64) *device.Refused {
	if c.Expected != 0 && c.Expected != revision {
		return device.Refuse(412, "%s: revision %d was expected, and it is %d", what, c.Expected, revision)
	}
	return nil
}

func (s *State) checkPush(c Change) *device.Refused {
	m, ok := s.Index.Find(c.Push.Name)
	if ok {
		if refused := expect(c, "model "+m.Name, m.Revision); refused != nil {
			return refused
		}
		if m.Kind != c.Push.Kind {
			return device.Refuse(409, "model %s is of kind %s, and the version that is pushed of kind %s: give it another name", m.Name, m.Kind, c.Push.Kind)
		}
	} else if c.Expected != 0 {
		return device.Refuse(412, "model %s: revision %d was expected, and there is none", c.Push.Name, c.Expected)
	}
	return s.hasRoom(c.Push.Name, []Text{*c.Push})
}

// hasRoom refuses contents beyond what the registry keeps, and those of another model.
func (s *State) hasRoom(name string, texts []Text) *device.Refused {
	versions, added := 0, 0
	for i := range s.Index.Models {
		versions += len(s.Index.Models[i].Versions)
	}
	for _, t := range texts {
		switch other, v, ok := s.Index.ByHash(t.Hash); {
		case !ok:
			added++
		case other.Name != name:
			return device.Refuse(409, "model %s is the same as version %d of model %s: say model: %s in its file", name, v.Number, other.Name, name)
		}
	}
	m, ok := s.Index.Find(name)
	switch {
	case added == 0:
		return nil
	case !ok && len(s.Index.Models) >= MaxModels:
		return device.Refuse(409, "the registry has %d models, the most that it keeps", MaxModels)
	case ok && len(m.Versions)+added > MaxOfModel, added > MaxOfModel:
		return device.Refuse(409, "model %s would have more than %d versions: remove those that no device runs", name, MaxOfModel)
	case versions+added > MaxVersions:
		return device.Refuse(409, "the registry would have more than %d versions: remove those that no device runs", MaxVersions)
	}
	return nil
}

// version finds what a change is about.
func (s *State) version(c Change, ref VersionRef) (*Model, *Version, *device.Refused) {
	m, ok := s.Index.Find(ref.Model)
	if !ok {
		return nil, nil, device.Refuse(404, "there is no model %q", ref.Model)
	}
	v, ok := m.Version(ref.Version)
	if !ok {
		return nil, nil, device.Refuse(404, "model %s has no version %d", m.Name, ref.Version)
	}
	return m, v, expect(c, "model "+m.Name, m.Revision)
}

func (s *State) checkDefault(c Change, now time.Time) *device.Refused {
	m, v, refused := s.version(c, *c.Default)
	if refused != nil {
		return refused
	}
	return settled(m, v, now)
}

// settled refuses a version of which not every bridge may know.
func settled(m *Model, v *Version, now time.Time) *device.Refused {
	if wait := v.At.Add(SettleTime).Sub(now); wait > 0 && v.Number != m.Default {
		return device.Refuse(409, "version %d of model %s was pushed a moment ago, and bridges are learning of it: try again in %v", v.Number, m.Name, wait.Round(time.Second)+time.Second)
	}
	return nil
}

func (s *State) checkRemove(c Change, now time.Time) *device.Refused {
	m, v, refused := s.version(c, *c.Remove)
	switch {
	case refused != nil:
		return refused
	case m.Default == v.Number:
		return device.Refuse(409, "version %d of model %s is its default", v.Number, m.Name)
	}
	var where []string
	s.Index.Rules.each(func(name, ref string) {
		if _, of, err := s.Index.Resolve(ref); err == nil && of.Hash == v.Hash {
			where = append(where, name)
		}
	})
	slices.Sort(where)
	if len(where) > 0 {
		return device.Refuse(409, "version %d of model %s is in the rules: %s", v.Number, m.Name, strings.Join(where, ", "))
	}
	if wait := v.Until.Add(RestTime).Sub(now); !v.Until.IsZero() && wait > 0 {
		return device.Refuse(409, "devices could start with version %d of model %s a moment ago: try again in %v", v.Number, m.Name, wait.Round(time.Second)+time.Second)
	}
	return nil
}

// checkRules refuses rules that name what is not there, or, unless now is zero, what not every
// bridge may know.
func (s *State) checkRules(r Rules, now time.Time) *device.Refused {
	var faults []error
	starting := s.Index.starting()
	r.each(func(where, ref string) {
		m, v, err := s.Index.Resolve(ref)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", where, err))
			return
		}
		kind := device.KindDevice.Word()
		if of, ok := strings.CutPrefix(where, "kind "); ok {
			kind = of
		}
		if m.Kind != kind {
			faults = append(faults, fmt.Errorf("%s: model %s is of kind %s, expected one of kind %s", where, m.Name, m.Kind, kind))
		}
		if now.IsZero() || starting[v.Hash] {
			return
		}
		if refused := settled(m, v, now); refused != nil {
			faults = append(faults, fmt.Errorf("%s: %w", where, refused))
		}
	})
	if len(faults) > 0 {
		slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
		return device.Refuse(422, "%v", errors.Join(faults...))
	}
	return nil
}

// checkSeed refuses what seeds an empty registry and does not fit together.
func (s *State) checkSeed(c Change) *device.Refused {
	news, sources, kinds := s.news(*c.Seed)
	if len(news) > 0 {
		if refused := s.hasRoom(news[0].Name, news); refused != nil {
			return refused
		}
	}
	after := s.clone()
	after.addTexts(news, c, time.Time{})
	return after.checkRules(Rules{Sources: sources, Kinds: kinds}, time.Time{})
}

// news are the parts of a seed that the registry does not know.
func (s *State) news(seed Seed) (texts []Text, sources map[string]Source, kinds map[string]string) {
	if len(seed.Contents) > 0 {
		if _, ok := s.Index.Find(seed.Contents[0].Name); !ok {
			texts = seed.Contents
		}
	}
	sources, kinds = map[string]Source{}, map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(seed.Sources)) {
		if _, ok := s.Index.Rules.Sources[name]; !ok {
			sources[name] = seed.Sources[name]
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(seed.Kinds)) {
		if _, ok := s.Index.Rules.Kinds[kind]; !ok {
			kinds[kind] = seed.Kinds[kind]
		}
	}
	return texts, sources, kinds
}

// clone is a copy in which models and rules can be added.
func (s *State) clone() *State {
	after := *s
	after.Index.Models = slices.Clone(s.Index.Models)
	after.Records = slices.Clone(s.Records)
	return &after
}

// newTexts are those that are not stored yet.
func (s *State) newTexts(c Change) []Text {
	texts := c.texts()
	if c.Seed != nil {
		texts, _, _ = s.news(*c.Seed)
	}
	return slices.DeleteFunc(slices.Clone(texts), func(t Text) bool {
		_, _, known := s.Index.ByHash(t.Hash)
		return known
	})
}

// apply makes a change that check has not refused.
func (s *State) apply(c Change, now time.Time) Result {
	before := s.Index.starting()
	result := s.applyTo(c, now)
	s.noteUntil(before, now)
	s.Done = append(s.Done, done{c.Key, c.print(), result})
	if n := len(s.Done); n > MaxDone {
		s.Done = slices.Clone(s.Done[n-MaxDone:])
	}
	return result
}

func (s *State) applyTo(c Change, now time.Time) Result {
	switch {
	case c.Push != nil:
		return s.addTexts([]Text{*c.Push}, c, now)
	case c.Default != nil:
		m, v, _ := s.version(c, *c.Default)
		if m.Default == v.Number {
			return Result{Revision: m.Revision, Model: m.Name, Version: v.Number, Hash: v.Hash}
		}
		m.Default = v.Number
		return s.record("default", m, *v, c, now)
	case c.Remove != nil:
		m, v, _ := s.version(c, *c.Remove)
		gone := *v
		m.Versions = slices.DeleteFunc(slices.Clone(m.Versions), func(v Version) bool { return v.Number == gone.Number })
		return s.record("remove", m, gone, c, now)
	case c.Rules != nil:
		s.Index.Rules.Sources, s.Index.Rules.Kinds = c.Rules.Sources, c.Rules.Kinds
		return s.record("rules", nil, Version{}, c, now)
	}
	texts, sources, kinds := s.news(*c.Seed)
	result := s.addTexts(texts, c, now)
	if len(sources)+len(kinds) == 0 {
		return result
	}
	s.Index.Rules.Sources = joined(s.Index.Rules.Sources, sources)
	s.Index.Rules.Kinds = joined(s.Index.Rules.Kinds, kinds)
	rules := s.record("rules", nil, Version{}, c, now)
	if len(texts) == 0 {
		return rules
	}
	return result
}

func joined[T any](a, b map[string]T) map[string]T {
	all := map[string]T{}
	maps.Copy(all, a)
	maps.Copy(all, b)
	return all
}

// addTexts adds versions of one model that are not there.
func (s *State) addTexts(texts []Text, c Change, now time.Time) (result Result) {
	what := "push"
	if c.Seed != nil {
		what = "seed"
	}
	for _, t := range texts {
		if m, v, ok := s.Index.ByHash(t.Hash); ok {
			if result.Model == "" {
				result = Result{Revision: m.Revision, Model: m.Name, Version: v.Number, Hash: v.Hash}
			}
			continue
		}
		m := s.model(t)
		m.Last++
		m.Versions = append(m.Versions[:len(m.Versions):len(m.Versions)], Version{
			Number: m.Last, Hash: t.Hash, File: t.File, Bytes: t.Bytes, At: now, Who: c.Who, Note: c.Note,
		})
		if m.Default == 0 {
			m.Default = m.Last
		}
		made := s.record(what, m, m.Versions[len(m.Versions)-1], c, now)
		if !result.Created {
			result = made
		}
		result.Revision = made.Revision
	}
	return result
}

// model is that of the text, which is new if there was none.
func (s *State) model(t Text) *Model {
	if m, ok := s.Index.Find(t.Name); ok {
		return m
	}
	s.Index.Models = append(s.Index.Models, Model{Name: t.Name, Kind: t.Kind})
	slices.SortFunc(s.Index.Models, func(a, b Model) int { return cmp.Compare(a.Name, b.Name) })
	m, _ := s.Index.Find(t.Name)
	return m
}

// record notes a change of a model, or of the rules if that is nil.
func (s *State) record(what string, m *Model, v Version, c Change, now time.Time) Result {
	s.Index.Revision++
	r := Record{At: now, Who: c.Who, What: what, Version: v.Number, Hash: v.Hash, Note: c.Note, Revision: s.Index.Revision}
	if m != nil {
		m.Revision = s.Index.Revision
		r.Model = m.Name
	} else {
		s.Index.Rules.Revision = s.Index.Revision
	}
	s.Records = append(s.Records, r)
	if n := len(s.Records); n > MaxRecords {
		s.Records = slices.Clone(s.Records[n-MaxRecords:])
	}
	return Result{Revision: s.Index.Revision, Model: r.Model, Version: v.Number, Hash: v.Hash, Created: true}
}

// noteUntil notes with which versions no entity starts any more.
func (s *State) noteUntil(before map[string]bool, now time.Time) {
	after := s.Index.starting()
	for i := range s.Index.Models {
		for j := range s.Index.Models[i].Versions {
			switch v := &s.Index.Models[i].Versions[j]; {
			case after[v.Hash]:
				v.Until = time.Time{}
			case before[v.Hash]:
				v.Until = now
			}
		}
	}
}

// decodeInput reads an Input. A newer state is not touched.
func decodeInput(in Input) (*State, error) {
	if len(in.State) == 0 {
		return &State{Version: stateVersion}, nil
	}
	raw, err := decompress(in.State, maxState)
	if err != nil {
		return nil, fmt.Errorf("read the state of the registry of models: %w", err)
	}
	var only struct {
		Version int `json:"v"`
	}
	if err := json.Unmarshal(raw, &only); err != nil {
		return nil, fmt.Errorf("read the state of the registry of models: %w", err)
	}
	if only.Version != stateVersion {
		return nil, fmt.Errorf("the state of the registry of models has version %d, and this worker reads version %d", only.Version, stateVersion)
	}
	s := &State{}
	if err := json.Unmarshal(raw, s); err != nil {
		return nil, fmt.Errorf("read the state of the registry of models: %w", err)
	}
	return s, nil
}
