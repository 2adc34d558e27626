package bridge

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"devicetwin/device"
)

// kind is what the bridge knows of the model that a device runs.
type kind struct {
	start Model // of a workflow that is started
	// judges are the models that the workflow may run: a message is left out only
	// if none of them needs it. None: that is not known, and nothing is left out.
	judges []Model
	// The shortest of the judges; zeros: none of them watches for silence.
	silentAfter, tolerance time.Duration
}

func newKind(start Model, judges []Model) *kind {
	k := &kind{start: start, judges: judges}
	for _, m := range judges {
		silentAfter, tolerance := m.Liveness()
		if silentAfter > 0 && (k.silentAfter == 0 || silentAfter < k.silentAfter) {
			k.silentAfter = silentAfter
		}
		if silentAfter > 0 && (k.tolerance == 0 || tolerance < k.tolerance) {
			k.tolerance = tolerance
		}
	}
	return k
}

// kinds says which device is of which kind.
type kinds struct {
	fallback *kind
	rules    []kindRule
	// Of devices whose birth message names their model. Nil: none are.
	unborn *kind
	born   map[string]*kind // by name and by hash of the model
}

type kindRule struct {
	pattern string
	kind    *kind
}

// newKinds finds the models of the configuration among the default one and the
// others. Devices that are given a model by the configuration run one of its
// versions: those that have its name. A device that names its model may have been
// another before, so all models judge it.
func newKinds(cfg Config, model Model, others []Model) (*kinds, error) {
	all := []Model{model}
	for _, m := range others {
		if !slices.ContainsFunc(all, func(o Model) bool { return o.Hash() == m.Hash() }) {
			all = append(all, m)
		}
	}
	k := &kinds{fallback: newKind(model, versions(all, model))}
	var faults []error
	for _, rule := range cfg.ModelRules {
		pattern, name, err := cutModelRule(rule)
		m := find(all, name)
		if err == nil && m == nil {
			err = fmt.Errorf("model rule %q: no model %q; there is %s", rule, name, names(all))
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		k.rules = append(k.rules, kindRule{pattern, newKind(m, versions(all, m))})
	}
	if cfg.ModelFromBirth {
		k.unborn, k.born = newKind(model, nil), map[string]*kind{}
		for _, m := range slices.Backward(all) { // of one name, the first counts
			born := newKind(m, all)
			k.born[m.Name()], k.born[m.Hash()] = born, born
		}
	}
	return k, errors.Join(faults...)
}

// cutModelRule reads "pump-*=pump": a pattern as of path.Match, over the id of a
// device, and the name or the hash of a model.
func cutModelRule(rule string) (pattern, model string, err error) {
	pattern, model, ok := strings.Cut(rule, "=")
	if _, bad := path.Match(pattern, ""); !ok || bad != nil || pattern == "" || model == "" {
		return "", "", fmt.Errorf("model rule %q: expected PATTERN=MODEL such as pump-*=pump", rule)
	}
	return pattern, model, nil
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

// of is the kind of a device before anything was heard of it.
func (k *kinds) of(device string) *kind {
	for _, r := range k.rules {
		if ok, _ := path.Match(r.pattern, device); ok {
			return r.kind
		}
	}
	if k.unborn != nil {
		return k.unborn
	}
	return k.fallback
}

// learn takes over the model that a birth message names, and reports whether it
// is news. A rule is stronger. One that this bridge does not have leaves the
// device unknown: everything is signalled.
func (c *core) learn(d *deviceState, m device.Message) bool {
	name, ok := m.Data["model"].(string)
	if c.kinds.unborn == nil || m.Channel != device.ChannelStatus || !ok || c.kinds.of(d.id) != c.kinds.unborn {
		return false
	}
	k := c.kinds.born[name]
	if k == nil {
		c.counts.unknownModels.Add(1)
		k = c.kinds.unborn
	}
	before := d.kind
	d.kind = k
	return k != before
}

// device returns the device, which is new if it was not remembered.
func (c *core) device(id string) *deviceState {
	d := c.devices.get(id)
	if d.kind == nil {
		d.kind = c.kinds.of(id)
	}
	return d
}
