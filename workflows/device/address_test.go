package device

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
)

func addressed(dialect string, vars map[string]string) *device.Address {
	return &device.Address{Dialect: dialect, Vars: vars}
}

// Where a device is reached, message by message.
func TestTheAddressOfADevice(t *testing.T) {
	type said struct {
		channel device.Channel
		status  string
		from    *device.Address
	}
	long := strings.Repeat("x", maxAddressVars)
	site := func(v string) map[string]string { return map[string]string{"site": v} }
	for _, tt := range []struct {
		name string
		said []said
		want *device.Address
	}{
		{"never", []said{{device.ChannelTelemetry, "", nil}, {device.ChannelStatus, "online", nil}}, nil},
		{"by any message, at first", []said{{device.ChannelTelemetry, "", addressed("a", site("n"))}}, addressed("a", site("n"))},
		{"by a last will, at first", []said{{device.ChannelStatus, "offline", addressed("a", nil)}}, addressed("a", nil)},
		{"one that says nothing of it", []said{{device.ChannelTelemetry, "", addressed("a", nil)}, {device.ChannelTelemetry, "", nil}}, addressed("a", nil)},
		{"another dialect's reading", []said{{device.ChannelTelemetry, "", addressed("a", nil)}, {device.ChannelTelemetry, "", addressed("b", nil)}}, addressed("a", nil)},
		{"another dialect's last will", []said{{device.ChannelTelemetry, "", addressed("a", nil)}, {device.ChannelStatus, "offline", addressed("b", nil)}}, addressed("a", nil)},
		{"another dialect's birth", []said{{device.ChannelTelemetry, "", addressed("a", site("n"))}, {device.ChannelStatus, "online", addressed("b", nil)}}, addressed("b", nil)},
		{"a birth in the service's own", []said{{device.ChannelTelemetry, "", addressed("a", nil)}, {device.ChannelStatus, "online", nil}}, nil},
		{"a last will in the service's own", []said{{device.ChannelTelemetry, "", addressed("a", nil)}, {device.ChannelStatus, "offline", nil}}, addressed("a", nil)},
		{"variables add up", []said{
			{device.ChannelStatus, "online", addressed("a", site("n"))},
			{device.ChannelTelemetry, "", addressed("a", map[string]string{"line": "3"})},
			{device.ChannelStatus, "online", addressed("a", map[string]string{"hall": "1"})},
		}, addressed("a", map[string]string{"site": "n", "line": "3", "hall": "1"})},
		{"the newest value counts", []said{{device.ChannelTelemetry, "", addressed("a", site("n"))}, {device.ChannelTelemetry, "", addressed("a", site("s"))}}, addressed("a", site("s"))},
		{"the template of a birth", []said{
			{device.ChannelTelemetry, "", &device.Address{Dialect: "a", ID: "{x}"}},
			{device.ChannelTelemetry, "", &device.Address{Dialect: "a", ID: "{y}"}},
			{device.ChannelStatus, "online", &device.Address{Dialect: "a", ID: "{z}"}},
			{device.ChannelTelemetry, "", &device.Address{Dialect: "a"}},
		}, &device.Address{Dialect: "a", ID: "{z}"}},
		{"how long it is awake", []said{
			{device.ChannelStatus, "online", &device.Address{Dialect: "a"}},
			{device.ChannelTelemetry, "", &device.Address{Dialect: "a", Awake: time.Minute}},
			{device.ChannelTelemetry, "", &device.Address{Dialect: "a", Awake: time.Second}},
		}, &device.Address{Dialect: "a", Awake: time.Second}},
		{"it is plugged in", []said{
			{device.ChannelTelemetry, "", &device.Address{Dialect: "a", Awake: time.Second}},
			{device.ChannelTelemetry, "", &device.Address{Dialect: "a"}},
		}, &device.Address{Dialect: "a"}},
		{"it sleeps no more", []said{
			{device.ChannelStatus, "online", &device.Address{Dialect: "a", Awake: time.Second}},
			{device.ChannelStatus, "online", &device.Address{Dialect: "a"}},
		}, &device.Address{Dialect: "a"}},
		{"variables that are too long", []said{{device.ChannelTelemetry, "", addressed("a", site(long))}}, addressed("a", nil)},
		{"too much with those before", []said{
			{device.ChannelTelemetry, "", addressed("a", site(long[:len(long)-10]))},
			{device.ChannelTelemetry, "", addressed("a", map[string]string{"line": "12345678"})},
		}, addressed("a", map[string]string{"line": "12345678"})},
	} {
		for _, rules := range []int{rulesNow, rulesLog} {
			d := run{settings: runSettings{Rules: rules}, state: &State{}}
			for _, s := range tt.said {
				m := device.Message{Channel: s.channel, From: s.from}
				if s.status != "" {
					m.Data = map[string]any{"status": s.status}
				}
				d.hearAddress(m)
			}
			want := tt.want
			if rules < rulesDialects {
				want = nil
			}
			if !reflect.DeepEqual(d.state.Address, want) {
				t.Errorf("%s, rules %d: %+v, want %+v", tt.name, rules, d.state.Address, want)
			}
		}
	}
}

