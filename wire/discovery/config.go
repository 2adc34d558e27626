package discovery

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"devicetwin/internal/jsonobject"
)

// components are those of Home Assistant that a config may have.
var components = strings.Fields(`alarm_control_panel binary_sensor button camera climate cover device_automation device_tracker event fan
	humidifier image lawn_mower light lock notify number scene siren select sensor switch tag text update vacuum valve water_heater`)

// deviceComponent is that of a config with several components.
const deviceComponent = "device"

// place is where a config is published.
type place struct{ component, node, object string }

// placeOf reads the topic of a config.
func placeOf(topic, prefix string) (p place, ok bool) {
	rest, ok := strings.CutPrefix(topic, prefix+"/")
	if !ok {
		return p, false
	}
	if rest, ok = strings.CutSuffix(rest, "/config"); !ok {
		return p, false
	}
	switch levels := strings.Split(rest, "/"); len(levels) {
	case 2:
		p = place{component: levels[0], object: levels[1]}
	case 3:
		p = place{levels[0], levels[1], levels[2]}
		if !plainName(p.node) {
			return p, false
		}
	default:
		return p, false
	}
	return p, plainName(p.object) && (p.component == deviceComponent || slices.Contains(components, p.component))
}

// plainName reports whether it has letters, digits, _ and - only, as the levels of a config's topic do.
func plainName(s string) bool {
	return s != "" && len(s) <= 256 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '_' && r != '-'
	})
}

var errNotObject = errors.New("expected a JSON object")

// readConfig is what a config says: its entities.
func readConfig(p place, payload []byte, depth int) ([]*entity, error) {
	v, ok := jsonobject.ParseWithin(payload, depth)
	if !ok || v.Kind() != jsonobject.Object {
		return nil, errNotObject
	}
	config := spelledOut(v.Decoded().(map[string]any), "entity")
	if config["migrate_discovery"] == true { // a config for the whole device follows
		return nil, nil
	}
	of, err := ownerOf(config, p)
	if err != nil {
		return nil, err
	}
	base, _ := config["~"].(string)
	replaceBase(config, base)
	if p.component != deviceComponent {
		return []*entity{newEntity(p, config, of)}, nil
	}
	list, ok := config["components"].(map[string]any)
	if !ok {
		return nil, errors.New("expected components")
	}
	if len(list) > maxComponents {
		return nil, fmt.Errorf("%d components, the limit is %d", len(list), maxComponents)
	}
	var all []*entity
	for _, key := range slices.Sorted(maps.Keys(list)) {
		each, ok := list[key].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("component %q: %w", key, errNotObject)
		}
		each = spelledOut(each, "entity")
		platform, _ := each["platform"].(string)
		if !slices.Contains(components, platform) || !plainName(key) || len(each) == 1 { // the last one is removed
			continue
		}
		if own, ok := each["~"].(string); ok {
			replaceBase(each, own)
		} else {
			replaceBase(each, base)
		}
		inherit(each, config)
		all = append(all, newEntity(place{platform, p.node, key}, each, of))
	}
	return all, nil
}

// maxComponents bounds those of a config.
const maxComponents = 500

// inherited are members that the components of a config have from it.
var inherited = []string{"state_topic", "command_topic", "qos", "encoding"}

func inherit(component, from map[string]any) {
	for _, name := range inherited {
		if _, own := component[name]; !own && from[name] != nil {
			component[name] = from[name]
		}
	}
	if component["availability"] == nil && component["availability_topic"] == nil {
		for name, v := range from {
			if strings.HasPrefix(name, "availability") || name == "payload_available" || name == "payload_not_available" {
				component[name] = v
			}
		}
	}
}

// replaceBase puts the base in the place of ~, which is at the beginning or the end of topics.
func replaceBase(config map[string]any, base string) {
	delete(config, "~")
	for name, v := range config {
		if s, ok := v.(string); ok && strings.HasSuffix(name, "topic") {
			config[name] = withBase(s, base)
		}
	}
	for _, a := range availabilityList(config) {
		if s, ok := a["topic"].(string); ok {
			a["topic"] = withBase(s, base)
		}
	}
}

func withBase(topic, base string) string {
	if base == "" {
		return topic
	}
	if rest, ok := strings.CutPrefix(topic, "~"); ok {
		topic = base + rest
	}
	if rest, ok := strings.CutSuffix(topic, "~"); ok {
		topic = rest + base
	}
	return topic
}

// availabilityList are the entries of availability, with the full names of their members.
func availabilityList(config map[string]any) (all []map[string]any) {
	list, ok := config["availability"].([]any)
	if one, isOne := config["availability"].(map[string]any); isOne {
		list, ok = []any{one}, true
	}
	if !ok {
		return nil
	}
	for i, v := range list {
		if entry, ok := v.(map[string]any); ok {
			entry = spelledOut(entry, "entity")
			list[i] = entry
			all = append(all, entry)
		}
	}
	config["availability"] = list
	return all
}

// owner says which device an entity is of.
type owner struct {
	keys []key  // of which another entity of the device has one, too
	name string // by which the device is known, unless another entity has one before it
}

// key is an identifier, a connection or, of an entity without a device, the entity itself.
type key struct{ kind, text string }

const (
	maxKeys = 20  // of a device, in one config
	maxKey  = 256 // bytes of one
)

func ownerOf(config map[string]any, p place) (of owner, err error) {
	described, ok := config["device"].(map[string]any)
	if !ok {
		name, _ := config["unique_id"].(string)
		if name == "" {
			name = strings.TrimPrefix(p.node+"/"+p.object, "/")
		}
		return owner{[]key{{"entity", p.component + "/" + p.node + "/" + p.object}}, name}, checkKey(name)
	}
	described = spelledOut(described, "device")
	for _, v := range listOf(described["identifiers"]) {
		if s, ok := scalar(v); ok && s != "" {
			of.keys = append(of.keys, key{"identifier", s})
		}
	}
	connections, _ := described["connections"].([]any)
	for _, v := range connections {
		if pair, ok := v.([]any); ok && len(pair) == 2 {
			kind, okKind := scalar(pair[0])
			value, okValue := scalar(pair[1])
			if okKind && okValue && value != "" {
				if kind == "mac" {
					value = strings.ToLower(value)
				}
				of.keys = append(of.keys, key{"connection " + kind, value})
			}
		}
	}
	switch {
	case len(of.keys) == 0:
		return of, errors.New("device: expected identifiers or connections")
	case len(of.keys) > maxKeys:
		return of, fmt.Errorf("device: %d identifiers and connections, the limit is %d", len(of.keys), maxKeys)
	}
	for _, k := range of.keys {
		if err := checkKey(k.text); err != nil {
			return of, err
		}
	}
	of.name = of.keys[0].text
	return of, nil
}

func checkKey(s string) error {
	if len(s) > maxKey {
		return fmt.Errorf("device: an identifier of %d bytes, the limit is %d", len(s), maxKey)
	}
	return nil
}

// listOf is a list, or one element of one.
func listOf(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}
