package api

import (
	"context"
	"errors"
	"time"
)

// Backend is what the API needs of the devices. Its methods may be called from
// any goroutine. Their errors are ErrUnknownDevice, ErrUnknownCommand, a
// *Refused or ErrUnavailable, possibly wrapped; any other is a fault of the
// service.
type Backend interface {
	// Devices lists the devices for which all terms hold, at most limit of them,
	// from where an earlier answer's cursor points to; nil at the beginning.
	Devices(ctx context.Context, terms []Term, limit int, cursor []byte) (devices []Summary, next []byte, err error)
	Device(ctx context.Context, id string) (Device, error)

	// Desire merges a patch into the desired properties.
	Desire(ctx context.Context, id string, by By, change DesiredChange) (Desired, error)
	// SetTags replaces all tags.
	SetTags(ctx context.Context, id string, by By, tags map[string]string) error
	SendCommand(ctx context.Context, id string, by By, command NewCommand) (Command, error)
	Command(ctx context.Context, id, command string) (Command, error)
	CancelCommand(ctx context.Context, id string, by By, command string) (Command, error)
	SendEvent(ctx context.Context, id string, by By, name string, data Object) (Taken, error)
	Reprovision(ctx context.Context, id string, by By, reason string) (Reprovisioning, error)
	Delete(ctx context.Context, id string, by By) error
}

// By says who asks for a change.
type By struct {
	Who string
	// Operation is the same whenever the same change is asked for again: a
	// change that was made is not made twice.
	Operation string
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

// NewCommand is a command to be sent.
type NewCommand struct {
	Name    string
	Data    Object
	TTL     time.Duration // 0 for the service's own
	Replace bool          // it supersedes waiting commands of its name
}

// Errors of a Backend.
var (
	ErrUnknownDevice  = errors.New("no such device")
	ErrUnknownCommand = errors.New("no such command of this device, or it was forgotten")
	// ErrUnavailable says that Temporal can't be reached, or does not answer.
	ErrUnavailable = errors.New("the devices can't be reached now")
)

// Refused is a change that a device's workflow did not take.
type Refused struct {
	Status  int // of HTTP: 400, 404, 409, 412, 413, 429
	Message string
}

func (r *Refused) Error() string { return r.Message }
