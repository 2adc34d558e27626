package api

import (
	"context"
	"time"

	"devicetwin/device"
)

// Backend is what the API needs of the devices. Its methods may be called from
// any goroutine. Their errors are device.ErrUnknown, device.ErrUnavailable or a
// *device.Refused, possibly wrapped; any other is a fault of the service. A command
// that is not known is a *device.Refused with code 404.
type Backend interface {
	// Devices lists the devices for which a query holds, at most limit of them,
	// from where an earlier answer's cursor points to; nil at the beginning. There may be
	// fewer before the end: that is where next is nil.
	Devices(ctx context.Context, query Query, limit int, cursor []byte) (devices []Summary, next []byte, err error)
	// CountDevices counts the devices for which a query holds.
	CountDevices(ctx context.Context, query Query) (int, error)
	Device(ctx context.Context, id device.ID) (Device, error)

	// Desire merges a patch into the desired properties.
	Desire(ctx context.Context, id device.ID, by device.By, change DesiredChange) (Desired, error)
	// SetTags replaces all tags, at once.
	SetTags(ctx context.Context, id device.ID, by device.By, tags map[string]string) error
	SendCommand(ctx context.Context, id device.ID, by device.By, command NewCommand) (Command, error)
	Command(ctx context.Context, id device.ID, command string) (Command, error)
	CancelCommand(ctx context.Context, id device.ID, by device.By, command string) (Command, error)
	SendEvent(ctx context.Context, id device.ID, by device.By, name string, data Object) (Taken, error)
	Reprovision(ctx context.Context, id device.ID, by device.By, reason string) (Reprovisioning, error)
	// DecideProcess decides on an event that failed permanently and holds the queue of what is
	// processed one by one. Code 409: none does; 412: another one does.
	DecideProcess(ctx context.Context, id device.ID, by device.By, decision ProcessDecision) (ProcessDecided, error)
	// Migrate says what a plan makes of a device, and has it moved as soon as every bridge knows of
	// it, once for each id of by. A plan that cannot be read is a *device.Refused with code 422, one
	// for another model one with 412, and one that leaves the device as it is one with 409.
	Migrate(ctx context.Context, id device.ID, by device.By, m NewMigration) (Migrated, error)
	Migrations
	Delete(ctx context.Context, id device.ID, by device.By) error
	// Erase deletes a device, and has all its data erased.
	Erase(ctx context.Context, id device.ID, by device.By) error
}

// DesiredChange is a merge patch (RFC 7396) on what is desired.
type DesiredChange struct {
	Shadow string // "" is the classic shadow
	Patch  Object
	// Version is that of the document which the change is meant for; 0 for any.
	Version int64
	// Within is how long the device has to converge; 0 forever.
	Within time.Duration
}

// NewMigration moves a device by a plan.
type NewMigration struct {
	Plan string // its file
	Note string // why, for people
	Try  bool   // only say what would happen
}

// NewFleetMigration moves the devices for which a query holds by a plan.
type NewFleetMigration struct {
	Query Query
	Words string // the query as it was asked for
	Plan  string // its file
	Note  string // why, for people
	Rate  float64
}

// NewCommand is a command to be sent.
type NewCommand struct {
	Name string
	Data Object
	TTL  time.Duration // 0 for the service's own
	// MaxDeliveries is how often it may be sent, 1 to 100; 0 for the service's own.
	MaxDeliveries int
	Replace       bool // it supersedes waiting commands of its name
}
