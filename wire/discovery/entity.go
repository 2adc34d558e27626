package discovery

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"devicetwin/internal/jsonobject"
	"devicetwin/wire/discovery/jinja"
)

// entity is a part of a device: a sensor, a switch.
type entity struct {
	place
	owner        owner
	unique       string // its component with its unique id, or with what stands for one
	reads        []read
	commands     []command
	availability *availability // nil: it is always available
	controls     bool          // something can be sent to it: its state is part of the device's reported one
	faults       []string      // what of it is not read, and why

	// What follows is known once it is learned.
	device *device
	name   string // of its values, in the device
}

// read is something that an entity reads on a topic.
type read struct {
	topic    string
	what     what
	member   string // what is added to the entity's name; "": nothing
	template *jinja.Template
	values   values
	trigger  string         // of a trigger: the payload that means it; "": any
	data     map[string]any // of a trigger
}

type what byte

const (
	readState      what = iota
	readAttributes      // a JSON object of further values
	readEvent           // a JSON object with event_type
	readTrigger         // an event, if the payload is the one
	readTag             // a tag that was read
)

// values say what the strings of a state mean.
type values struct {
	kind  valueKind
	words map[string]any // what they stand for, of boolean and word
	reset string         // stands for no value; "": nothing does
}

type valueKind byte

const (
	automatic valueKind = iota // a number if it is one, else a string
	number                     // a number; anything else is not a value
	boolean                    // one of words; anything else is not a value
	word                       // one of words, or itself
	members                    // a JSON object with state, or a word
)

func newEntity(p place, config map[string]any, of owner) *entity {
	e := &entity{place: p, owner: of, unique: p.component + "/" + p.node + "/" + p.object}
	if id, ok := config["unique_id"].(string); ok {
		e.unique = p.component + " " + id
	}
	for name := range config {
		e.controls = e.controls || isCommandTopic(name)
	}
	if encoding, given := config["encoding"].(string); !given || encoding != "" { // else bytes
		switch p.component {
		case "camera", "image":
		case "device_automation":
			e.addTrigger(config)
		case "tag":
			e.add(config, "topic", read{what: readTag}, "value_template")
		case "event":
			e.add(config, "state_topic", read{what: readEvent}, "value_template")
		default:
			e.addStates(config)
		}
	}
	e.availability = e.availabilityOf(config)
	e.addCommands(config)
	return e
}

func isCommandTopic(name string) bool {
	return strings.HasSuffix(name, "command_topic") || name == "set_position_topic" || name == "set_fan_speed_topic"
}

func (e *entity) addTrigger(config map[string]any) {
	trigger, _ := scalar(config["payload"])
	data := map[string]any{}
	for _, name := range []string{"type", "subtype"} {
		if s, ok := config[name].(string); ok {
			data[name] = s
		}
	}
	e.add(config, "topic", read{what: readTrigger, trigger: trigger, data: data}, "value_template")
}

// addStates adds what is on the topics of states.
func (e *entity) addStates(config map[string]any) {
	if config["schema"] == "template" {
		e.faults = append(e.faults, "schema template is not supported")
		return
	}
	for _, name := range slices.Sorted(maps.Keys(config)) {
		stem, ok := strings.CutSuffix(name, "_topic")
		switch {
		case !ok, isCommandTopic(name), name == "availability_topic", name == "send_command_topic":
		case name == "json_attributes_topic":
			e.add(config, name, read{what: readAttributes, member: "attributes"}, "json_attributes_template")
		case name == "state_topic" || name == "activity_state_topic":
			e.add(config, name, read{values: e.valuesOf(config)}, "activity_value_template", "state_value_template", "value_template")
		default:
			templates := []string{stem + "_template", stem + "_value_template"}
			member := stem
			for _, suffix := range []string{"_state", "_status"} {
				if cut, ok := strings.CutSuffix(stem, suffix); ok {
					member = cut
					templates = append(templates, cut+"_value_template")
				}
			}
			if e.component == "climate" || e.component == "water_heater" {
				templates = append(templates, "value_template")
			}
			reset, _ := config["payload_reset"].(string)
			e.add(config, name, read{member: member, values: values{reset: reset}}, templates...)
		}
	}
}

