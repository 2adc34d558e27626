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
	// operations). An empty one makes the operation one of its own.
	ID string
}

// Refused is why something asked of an entity is not done, and will not be done if
// it is asked again unchanged. It is the one form of a refusal: the API answers
// with Code as its HTTP status, the shadow protocol on …/rejected with the same
// number.
type Refused struct {
	// Code is as in HTTP: 400 the request is wrong, 404 there is no such thing,
	// 409 it does not fit the state of things, 412 the version is another, 413 it
	// is too large, 429 too much waits.
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
	// operation may have been carried out all the same; repeat it with the same
	// By.ID.
	ErrUnavailable = errors.New("temporal is not available")

	// ErrNoTwin is that of a Delivery which starts no twin, where there is none.
	ErrNoTwin = errors.New("the device has no twin")
)