// What somebody else says of a device, or said before, does not show whether it sleeps.
func TestWhetherADeviceSleepsIsItsOwnWord(t *testing.T) {
	d := run{settings: runSettings{Rules: rulesNow}, state: &State{}}
	d.hearAddress(device.Message{Channel: device.ChannelTelemetry, From: &device.Address{Dialect: "a", Awake: time.Second}})
	d.hearAddress(device.Message{Channel: device.ChannelTelemetry, From: addressed("a", nil), Relayed: true})
	d.hearAddress(device.Message{Channel: device.ChannelTelemetry, From: addressed("a", nil), Stale: true})
	if d.state.Address.Awake != time.Second {
		t.Errorf("%+v", d.state.Address)
	}
}

// The address that a message brings is not changed by what the next one adds: messages share
// them.
func TestAnAddressIsNotChanged(t *testing.T) {
	d := run{settings: runSettings{Rules: rulesNow}, state: &State{}}
	first := addressed("a", map[string]string{"site": "n"})
	d.hearAddress(device.Message{Channel: device.ChannelTelemetry, From: first})
	d.hearAddress(device.Message{Channel: device.ChannelTelemetry, From: addressed("a", map[string]string{"line": "3"})})
	if len(first.Vars) != 1 {
		t.Errorf("%+v", first)
	}
}

// What was sent before the dialect was known, or in the words of another one, is sent
// again.
func TestANewDialectIsSentWhatIsUnderWay(t *testing.T) {
	h, _ := newSpokenHarness(t, hearing)
	h.operate(time.Second, orderOf("move", `1`), Operation{Desire: &Desire{Patch: []byte(`{"fan":"high"}`)}})
	h.at(2*time.Second, own(reading(20)))
	h.at(3*time.Second, own(reading(20)), in("other", reading(20))) // no news
	h.at(4*time.Second, in("other", status("online")))
	h.at(5*time.Second, status("online"))
	view := h.runUntil(6 * time.Second)
	want := lines(`own/desired {"fan":"high"}`, "own/move 1", `other/desired {"fan":"high"}`, "other/move 1")
	if got := h.said(); got != want {
		t.Errorf("said\n%s\nwant\n%s", got, want)
	}
	if n := strings.Count(h.wire.topics(), "devices/pump-1/commands/move"); n != 2 {
		t.Errorf("sent %d times in the service's own words, want at the beginning and at the end", n)
	}
	if f := view.Commands.Flight; f == nil || f.Deliveries != 4 || view.Address != nil {
		t.Errorf("under way %+v, address %+v", f, view.Address)
	}
}
