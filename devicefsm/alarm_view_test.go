package devicefsm

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestActiveAlarms(t *testing.T) {
	d := start(t, load(t, site))
	active := func(limit int) []string {
		t.Helper()
		var got []string
		for _, a := range d.m.ActiveAlarms(d.s, limit) {
			got = append(got, fmt.Sprintf("%s %s %s explains %d", a.Alarm, a.Key, a.Since.Sub(t0), a.Explains))
		}
		return got
	}
	expect := func(limit int, want ...string) {
		t.Helper()
		if got := active(limit); !slices.Equal(got, want) {
			t.Errorf("alarms %q, want %q", got, want)
		}
	}
	expect(10)
	d.send("pump_silent", of("x")).advance(time.Minute) // raised before there is an outage
	d.send("gateway_silent", of("h")).advance(time.Second)
	d.send("gateway_silent", of("g"))
	for _, pump := range []obj{{"device": "a", "parent": "g"}, {"device": "b", "parent": "g"}, {"device": "c", "parent": "h"}, {"device": "d"}} {
		d.send("pump_silent", pump)
	}
	expect(10, "silence x 0s explains 0", "outage h 1m0s explains 2", "outage g 1m1s explains 3")
	expect(2, "silence x 0s explains 0", "outage h 1m0s explains 2")
	d.send("gateway_alive", of("g"))
	expect(10, "silence x 0s explains 0", "outage h 1m0s explains 2") // a and b wait, d is explained by the other one
	d.send("gateway_alive", of("h")).advance(time.Minute)
	expect(10, "silence x 0s explains 0", "silence a 1m1s explains 0", "silence b 1m1s explains 0", "silence c 1m1s explains 0", "silence d 1m1s explains 0")

	text, err := json.Marshal(d.m.ActiveAlarms(d.s, 1))
	if want := `[{"alarm":"silence","key":"x","since":"` + t0.Format(time.RFC3339) + `"}]`; err != nil || string(text) != want {
		t.Errorf("%s, error %v, want %s", text, err, want)
	}
	if other := load(t, strings.ReplaceAll(site, "outage", "blackout")).ActiveAlarms(d.s, 10); other != nil {
		t.Errorf("another model's snapshot has alarms: %+v", other)
	}
}
