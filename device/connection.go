package device

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The states of a device's connection. ConnectionUnknown is that of a message that
// says neither.
const (
	Online            = "online"
	Offline           = "offline"
	ConnectionUnknown = "unknown"
)

// StatusWords are the words on a status topic that say whether a device is
// connected. Upper and lower case are the same.
type StatusWords struct {
	Online, Offline []string
}

// DefaultStatusWords are those of this service's own devices, and what firmware and
// conventions for MQTT publish there in place of them: "Online" and "Offline"
// (Tasmota, Zigbee2MQTT, ESPHome), "init", "ready", "disconnected" and "lost"
// (Homie 4, "Device lifecycle").
func DefaultStatusWords() StatusWords {
	return StatusWords{
		Online:  []string{"online", "boot", "booted", "connected", "init", "ready", "up", "alive"},
		Offline: []string{"offline", "disconnected", "lost", "down"},
	}
}

// Validate reports every fault: a word is 1 to 64 bytes without spaces around it,
// and means one thing.
func (w StatusWords) Validate() error {
	var faults []error
	for _, word := range slices.Concat(w.Online, w.Offline) {
		if word == "" || len(word) > MaxEventName || strings.TrimSpace(word) != word {
			faults = append(faults, fmt.Errorf("status word %q: expected 1 to %d bytes without spaces around them", clip(word), MaxEventName))
		}
	}
	for _, word := range w.Offline {
		if contains(w.Online, word) {
			faults = append(faults, fmt.Errorf("status word %q: it means both online and offline", clip(word)))
		}
	}
	return errors.Join(faults...)
}

// Connection is what the value of the key status says: Online, Offline or
// ConnectionUnknown. What is not a string says neither.
func (w StatusWords) Connection(status any) string {
	word, ok := status.(string)
	switch {
	case !ok:
	case contains(w.Offline, word):
		return Offline
	case contains(w.Online, word):
		return Online
	}
	return ConnectionUnknown
}

// OfflineIn reports whether a payload that is not JSON, or not what was expected,
// contains a word for offline: alone or as a JSON string. It may be a last will,
// which says nothing for its device.
func (w StatusWords) OfflineIn(payload string) bool {
	payload = strings.ToLower(strings.TrimSpace(payload))
	return slices.ContainsFunc(w.Offline, func(word string) bool {
		word = strings.ToLower(word)
		return payload == word || strings.Contains(payload, `"`+word+`"`)
	})
}

func contains(words []string, word string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, word) })
}
