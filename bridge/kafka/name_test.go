package kafka

import (
	"crypto/rand"
	"testing"

	"devicetwin/device"
)

// Workflows keep the name of a log only if it is short enough.
func TestTheNameOfALogIsShortEnough(t *testing.T) {
	id := topicID{}
	for i := range id {
		id[i] = 0xff
	}
	name := logName(id, 999_999_999)
	if len(name) > device.MaxLogName {
		t.Errorf("%s has %d bytes, the limit is %d", name, len(name), device.MaxLogName)
	}
	if !device.SharedLog(name) || device.SharedLog(rand.Text()) { // as the logs of bridges are called
		t.Errorf("the log %s is taken for a bridge's own, or one of those for another's", name)
	}
	if other := logName(id, 99_999_999); other == name {
		t.Errorf("two partitions have the name %s", name)
	}
}
