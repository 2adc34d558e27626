package wire

import (
	"maps"
	"slices"
	"strings"

	"devicetwin/device"
	"devicetwin/internal/faults"
	"devicetwin/mqtt"
)

// Entities other than devices have no topics of their own below the prefix: a device may
// have the same name. They are sent what they are sent below a topic of their kind, if the
// configuration has one, and nobody answers.

// idInTopic stands for the name of the entity.
const idInTopic = "{id}"

// entityTopic is where an entity is sent what it is sent; "": nowhere.
func (s *Standard) entityTopic(id device.ID) string {
	return strings.ReplaceAll(s.cfg.EntityTopics[id.Kind()], idInTopic, id.Name())
}

// encodeToEntity is a command to an entity that is not a device: it has succeeded when it is
// published, or at once where it is published nowhere.
func (s *Standard) encodeToEntity(id device.ID, name string, payload []byte) Sending {
	base := s.entityTopic(id)
	if base == "" {
		return Sending{Done: true}
	}
	return Sending{Done: true, Publications: []Publication{{Topic: base + "/commands/" + name, QoS: 1, Payload: payload}}}
}

// entityDocument is where a document of an entity's shadow is published: like those of a
// device, below its own topic.
func (s *Standard) entityDocument(id device.ID, d ShadowDocument) []string {
	base := s.entityTopic(id)
	if base == "" {
		return nil
	}
	return []string{d.below(base + "/" + string(device.ChannelTwin))}
}

// checkEntityTopics reports templates that are not a topic, do not name the entity, or lead
// to topics that are a device's own, or those of another kind.
func (c Config) checkEntityTopics() error {
	var f faults.List
	schemes, _ := ParseSchemes(c.Prefix, c.ShadowTopics) // whose faults were reported
	used := map[string]device.Kind{}
	for _, kind := range slices.Sorted(maps.Keys(c.EntityTopics)) {
		template := c.EntityTopics[kind]
		levels := strings.Split(template, "/")
		topic := strings.ReplaceAll(template, idInTopic, "x")
		switch {
		case slices.Index(levels, idInTopic) < 0 || strings.Count(template, "{") != 1 || mqtt.CheckTopic(topic) != nil || len(template) > maxEntityTopic:
			f.Check(false, "topic %q of kind %s: expected levels without wildcards, of at most %d bytes, one of which is %s", template, kind.Word(), maxEntityTopic, idInTopic)
			continue
		case overlap(c.Prefix+"/#", levels):
			f.Check(false, "topic %q of kind %s: it is below %s, where the topics of devices are", template, kind.Word(), c.Prefix)
		}
		for _, scheme := range schemes {
			for _, filter := range scheme.Filters() {
				f.Check(!overlap(filter, levels), "topic %q of kind %s: the topics of the shadow protocol %q are below it", template, kind.Word(), scheme)
			}
		}
		other, taken := used[topic]
		f.Check(!taken, "topic %q of kind %s: it is that of kind %s as well", template, kind.Word(), other.Word())
		used[topic] = kind
	}
	return f.Err()
}

// maxEntityTopic bounds a template of EntityTopics, in bytes.
const maxEntityTopic = 1024

// overlap reports whether a filter matches topics below the one of these levels, for any name
// of an entity.
func overlap(filter string, below []string) bool {
	for i, level := range strings.Split(filter, "/") {
		if i >= len(below) || level == "#" {
			return true
		}
		if level != "+" && below[i] != idInTopic && level != below[i] {
			return false
		}
	}
	return false // the topic has more levels than the filter, and so has all below it
}