// add adds what is on a topic, with the first of the templates that there is. One that is not understood leaves it out.
func (e *entity) add(config map[string]any, topicName string, r read, templates ...string) {
	r.topic, _ = config[topicName].(string)
	if r.topic == "" {
		return
	}
	if err := checkTopic(r.topic); err != nil {
		e.faults = append(e.faults, fmt.Sprintf("%s %q: %v", topicName, r.topic, err))
		return
	}
	for _, name := range templates {
		source, ok := config[name].(string)
		if !ok {
			continue
		}
		if r.template, ok = e.template(name, source, r.topic); !ok {
			return
		}
		break
	}
	e.reads = append(e.reads, r)
}

// template is one by which the entity reads a topic; what calls it. False: it is not understood, which is noted.
func (e *entity) template(what, source, topic string) (*jinja.Template, bool) {
	t, err := jinja.Compile(source, "value", "value_json")
	if err != nil {
		e.faults = append(e.faults, fmt.Sprintf("%s %q is not understood, and %s is not read for it: %v", what, source, topic, err))
	}
	return t, err == nil
}

// maxTopic bounds a topic, in bytes.
const maxTopic = 1024

func checkTopic(topic string) error {
	if len(topic) > maxTopic || strings.ContainsAny(topic, "+#\x00") {
		return fmt.Errorf("expected a topic without wildcards, of at most %d bytes", maxTopic)
	}
	return nil
}

// wordsOf are the states that Home Assistant knows of a component, with how configs call them, and
// what they are unless a config says something else.
var wordsOf = map[string]map[string][2]string{
	"cover":          coverWords,
	"valve":          coverWords,
	"lock":           {"locked": {"state_locked", "LOCKED"}, "unlocked": {"state_unlocked", "UNLOCKED"}, "locking": {"state_locking", "LOCKING"}, "unlocking": {"state_unlocking", "UNLOCKING"}, "jammed": {"state_jammed", "JAMMED"}},
	"device_tracker": {"home": {"payload_home", "home"}, "not_home": {"payload_not_home", "not_home"}},
}

var coverWords = map[string][2]string{"open": {"state_open", "open"}, "opening": {"state_opening", "opening"}, "closed": {"state_closed", "closed"},
	"closing": {"state_closing", "closing"}, "stopped": {"state_stopped", "stopped"}}

// valuesOf says what the state of an entity is.
func (e *entity) valuesOf(config map[string]any) values {
	v := values{kind: word}
	v.reset, _ = config["payload_reset"].(string)
	switch e.component {
	case "sensor":
		v.kind = automatic
		class, _ := config["device_class"].(string)
		if slices.Contains([]string{"enum", "timestamp", "date"}, class) {
			v.kind = word
			break
		}
		for _, name := range []string{"unit_of_measurement", "state_class", "suggested_display_precision"} {
			if config[name] != nil {
				v.kind = number
			}
		}
	case "number":
		v.kind = number
	case "binary_sensor", "switch", "light", "fan", "siren", "humidifier":
		v.kind = boolean
		v.words = map[string]any{wordFor(config, "OFF", "state_off", "payload_off"): false}
		v.words[wordFor(config, "ON", "state_on", "payload_on")] = true
		if e.component == "light" && config["schema"] == "json" {
			v.kind = members
		}
	case "update", "vacuum":
		v.kind = members
	default:
		v.words = map[string]any{}
		for state, word := range wordsOf[e.component] {
			v.words[wordFor(config, word[1], word[0])] = state
		}
		if e.component == "valve" && config["reports_position"] == true {
			v.kind = members
		}
	}
	return v
}

// wordFor is the first of the members that there is.
func wordFor(config map[string]any, otherwise string, names ...string) string {
	for _, name := range names {
		if s, ok := scalar(config[name]); ok {
			return s
		}
	}
	return otherwise
}

// scalar is a string, or how Python spells another value that is not a list or a mapping.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		if v {
			return "True", true
		}
		return "False", true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return "", false
}

// of is what a string stands for. False: it is not a value.
func (v *values) of(text string) (any, bool) {
	if v.reset != "" && text == v.reset {
		return nil, false
	}
	switch v.kind {
	case number:
		return numberOf(text)
	case automatic:
		if n, ok := numberOf(text); ok {
			return n, true
		}
		return text, true
	}
	if meaning, known := v.words[text]; known {
		return meaning, true
	}
	return text, v.kind != boolean
}

// numberOf is a number with all the digits that it came with.
func numberOf(text string) (any, bool) {
	n, ok := jsonobject.Parse([]byte(text))
	return json.Number(text), ok && n.Kind() == jsonobject.Number && len(n) == len(text)
}
