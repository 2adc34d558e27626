package devicefsm

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"devicetwin/device"
	"devicetwin/source"
)

// actionKeys are the words that an action can begin with.
var actionKeys = []string{"assign", "raise", "cancel", "command", "publish", "notify", "desire", "log", "if"}

const maxActionDepth = 32

// actions reads one action or a list.
func (l *loader) actions(n source.Node) []action { return l.actionsAt(n, 0) }

func (l *loader) actionsAt(n source.Node, depth int) []action {
	if !n.Exists() || n.IsNull() {
		return nil
	}
	if depth > maxActionDepth {
		n.Faultf("actions are nested deeper than %d", maxActionDepth)
		return nil
	}
	var list []action
	for _, a := range n.OneOrList() {
		if a := l.action(a, depth); a != nil {
			list = append(list, a)
		}
	}
	return list
}

func (l *loader) action(n source.Node, depth int) action {
	if !n.IsMap() {
		n.Faultf("expected an action such as {log: \"'text'\"}, found %s; the actions are %s", n.Kind(), strings.Join(actionKeys, ", "))
		return nil
	}
	entries := n.Entries()
	if len(entries) == 0 {
		n.Faultf("an action is missing; expected one of %s", strings.Join(actionKeys, ", "))
		return nil
	}
	fields := map[string]source.Node{}
	word := ""
	for _, e := range entries {
		fields[e.Key] = e.Value
		switch {
		case slices.Contains(actionKeys, e.Key):
			if word != "" {
				e.KeyAt.Faultf("two actions in one: %s and %s; write them as two elements of the list", word, e.Key)
				return nil
			}
			word = e.Key
		case belongsTo(e.Key, entries):
		default:
			e.KeyAt.FaultHint(source.DidYouMean(e.Key, actionKeys), "unknown action %q; expected one of %s", e.Key, strings.Join(actionKeys, ", "))
			return nil
		}
	}
	v := fields[word]
	switch word {
	case "assign":
		return assignAction{values: l.assigned(v)}
	case "raise":
		return l.raise(v)
	case "cancel":
		return cancelAction{id: v.String()}
	case "command":
		return l.command(v)
	case "publish":
		return l.publish(v)
	case "notify":
		return l.notify(v)
	case "desire":
		return l.desire(v, fields)
	case "log":
		return logAction{message: l.template(v)}
	}
	n.Require(fields, "then")
	return ifAction{cond: l.condition(v, placeChart), yes: l.actionsAt(fields["then"], depth+1), no: l.actionsAt(fields["else"], depth+1)}
}

// companions are the further keys of an action.
var companions = map[string][]string{"if": {"then", "else"}, "desire": {"within", "shadow"}}

// belongsTo reports whether a key is a further key of one of the entries' actions.
func belongsTo(key string, entries []source.Entry) bool {
	return slices.ContainsFunc(entries, func(e source.Entry) bool { return slices.Contains(companions[e.Key], key) })
}

func (l *loader) desire(v source.Node, fields map[string]source.Node) action {
	if !v.IsMap() {
		v.FaultHint("for example desire: {interval: \"10\"}", "expected a mapping of desired properties, found %s", v.Kind())
		return nil
	}
	a := effectAction{kind: ActionDesire, data: l.objectTemplate(v)}
	if w := fields["within"]; w.Exists() {
		if a.within = w.Duration(); a.within > maxTTL {
			w.Faultf("expected at most %d days", maxTTL/(24*time.Hour))
		}
	}
	if s := fields["shadow"]; s.Exists() {
		a.name = s.String()
		if s.IsString() && !validShadowName(a.name) {
			s.Faultf("shadow %q: expected 1 to 64 of a-z A-Z 0-9 : _ -", a.name)
		}
	}
	return a
}

// validShadowName is the rule of the device shadow protocol.
func validShadowName(name string) bool {
	return name != "" && len(name) <= 64 && !strings.ContainsFunc(name, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == ':' || c == '_' || c == '-')
	})
}

func (l *loader) assigned(n source.Node) *template {
	if !n.IsMap() {
		n.FaultHint("for example assign: {attempts: \"context.attempts + 1\"}", "expected a mapping of context keys, found %s", n.Kind())
		return nil
	}
	return l.objectTemplate(n)
}

