package dialect

import (
	"testing"
)

// A dialect that knows a topic and has nothing to say is another case than a topic that nobody knows.
func TestWhy(t *testing.T) {
	s := load(t, `dialect: plant
absent: n/a
topics:
  - {topic: "v/{id}", channel: telemetry, payload: text}
  - {topic: "w/{id}", channel: telemetry, when: payload.x > 1}
  - {topic: "l/{id}", channel: telemetry, each: payload.l, data: item}
  - {topic: "i/{id}", channel: ignored}
`)
	for _, c := range []struct{ topic, payload, want string }{
		{"v/a", "n/a", "plant: says nothing"},
		{"w/a", `{"x":1}`, "plant: says nothing"},
		{"l/a", `{"l":[]}`, "plant: says nothing"},
		{"i/a", "1", "plant: ignored"},
		{"v/a", "", "plant: ignored, an empty payload"},
		{"w/a", "{", "bad_payload: json: line 1, column 1: unexpected end of JSON input"},
		{"elsewhere", "1", "no dialect reads it"},
		{"bridge/b/status", "x", "ignored: not a message of a device"},
		{"devices/d/commands/go", "{}", "ignored: not a message of a device"},
	} {
		_, err := s.Decode(c.topic, []byte(c.payload), false, now)
		if err == nil {
			t.Errorf("%s %s: it is read", c.topic, c.payload)
		} else if got := s.Why(c.topic, []byte(c.payload), err); got != c.want {
			t.Errorf("%s %s: %s; want %s", c.topic, c.payload, got, c.want)
		}
	}
}
