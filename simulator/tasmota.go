package simulator

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"devicetwin/device"
	"devicetwin/wire"
)

// Reader reads what devices publish, as the service does.
type Reader interface {
	Decode(topic string, payload []byte, dup bool, at time.Time) ([]wire.Received, error)
}

// Tasmota is the speech of Tasmota 9 and later with the default FullTopic, as dialects/tasmota
// reads it: topics, payloads and answers are those of its documentation and source
// (tasmota.github.io/docs/MQTT, xdrv_02_9_mqtt.ino, support_command.ino).
//
// Two things differ from real devices: these publish with QoS 1, because without a PUBACK
// nobody knows what was sent, and they keep their session, as with SetOption140 1. No message
// has a number or a time that can be believed. A counter in each SENSOR, which counts them,
// and the count of boots distinguish messages that would be equal otherwise.
func Tasmota(reader Reader) Speech { return tasmotaSpeech{reader} }

type tasmotaSpeech struct{ reader Reader }

func (s tasmotaSpeech) Voice(id device.ID, i Identity) Voice {
	firmware := i.Firmware
	if firmware == "" {
		firmware = "14.2.0(tasmota)"
	}
	return &tasmotaVoice{reader: s.reader, id: id, firmware: firmware, power: "ON"}
}

func (s tasmotaSpeech) Numbers() bool { return false }
func (s tasmotaSpeech) Times() bool   { return false }
func (s tasmotaSpeech) Names() bool   { return false }

func (s tasmotaSpeech) Owns(prefix, topic string) bool {
	return strings.HasPrefix(topic, "tele/"+prefix) || strings.HasPrefix(topic, "stat/"+prefix)
}

// telePeriod is the time between two STATE messages: the shortest TelePeriod.
const telePeriod = 10 * time.Second

// tasmotaModule is the name of the hardware.
const tasmotaModule = "Generic"

type tasmotaVoice struct {
	reader   Reader
	id       device.ID
	firmware string

	readings uint64 // SENSOR messages, as the device's own pulse counter has them
	boots    uint64
	connects uint64    // since the boot
	booted   time.Time // the last time
	stated   time.Time // the last STATE
	power    string    // ON or OFF
}

// Say has words for births and goodbyes, the event restarted with its reason, readings, and
// what Answer gives.
func (v *tasmotaVoice) Say(m device.Message, _ time.Time) ([]Utterance, error) {
	switch {
	case m.Channel == device.ChannelTelemetry:
		return v.measure(m)
	case m.Channel == device.ChannelAck:
		return v.result(m)
	case m.Channel == device.ChannelEvents && m.Name == "restarted":
		reason, ok := m.Data["reason"].(string)
		if !ok || len(m.Data) != 1 {
			return nil, errors.New("event restarted: expected data with a reason, a string, and nothing else")
		}
		return v.boot(m.Time, reason)
	case m.Channel == device.ChannelStatus:
		return v.status(m)
	}
	return nil, fmt.Errorf("no words for it: expected a reading, a status, or the event restarted, found %s", m.Topic())
}

func (v *tasmotaVoice) status(m device.Message) ([]Utterance, error) {
	switch m.Data["status"] {
	case "boot":
		reason := "Power On"
		if m.Data["credential"] != nil {
			reason = "Software/System restart"
		}
		return v.boot(m.Time, reason)
	case "online":
		v.connects++
		return v.one(v.alive("Online"))
	case "offline":
		return v.one(v.alive("Offline"))
	}
	return nil, fmt.Errorf("status %v: expected boot, online or offline", m.Data["status"])
}

func (v *tasmotaVoice) Will() (Utterance, error) { return v.alive("Offline") }

// alive is the birth message, or the last will and goodbye.
func (v *tasmotaVoice) alive(word string) (Utterance, error) {
	return v.checked(Utterance{
		Topic: v.topic("tele", "LWT"), Payload: []byte(word), Retained: true,
		Means: []device.Message{{Channel: device.ChannelStatus, Data: map[string]any{"status": word}}},
	})
}

// boot is what a device publishes when it has started.
func (v *tasmotaVoice) boot(now time.Time, reason string) (all []Utterance, err error) {
	v.boots++
	v.connects, v.booted, v.stated = 1, now, time.Time{}
	alive, err := v.alive("Online")
	if err != nil {
		return nil, err
	}
	info1, err := v.object("tele", "INFO1", map[string]any{"Info1": map[string]any{
		"Module": tasmotaModule, "Version": v.firmware, "GroupTopic": "cmnd/tasmotas/",
	}}, device.Message{Channel: device.ChannelStatus, Data: map[string]any{"status": "boot", "firmware": v.firmware, "module": tasmotaModule}})
	if err != nil {
		return nil, err
	}
	info3, err := v.object("tele", "INFO3", map[string]any{"Info3": map[string]any{"RestartReason": reason, "BootCount": v.boots}},
		device.Message{Channel: device.ChannelEvents, Name: "restarted", Data: map[string]any{"reason": reason, "boots": float64(v.boots)}})
	return []Utterance{alive, info1, info3}, err
}

