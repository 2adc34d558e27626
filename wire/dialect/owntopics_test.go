package dialect

import (
	"slices"
	"strings"
	"testing"
)

// A device may use topics that have its name, and no others.
func TestDeviceTopics(t *testing.T) {
	const head = "dialect: d\ntopics:\n"
	for _, c := range []struct{ text, published, read string }{
		{head + "  - {topic: 'tele/{id}/STATE', channel: telemetry}\n  - {topic: 'tele/{id}/#', channel: ignored}\n" +
			"commands: [{topic: 'cmnd/{id}/{command}'}]\nask: [{at: start, topic: cmnd/all/STATE}]",
			"tele/{id}/# tele/{id}/STATE", "cmnd/all/STATE cmnd/{id}/# tele/{id}/#"},
		{head + "  - {topic: 'site/{site}/a-{id}/{what}', channel: telemetry}", "site/+/a-{id}/+", "site/+/a-{id}/#"},
		{head + "  - {topic: 'hub/{mac}', id: '{mac}', channel: telemetry}", "hub/{id}", "hub/{id}/#"},
		{head + "  - {topic: 'a/{id}/{what...}/up', channel: telemetry}", "a/{id}/#", "a/{id}/#"},
		// An id that is more than what is in the topic, or something else.
		{head + "  - {topic: 'a/{site}/{id}', id: '{site}:{id}', channel: telemetry}", "", ""},
		{head + "  - {topic: 'a/{id}', id: 'z2m_{id}', channel: telemetry}", "", ""},
		{head + "  - {topic: 'a/{gateway}', vars: {id: payload.id}, channel: telemetry}", "", ""},
		{head + "  - {topic: 'a/{id...}', channel: telemetry}", "", ""},
		// Of somebody who speaks of the device, and of what is not a device.
		{head + "  - {topic: 'a/{id}/ack', channel: status, relayed: true, data: {status: payload.status}}", "", ""},
		{head + "  - {topic: 'a/{id}', kind: customer, channel: reported}", "", ""},
		// A device called devices, or bridge, would have the topics of all.
		{head + "  - {topic: '{id}/tele/STATE', channel: telemetry}\n  - {topic: '{id}/#', channel: ignored}", "", ""},
		{head + "  - {topic: '+/{id}/STATE', channel: telemetry}", "", ""},
	} {
		published, read := loadOne(t, c.text).DeviceTopics()
		if got := strings.Join(published, " "); got != c.published {
			t.Errorf("%s\npublished on %q, want %q", c.text, got, c.published)
		}
		if got := strings.Join(read, " "); got != c.read {
			t.Errorf("%s\nread %q, want %q", c.text, got, c.read)
		}
		if !slices.IsSorted(published) || !slices.IsSorted(read) {
			t.Errorf("not sorted: %q, %q", published, read)
		}
	}
}
