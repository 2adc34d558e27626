package discovery

import (
	"fmt"

	"devicetwin/wire/discovery/jinja"
)

// availability says on which topics it is whether an entity is available.
type availability struct {
	topics []availabilityTopic
	mode   string
	same   string // equal for those that say the same
}

// heard is what the topics of an availability said. Entities of a device that have the same
// one have it together.
type heard struct {
	*availability
	entities int   // that have it
	said     []say // by topic
	latest   int   // the topic that said something last
}

type availabilityTopic struct {
	topic, available, not string
	template              *jinja.Template
}

// say is what a topic said last.
type say byte

const (
	nothing say = iota
	online
	offline
)

// maxAvailability bounds the topics of one entity.
const maxAvailability = 20

func (e *entity) availabilityOf(config map[string]any) *availability {
	list := availabilityList(config)
	if topic, ok := config["availability_topic"].(string); ok {
		list = []map[string]any{{
			"topic": topic, "payload_available": config["payload_available"], "payload_not_available": config["payload_not_available"],
			"value_template": config["availability_template"],
		}}
	}
	if len(list) == 0 {
		return nil
	}
	if len(list) > maxAvailability {
		e.faults = append(e.faults, fmt.Sprintf("availability: %d topics, the limit is %d", len(list), maxAvailability))
		return nil
	}
	a := &availability{mode: wordFor(config, "latest", "availability_mode")}
	a.same = a.mode
	for _, entry := range list {
		topic, _ := entry["topic"].(string)
		t := availabilityTopic{topic: topic, available: wordFor(entry, "online", "payload_available"), not: wordFor(entry, "offline", "payload_not_available")}
		source, ok := entry["value_template"].(string)
		if topic == "" {
			e.faults = append(e.faults, "availability: an entry has no topic")
			continue
		}
		if err := checkTopic(topic); err != nil {
			e.faults = append(e.faults, fmt.Sprintf("availability topic %q: %v", topic, err))
			continue
		}
		if ok {
			if t.template, ok = e.template("availability template", source, topic); !ok {
				continue
			}
		}
		a.topics = append(a.topics, t)
		a.same += fmt.Sprintf("\x00%q %q %q %q", topic, t.available, t.not, source)
	}
	if len(a.topics) == 0 {
		return nil
	}
	return a
}

// hear takes over what a topic says. False: it says nothing of this.
func (a *heard) hear(i int, p *payload) bool {
	t := &a.topics[i]
	text, ok := p.render(t.template)
	switch {
	case !ok:
		return false
	case text == t.available:
		a.said[i] = online
	case text == t.not:
		a.said[i] = offline
	default:
		return false
	}
	a.latest = i
	return true
}

// verdict is what its topics say together. Those that have said nothing yet do not count: they may be brought
// in by no filter.
func (a *heard) verdict() say {
	switch a.mode {
	case "all", "any":
		found := nothing
		for _, s := range a.said {
			if s == offline && a.mode == "all" || s == online && a.mode == "any" {
				return s
			}
			if s != nothing {
				found = s
			}
		}
		return found
	}
	return a.said[a.latest]
}