// measure is a reading. Names with dots are members of objects, as in ENERGY.Power.
func (v *tasmotaVoice) measure(m device.Message) ([]Utterance, error) {
	v.readings++
	data := nested(m.Data)
	data["Time"], data["COUNTER"] = tasmotaTime(m.Time), map[string]any{"C1": float64(v.readings)}
	sensor, err := v.object("tele", "SENSOR", data, device.Message{Channel: device.ChannelTelemetry, Data: withoutNull(data)})
	if err != nil || m.Time.Sub(v.stated) < telePeriod {
		return []Utterance{sensor}, err
	}
	v.stated = m.Time
	state := v.state(m.Time)
	stated, err := v.object("tele", "STATE", state, device.Message{Channel: device.ChannelTelemetry, Data: state}, v.reports())
	return []Utterance{stated, sensor}, err
}

// state is the device's state at a time.
func (v *tasmotaVoice) state(now time.Time) map[string]any {
	up := now.Sub(v.booted).Truncate(time.Second)
	return map[string]any{
		"Time": tasmotaTime(now), "Uptime": tasmotaSpan(up), "UptimeSec": up.Seconds(), "Heap": 27.0, "SleepMode": "Dynamic",
		"Sleep": 50.0, "LoadAvg": 19.0, "MqttCount": float64(v.connects), "POWER": v.power,
		"Wifi": map[string]any{"AP": 1.0, "RSSI": 74.0, "Signal": -63.0, "LinkCount": 1.0},
	}
}

func (v *tasmotaVoice) reports() device.Message {
	return device.Message{Channel: device.ChannelTwin, Name: device.MethodUpdate, Data: map[string]any{"POWER": v.power}}
}

// result is the answer to a command. What it means is left to the dialect: nothing of a
// fleet's ledger is found by it.
func (v *tasmotaVoice) result(m device.Message) ([]Utterance, error) {
	payload, err := json.Marshal(m.Data)
	if err != nil {
		return nil, fmt.Errorf("encode the answer to command %s of device %s: %w", m.Name, v.id, err)
	}
	u := Utterance{Topic: v.topic("stat", "RESULT"), Payload: payload}
	if u.Means, err = v.read(u); err != nil {
		return nil, err
	}
	power, ok := m.Data["POWER"].(string)
	if !ok || len(m.Data) > 1 {
		return []Utterance{u}, nil
	}
	return []Utterance{u, {Topic: v.topic("stat", "POWER"), Payload: []byte(power)}}, nil
}

// Noise is something that is not JSON.
func (v *tasmotaVoice) Noise(text string) Utterance {
	return Utterance{Topic: v.topic("tele", "SENSOR"), Payload: []byte(text)}
}

func (v *tasmotaVoice) Filter() string { return v.topic("cmnd", "#") }

// newCredentials is the command of the service that gives a device new ones. Tasmota has them
// in two settings, after which it restarts.
const newCredentials = "reprovision"

// Hear reads a command. No command says when it was decided, and none which one it is: new
// credentials are known by what they are, because no two are equal.
func (v *tasmotaVoice) Hear(topic string, payload []byte, at time.Time) (Command, error) {
	name, ok := strings.CutPrefix(topic, v.topic("cmnd", ""))
	if !ok || name == "" || strings.Contains(name, "/") {
		return Command{}, fmt.Errorf("read command %s: not the topic of a command", topic)
	}
	c := Command{Name: strings.ToUpper(name), Argument: string(payload), Received: at}
	if c.Name != "BACKLOG" && c.Name != "BACKLOG0" {
		return c, nil
	}
	for part := range strings.SplitSeq(c.Argument, ";") {
		setting, value, _ := strings.Cut(strings.TrimSpace(part), " ")
		switch strings.ToUpper(setting) {
		case "MQTTUSER":
			c.Credentials.Username = value
		case "MQTTPASSWORD", "MQTTPASSWORD1", "MQTTPASSWORD2":
			c.Credentials.Password = value
		}
	}
	if c.Credentials.Username != "" && c.Credentials.Password != "" {
		sum := sha256.Sum256(payload)
		c.ID = hex.EncodeToString(sum[:8])
		c.Name, c.Credentials.ID = newCredentials, c.ID
	}
	return c, nil
}

