package dialect

import (
	"time"

	"devicetwin/device"
	"devicetwin/source"
)

// saysStatus reports whether data has the status of an answer. Without one, it is not an answer.
func saysStatus(object []byte) bool {
	_, there := memberOf(object, "status")
	return there
}

// checkAnswer notes an answer that never has a status.
func (m *message) checkAnswer(f map[string]source.Node) {
	if m.channel != device.ChannelAck {
		return
	}
	m.needsStatus(f, "status, which says what the answer is: accepted, succeeded, failed or rejected", f["data"], "data: expected a member")
}

// maxAwake bounds how long a device listens that sleeps.
const maxAwake = 24 * time.Hour

// awake is how long a device listens after a message; null is always.
func (l *loader) awake(n source.Node) time.Duration {
	if !n.Exists() || n.IsNull() {
		return 0
	}
	text := n.Scalar()
	d, err := source.ParseDuration(text)
	if text != "" && (err != nil || d <= 0 || d > maxAwake) {
		n.Faultf("awake %q: expected a duration such as 10s, more than 0s and at most %s", text, source.FormatDuration(maxAwake))
	}
	return d
}

// checkAwake notes devices that listen, where nothing is sent to any.
func (d *Dialect) checkAwake(top source.Node) {
	if len(d.outgoing()) > 0 {
		return
	}
	const what = "awake: expected commands, desired or ask: nothing is sent to devices"
	if top.Exists() {
		top.Faultf(what)
		return
	}
	for _, m := range d.messages() {
		if m.awake > 0 {
			m.at.Faultf(what)
		}
	}
}
