package device

import (
	"reflect"
	"testing"

	"devicetwin/device"
)

// The log of a run names every message of a device: by its number, or else by its
// digest. The service's own messages have neither.
func TestRunLogNamesEveryMessage(t *testing.T) {
	var log RunLog
	for _, m := range []device.Message{
		{Epoch: 7, Seq: 1}, {Digest: "00000000000000ff"}, {Epoch: 7, Seq: 2},
		{Channel: device.ChannelSystem, Name: device.MessageSeen}, {Digest: "fedcba9876543210"},
	} {
		log.add(3, m)
	}
	log.add(5, device.Message{Digest: "00000000000000ff"})
	log.add(7, device.Message{Channel: device.ChannelSystem})
	want := []TaskLog{
		{Started: 3, Spans: []device.Span{{Epoch: 7, From: 1, To: 2}}, Digests: []uint64{0xff, 0xfedcba9876543210}},
		{Started: 5, Digests: []uint64{0xff}},
	}
	if !reflect.DeepEqual(log.Tasks, want) {
		t.Errorf("%+v, want %+v", log.Tasks, want)
	}
}
