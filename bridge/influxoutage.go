package bridge

import "time"

// What the collector does while InfluxDB is away, or the disk of its spool.

// diskRetry is how long a spool that cannot be written is left alone.
const diskRetry = 5 * time.Second

// store moves what waits in memory into the spool, in order.
func (c *collector) store() {
	now := time.Now()
	if c.w.spool == nil || now.Before(c.diskAt) {
		return
	}
	if h := c.head; h != nil && !h.stored && h.naming == nil {
		if c.sending {
			return // what is newer may not get before it
		}
		c.queue = append(h.parts, c.queue...)
		c.head = nil
	}
	for len(c.queue) > 0 {
		if err := c.w.spool.append(c.queue[0], now); err != nil {
			c.diskFailed(err, now)
			return
		}
		c.unqueue()
	}
	if !c.diskLostAt.IsZero() {
		c.w.log.Info("the spool can be written again", "after", now.Sub(c.diskLostAt).Round(time.Millisecond))
		c.diskLostAt = time.Time{}
	}
}

func (c *collector) diskFailed(err error, now time.Time) {
	c.w.counts.spoolFailures.Add(1)
	c.diskAt = now.Add(diskRetry)
	if c.diskLostAt.IsZero() {
		c.diskLostAt = now
		c.w.log.Error("the spool cannot be written; points wait in memory", "err", err)
	}
}

// answered ends an outage: InfluxDB has taken or refused something.
func (c *collector) answered() {
	c.attempt = 0
	if c.lostAt.IsZero() {
		return
	}
	c.w.log.Info("influxdb takes points again", "after", time.Since(c.lostAt).Round(time.Millisecond),
		"waiting", c.w.Stats().Queued)
	c.lostAt = time.Time{}
	c.w.counts.outage.Store(false)
}

// later lets the head wait before it is tried again.
func (c *collector) later(err error) {
	if c.lostAt.IsZero() {
		c.lostAt = time.Now()
		c.w.counts.outage.Store(true)
		where := "memory"
		if c.w.spool != nil {
			where = c.w.cfg.Spool
		}
		c.w.log.Warn("influxdb does not take points; they wait, signals are not affected", "in", where, "err", err)
	}
	wait := c.w.wait(c.attempt)
	if _, answer := judge(err); answer != nil && answer.RetryAfter > 0 {
		wait = max(wait, min(time.Duration(answer.RetryAfter)*time.Second, maxRetryAfter))
	}
	c.attempt++
	c.again.Reset(wait)
}

// maxRetryAfter bounds the pause that a server may ask for.
const maxRetryAfter = 5 * time.Minute
