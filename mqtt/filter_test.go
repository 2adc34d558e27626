package mqtt

import "testing"

func TestFilters(t *testing.T) {
	for filter, ok := range map[string]bool{
		"devices/#": true, "#": true, "+/+/x": true, "$share/g/devices/+/telemetry": true,
		"": false, "a/#/b": false, "a#": false, "a/b+": false, "$share/g": false, "$share//x": false, "$share/+/x": false, "a\x00": false,
	} {
		if err := CheckFilter(filter); (err == nil) != ok {
			t.Errorf("%q: %v", filter, err)
		}
	}
	for _, test := range []struct {
		filter, topic string
		want          bool
	}{
		{"devices/#", "devices/a/b", true},
		{"devices/#", "devices", true},
		{"devices/#", "bridge/b/deadletter", false},
		{"#", "bridge/b/deadletter", true},
		{"+/+/deadletter", "bridge/b/deadletter", true},
		{"+/deadletter", "bridge/b/deadletter", false},
		{"bridge/b", "bridge/b/deadletter", false},
		{"bridge/b/deadletter/+", "bridge/b/deadletter", false},
		{"$share/g/bridge/#", "bridge/b/deadletter", true},
		{"+/b", "$SYS/b", false},
		{"$share/g/#", "$SYS/x", false},
		{"a/b", "a/b", true},
		{"a/b", "a/b/c", false},
		{"a/b/c", "a/b", false},
		{"a/+", "a/b", true},
		{"a/+", "a/b/c", false},
		{"a/+/c", "a//c", true},
		{"a/#", "a/b/c", true},
		{"a/#", "a", true},
		{"#", "a/b", true},
		{"#", "$SYS/x", false},
		{"$SYS/#", "$SYS/x", true},
	} {
		if got := Matches(test.filter, test.topic); got != test.want {
			t.Errorf("%s matches %s: %v", test.filter, test.topic, got)
		}
	}
}
