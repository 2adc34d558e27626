// Package credentials keeps what devices log in with: random secrets, of which
// only hashes are stored, where the workers and the broker's authentication share
// them. Why they are as they are: docs/adr/0002-credentials.md.
package credentials

import (
	"context"
	"errors"
	"iter"
	"log/slog"

	"devicetwin/device"
)

// ErrRevoked is the error of Issue for a device whose credentials were revoked:
// it stays out until it is enrolled again.
var ErrRevoked = errors.New("its credentials were revoked: only devicetwin credentials issue lets it in again")

// Store makes and checks credentials: random 256-bit secrets, of which only
// SHA-256 hashes are kept. The hash needs no salt and no stretching, because the
// secret is random and long.
//
// A device may never have got the newest credentials, or may refuse them, so
// older ones stay good until a newer one has been used. There are at most 16
// credentials of a device, and 16 secrets of each.
//
// It may be used from several goroutines, and what it keeps from several
// processes. What one call has done is true for each that begins after it, in
// every process; of checks, while PostgreSQL answers the process.
type Store interface {
	// Issue makes a new secret for the device under the given credential id and
	// returns it. Called again with the same id, as a retry does, it makes one more
	// secret that is valid in addition to the first. The error wraps ErrRevoked for
	// a device whose credentials were revoked.
	Issue(ctx context.Context, id device.ID, credential string) (secret string, err error)

	// Enrol is Issue for a device that was revoked, too.
	Enrol(ctx context.Context, id device.ID, credential string) (secret string, err error)

	// Check reports whether the password is a good one of the device. It ends the
	// older ones. The name may be anything that a client says. The answer is what
	// holds now, or, while PostgreSQL does not answer, what is known by heart:
	// whoever caches it decides how long it may be wrong. With an error, which says
	// that nobody knows, the device must not be let in.
	Check(ctx context.Context, name, password string) (good bool, err error)

	// Revoked reports whether the credentials of a device were revoked, for those who
	// know it by something else than its password. The name may be anything that a client
	// says. It answers as Check does.
	Revoked(ctx context.Context, name string) (revoked bool, err error)

	// Revoke ends all credentials of devices, and keeps Issue from making new ones.
	// It returns those of them that the store knows, in their order, also if they
	// were revoked before. Whoever watches ends the sessions of all of these.
	Revoke(ctx context.Context, ids []device.ID) (known []device.ID, err error)

	// Import adds what is said about devices, and credentials to those that have
	// none; a record without any only says something about its device. The result
	// has an outcome for each, unless there is an error, after which some of them may
	// have been imported. Another call with the same changes nothing.
	Import(ctx context.Context, records []Record) ([]Outcome, error)

	// Get is what is known of some devices; of unknown ones there is no record.
	Get(ctx context.Context, ids []device.ID) (map[device.ID]Record, error)

	// All is every device, in no order. It ends after an error.
	All(ctx context.Context) iter.Seq2[Record, error]

	// Watch calls f for each device whose credentials are revoked from now on, by
	// any process, until the context ends: within half a second, or when the store
	// can be read again; seldom more than once for one revocation. The calls come
	// from one goroutine, one after the other.
	Watch(ctx context.Context, f func(id device.ID)) error

	// Ready reports whether checks can be answered, by whatever means.
	Ready(ctx context.Context) error

	// Close ends what works in the background.
	Close()
}

// Setup makes what a store needs: the folder, or the tables.
func Setup(ctx context.Context, where string) error {
	s, err := Open(where)
	if err != nil {
		return err
	}
	defer s.Close()
	if p, ok := s.(*postgres); ok {
		return p.prepare(ctx)
	}
	return nil
}

// Options are what a store may be given.
type Options struct {
	Log    *slog.Logger // nil: none
	Counts *Counts      // nil: none
	// Checks says that logins will be checked, so that what is known by heart in case
	// PostgreSQL is down is there before the first one.
	Checks bool
}

// Open opens the store in a folder, which is made, or in PostgreSQL, whose URL
// begins with postgres://: the connection is made when it is used, so that the
// database may be down at the start.
func Open(where string) (Store, error) { return OpenWith(where, Options{}) }

// OpenWith is Open with options.
func OpenWith(where string, o Options) (Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if IsURL(where) {
		return openPostgres(where, o)
	}
	return openFolder(where)
}
