package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/wire"
)

// Model is what is asked of a model; *devicefsm.Model has it.
type Model interface {
	// Name becomes the measurement of the telemetry and its tag model.
	Name() string
	// Kind is of which kind the entities are that may run the model.
	Kind() device.Kind
	// Hash identifies the model: a workflow is started with it.
	Hash() string
	// Relevant reports whether a message can matter to a device in any state.
	Relevant(device.Message) bool
	// Pass is Relevant, but false for a repetition that can do nothing after what
	// the filter has let pass.
	Pass(*devicefsm.Filter, device.Message) bool
	// MayLeaveOut is false for a message that Pass lets pass whatever came before it.
	MayLeaveOut(device.Message) bool
	// Reads are the members of a message's data that the methods above look at; all
	// says that it may be any.
	Reads() (names []string, all bool)
	// Explain is why a message that is not let pass had no effect, if that may not be
	// what was meant: an expression failed on it, or it is an event that the model does
	// not know. The faults have neither a time nor a topic.
	Explain(device.Message) []device.Fault
	// AppendFilter encodes what a filter of this model remembers. ReadFilter reads that,
	// and returns what comes after it; what may mean something else now is forgotten.
	AppendFilter(b []byte, f *devicefsm.Filter) []byte
	ReadFilter([]byte) (f devicefsm.Filter, rest []byte, err error)
	// Liveness is zeros if the model does not watch for silence.
	Liveness() (silentAfter, tolerance time.Duration)
	// OneByOne reports whether a workflow may have no room for more events, because it has
	// them processed one by one.
	OneByOne() bool
}

// modelSet is what is known of the model that a device runs.
type modelSet struct {
	start Model // of a workflow that is started
	// possible are the models that the workflow may run, by their hashes: a message is left
	// out only if none of them needs it. None: that is not known, and nothing is left out.
	possible []Model
	// The shortest of them; zeros: none of them watches for silence.
	silentAfter, tolerance time.Duration
	members                members  // that any of them looks at
	hash                   string   // of all possible ones
	names                  []string // of all possible ones, each once
	// One of them uses the events that the workflow makes of numbers that fall.
	restarted, late bool
	oneByOne        bool // one of them has events processed one by one
}

func newModelSet(start Model, possible []Model) *modelSet {
	possible = slices.SortedFunc(slices.Values(possible), func(a, b Model) int { return strings.Compare(a.Hash(), b.Hash()) })
	uses := func(event string) bool {
		return slices.ContainsFunc(possible, func(m Model) bool {
			return m.Relevant(device.Message{Channel: device.ChannelSystem, Name: event})
		})
	}
	set := &modelSet{
		start: start, possible: possible, members: membersOf(possible),
		restarted: uses(device.EventSequenceRestarted), late: uses(device.EventSequenceLate),
		oneByOne: start.OneByOne() || slices.ContainsFunc(possible, Model.OneByOne),
	}
	for _, m := range possible {
		set.hash += m.Hash() + " "
		if !slices.Contains(set.names, m.Name()) {
			set.names = append(set.names, m.Name())
		}
		silentAfter, tolerance := m.Liveness()
		if silentAfter > 0 && (set.silentAfter == 0 || silentAfter < set.silentAfter) {
			set.silentAfter = silentAfter
		}
		if silentAfter > 0 && (set.tolerance == 0 || tolerance < set.tolerance) {
			set.tolerance = tolerance
		}
	}
	return set
}

// assignment gives devices their models.
type assignment struct {
	fallback *modelSet
	rules    []modelRule
	// Of devices whose birth message names their model. Nil: none does.
	unnamed *modelSet
	named   map[string]*modelSet // by name and by hash of the model

	// oneByOne says that any model has events processed one by one: so may a device of which
	// it is not known what it runs.
	oneByOne bool

	kinds map[device.Kind]*modelSet // of entities that are not devices
	none  *modelSet                 // of those of other kinds
}

type modelRule struct {
	pattern string
	set     *modelSet
}

