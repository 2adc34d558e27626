package mqtt

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"devicetwin/internal/text"
)

// Shared reports whether a filter is that of a shared subscription:
// $share/{group}/{filter}.
func Shared(filter string) bool { return strings.HasPrefix(filter, "$share/") }

// CheckFilter reports what is wrong with a topic filter: MQTT 3.1.1, section
// 4.7.1; of a shared one MQTT 5, section 4.8.2.
func CheckFilter(filter string) error {
	if Shared(filter) {
		group, rest, ok := strings.Cut(strings.TrimPrefix(filter, "$share/"), "/")
		if !ok || group == "" || rest == "" || strings.ContainsAny(group, "+#") {
			return errors.New("expected $share/{group}/{filter}")
		}
		filter = rest
	}
	if filter == "" || len(filter) > 65535 || !utf8.ValidString(filter) || strings.ContainsRune(filter, 0) {
		return errors.New("expected 1 to 65535 bytes of UTF-8 without NUL")
	}
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		switch {
		case level == "+" || level == "#" && i == len(levels)-1:
		case strings.ContainsAny(level, "+#"):
			return fmt.Errorf("level %q: + stands alone in a level, # alone in the last one", level)
		}
	}
	return nil
}

// CheckTopic reports what is wrong with a topic to publish to: MQTT 3.1.1,
// section 4.7.1.1. A broker closes the connection of a client that gets this
// wrong, and with it everyone else's messages are lost.
func CheckTopic(topic string) error {
	if topic == "" || len(topic) > 65535 || !utf8.ValidString(topic) || strings.ContainsAny(topic, "+#\x00") {
		return fmt.Errorf("topic %q: expected 1 to 65535 bytes of UTF-8 without wildcards", text.Clip(topic, 200))
	}
	return nil
}

// Matches reports whether a topic filter matches a topic: MQTT 3.1.1, section
// 4.7. A wildcard in the first level matches no topic that begins with $.
func Matches(filter, topic string) bool {
	if Shared(filter) {
		_, filter, _ = strings.Cut(strings.TrimPrefix(filter, "$share/"), "/")
	}
	if strings.HasPrefix(topic, "$") && !strings.HasPrefix(filter, "$") {
		return false
	}
	wanted, levels := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, w := range wanted {
		if w == "#" {
			return true // also the level above it
		}
		if i >= len(levels) || w != "+" && w != levels[i] {
			return false
		}
	}
	return len(wanted) == len(levels)
}
