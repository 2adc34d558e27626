package service

import (
	"context"
	"errors"
	"fmt"

	"devicetwin/api"
	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/kinds"
	"devicetwin/internal/measure"
	twinclient "devicetwin/workflows/client"
	"devicetwin/workflows/registry"
)

// registryClient reaches the registry of models; *twinclient.Client is one.
type registryClient interface {
	ModelIndex(ctx context.Context, have uint64) (*registry.Index, error)
	ModelChanges(ctx context.Context) ([]registry.Record, error)
	ModelText(ctx context.Context, hash string) (registry.Text, error)
	ChangeModels(ctx context.Context, change registry.Change) (registry.Result, error)
	SeedModels(ctx context.Context, change registry.Change) (registry.Result, error)
	BeginRegistry(ctx context.Context) error
}

// apiModels is the registry of models as the API asks for it.
type apiModels struct {
	registry registryClient
	kinds    *kinds.Set // nil: there are devices only
}

// Index implements api.Models.
func (m apiModels) Index(ctx context.Context) (api.ModelIndex, error) {
	index, err := m.registry.ModelIndex(ctx, 0)
	if err != nil {
		return api.ModelIndex{}, registryFault(err)
	}
	out := api.ModelIndex{Revision: index.Revision, Rules: api.ModelRules{Revision: index.Rules.Revision, Kinds: index.Rules.Kinds}}
	for _, has := range index.Models {
		one := api.Model{Name: has.Name, Kind: has.Kind, Revision: has.Revision, Default: has.Default, Versions: []api.ModelVersion{}}
		for _, v := range has.Versions {
			one.Versions = append(one.Versions, api.ModelVersion{
				Version: v.Number, Hash: v.Hash, File: v.File, Bytes: v.Bytes, At: v.At, Who: v.Who, Note: v.Note,
			})
		}
		out.Models = append(out.Models, one)
	}
	for name, of := range index.Rules.Sources {
		if out.Rules.Sources == nil {
			out.Rules.Sources = map[string]api.SourceModels{}
		}
		is := api.SourceModels{Model: of.Model}
		for _, r := range of.Rules {
			is.Rules = append(is.Rules, api.ModelRule{Pattern: r.Pattern, Model: r.Model})
		}
		out.Rules.Sources[name] = is
	}
	return out, nil
}

// Source implements api.Models.
func (m apiModels) Source(ctx context.Context, hash string) (string, error) {
	text, err := m.registry.ModelText(ctx, hash)
	if errors.Is(err, device.ErrUnknown) {
		return "", device.Refuse(404, "the source of model %s is not kept any more", hash)
	}
	if err != nil {
		return "", registryFault(err)
	}
	src, err := text.Source()
	return string(src), err
}

// Audit implements api.Models.
func (m apiModels) Audit(ctx context.Context) ([]api.ModelRecord, error) {
	records, err := m.registry.ModelChanges(ctx)
	if err != nil {
		return nil, registryFault(err)
	}
	out := make([]api.ModelRecord, len(records))
	for i, r := range records {
		out[i] = api.ModelRecord{At: r.At, Who: r.Who, What: r.What, Model: r.Model, Version: r.Version, Hash: r.Hash, Note: r.Note, Revision: r.Revision}
	}
	return out, nil
}

// Change implements api.Models.
func (m apiModels) Change(ctx context.Context, by device.By, c api.ModelChange) (api.ModelChanged, error) {
	change := registry.Change{Key: by.ID, Who: by.Who, Note: c.Note, Expected: c.Expected}
	switch {
	case c.Push != nil:
		text, err := m.checked(*c.Push)
		if err != nil {
			return api.ModelChanged{}, err
		}
		change.Push = &text
	case c.Default != nil:
		change.Default = &registry.VersionRef{Model: c.Default.Model, Version: c.Default.Version}
	case c.Remove != nil:
		change.Remove = &registry.VersionRef{Model: c.Remove.Model, Version: c.Remove.Version}
	case c.Rules != nil:
		change.Rules = registryRules(*c.Rules)
	}
	done, err := m.registry.ChangeModels(ctx, change)
	if err != nil {
		return api.ModelChanged{}, registryFault(err)
	}
	return api.ModelChanged{Revision: done.Revision, Model: done.Model, Version: done.Version, Hash: done.Hash, Created: done.Created}, nil
}

// checked is a model that every bridge and worker can run. Its error is that of devicefsm.Check,
// or a *device.Refused.
func (m apiModels) checked(file api.ModelFile) (registry.Text, error) {
	if n := len(file.Source); n > registry.MaxText {
		return registry.Text{}, device.Refuse(413, "%s has %d bytes: expected at most %d", file.File, n, registry.MaxText)
	}
	model, err := devicefsm.Check(file.File, []byte(file.Source))
	if err != nil {
		return registry.Text{}, fmt.Errorf("check model %s: %w", file.File, err)
	}
	faults := []error{measure.CheckModel(model.Name()), checkSources([]*devicefsm.Model{model})}
	if _, isGroup := model.Members(); !isGroup { // its members make its entities
		faults = append(faults, m.kinds.CheckKind(model.Kind()))
	}
	if err := errors.Join(faults...); err != nil {
		return registry.Text{}, device.Refuse(422, "%s: %v", file.File, err)
	}
	return registryText(model, file.File, []byte(file.Source))
}

// registryText is a version of a model as it is pushed.
func registryText(m *devicefsm.Model, file string, src []byte) (registry.Text, error) {
	packed, err := registry.Compress(src)
	if err != nil {
		return registry.Text{}, fmt.Errorf("compress model %s: %w", file, err)
	}
	return registry.Text{Name: m.Name(), Kind: m.Kind().Word(), Hash: m.Hash(), File: file, Bytes: len(src), Gzip: packed}, nil
}

func registryRules(r api.ModelRules) *registry.Rules {
	rules := &registry.Rules{Kinds: r.Kinds}
	for name, of := range r.Sources {
		if rules.Sources == nil {
			rules.Sources = map[string]registry.Source{}
		}
		is := registry.Source{Model: of.Model}
		for _, rule := range of.Rules {
			is.Rules = append(is.Rules, registry.Rule{Pattern: rule.Pattern, Model: rule.Model})
		}
		rules.Sources[name] = is
	}
	return rules
}

// registryFault says in the API's words that there is no registry.
func registryFault(err error) error {
	if errors.Is(err, twinclient.ErrNoRegistry) {
		return fmt.Errorf("%w: %w", api.ErrNoRegistry, err)
	}
	return err
}