// newAssignment finds the models of the configuration among the default one and the
// others. Devices that are given a model by the configuration run one of its
// versions: those that have its name. A device that names its model may have been
// another before, so it may run all models. Those that are kept may be run too, and no
// device starts with one.
//
// Without a default model, devices that no rule and no birth message gives one are
// without a model: see noModel. Entities of another kind have the model of their kind, and
// no other.
func newAssignment(cfg Config, kinds map[device.Kind]Model, model Model, others []Model, kept ...Model) (*assignment, error) {
	if model == nil && len(cfg.ModelRules) == 0 && !cfg.ModelFromBirth && len(kinds) == 0 {
		return nil, errors.New("a default model is needed, or model rules, or models from birth messages, or models of other kinds")
	}
	if model != nil && model.Kind() != device.KindDevice {
		return nil, fmt.Errorf("default model %s: it is of kind %s, and devices cannot run it", model.Name(), model.Kind().Word())
	}
	var all []Model
	if model != nil {
		all = append(all, model)
	}
	for _, m := range others {
		if !slices.ContainsFunc(all, func(o Model) bool { return o.Hash() == m.Hash() }) {
			all = append(all, m)
		}
	}
	known := slices.Concat(all, kept)
	all = ofKind(all, device.KindDevice)
	ran := ofKind(known, device.KindDevice)
	a := &assignment{
		fallback: newModelSet(noModel{}, nil), kinds: map[device.Kind]*modelSet{},
		oneByOne: slices.ContainsFunc(known, Model.OneByOne),
	}
	a.none = a.fallback
	for kind, m := range kinds {
		ran := ofKind(known, kind)
		if find(ran, m.Hash()) == nil {
			ran = append(ran, m)
		}
		a.kinds[kind] = newModelSet(m, versions(ran, m))
	}
	if model != nil {
		a.fallback = newModelSet(model, versions(ran, model))
	}
	var faults []error
	for _, rule := range cfg.ModelRules {
		pattern, name, err := cutModelRule(rule)
		m := find(all, name)
		if other := find(known, name); err == nil && m == nil && other != nil && other.Kind() != device.KindDevice {
			err = fmt.Errorf("model rule %q: model %s is of kind %s, and devices cannot run it", rule, name, other.Kind().Word())
		}
		if err == nil && m == nil {
			err = fmt.Errorf("model rule %q: no model %q; there is %s", rule, name, names(all))
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		a.rules = append(a.rules, modelRule{pattern, newModelSet(m, versions(ran, m))})
	}
	if cfg.ModelFromBirth {
		a.unnamed, a.named = newModelSet(a.fallback.start, nil), map[string]*modelSet{}
		for _, m := range slices.Backward(all) { // of one name, the first counts
			set := newModelSet(m, ran)
			a.named[m.Name()], a.named[m.Hash()] = set, set
		}
	}
	return a, errors.Join(faults...)
}

// noModel stands for that of a device for which none is known: everything of it is
// delivered to the workflow that it may have, and none is started.
type noModel struct{}

func (noModel) Name() string                                { return "" }
func (noModel) Hash() string                                { return "" }
func (noModel) Kind() device.Kind                           { return device.KindDevice }
func (noModel) Relevant(device.Message) bool                { return true }
func (noModel) Pass(*devicefsm.Filter, device.Message) bool { return true }
func (noModel) MayLeaveOut(device.Message) bool             { return false }
func (noModel) Reads() (names []string, all bool)           { return nil, true }
func (noModel) Explain(device.Message) []device.Fault       { return nil }
func (noModel) OneByOne() bool                              { return false }

func (noModel) AppendFilter(b []byte, _ *devicefsm.Filter) []byte                { return b }
func (noModel) ReadFilter(b []byte) (f devicefsm.Filter, rest []byte, err error) { return f, nil, nil }

func (noModel) Liveness() (silentAfter, tolerance time.Duration) { return 0, 0 }

// cutModelRule reads "pump-*=pump": a pattern as of path.Match, over the id of a
// device, and the name or the hash of a model.
func cutModelRule(rule string) (pattern, model string, err error) {
	pattern, model, ok := strings.Cut(rule, "=")
	if _, bad := path.Match(pattern, ""); !ok || bad != nil || pattern == "" || model == "" {
		return "", "", fmt.Errorf("model rule %q: expected PATTERN=MODEL such as pump-*=pump", rule)
	}
	return pattern, model, nil
}

func ofKind(all []Model, kind device.Kind) []Model {
	return slices.DeleteFunc(slices.Clone(all), func(m Model) bool { return m.Kind() != kind })
}

func versions(all []Model, of Model) []Model {
	var same []Model
	for _, m := range all {
		if m.Name() == of.Name() {
			same = append(same, m)
		}
	}
	return same
}

func find(all []Model, name string) Model {
	for _, m := range all {
		if m.Name() == name || m.Hash() == name {
			return m
		}
	}
	return nil
}

func names(all []Model) string {
	var list []string
	for _, m := range all {
		list = append(list, m.Name())
	}
	return strings.Join(list, ", ")
}

// of is the set of a device before its first message, and of any other entity always.
func (a *assignment) of(id device.ID) *modelSet {
	if kind := id.Kind(); kind != device.KindDevice {
		if set := a.kinds[kind]; set != nil {
			return set
		}
		return a.none
	}
	for _, r := range a.rules {
		if ok, _ := path.Match(r.pattern, id.Name()); ok {
			return r.set
		}
	}
	if a.unnamed != nil {
		return a.unnamed
	}
	return a.fallback
}

// learn takes over what a birth message says of its device. It reports whether the model
// that it names is news. A rule is stronger. One that this bridge does not have leaves the
// device unknown: everything is delivered, and the message has a fault.
func (c *core) learn(d *deviceState, m *device.Message) bool {
	if m.Channel != device.ChannelStatus {
		return false
	}
	c.learnTraits(d, m)
	named := m.Data["model"]
	if c.models.unnamed == nil || named == nil || c.models.of(d.id) != c.models.unnamed {
		return false
	}
	name, _ := named.(string)
	set := c.models.named[name]
	if set != nil {
		m.Model = set.start.Hash()
	} else {
		c.counts.UnknownModels.Add(1)
		m.Faults = append(m.Faults, c.models.unknown(named))
		set = c.models.unnamed
	}
	before := d.models
	d.models, d.unsaid = set, false
	return set != before
}

// unknown is the fault of a birth message that names a model that is not loaded.
func (a *assignment) unknown(named any) device.Fault {
	value, _ := json.Marshal(named) // it was JSON
	return device.Fault{
		Reason: device.FaultUnknownModel,
		Detail: fmt.Sprintf("model %s is not loaded; there is %s", value, a.loaded()),
		Value:  string(value),
	}.Clipped()
}

// loaded are the models that a device can name: their names, and then their hashes,
// which are long and would leave the names no room.
func (a *assignment) loaded() string {
	var names, hashes []string
	for key, set := range a.named {
		if key == set.start.Name() {
			names = append(names, key)
		} else {
			hashes = append(hashes, key)
		}
	}
	slices.Sort(names)
	slices.Sort(hashes)
	return strings.Join(slices.Concat(names, hashes), ", ")
}

// learnRetained takes over the model that a retained birth message names: the broker's copy
// of the last one, which says nothing of now. What the device has named since this
// process began is newer.
func (c *core) learnRetained(r *wire.Received) {
	m := &r.Message
	if c.models.unnamed == nil || m.Channel != device.ChannelStatus || !c.cfg.Partition.Owns(r.ID.Name()) {
		return
	}
	d := c.device(r.ID)
	if d.models != c.models.unnamed {
		return
	}
	if c.learn(d, m) {
		c.counts.RetainedModels.Add(1)
		d.forgetGiven()
		d.unsaid = true
	}
	for _, f := range m.Faults {
		f.At, f.Topic = m.Time, m.Topic()
		c.report(d, f)
	}
}
