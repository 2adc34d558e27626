package simulator

import (
	"math"
	"regexp"
	"slices"
	"time"

	"devicetwin/device"
	"devicetwin/source"
)

// reservedKeys are those that the simulator writes into every message itself.
var reservedKeys = []string{"epoch", "seq", "ts"}

// ReadScenario reads a scenario file. The error is source.Faults, all faults at
// once with line and column.
func ReadScenario(file string, src []byte) (*Scenario, error) {
	f := source.Parse(file, src)
	s := readScenario(f.Root())
	if err := f.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

func readScenario(root source.Node) *Scenario {
	if !root.Exists() {
		root.Faultf("the file is empty; expected a scenario")
		return nil
	}
	m := root.Fields("scenario", "duration", "jitter", "profiles", "faults", "clock", "duplicates", "churn", "backlogs", "unnumbered",
		"mixed_types", "poison", "gateways", "answers", "expect")
	root.Require(m, "scenario", "profiles", "answers", "expect")
	s := &Scenario{
		Name:       readName(m["scenario"]),
		Duration:   readPositiveDuration(m["duration"]),
		Jitter:     readPart(m["jitter"]),
		Faults:     readFaultSequences(m["faults"]),
		Clock:      readClock(m["clock"]),
		Repeats:    readRepeats(m["duplicates"]),
		Churn:      readChurn(m["churn"]),
		Backlogs:   readBacklogs(m["backlogs"]),
		Unnumbered: readPart(m["unnumbered"]),
		Mixed:      readPart(m["mixed_types"]),
		Poison:     readPoison(m["poison"]),
		Expect:     readExpect(m["expect"]),
	}
	s.Profiles = readProfiles(m["profiles"], s.Faults)
	s.Gateways = readGateways(m["gateways"], m["profiles"], s.Profiles)
	if s.Gateways.Expect.Group != "" {
		// A device that is offline when its gateway is cut would be back for a moment in between, and alive.
		for _, key := range []string{"churn", "backlogs"} {
			if m[key].Exists() {
				m[key].Faultf("devices that come and go would disturb the alarms that gateways expect: leave out %s, or expect", key)
			}
		}
	}
	s.Answers = readAnswers(m["answers"], s.Expect.Timeout)
	return s
}

// readName is a name that can be part of a device id.
func readName(n source.Node) string {
	name := n.String()
	if n.IsString() && !prefixForm.MatchString(name) {
		n.Faultf("expected a name of a-z A-Z 0-9 : _ -, found %q", name)
	}
	return name
}

// readWithin is a number from low to high, or 0 where nothing stands.
func readWithin(n source.Node, low, high float64, what string) float64 {
	if !n.Exists() {
		return 0
	}
	v := n.Float()
	if v < low || v > high {
		n.Faultf("expected %s from %g to %g, found %g", what, low, high, v)
		return low
	}
	return v
}

func readPart(n source.Node) float64 { return readWithin(n, 0, 1, "a part") }

// readRate is how often something happens per minute. The bound keeps a slip of
// the pen from making a plan of nothing but faults.
func readRate(n source.Node) float64 { return readWithin(n, 0, 600, "a frequency per minute") }

func readWeight(n source.Node) float64 {
	w := n.Float()
	if w < 0 {
		n.Faultf("expected a weight of 0 or more, found %g", w)
		return 0
	}
	return w
}

// readRange is one duration, or a list of the least and the greatest.
func readRange(n source.Node) Range {
	if !n.IsList() {
		d := n.Duration()
		return Range{d, d}
	}
	l := n.List()
	if len(l) != 2 {
		n.Faultf("expected a duration, or a list of the least and the greatest, found %d elements", len(l))
		return Range{}
	}
	r := Range{l[0].Duration(), l[1].Duration()}
	if r.Max < r.Min {
		l[1].Faultf("the greatest, %s, is less than the least, %s", r.Max, r.Min)
	}
	return r
}

func readPositiveDuration(n source.Node) time.Duration {
	d := n.Duration()
	if n.Exists() && d == 0 {
		n.Faultf("expected a duration above zero")
	}
	return d
}

func readClock(n source.Node) Clock {
	if !n.Exists() {
		return Clock{}
	}
	m := n.Fields("skew", "wrong", "none")
	c := Clock{Skew: m["skew"].Duration(), Wrong: readPart(m["wrong"]), None: readPart(m["none"])}
	if c.Skew > maxSkew {
		m["skew"].Faultf("expected at most %s, so that the service believes it, found %s", maxSkew, c.Skew)
	}
	if c.Wrong+c.None > 1 {
		n.Faultf("wrong and none are parts of all devices, and %g in all", c.Wrong+c.None)
	}
	return c
}

func readBacklogs(n source.Node) Backlogs {
	if !n.Exists() {
		return Backlogs{}
	}
	m := n.Fields("per_minute", "down")
	n.Require(m, "per_minute", "down")
	return Backlogs{PerMinute: readRate(m["per_minute"]), Down: readRange(m["down"])}
}

func readRepeats(n source.Node) Repeats {
	if !n.Exists() {
		return Repeats{}
	}
	m := n.Fields("per_message", "delay")
	n.Require(m, "per_message")
	return Repeats{PerMessage: readPart(m["per_message"]), Delay: readRange(m["delay"])}
}

func readPoison(n source.Node) float64 {
	if !n.Exists() {
		return 0
	}
	m := n.Fields("per_minute")
	n.Require(m, "per_minute")
	return readRate(m["per_minute"])
}

func readChurn(n source.Node) Churn {
	if !n.Exists() {
		return Churn{}
	}
	m := n.Fields("per_minute", "down", "clean", "lose_counter", "restart")
	n.Require(m, "per_minute", "down")
	c := Churn{
		PerMinute:   readRate(m["per_minute"]),
		Down:        readRange(m["down"]),
		Clean:       readPart(m["clean"]),
		LoseCounter: readPart(m["lose_counter"]),
		Restart:     readPart(m["restart"]),
	}
	if c.LoseCounter+c.Restart > 1 {
		n.Faultf("lose_counter and restart are parts of all returns, and %g in all", c.LoseCounter+c.Restart)
	}
	return c
}

// readChannel is a channel that a device sends on without a command.
func readChannel(n source.Node) device.Channel {
	known := []string{string(device.ChannelTelemetry), string(device.ChannelStatus), string(device.ChannelEvents)}
	c := n.String()
	if n.IsString() && !slices.Contains(known, c) {
		n.FaultHint(source.DidYouMean(c, known), "expected telemetry, status or events, found %q", c)
	}
	return device.Channel(c)
}

// readEventName is the name that ChannelEvents needs, and no other has.
func readEventName(parent, n source.Node, c device.Channel) string {
	switch {
	case c == device.ChannelEvents && !n.Exists():
		parent.Faultf("key %q is missing: a message on events needs the event's name", "name")
	case c != device.ChannelEvents && n.Exists():
		n.Faultf("only messages on events have a name")
	}
	name := n.String()
	switch {
	case !n.IsString():
	case !eventForm.MatchString(name):
		n.Faultf("expected an event name of 1 to 64 of a-z A-Z 0-9 _ . -, found %q", name)
	case device.ReservedName(name):
		n.Faultf("the event name %q is reserved for the service", name)
	}
	return name
}

var eventForm = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,64}$`)

// readTimes is a count, 1 where nothing stands.
func readTimes(n source.Node) int {
	if !n.Exists() {
		return 1
	}
	return int(n.Int(1, 1000))
}

// readData is a JSON object without the keys that number a message.
func readData(n source.Node) map[string]any {
	data := map[string]any{}
	for _, e := range n.Entries() {
		if slices.Contains(reservedKeys, e.Key) {
			e.KeyAt.Faultf("key %q is written by the simulator itself", e.Key)
			continue
		}
		data[e.Key] = e.Value.Any()
	}
	return data
}

func readExpect(n source.Node) Expect {
	if !n.Exists() {
		return Expect{}
	}
	m := n.Fields("command", "sequence", "within", "attempts", "timeout", "level")
	n.Require(m, "sequence", "within", "attempts", "timeout")
	e := Expect{
		Command:  "reprovision",
		Within:   readPositiveDuration(m["within"]),
		Timeout:  readPositiveDuration(m["timeout"]),
		Attempts: int(m["attempts"].Int(1, 1000)),
		Level:    readLevel(m["level"]),
	}
	if c := m["command"]; c.Exists() {
		e.Command = c.String()
	}
	if !m["sequence"].Exists() {
		return e
	}
	steps := m["sequence"].List()
	if m["sequence"].IsList() && len(steps) == 0 {
		m["sequence"].Faultf("expected at least one step")
	}
	for _, s := range steps {
		e.Sequence = append(e.Sequence, readStep(s))
	}
	if total := unitSteps(e.Sequence); total > math.MaxUint8 {
		m["sequence"].Faultf("expected at most %d messages in all, found %d", math.MaxUint8, total)
	}
	return e
}

func readLevel(n source.Node) Level {
	if !n.Exists() {
		return Level{}
	}
	m := n.Fields("field", "above", "below")
	n.Require(m, "field", "above", "below")
	l := Level{Field: m["field"].String(), Above: m["above"].Float(), Below: m["below"].Float()}
	if m["field"].IsString() && l.Field == "" {
		m["field"].Faultf("expected the name of a field of the telemetry")
	}
	if m["above"].Exists() && m["below"].Exists() && l.Below > l.Above {
		m["below"].Faultf("expected at most above, %g, found %g", l.Above, l.Below)
	}
	return l
}

func readStep(n source.Node) Step {
	m := n.Fields("channel", "name", "equals", "times")
	n.Require(m, "channel")
	s := Step{Channel: readChannel(m["channel"]), Times: readTimes(m["times"])}
	s.Name = readEventName(n, m["name"], s.Channel)
	if m["equals"].Exists() {
		s.Equals = readData(m["equals"])
		for _, e := range m["equals"].Entries() {
			if e.Value.IsMap() || e.Value.IsList() {
				e.Value.Faultf("expected a single value to compare with, found %s", e.Value.Kind())
			}
		}
	}
	return s
}

func unitSteps(steps []Step) int {
	total := 0
	for _, s := range steps {
		total += s.Times
	}
	return total
}