func (l *loader) raise(n source.Node) action {
	a := raiseAction{}
	at := n
	if n.IsMap() {
		fields := n.Fields("event", "data", "delay", "id")
		n.Require(fields, "event")
		at = fields["event"]
		a.data = l.objectTemplate(fields["data"])
		if d := fields["delay"]; d.Exists() {
			if read, ok := l.delay(d.Scalar(), d); ok {
				a.delay = &read
			}
		}
		if id := fields["id"]; id.Exists() {
			a.id = id.String()
			if a.delay == nil {
				id.Faultf("only a raise with a delay can have an id")
			}
		}
	}
	a.event = at.String()
	if at.IsString() && (!validEventName(a.event) || isInvocationEnd(a.event) || isProcessEnd(a.event)) {
		at.Faultf("event name %q: expected a name without *, and not one that is reserved for the service", a.event)
	}
	l.raised[a.event] = true
	return a
}

func (l *loader) publish(n source.Node) action {
	fields := n.Fields("topic", "data", "retain")
	n.Require(fields, "topic")
	a := effectAction{kind: ActionPublish, name: fields["topic"].String(), data: l.objectTemplate(fields["data"])}
	if r := fields["retain"]; r.Exists() {
		a.retain = r.Bool()
	}
	if topic, ok := strings.CutPrefix(a.name, KafkaTopic); ok {
		if !kafkaTopicName.MatchString(topic) {
			fields["topic"].Faultf("topic %q: expected a topic of Kafka after %s, of 1 to 249 letters, digits, ., _ and -", a.name, KafkaTopic)
		}
		if a.retain {
			fields["retain"].Faultf("retain: expected none of a record of Kafka, which keeps what it has")
		}
		return a
	}
	if t := fields["topic"]; t.IsString() && !validTopic(a.name) {
		t.Faultf("topic %q: expected 1 to 256 bytes without + and #, not beginning with $; {id} stands for the device", a.name)
	}
	return a
}

// KafkaTopic is how a topic of Kafka begins, as that of a publish.
const KafkaTopic = "kafka:"

var kafkaTopicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// validTopic follows MQTT 3.1.1, 4.7.1 and 4.7.2, for a topic to publish to.
func validTopic(topic string) bool {
	return topic != "" && len(topic) <= 256 && !strings.ContainsAny(topic, "+#\x00") && topic[0] != '$'
}

func (l *loader) notify(n source.Node) action {
	a := effectAction{kind: ActionNotify}
	at := n
	if n.IsMap() {
		fields := n.Fields("to", "data")
		n.Require(fields, "to")
		at = fields["to"]
		a.data = l.objectTemplate(fields["data"])
	}
	a.name = at.String()
	if at.IsString() && !validModelName(a.name) {
		at.Faultf("receiver %q: expected 1 to 64 of a-z A-Z 0-9 _ . -", a.name)
	}
	return a
}

// maxTTL is the longest time that a command may wait for its device, and that a
// device may take to report its desired state.
const maxTTL = 30 * 24 * time.Hour

func (l *loader) command(n source.Node) action {
	a := effectAction{kind: ActionCommand}
	at := n
	if n.IsMap() {
		fields := n.Fields("name", "data", "ttl", "max_deliveries", "replace")
		n.Require(fields, "name")
		at = fields["name"]
		a.data = l.objectTemplate(fields["data"])
		if t := fields["ttl"]; t.Exists() {
			if a.ttl = t.Duration(); a.ttl > maxTTL {
				t.Faultf("expected at most %d days", maxTTL/(24*time.Hour))
			}
		}
		if d := fields["max_deliveries"]; d.Exists() {
			if a.deliveries = int(d.Int(1, device.MaxDeliveries)); a.ttl == 0 {
				d.Faultf("max_deliveries needs a ttl: a command without one is sent once")
			}
		}
		if r := fields["replace"]; r.Exists() {
			if a.replace = r.Bool(); a.replace && a.ttl == 0 {
				r.Faultf("replace needs a ttl: a command without one does not wait")
			}
		}
	}
	a.name = at.String()
	if at.IsString() && !validModelName(a.name) {
		at.Faultf("command name %q: expected 1 to 64 of a-z A-Z 0-9 _ . -", a.name)
	}
	return a
}
