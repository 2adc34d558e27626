package device

import (
	"errors"
	"fmt"
)

// By says who asks for a change of an entity.
type By struct {
	// Who is a person or a program, for the record: at most 128 bytes.
	Who string
	// ID is the idempotency key of the operation: one that comes twice with the
	// same ID is carried out once, for as long as the entity remembers it (256
	// operations). Another operation with that ID is refused (422). An empty one
	// makes the operation one of its own.
	ID string
	// Note is why, for the record.
	Note string
}

// Refused is why a request to an entity is not carried out; the same request will
// be refused again. It is the one form of a refusal: the API answers
// with Code as its HTTP status, the shadow protocol on …/rejected with the same
// number.
type Refused struct {
	// Code is as in HTTP: 400 the request is invalid, 404 not found, 409 it
	// conflicts with the present state, 412 the version is another one, 413 it is
	// too large, 422 its idempotency key belongs to another request, 429 too much is
	// waiting.
	Code    int    `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

// Refuse makes a refusal with a formatted message.
func Refuse(code int, format string, args ...any) *Refused {
	return &Refused{Code: code, Message: fmt.Sprintf(format, args...)}
}

func (r *Refused) Error() string { return r.Message }

var (
	// ErrUnknown is that of an entity without a twin: it never said anything that
	// matters to its model, or was deleted.
	ErrUnknown = errors.New("unknown device")

	// ErrUnavailable is that of servers or workers that did not answer. The
	// operation may have been carried out nevertheless; repeat it with the same
	// By.ID.
	ErrUnavailable = errors.New("temporal is not available")

	// ErrNoTwin is that of a Delivery which starts no twin, where there is none.
	ErrNoTwin = errors.New("the device has no twin")

	// ErrNoRoom is that of a Delivery of events that are processed one by one, while as many
	// wait as may: the same batch is delivered again later.
	ErrNoRoom = errors.New("too many events of the device wait to be processed")
)
