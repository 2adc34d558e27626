package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"devicetwin/bridge/ingest"
	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/kinds"
	"devicetwin/workflows/registry"
)

// assignment is which models there are for a bridge whose messages come from a source. files are
// those of the process, and its copies.
func (v *registryView) assignment(source string, set *kinds.Set, files []*devicefsm.Model) (ingest.Assignment, error) {
	var a ingest.Assignment
	for i := range v.index.Models {
		for j := range v.index.Models[i].Versions {
			model := v.model(&v.index.Models[i], &v.index.Models[i].Versions[j])
			a.Models = append(a.Models, model)
			if v.index.Models[i].Versions[j].Number == v.index.Models[i].Default {
				a.Defaults = append(a.Defaults, model)
			}
		}
	}
	a.Kept = bridgeModels(fileVersions(v.index, files))
	var faults []error
	find := func(where, ref string) ingest.Model {
		m, version, err := v.index.Resolve(ref)
		if err != nil { // the registry takes no rule like that
			faults = append(faults, fmt.Errorf("%s: %w", where, err))
			return nil
		}
		return v.model(m, version)
	}
	rules := v.index.Rules.Sources[source]
	if rules.Model != "" {
		a.Model = find("default model of "+source, rules.Model)
	}
	for _, r := range rules.Rules {
		if m := find(fmt.Sprintf("rule %q of %s", r.Pattern, source), r.Model); m != nil {
			a.Rules = append(a.Rules, r.Pattern+"="+m.Hash())
		}
	}
	a.Kinds = map[device.Kind]ingest.Model{}
	for _, kind := range set.Others() {
		if m, version, ok := v.ofKind(kind); ok {
			a.Kinds[kind] = v.model(m, version)
		}
	}
	return a, errors.Join(faults...)
}

// model is a version as a bridge asks it, also if it could not be read, or may not be all that
// there is.
func (v *registryView) model(m *registry.Model, version *registry.Version) ingest.Model {
	if model := v.models[version.Hash]; model != nil && !v.stale {
		return model
	}
	kind, err := device.ParseKind(m.Kind)
	if err != nil { // the registry takes no other ones
		kind = device.KindDevice
	}
	return ingest.Unread(m.Name, version.Hash, kind)
}

// ofKind is the version with which new entities of a kind start: by the rules, or the default of
// the only model of the kind.
func (v *registryView) ofKind(kind device.Kind) (*registry.Model, *registry.Version, bool) {
	if ref := v.index.Rules.Kinds[kind.Word()]; ref != "" {
		m, version, err := v.index.Resolve(ref)
		return m, version, err == nil && m.Kind == kind.Word()
	}
	var found *registry.Model
	for i := range v.index.Models {
		if m := &v.index.Models[i]; m.Kind == kind.Word() {
			if found != nil {
				return nil, nil, false
			}
			found = m
		}
	}
	if found == nil {
		return nil, nil, false
	}
	version, ok := found.Version(found.Default)
	return found, version, ok
}

// groups are the versions of models of groups, of each model its default first: a group is started
// with that. Those of files that the registry does not have come last.
func (v *registryView) groups(files []*devicefsm.Model) []*devicefsm.Model {
	var all []*devicefsm.Model
	for i := range v.index.Models {
		m := &v.index.Models[i]
		versions := slices.Clone(m.Versions)
		slices.SortStableFunc(versions, func(a, b registry.Version) int {
			return cmp.Compare(notDefault(m, a), notDefault(m, b))
		})
		for _, version := range versions {
			if model := v.models[version.Hash]; model != nil {
				all = append(all, model)
			}
		}
	}
	return onlyGroups(append(all, fileVersions(v.index, files)...))
}

func notDefault(m *registry.Model, v registry.Version) int {
	if v.Number == m.Default {
		return 0
	}
	return 1
}

// onlyGroups are the models of groups among others.
func onlyGroups(models []*devicefsm.Model) []*devicefsm.Model {
	return slices.DeleteFunc(slices.Clone(models), func(one *devicefsm.Model) bool {
		_, isGroup := one.Members()
		return !isGroup
	})
}

// newModel is the model of new entities of a kind: see deviceworkflow.Workflow.NewModel. Before the
// registry is read there is none, and the entity waits for that.
func (w *registryWatch) newModel(kind device.Kind) (hash string, ok bool) {
	view, _ := w.current()
	if view == nil || view.stale {
		return "", false
	}
	_, version, ok := view.ofKind(kind)
	if !ok {
		return "", false
	}
	return version.Hash, true
}

// followGroups keeps the models of groups of a worker.
func (s *Service) followGroups(w *registryWatch, m models, set func(...*devicefsm.Model)) {
	s.runPart("models of groups", func(ctx context.Context) {
		w.each(ctx, func(v *registryView) {
			if !v.stale {
				set(v.groups(m.given)...)
			}
		})
	})
}
