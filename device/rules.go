package device

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxCommandTTL is the longest time to live of a command.
const MaxCommandTTL = 30 * 24 * time.Hour

// Bounds of the names and values that devices and operators choose.
const (
	MaxTags      = 32   // of one entity
	MaxTagKey    = 64   // bytes
	MaxTagValue  = 128  // bytes
	MaxTagBytes  = 2048 // of all tags of one entity: see SizeOfTags
	MaxEventName = 64   // bytes of a name in a topic: of an event or a command

	// MaxDeliveries bounds how often one command may be sent. This bound and the
	// default of twin/command are those of Azure IoT Hub for messages from the cloud to
	// devices (maxDeliveryCount).
	MaxDeliveries = 100
)

// ValidName reports whether an event or a command may have this name in a topic: 1
// to 64 of a-z A-Z 0-9 _ . -
func ValidName(name string) bool {
	return name != "" && len(name) <= MaxEventName && !strings.ContainsFunc(name, func(r rune) bool {
		return !alphanumeric(r) && !strings.ContainsRune("_.-", r)
	})
}

// CheckTag checks one tag: a key is 1 to 64 of a-z A-Z 0-9
// . _ : / - and a value is 1 to 128 bytes of UTF-8 without control characters.
func CheckTag(key, value string) error {
	return errors.Join(checkTagKey(key), checkTagValue(key, value))
}

// CheckTags checks the tags of an entity: at most 32, each as CheckTag, and together
// at most 2048 bytes by SizeOfTags. It reports every error, joined.
func CheckTags(tags map[string]string) error {
	if len(tags) > MaxTags {
		return fmt.Errorf("%d tags; the limit is %d", len(tags), MaxTags)
	}
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		if err := CheckTag(key, tags[key]); err != nil {
			faults = append(faults, err)
		}
	}
	if size := SizeOfTags(tags); len(faults) == 0 && size > MaxTagBytes {
		return fmt.Errorf("the tags have %d bytes as a JSON list of \"key=value\"; the limit is %d", size, MaxTagBytes)
	}
	return errors.Join(faults...)
}

// SizeOfTags is how many bytes tags have as Temporal stores them: as the JSON list of
// "key=value", in which <, > and & are escaped.
func SizeOfTags(tags map[string]string) int {
	list := make([]string, 0, len(tags))
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, key+"="+tags[key])
	}
	raw, err := json.Marshal(list)
	if err != nil {
		panic(err) // strings have no errors
	}
	return len(raw)
}

func checkTagKey(key string) error {
	bad := key == "" || len(key) > MaxTagKey || strings.ContainsFunc(key, func(r rune) bool {
		return !alphanumeric(r) && !strings.ContainsRune("._:/-", r)
	})
	if bad {
		return fmt.Errorf("tag %q: expected 1 to %d of a-z A-Z 0-9 . _ : / -", clip(key), MaxTagKey)
	}
	return nil
}

func checkTagValue(key, value string) error {
	if value == "" || len(value) > MaxTagValue || !utf8.ValidString(value) || strings.ContainsFunc(value, isControl) {
		return fmt.Errorf("value of tag %q: expected 1 to %d bytes without control characters", clip(key), MaxTagValue)
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func alphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}
