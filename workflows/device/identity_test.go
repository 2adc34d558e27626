package device

import (
	"testing"
	"time"

	"devicetwin/device"
)

// What is not a string in a birth message is reported; of a number the digits are
// kept, and indexed.
func TestNumbersInABirthAreReportedAndKept(t *testing.T) {
	h := newTwinHarness(t, obeyingModel, 0)
	birth := func(firmware, site any) device.Message {
		return device.Message{Channel: device.ChannelStatus, Data: map[string]any{"status": "boot", "firmware": firmware, "site": site}}
	}
	h.at(time.Second, birth("1.10", "north"), birth(1.5, 1e15), birth(true, nil), birth([]any{"2"}, map[string]any{}))
	view := h.runUntil(5 * time.Second)
	if view.Firmware != "1.5" || view.Site != "1000000000000000" || view.Attributes.Firmware != "1.5" || view.Attributes.Site != "1000000000000000" {
		t.Errorf("firmware %q, site %q, indexed %+v", view.Firmware, view.Site, view.Attributes)
	}
	sameTexts(t, reports(view), []string{
		"status not_text firmware: expected a string; found a number 1.5",
		"status not_text site: expected a string; found a number 1000000000000000",
		"status not_text firmware: expected a string; found a boolean true",
		`status not_text firmware: expected a string; found an array ["2"]`,
		"status not_text site: expected a string; found an object {}",
	})
}

// A run that was begun under earlier rules writes no attribute that it did not write.
func TestEarlierRunsIgnoreNumbersInABirth(t *testing.T) {
	d := &run{state: &State{}, model: loadPump(t)}
	d.identify(device.Message{Channel: device.ChannelStatus, Data: map[string]any{"firmware": 2.0}})
	if d.state.Firmware != "" {
		t.Errorf("firmware %q", d.state.Firmware)
	}
}
