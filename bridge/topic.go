package bridge

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"devicetwin/device"
	"devicetwin/internal/faults"
	"devicetwin/internal/text"
	"devicetwin/mqtt"
	"devicetwin/twin"
)

var (
	devicePattern = regexp.MustCompile(`^[a-zA-Z0-9:_-]{1,128}$`)
	namePattern   = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,64}$`)
)

// address is what a topic says: whose message it is, on which channel, and, on
// the channels events and ack, its name.
type address struct {
	device  string
	channel device.Channel
	name    string
	// command marks a message on its way to the device. A subscription to
	// {prefix}/# brings it in; it is no input.
	command bool
}

const topicShapes = "expected {id}/telemetry, {id}/status, {id}/events/{name} or {id}/commands/{name}/ack"

// parseTopic reads a topic below prefix. The refusal is nil if the topic is one
// of those that a device may use, or a command to a device.
func parseTopic(prefix, topic string) (address, *refusal) {
	rest, ok := strings.CutPrefix(topic, prefix+"/")
	if !ok {
		return address{}, refuse(ReasonBadTopic, "not below %s/", prefix)
	}
	levels := strings.Split(rest, "/")
	a := address{device: levels[0]}
	switch {
	case len(levels) == 2 && levels[1] == "telemetry":
		a.channel = device.ChannelTelemetry
	case len(levels) == 2 && levels[1] == "status":
		a.channel = device.ChannelStatus
	case len(levels) == 3 && levels[1] == "events":
		a.channel, a.name = device.ChannelEvents, levels[2]
	case len(levels) == 4 && levels[1] == "commands" && levels[3] == "ack":
		a.channel, a.name = device.ChannelAck, levels[2]
	case len(levels) == 3 && levels[1] == "commands":
		a.command, a.name = true, levels[2]
	default:
		return address{}, refuse(ReasonBadTopic, "%s", topicShapes)
	}
	if !devicePattern.MatchString(a.device) {
		return address{}, refuse(ReasonBadDeviceID, "device id %q: expected %s", text.Clip(a.device, 200), devicePattern)
	}
	if a.channel == device.ChannelEvents || a.channel == device.ChannelAck {
		if !namePattern.MatchString(a.name) {
			return address{}, refuse(ReasonBadTopic, "name %q: expected %s", text.Clip(a.name, 200), namePattern)
		}
	}
	if a.channel == device.ChannelEvents && device.ReservedName(a.name) {
		return address{}, refuse(ReasonBadTopic, "event name %q belongs to the service", a.name)
	}
	return a, nil
}

func validPrefix(prefix string) bool {
	return prefix != "" && len(prefix) <= 1024 && utf8.ValidString(prefix) &&
		!strings.ContainsAny(prefix, "+#\x00") && !strings.HasPrefix(prefix, "$") &&
		!strings.HasPrefix(prefix, "/") && !strings.HasSuffix(prefix, "/")
}

// checkTwinTopics refuses templates that take in other topics of this service.
func (c Config) checkTwinTopics() error {
	schemes, err := twin.ParseSchemes(c.Prefix, c.TwinTopics)
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
			f.Check(!mqtt.Matches(filter, c.statusTopic()), "topic template %q: it takes in %s", scheme, c.statusTopic())
		}
	}
	return f.Err()
}

// schemes are the topics of shadows. A configuration that Validate refuses has
// none.
func (c Config) schemes() []twin.Scheme {
	schemes, err := twin.ParseSchemes(c.Prefix, c.TwinTopics)
	if err != nil {
		return nil
	}
	return schemes
}

// twinFilters are the filters of the topics of shadows that are not below the
// prefix. A topic that two filters match may be delivered twice, and a broker may
// keep the order within one filter only.
func (c Config) twinFilters() []string {
	var filters []string
	for _, scheme := range c.schemes() {
		for _, filter := range scheme.Filters() {
			if !strings.HasPrefix(filter, c.Prefix+"/") {
				filters = append(filters, filter)
			}
		}
	}
	return filters
}

// seesWholeDevices reports whether the subscriptions bring in every topic of
// each device of which they bring in one.
func (c Config) seesWholeDevices() bool {
	device := strings.Count(c.Prefix, "/") + 1 // place of its level
	requests := c.twinFilters()                // which matter to no class
	for _, filter := range c.Subscribe {
		if slices.Contains(requests, filter) {
			continue
		}
		levels := strings.Split(filter, "/")
		if last := len(levels) - 1; mqtt.Shared(filter) || levels[last] != "#" || last > device+1 {
			return false
		}
	}
	return true
}
