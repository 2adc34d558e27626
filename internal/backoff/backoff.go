// Package backoff computes how long to wait before an operation is repeated.
package backoff

import (
	"math/rand/v2"
	"time"
)

// New returns the wait before repetition number attempt, from 0: low, twice
// as long each time up to high, minus a random part of up to a half, so that many
// callers do not come back at once.
func New(low, high time.Duration) func(attempt int) time.Duration {
	return func(attempt int) time.Duration {
		d := high
		if attempt < 32 && low<<attempt > 0 && low<<attempt < high {
			d = low << attempt
		}
		return d/2 + rand.N(d/2+1)
	}
}
