package ingest

import (
	"time"

	"devicetwin/wire"
)

// bucket counts the messages that a device may still have signalled. It is a
// token bucket (RFC 2697 calls its size the committed burst) that does not
// overflow in time in which nothing could come in: what the broker kept
// meanwhile arrives at once, and its device has done no wrong.
type bucket struct {
	tokens float64
	at     int64         // ns since 1970, of the last refill; 0: full
	absent time.Duration // stream.absent then
}

// take takes n tokens, of size at most, and reports whether there were enough.
// More than the size are had for a full bucket.
func (b *bucket) take(n int, rate, size float64, now time.Time, absent time.Duration) bool {
	b.refill(rate, size, now, absent)
	if b.tokens < min(float64(n), size) {
		return false
	}
	b.tokens -= float64(n)
	return true
}

func (b *bucket) refill(rate, size float64, now time.Time, absent time.Duration) {
	away := max(0, absent-b.absent).Seconds()
	if b.at == 0 {
		b.tokens = size
	} else {
		present := max(0, time.Duration(now.UnixNano()-b.at).Seconds()-away)
		b.tokens = max(b.tokens, min(size, b.tokens+rate*present))
	}
	b.tokens += rate * away
	b.at, b.absent = now.UnixNano(), absent
}

// overQuota reports why n messages of an arrival may not be delivered, or nil. All
// of them are, or none: half a payload would leave no trace of the other half.
func (c *core) overQuota(d *deviceState, n int, absent time.Duration, now time.Time) *wire.Refused {
	if d.quarantined {
		return wire.Refuse(ReasonQuota, "the device's workflow is not accepting signals")
	}
	if waiting, most := d.work.waiting(), c.cfg.QuotaWaiting; most > 0 && waiting > 0 && waiting+n > most {
		return wire.Refuse(ReasonQuota, "%d messages of the device wait, the limit is %d", waiting, most)
	}
	rate, burst := c.cfg.QuotaRate, c.cfg.QuotaBurst
	if rate > 0 && !d.bucket.take(n, float64(rate), float64(burst), now, absent) {
		return wire.Refuse(ReasonQuota, "more than %d messages a second after a burst of %d", rate, burst)
	}
	return nil
}
