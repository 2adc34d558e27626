package wire

import (
	"strings"
	"time"
	"unicode/utf8"

	"devicetwin/device"
	"devicetwin/internal/faults"
	"devicetwin/mqtt"
)

// Config is everything about the standard dialect that can be set. Begin with
// DefaultConfig.
type Config struct {
	// Prefix is the first level, or levels, of every device topic: "devices".
	Prefix string
	// ShadowTopics are templates of the topics of the shadow protocol: see
	// ParseSchemes.
	ShadowTopics []string

	// CheckID is what keeps an id that is otherwise valid from being one; those messages are
	// refused. Nil: nothing does.
	CheckID func(device.ID) error
	// EntityTopics are, for kinds of entities other than devices, the topics below which they are sent commands
	// and what they desire: "crm/{id}". What is sent to entities of other kinds is published nowhere.
	EntityTopics map[device.Kind]string

	MaxPayload int // bytes of one payload; at most 256 KiB
	MaxDepth   int // of nested objects and arrays in a payload
	MaxObjects int // objects in one payload that is an array

	// How far a device's clock may be from ours for its ts to be believed: ahead of
	// the arrival of a message, and behind it, which counts messages that waited.
	MaxClockAhead, MaxClockBehind time.Duration
	// StatusWords are what says on a status topic whether the device is connected.
	StatusWords device.StatusWords

	// Lazy makes Decode leave the data and the digest of telemetry and events to
	// Received.Complete: a bridge needs them of few messages.
	Lazy bool
	// Mine reports whether a device's messages are read; the others are ErrForeign.
	// It is given the level at the place of the id, valid or not. Nil: all are.
	Mine func(name string) bool
}

// DefaultConfig is the standard dialect below "devices".
func DefaultConfig() Config {
	return Config{
		Prefix:       "devices",
		ShadowTopics: DefaultShadowTopics(),
		MaxPayload:   128 << 10,
		MaxDepth:     32,
		MaxObjects:   1000,

		MaxClockAhead:  5 * time.Minute,
		MaxClockBehind: 365 * 24 * time.Hour,
		StatusWords:    device.DefaultStatusWords(),
	}
}

// MaxPayloadLimit bounds Config.MaxPayload. Escaping in JSON makes a payload at
// most six times longer, and Temporal refuses a signal of 2 MiB.
const MaxPayloadLimit = 256 << 10

// MaxClock bounds Config.MaxClockAhead and Config.MaxClockBehind: beyond it, the
// unit of a ts could not be recognised by its size.
const MaxClock = 20 * 365 * 24 * time.Hour

// Validate reports every fault, as one error with a line for each.
func (c Config) Validate() error {
	var f faults.List
	f.Check(validPrefix(c.Prefix), "topic prefix %q: expected topic levels without wildcards, such as devices", c.Prefix)
	if validPrefix(c.Prefix) {
		f.Add(c.checkShadowTopics())
		f.Add(c.checkEntityTopics())
	}
	f.Between("largest payload", c.MaxPayload, 1, MaxPayloadLimit)
	f.Between("depth of a payload", c.MaxDepth, 1, 1000)
	f.Between("objects in a payload", c.MaxObjects, 1, 100_000)
	f.Check(0 <= c.MaxClockAhead && c.MaxClockAhead <= MaxClock, "device clock ahead %v: expected 0s to %v", c.MaxClockAhead, MaxClock)
	f.Check(0 <= c.MaxClockBehind && c.MaxClockBehind <= MaxClock, "device clock behind %v: expected 0s to %v", c.MaxClockBehind, MaxClock)
	f.Add(c.StatusWords.Validate())
	return f.Err()
}

func validPrefix(prefix string) bool {
	return prefix != "" && len(prefix) <= 1024 && utf8.ValidString(prefix) &&
		!strings.ContainsAny(prefix, "+#\x00") && !strings.HasPrefix(prefix, "$") &&
		!strings.HasPrefix(prefix, "/") && !strings.HasSuffix(prefix, "/")
}

// checkShadowTopics refuses templates that match other topics of this service.
func (c Config) checkShadowTopics() error {
	schemes, err := ParseSchemes(c.Prefix, c.ShadowTopics)
	if err != nil {
		return err
	}
	var f faults.List
	for _, scheme := range schemes {
		for _, filter := range scheme.Filters() {
			for _, other := range []string{"telemetry", "status", "events/x", "commands/x"} {
				other = c.Prefix + "/x/" + other
				f.Check(!mqtt.Matches(filter, other), "topic template %q: it takes in %s", scheme, other)
			}
		}
	}
	return f.Err()
}
