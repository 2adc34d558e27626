package device

import "time"

// Address says how what is sent to a device is written, and where: what its source knew when
// it heard it. A device without one speaks the service's own dialect.
type Address struct {
	// Dialect is the name of the dialect that the device speaks.
	Dialect string `json:"dialect"`
	// ID is the template by which its id was made, if that is not the dialect's own.
	ID string `json:"id,omitempty"`
	// Vars are variables that its topics have and its id does not say.
	Vars map[string]string `json:"vars,omitempty"`
	// Awake is how long the device listens after each of its messages, because it sleeps
	// between them; 0: it listens always.
	Awake time.Duration `json:"awake,omitempty"`
}
