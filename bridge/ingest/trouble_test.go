package ingest

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A stuck device comes first, then the latest silent one; there is a bound, and a device that is well is
// not listed.
func TestTroubledDevicesAreNamed(t *testing.T) {
	b := newBench(DefaultConfig(), testModel{silentAfter: time.Minute})
	for i := range 30 {
		b.deliver(fmt.Sprintf("devices/d%02d/telemetry", i), `{"n":1}`, "", false)
		b.advance(time.Second)
	}
	b.advance(2 * time.Minute)
	b.deliver("devices/d07/telemetry", `{"n":1}`, "", false)
	b.deliver("devices/d03/telemetry", `{"n":1}`, "", false)
	b.devices.get("d03").quarantined = true
	for _, tc := range []struct {
		limit int
		want  string
	}{
		{4, "d03! d29 d28 d27"}, {1, "d03!"}, {100, "d03! d29 d28"},
	} {
		var got []string
		all := b.troubled(tc.limit)
		for _, x := range all {
			name := x.ID.Name()
			if x.Stuck {
				name += "!"
			}
			if x.Model == "" || x.Since.IsZero() {
				t.Errorf("%+v: want a model and a time", x)
			}
			got = append(got, name)
		}
		if s := strings.Join(got, " "); !strings.HasPrefix(s, tc.want) || strings.Contains(s, "d07") || len(all) > tc.limit {
			t.Errorf("limit %d: %s, want %s", tc.limit, s, tc.want)
		}
	}
	if n := len(b.troubled(100)); n != 29 {
		t.Errorf("%d devices, want 28 that are silent and one that is stuck", n)
	}
}

// troubled lists them as Ingest.Troubled does.
func (b *bench) troubled(limit int) []Trouble {
	t := newTroubles(b.now, limit)
	b.look(t.look)
	return t.list()
}

// look calls with every device.
func (b *bench) look(look func(*core, *deviceState)) {
	for part := range b.devices.inParts(7) {
		for _, d := range part {
			look(b.core, d)
		}
	}
}
