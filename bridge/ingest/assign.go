package ingest

import (
	"context"
	"errors"
	"fmt"

	"devicetwin/device"
)

// Assignment is which models there are, and with which of them devices start.
type Assignment struct {
	// Model, Models, Kinds and Kept are as in Deps.
	Model  Model
	Models []Model
	Kinds  map[device.Kind]Model
	Kept   []Model
	// Defaults are those of Models that a device means which names a model by its name. For a name
	// that is not among them, it is the first one.
	Defaults []Model
	Rules    []string // as Config.ModelRules
}

// assignment finds the models: see newAssignment.
func (a Assignment) assignment(cfg Config) (*assignment, error) {
	cfg.ModelRules = a.Rules
	made, err := newAssignment(cfg, a.Kinds, a.Model, a.Models, a.Kept...)
	if err != nil {
		return nil, err
	}
	for _, m := range a.Defaults {
		if set := made.named[m.Hash()]; set != nil {
			made.named[m.Name()] = set
		}
	}
	return made, nil
}

// Check reports an assignment that a bridge of this configuration refuses.
func (a Assignment) Check(cfg Config) error {
	_, err := a.assignment(cfg)
	return err
}

// ErrEnded is returned by Assign after the end of Run.
var ErrEnded = errors.New("the bridge has ended")

// Assign replaces the models, from the next message on. What is remembered of a device stays if
// the versions that it may run are the same. An error changes nothing. Assign waits for Run to
// begin, until ctx ends.
func (i *Ingest) Assign(ctx context.Context, to Assignment) error {
	a, err := to.assignment(i.cfg)
	if err != nil {
		return fmt.Errorf("assign models to devices: %w", err)
	}
	switch {
	case i.whenItRuns(ctx, func(c *core) { c.assign(a) }):
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("assign models to devices: %w", ctx.Err())
	}
	return ErrEnded
}

// assign replaces the models.
func (c *core) assign(to *assignment) {
	was := c.models
	c.models = to
	for _, d := range c.devices.byID {
		if d.models == nil {
			continue
		}
		set := to.of(d.id)
		if named := was.namedBy(d); named != nil && set == to.unnamed && set != nil {
			set = to.named[named.start.Hash()]
			if set == nil {
				set = to.named[named.start.Name()]
			}
			if set == nil { // until it names another one
				set = to.unnamed
			}
		}
		if set.hash != d.models.hash {
			d.filter.forget()
		}
		d.models = set
	}
}

// namedBy is the set of a device that has named its model; nil of any other.
func (a *assignment) namedBy(d *deviceState) *modelSet {
	if set := a.named[d.models.start.Hash()]; set == d.models {
		return set
	}
	return nil
}

// Unread stands for a model of which only this is known, because it cannot be read now: nothing
// of a device that may run it is left out.
func Unread(name, hash string, kind device.Kind) Model {
	return unreadModel{name: name, hash: hash, kind: kind}
}

type unreadModel struct {
	noModel
	name, hash string
	kind       device.Kind
}

func (u unreadModel) Name() string      { return u.name }
func (u unreadModel) Hash() string      { return u.hash }
func (u unreadModel) Kind() device.Kind { return u.kind }
