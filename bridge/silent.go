package bridge

import (
	"context"
	"time"
)

// silent counts the remembered devices that were not heard of for longer than
// the model's liveness allows; 0 if it has none. It knows only devices heard
// since the start: the workflow's own device.silent is what a model acts on,
// this is a figure for people. It looks at every device, which takes a few
// milliseconds for 100,000.
func (c *core) silent(now time.Time) int {
	n := 0
	for _, d := range c.devices.byID {
		// One of which only the last will was seen was never heard.
		k := d.kind
		if k != nil && k.silentAfter > 0 && !d.heard.IsZero() && now.Sub(d.heard) >= k.silentAfter+k.tolerance {
			n++
		}
	}
	return n
}

// watch counts silent devices every so often, and logs what was refused since the
// last time.
func (b *Bridge) watch(ctx context.Context) {
	tick := time.NewTicker(b.cfg.FiguresEvery)
	defer tick.Stop()
	var before uint64
	for {
		select {
		case <-ctx.Done():
			return
		case at := <-tick.C:
			b.loop.look(ctx, func(c *core) { c.counts.silent.Store(int64(c.silent(at))) })
			now, byReason := b.counts.refused()
			if now > before {
				b.log.Warn("messages were refused; see the dead letters", "count", now-before, "total", now, "by_reason", byReason)
			}
			before = now
		}
	}
}
