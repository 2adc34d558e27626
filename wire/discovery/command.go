package discovery

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"devicetwin/wire/discovery/jinja"
)

// command says what an entity is sent, or a member of it such as the target temperature. Encoded, it is
// kept by whoever sends: so a process can send that has not learned itself.
type command struct {
	Component string `json:"c"`
	Topic     string `json:"t"`
	Member    string `json:"p,omitempty"` // "": the entity itself
	Template  string `json:"m,omitempty"` // of Jinja
	// Words are what is published in place of others, where they are not Home Assistant's own.
	Words  map[string]string `json:"w,omitempty"`
	QoS    byte              `json:"q,omitempty"`
	Retain bool              `json:"r,omitempty"`
	JSON   bool              `json:"j,omitempty"` // an object with state and further members
	Shown  bool              `json:"s,omitempty"` // a state is read that shows it
}

// order is a word that an entity can be sent.
type order struct {
	word    string
	key     string // of a config, which may have another payload for it
	payload string // "": none, unless the config has one
	state   any    // which then shows it; nil: none does
}

// ordersOf are those of Home Assistant's components. What a component has not, is sent a value.
var ordersOf = map[string][]order{
	"switch": onOff, "light": onOff, "fan": onOff, "siren": onOff, "humidifier": onOff,
	"button": {{"press", "payload_press", "PRESS", nil}},
	"scene":  {{"on", "payload_on", "ON", nil}},
	"update": {{"install", "payload_install", "", nil}},
	"lock": {{"lock", "payload_lock", "LOCK", "locked"}, {"unlock", "payload_unlock", "UNLOCK", "unlocked"},
		{"open", "payload_open", "", nil}},
	"cover": openClose, "valve": openClose,
	"vacuum": {{"start", "payload_start", "start", nil}, {"pause", "payload_pause", "pause", nil}, {"stop", "payload_stop", "stop", nil},
		{"return_to_base", "payload_return_to_base", "return_to_base", nil}, {"clean_spot", "payload_clean_spot", "clean_spot", nil}, {"locate", "payload_locate", "locate", nil}},
	"alarm_control_panel": {{"disarm", "payload_disarm", "DISARM", "disarmed"}, {"arm_home", "payload_arm_home", "ARM_HOME", "armed_home"},
		{"arm_away", "payload_arm_away", "ARM_AWAY", "armed_away"}, {"arm_night", "payload_arm_night", "ARM_NIGHT", "armed_night"},
		{"arm_vacation", "payload_arm_vacation", "ARM_VACATION", "armed_vacation"},
		{"arm_custom_bypass", "payload_arm_custom_bypass", "ARM_CUSTOM_BYPASS", "armed_custom_bypass"}, {"trigger", "payload_trigger", "TRIGGER", "triggered"}},
}

var (
	oscillate = []order{{"on", "payload_oscillation_on", "oscillate_on", "oscillate_on"}, {"off", "payload_oscillation_off", "oscillate_off", "oscillate_off"}}
	onOff     = []order{{"on", "payload_on", "ON", true}, {"off", "payload_off", "OFF", false}}
	openClose = []order{{"open", "payload_open", "OPEN", "open"}, {"close", "payload_close", "CLOSE", "closed"}, {"stop", "payload_stop", "STOP", nil}}
)

// orders are the words that it is sent; nil: it is sent a value.
func (c *command) orders() []order {
	switch c.Member {
	case "":
		return ordersOf[c.Component]
	case "power":
		return onOff
	case "oscillation":
		return oscillate
	}
	return nil
}

// addCommands adds what the topics of commands are for.
func (e *entity) addCommands(config map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(config)) {
		if !isCommandTopic(name) {
			continue
		}
		c := command{Component: e.component, QoS: qosOf(config["qos"]), Retain: config["retain"] == true}
		c.Topic, _ = config[name].(string)
		stem := strings.TrimSuffix(name, "_topic") // command, mode_command, set_position
		c.Member = strings.TrimPrefix(strings.TrimSuffix(strings.TrimSuffix(stem, "command"), "_"), "set_")
		if c.Topic == "" {
			continue
		}
		if err := checkTopic(c.Topic); err != nil {
			e.faults = append(e.faults, fmt.Sprintf("%s %q: %v", name, c.Topic, err))
			continue
		}
		if source, ok := config[stem+"_template"].(string); ok {
			if _, err := jinja.Compile(source, "value"); err != nil {
				e.faults = append(e.faults, fmt.Sprintf("%s_template %q is not understood, and nothing is sent to %s: %v", stem, source, c.Topic, err))
				continue
			}
			c.Template = source
		}
		c.JSON = c.Member == "" && e.component == "light" && config["schema"] == "json"
		for _, o := range c.orders() {
			if payload, ok := scalar(config[o.key]); ok && payload != o.payload {
				if c.Words == nil {
					c.Words = map[string]string{}
				}
				c.Words[o.word] = payload
			}
		}
		c.Shown = config["optimistic"] != true && slices.ContainsFunc(e.reads, func(r read) bool { return r.what == readState && r.member == c.Member })
		e.commands = append(e.commands, c)
	}
}

func qosOf(v any) byte {
	if q, ok := v.(float64); ok && q >= 1 {
		return 1
	}
	return 0
}

// maxCommands bounds the encoded commands of a device, in bytes: whoever sends keeps them.
const maxCommands = 4 << 10

// commandsOf are the encoded commands of a device, by their names, which are shared. It also notes whether
// there are messages that they can go with, so that not each reading has them.
func (l *Learner) commandsOf(d *device) map[string]string {
	if d.commands != nil {
		return d.commands
	}
	d.commands, d.seldom = map[string]string{}, len(d.available) > 0
	for e := range d.entities {
		d.seldom = d.seldom || e.controls && len(e.reads) > 0
	}
	size := 0
	for _, e := range slices.SortedFunc(maps.Keys(d.entities), func(a, b *entity) int { return strings.Compare(a.name, b.name) }) {
		for _, c := range e.commands {
			name := withMember(e.name, c.Member)
			if why := l.unsent(e, c.Topic); why != "" {
				l.note("", fmt.Sprintf("%s of device %s cannot be commanded: topic %s: %s", name, d.id, c.Topic, why))
				continue
			}
			encoded, err := json.Marshal(c)
			if size += len(name) + len(encoded); err != nil || size > maxCommands {
				l.note("", fmt.Sprintf("%s of device %s cannot be commanded: what is known of its commands is more than %d bytes", name, d.id, maxCommands))
				return d.commands
			}
			d.commands[name] = string(encoded)
		}
	}
	return d.commands
}

// unsent is why an entity is not sent anything on a topic; "" if it is.
func (l *Learner) unsent(e *entity, topic string) string {
	if slices.ContainsFunc(e.reads, func(r read) bool { return r.topic == topic }) {
		return "its state is on the same, so what is sent would be read as what it says"
	}
	if l.options.Sends == nil {
		return ""
	}
	return l.options.Sends(topic)
}

// Commands are the encoded commands of the device with an id.
func (l *Learner) Commands(id string) map[string]string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, d := range l.devices {
		if d.id == id {
			return l.commandsOf(d)
		}
	}
	return nil
}

func withMember(name, member string) string {
	if member == "" {
		return name
	}
	return name + "_" + member
}
