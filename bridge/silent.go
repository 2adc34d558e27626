package bridge

import "time"

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
