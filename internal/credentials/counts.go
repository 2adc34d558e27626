package credentials

import (
	"sync/atomic"

	"devicetwin/internal/figures"
)

// Counts is what a store in PostgreSQL counts. A nil one counts nothing.
type Counts struct {
	*figures.Set
	failures, recalled, refused *atomic.Uint64
	down                        *atomic.Bool
	known, unwritten            *atomic.Int64
}

// NewCounts declares the metrics.
func NewCounts() *Counts {
	s := figures.NewSet("devicetwin_credentials_")
	return &Counts{
		Set:       s,
		failures:  s.Counter("failures_total", "Calls of the credential store that failed, such as issuing credentials while PostgreSQL is down; they are repeated."),
		recalled:  s.Counter("remembered_total", "Logins that were let in by what this process knew while the credential store did not answer."),
		refused:   s.Counter("unknown_total", "Logins that were refused because the credential store did not answer and this process did not know the password."),
		down:      s.Flag("down", "1 while the credential store does not answer this process, which checks logins."),
		known:     s.Gauge("known_devices", "Devices whose credentials this process knows in case the credential store does not answer."),
		unwritten: s.Gauge("unwritten_devices", "Devices that used newer credentials while the credential store did not answer, which is not written there yet: other processes still take their older ones."),
	}
}

func (c *Counts) failed() {
	if c != nil {
		c.failures.Add(1)
	}
}

func (c *Counts) remembered() {
	if c != nil {
		c.recalled.Add(1)
	}
}

func (c *Counts) unknown() {
	if c != nil {
		c.refused.Add(1)
	}
}

func (c *Counts) setDown(down bool) {
	if c != nil {
		c.down.Store(down)
	}
}

func (c *Counts) setKnown(devices int) {
	if c != nil {
		c.known.Store(int64(devices))
	}
}

func (c *Counts) setUnwritten(devices int) {
	if c != nil {
		c.unwritten.Store(int64(devices))
	}
}
