package service

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"devicetwin/bridge/ingest"
	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/kinds"
	"devicetwin/wire"
	wiredialect "devicetwin/wire/dialect"
)

// setKinds completes a configuration of topics and payloads with the kinds of entities. Without
// a file and without dialects every id is that of a device, and nothing is to be checked.
func setKinds(c *wire.Config, set *kinds.Set, dialects []*wiredialect.Dialect) {
	c.EntityTopics = set.Topics()
	if set != nil || len(dialects) > 0 {
		c.CheckID = set.Check
	}
}

// checkDialectKinds reports dialects that make messages of entities which do not get their
// events from a source. Devices may get theirs from any.
func checkDialectKinds(set *kinds.Set, dialects []*wiredialect.Dialect, from kinds.Source) error {
	var faults []error
	for _, d := range dialects {
		for _, kind := range d.Kinds() {
			k, _ := set.Of(kind)
			if err := set.CheckKind(kind); err != nil {
				faults = append(faults, fmt.Errorf("dialect %s: %w", d.Name(), err))
			} else if k.Source != from && kind != device.KindDevice {
				faults = append(faults, fmt.Errorf("dialect %s: the source of kind %s is %s (--kinds), and not %s", d.Name(), kind.Word(), k.Source, from))
			}
		}
	}
	return errors.Join(faults...)
}

// kindModels are the models of new entities that are not devices. The error reports kinds
// without one, unless they may be elsewhere, and models that nobody can run.
func kindModels(set *kinds.Set, given []*devicefsm.Model, elsewhere bool) (map[device.Kind]*devicefsm.Model, error) {
	var faults []error
	for _, m := range given {
		if _, isGroup := m.Members(); isGroup { // its members make its entities
			continue
		}
		if err := set.CheckKind(m.Kind()); err != nil {
			faults = append(faults, fmt.Errorf("model %s: %w", m.Name(), err))
		}
	}
	models := map[device.Kind]*devicefsm.Model{}
	for _, kind := range set.Others() {
		k, _ := set.Of(kind)
		m, err := kindModel(kind, k.Model, given)
		if err != nil {
			if !elsewhere {
				faults = append(faults, err)
			}
			continue
		}
		models[kind] = m
	}
	return models, errors.Join(faults...)
}

// kindModel is the model of a kind by its name or hash; "": the only one that there is.
func kindModel(kind device.Kind, name string, given []*devicefsm.Model) (*devicefsm.Model, error) {
	var found *devicefsm.Model
	var names []string
	for _, m := range given {
		switch is := name != "" && (m.Name() == name || m.Hash() == name); {
		case is && m.Kind() != kind:
			return nil, fmt.Errorf("kind %s: model %s is of kind %s, and a %s cannot run it", kind.Word(), name, m.Kind().Word(), kind.Word())
		case is:
			return m, nil
		case m.Kind() == kind:
			found = m
			names = append(names, m.Name())
		}
	}
	switch {
	case name != "":
		return nil, fmt.Errorf("kind %s: there is no model %s of it; there is %s", kind.Word(), name, listed(names))
	case len(names) == 0:
		return nil, fmt.Errorf("kind %s: no model says kind: %s (--models)", kind.Word(), kind.Word())
	case len(names) > 1:
		return nil, fmt.Errorf("kind %s: which of its models new ones run is not said (--kinds, model:); there is %s", kind.Word(), listed(names))
	}
	return found, nil
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(slices.Values(names)), ", ")
}

// ingestKinds are the models of a bridge.
func ingestKinds(models map[device.Kind]*devicefsm.Model) map[device.Kind]ingest.Model {
	all := map[device.Kind]ingest.Model{}
	for kind, m := range models {
		all[kind] = m
	}
	return all
}

// newModel is the one of new entities of a kind: see deviceworkflow.Workflow.NewModel.
func (m models) newModel(kind device.Kind) (hash string, ok bool) {
	model, ok := m.kinds[kind]
	if !ok {
		return "", false
	}
	return model.Hash(), true
}
