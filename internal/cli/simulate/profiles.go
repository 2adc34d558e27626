package simulate

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/modelfile"
	"devicetwin/service"
	"devicetwin/simulator"
	twinclient "devicetwin/workflows/client"
)

// loadProfiles reads the models that profiles of the scenario name: files next to it.
func (f *Fleet) loadProfiles(p *plan) error {
	p.options.Models = map[string]simulator.Model{}
	var faults []error
	allNamed := true // each profile has a model
	for _, profile := range p.options.Scenario.Profiles {
		if profile.Model == "" {
			allNamed = false
			continue
		}
		if _, known := p.options.Models[profile.Model]; known {
			continue
		}
		m, err := modelfile.Load(p.modelOf(profile))
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("model of profile %s: %w", profile.Name, err))
		case m.Kind() != device.KindDevice:
			faults = append(faults, fmt.Errorf("model of profile %s: %s is for the kind %s, and devices are simulated", profile.Name, p.modelOf(profile), m.Kind().Word()))
		default:
			f.others = append(f.others, m)
		}
		p.options.Models[profile.Model] = m // also a faulty one, which was reported
	}
	if kind := f.model.Kind(); kind != device.KindDevice && !allNamed {
		faults = append(faults, fmt.Errorf("model %s is for the kind %s: each profile of the scenario %s needs a model for its devices, such as model: pump.yaml", p.model, kind.Word(), p.scenario))
	}
	if group := p.options.Scenario.Gateways.Expect.Group; group != "" && group != f.model.Kind().Word() {
		faults = append(faults, fmt.Errorf("scenario %s expects alarms of the kind %s: expected the model of that kind (--model), found %s for the kind %s", p.scenario, group, p.model, f.model.Kind().Word()))
	}
	return errors.Join(faults...)
}

// modelOf is the file of a profile's model, whose name in the scenario is from the scenario's folder.
func (p plan) modelOf(profile simulator.Profile) string {
	if filepath.IsAbs(profile.Model) {
		return profile.Model
	}
	return filepath.Join(filepath.Dir(p.scenario), profile.Model)
}

// Configure gives bridge and worker the models of a fleet whose devices name theirs at birth.
func (f *Fleet) Configure(models *service.ModelConfig, bridge *service.BridgeConfig) {
	if len(f.others) == 0 {
		return
	}
	bridge.ModelFromBirth = true
	models.Models = slices.Clone(models.Models)
	for _, profile := range f.plan.options.Scenario.Profiles {
		if file := f.plan.modelOf(profile); profile.Model != "" && !slices.Contains(models.Models, file) {
			models.Models = append(models.Models, file)
		}
	}
	if f.model.Kind() != device.KindDevice { // not that of new devices
		models.Models, models.Model = append(models.Models, models.Model), ""
	}
}

// Receivers are the names of those whom the models of the fleet notify, sorted, each once, but for those
// that have a topic of the scenario.
func (f *Fleet) Receivers() []string {
	names := f.model.Receivers()
	for _, m := range f.others {
		names = append(names, m.Receivers()...)
	}
	if e := f.Entities(); e != nil {
		names = slices.DeleteFunc(names, func(name string) bool { return e.Receivers[name] != "" })
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// states are those of the devices, of any model.
func (f *Fleet) states() []string {
	var all []string
	if f.model.Kind() == device.KindDevice || f.entities != nil {
		all = f.model.States()
	}
	for _, m := range f.others {
		all = append(all, m.States()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// fleetGroups shows the alarms of groups to the simulator.
type fleetGroups struct {
	client *twinclient.Client
	model  *devicefsm.Model // of the groups
}

func (g fleetGroups) Alarms(ctx context.Context, kind, name string) (map[string]simulator.AlarmCount, error) {
	id, err := device.New(device.Kind(kind), name)
	if err != nil {
		return nil, err
	}
	view, err := g.client.Snapshot(ctx, id)
	if errors.Is(err, device.ErrUnknown) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all := map[string]simulator.AlarmCount{}
	for _, a := range g.model.Alarms(view.Snapshot) {
		all[a.Alarm] = simulator.AlarmCount{Raised: a.Raised, Explained: a.Explained}
	}
	return all, nil
}
