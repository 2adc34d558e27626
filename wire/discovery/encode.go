package discovery

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"devicetwin/wire/discovery/jinja"
)

// Publication is what is sent to an entity.
type Publication struct {
	Topic   string
	Payload string
	QoS     byte
	Retain  bool
	// Shows is what the device reports then; nil: nothing shows it.
	Shows map[string]any
}

// ErrUnknown is that of a name that no command has.
var ErrUnknown = errors.New("nothing can be sent to this entity")

// target is a command with the names of what it is for.
type target struct {
	command
	entity string
	member string // of an object; "": the entity itself, or what the command is for
}

// targetOf finds what a name is of: an entity, a member of one, or a member of an object
// that an entity is sent.
func targetOf(commands map[string]string, name string) (t target, err error) {
	if encoded, ok := commands[name]; ok {
		t.entity = name
		return t, t.read(encoded)
	}
	for _, entity := range slices.Sorted(maps.Keys(commands)) {
		member, ok := strings.CutPrefix(name, entity+"_")
		if !ok || member == "" {
			continue
		}
		t = target{entity: entity, member: member}
		if err := t.read(commands[entity]); err == nil && t.JSON {
			return t, nil
		}
	}
	return target{}, ErrUnknown
}

func (t *target) read(encoded string) error {
	t.command = command{}
	if err := json.Unmarshal([]byte(encoded), &t.command); err != nil {
		return fmt.Errorf("what is known of its commands: %w", err)
	}
	return nil
}

// Encode writes a command, by the encoded commands of a device. The value is one of JSON.
func Encode(commands map[string]string, name string, v any) (Publication, error) {
	t, err := targetOf(commands, name)
	if err != nil {
		return Publication{}, err
	}
	if object, ok := v.(map[string]any); ok && !(t.JSON && t.member == "") {
		value, has := object["value"]
		if len(object) > 0 && !has {
			return Publication{}, errors.New("expected a value, or an object with value")
		}
		v = value
	}
	if t.JSON {
		return t.encodeObject(t.members(v))
	}
	return t.encode(v)
}

// EncodeDesired writes what is desired, an object of JSON: one publication for each entity or member of which something
// is. What nothing can be sent to is left out. The error has a line for each that could not be written.
func EncodeDesired(commands map[string]string, desired map[string]any) (all []Publication, err error) {
	var faults []error
	objects := map[string]map[string]any{}
	targets := map[string]target{}
	for _, name := range slices.Sorted(maps.Keys(desired)) {
		t, err := targetOf(commands, name)
		switch {
		case errors.Is(err, ErrUnknown):
		case err != nil:
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
		case t.JSON:
			if objects[t.entity] == nil {
				objects[t.entity] = map[string]any{}
			}
			maps.Copy(objects[t.entity], t.members(desired[name]))
			targets[t.entity] = t
		default:
			p, err := t.encode(desired[name])
			if err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", name, err))
				continue
			}
			all = append(all, p)
		}
	}
	for _, entity := range slices.Sorted(maps.Keys(objects)) {
		t := targets[entity]
		p, err := t.encodeObject(objects[entity])
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", entity, err))
			continue
		}
		all = append(all, p)
	}
	return all, errors.Join(faults...)
}

// encode writes a value.
func (t *target) encode(v any) (Publication, error) {
	var payload any
	var shows any
	if orders := t.orders(); orders != nil {
		o, text, err := t.order(orders, v)
		if err != nil {
			return Publication{}, err
		}
		payload, shows = text, o.state
	} else {
		text, err := textOf(v)
		if err != nil {
			return Publication{}, err
		}
		payload, shows = v, t.shownAs(text)
		if f, ok := v.(float64); !ok {
			payload = text
		} else if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			payload = int64(f)
		}
	}
	text, err := t.rendered(payload)
	if err != nil {
		return Publication{}, err
	}
	p := Publication{Topic: t.Topic, Payload: text, QoS: t.QoS, Retain: t.Retain}
	if t.Shown && shows != nil {
		p.Shows = map[string]any{t.entity: shows}
	}
	return p, nil
}

// shownAs is a string as the state has it.
func (t *target) shownAs(text string) any {
	switch t.Component {
	case "select", "text":
		if t.Member == "" {
			return text
		}
	}
	if n, ok := numberOf(text); ok {
		return n
	}
	return text
}

// rendered is a payload as the template has it.
func (t *target) rendered(v any) (string, error) {
	if t.Template == "" {
		if text, ok := v.(string); ok {
			return text, nil
		}
		return fmt.Sprint(v), nil
	}
	compiled, err := jinja.Compile(t.Template, "value")
	if err != nil {
		return "", fmt.Errorf("template: %w", err)
	}
	text, err := compiled.Render(&jinja.Scope{Value: func(string) (any, bool) { return v, true }, Left: maxMade})
	if err != nil {
		return "", fmt.Errorf("template: %w", err)
	}
	return text, nil
}

// order is the one that a value means: true and false, its word, the payload for it or the state that it leads
// to. Where there is only one, anything does.
func (t *target) order(orders []order, v any) (o order, payload string, err error) {
	var known []string
	if on, ok := v.(bool); ok {
		v = map[bool]string{true: "on", false: "off"}[on]
	}
	for _, o := range orders {
		payload := o.payload
		if own, ok := t.Words[o.word]; ok {
			payload = own
		}
		if payload == "" {
			continue
		}
		known = append(known, o.word)
		s, _ := v.(string)
		if v == o.state && v != nil || s != "" && (strings.EqualFold(s, o.word) || s == payload) || len(orders) == 1 {
			return o, payload, nil
		}
	}
	return order{}, "", fmt.Errorf("expected one of %s", strings.Join(known, ", "))
}

// textOf is a value as a payload.
func textOf(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	}
	return "", errors.New("expected a string, a number, true or false")
}

// members are those of an object that a value stands for.
func (t *target) members(v any) map[string]any {
	if t.member != "" {
		return map[string]any{t.member: v}
	}
	if object, ok := v.(map[string]any); ok {
		return object
	}
	return map[string]any{"state": v}
}

// encodeObject writes an object with state, which is on unless it says something else.
func (t *target) encodeObject(object map[string]any) (Publication, error) {
	state, has := object["state"]
	if !has {
		state = true
	}
	o, word, err := t.order(onOff, state)
	if err != nil {
		return Publication{}, fmt.Errorf("state: %w", err)
	}
	sent, shows := maps.Clone(object), map[string]any{t.entity: o.state}
	sent["state"] = word
	for name, v := range object {
		if name != "state" && name != "transition" && name != "flash" { // which are not states
			shows[t.entity+"_"+name] = v
		}
	}
	payload, err := json.Marshal(sent)
	if err != nil {
		return Publication{}, fmt.Errorf("encode: %w", err)
	}
	p := Publication{Topic: t.Topic, Payload: string(payload), QoS: t.QoS, Retain: t.Retain}
	if t.Shown {
		p.Shows = shows
	}
	return p, nil
}