// Answer is what the device says on stat/{id}/RESULT: the settings that are new, the state
// that a switch has then, or that it does not know the command.
func (v *tasmotaVoice) Answer(c Command, status, _ string) []device.Message {
	result := func(name string, value any) device.Message {
		return device.Message{Channel: device.ChannelAck, Name: c.Name, Data: map[string]any{name: value}}
	}
	switch {
	case status == string(device.CommandRejected):
	case c.Name == newCredentials:
		return []device.Message{result("MqttUser", c.Credentials.Username), result("MqttPassword", "****")}
	case c.Name == "POWER", c.Name == "POWER1":
		v.power = switched(v.power, c.Argument)
		return []device.Message{result("POWER", v.power)}
	case c.Name == "STATE":
		return []device.Message{{Channel: device.ChannelAck, Name: c.Name, Data: v.state(c.Received)}}
	}
	return []device.Message{result("Command", "Unknown")}
}

// switched is the state of a switch after the command Power. Without an argument, it is asked
// for only.
func switched(power, argument string) string {
	switch strings.ToUpper(argument) {
	case "ON", "1", "TRUE":
		return "ON"
	case "OFF", "0", "FALSE":
		return "OFF"
	case "TOGGLE", "2":
		if power == "ON" {
			return "OFF"
		}
		return "ON"
	}
	return power
}

func (v *tasmotaVoice) topic(prefix, command string) string {
	return prefix + "/" + v.id.Name() + "/" + command
}

// object is a JSON object on a topic, and what it means.
func (v *tasmotaVoice) object(prefix, command string, data map[string]any, means ...device.Message) (Utterance, error) {
	payload, err := json.Marshal(data)
	if err != nil {
		return Utterance{}, fmt.Errorf("encode %s of device %s: %w", command, v.id, err)
	}
	return v.checked(Utterance{Topic: v.topic(prefix, command), Payload: payload, Means: means})
}

func (v *tasmotaVoice) one(u Utterance, err error) ([]Utterance, error) { return []Utterance{u}, err }

// checked takes over the digests of what the service makes of it, and refuses what it reads
// as something else.
func (v *tasmotaVoice) checked(u Utterance) (Utterance, error) {
	read, err := v.read(u)
	if err != nil {
		return u, err
	}
	if len(read) != len(u.Means) {
		return u, fmt.Errorf("%s means %d messages, and is read as %d", u.Topic, len(u.Means), len(read))
	}
	for i, m := range read {
		means := &u.Means[i]
		if m.Channel != means.Channel || m.Name != means.Name {
			return u, fmt.Errorf("%s means %s, and is read as %s", u.Topic, means.Topic(), m.Topic())
		}
		means.Digest = m.Digest
	}
	return u, nil
}

// read is what the service makes of it.
func (v *tasmotaVoice) read(u Utterance) (all []device.Message, err error) {
	received, err := v.reader.Decode(u.Topic, u.Payload, false, time.Now())
	switch {
	case errors.Is(err, wire.ErrUnmapped), errors.Is(err, wire.ErrNotInput):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the device's own message: %w", err)
	}
	for _, r := range received {
		if r.ID != v.id {
			return nil, fmt.Errorf("%s is of device %s, and is read as one of %s", u.Topic, v.id, r.ID)
		}
		r.Complete()
		all = append(all, r.Message)
	}
	return all, nil
}

// tasmotaTime is the local time, of which a message does not say the zone.
func tasmotaTime(t time.Time) string { return t.Format("2006-01-02T15:04:05") }

// tasmotaSpan is a length of time, such as 1T02:03:04.
func tasmotaSpan(d time.Duration) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%dT%02d:%02d:%02d", s/86400, s/3600%24, s/60%60, s%60)
}

// nested is an object with members of objects in the place of names with dots.
func nested(flat map[string]any) map[string]any {
	all := make(map[string]any, len(flat)+2)
	for _, name := range slices.Sorted(maps.Keys(flat)) {
		object, member := all, name
		for outer, rest, ok := strings.Cut(member, "."); ok; outer, rest, ok = strings.Cut(member, ".") {
			inner, _ := object[outer].(map[string]any)
			inner = maps.Clone(inner) // it may be the scenario's
			if inner == nil {
				inner = map[string]any{}
			}
			object[outer] = inner
			object, member = inner, rest
		}
		object[member] = flat[name]
	}
	return all
}

// withoutNull is an object as the service has it: null is what a sensor says that does not
// answer, and an object of which nothing is left is missing too.
func withoutNull(object map[string]any) map[string]any {
	kept := make(map[string]any, len(object))
	for name, value := range object {
		switch value := value.(type) {
		case nil:
		case map[string]any:
			if inner := withoutNull(value); len(inner) > 0 || len(value) == 0 {
				kept[name] = inner
			}
		default:
			kept[name] = value
		}
	}
	return kept
}
