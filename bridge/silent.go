package bridge

import "time"

// silent counts the remembered devices that were not heard of for longer than
// the model's liveness allows; 0 if it has none. It knows only devices heard
// since the start: the workflow's own device.silent is what a model acts on,
// this is a figure for people. It looks at every device, which takes a few
// milliseconds for 100,000.
func (c *core) silent(now time.Time) int {
	if c.silentAfter <= 0 {
		return 0
	}
	n := 0
	for _, d := range c.devices.byID {
		// One of which only the last will was seen was never heard.
		if !d.heard.IsZero() && now.Sub(d.heard) >= c.silentAfter+c.tolerance {
			n++
		}
	}
	return n
}
