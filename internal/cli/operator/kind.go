package operator

import (
	"context"
	"errors"
	"fmt"

	"devicetwin/api"
	"devicetwin/api/client"
	"devicetwin/device"
	"devicetwin/internal/cli"
)

// KindFlag says of which kind the entities are.
type KindFlag struct {
	Kind string `env:"-" help:"Kind of the entities, such as customer." default:"device" placeholder:"KIND"`
}

func (f KindFlag) kind() (device.Kind, error) {
	kind, err := device.ParseKind(f.Kind)
	if err != nil {
		return "", cli.Usage(fmt.Errorf("--kind: %w", err))
	}
	return kind, nil
}

// of is the id of an entity by its name, or by its whole id as it is printed, customer/4711, which
// says its kind itself. Whether a name is valid, the API says.
func (f KindFlag) of(name device.ID) (device.ID, error) {
	kind, err := f.kind()
	if err != nil {
		return "", err
	}
	given := name.Kind()
	switch {
	case given == device.KindDevice && kind != device.KindDevice:
		return device.ID(string(kind) + "/" + string(name)), nil
	case given != kind && kind != device.KindDevice:
		return "", cli.Usage(fmt.Errorf("--kind %s: %s is of another kind", f.Kind, name))
	}
	return name, nil
}

// ids are those of several entities. The error reports every fault.
func (f KindFlag) ids(names []device.ID) ([]device.ID, error) {
	ids, faults := make([]device.ID, len(names)), make([]error, len(names))
	for i, name := range names {
		ids[i], faults[i] = f.of(name)
	}
	return ids, errors.Join(faults...)
}

// EntityArg is the entity that a command is about.
type EntityArg struct {
	KindFlag
	ID device.ID `arg:"" help:"Device, or another entity of the kind."`
}

func (a EntityArg) id() (device.ID, error) { return a.of(a.ID) }

// listed is a page of devices, or of entities of another kind.
func listed(ctx context.Context, from *client.Client, kind device.Kind, query string, limit int, cursor string) (api.Page, error) {
	if kind == device.KindDevice {
		return from.Devices(ctx, query, limit, cursor)
	}
	return from.Entities(ctx, kind, query, limit, cursor)
}

func counted(ctx context.Context, from *client.Client, kind device.Kind, query string) (api.Count, error) {
	if kind == device.KindDevice {
		return from.CountDevices(ctx, query)
	}
	return from.CountEntities(ctx, kind, query)
}
