package dialect

import (
	"fmt"
	"slices"
	"strings"

	"devicetwin/device"
	"devicetwin/source"
)

// topicKeys are what the entry of a topic has, in addition to what a message has.
var topicKeys = []string{"topic", "payload", "messages"}

// messageKeys are what a message has.
var messageKeys = []string{"channel", "kind", "id", "vars", "each", "inside", "when", "name", "data", "only", "omit", "number", "time", "absent", "status", "relayed", "awake"}

// rules are one for each template of topics that a node names.
func (l *loader) rules(n source.Node, base defaults) (rules []*rule) {
	f := n.Fields(slices.Concat(topicKeys, messageKeys)...)
	n.Require(f, "topic")
	if f["payload"].Exists() {
		base.payload, base.plain, base.shape = l.format(f["payload"])
	}
	messages := l.messages(n, f, base)
	for _, at := range f["topic"].OneOrList() {
		t, err := parseTemplate(at.String())
		if err != nil {
			at.Faultf("topic %q: %v", at.String(), err)
			continue
		}
		t.checkOwn(at)
		r := &rule{at: at, topic: t, payload: base.payload, plain: base.plain, messages: messages}
		for _, m := range messages {
			m.checkVariables(t)
		}
		r.prepare()
		rules = append(rules, r)
	}
	checkTopics(messages, rules)
	return rules
}

// checkTopics notes what formulas read of topics and none of the templates has.
func checkTopics(messages []*message, rules []*rule) {
	var names, topics []string
	for _, r := range rules {
		names = append(names, r.topic.names...)
		topics = append(topics, fmt.Sprintf("%q", r.topic.text))
	}
	if len(rules) == 0 { // they have faults
		return
	}
	for _, m := range messages {
		for _, f := range m.formulas() {
			if m.time != nil && f == m.time.at { // it may be for all topics of the file
				continue
			}
			f.checkTopic(names, strings.Join(topics, " or "))
		}
	}
}

// messages are those that a topic names, or the one whose keys the topic itself has.
func (l *loader) messages(n source.Node, f map[string]source.Node, base defaults) (all []*message) {
	list := f["messages"]
	if !list.Exists() {
		n.Require(f, "channel")
		return l.message(n, f, base, nil)
	}
	for _, key := range messageKeys {
		f[key].Faultf("%s: expected it at the messages, where there are some", key)
	}
	notEmpty(list, "messages")
	for _, v := range list.List() {
		fields := v.Fields(messageKeys...)
		v.Require(fields, "channel")
		all = l.message(v, fields, base, all)
	}
	checkNumbers(all)
	return all
}

// The channels of a dialect. What is ignored has none.
var channels = map[string]device.Channel{
	"telemetry": device.ChannelTelemetry,
	"events":    device.ChannelEvents,
	"status":    device.ChannelStatus,
	"reported":  device.ChannelTwin,
	"answers":   device.ChannelAck,
	"ignored":   "",
}

// channelNames are those of the channels, in the order of docs/dialects.md.
var channelNames = []string{"telemetry", "events", "status", "reported", "answers", "ignored"}

// channel is false where there is none, or an unknown one.
func (l *loader) channel(n source.Node) (device.Channel, bool) {
	c, ok := channels[n.String()]
	if n.Exists() && !ok {
		n.FaultHint(source.DidYouMean(n.String(), channelNames), "channel %q: expected one of %s", n.String(), strings.Join(channelNames, ", "))
	}
	return c, ok
}

// message adds what a node says of a message, unless it is ignored.
func (l *loader) message(n source.Node, f map[string]source.Node, base defaults, all []*message) []*message {
	channel, known := l.channel(f["channel"])
	if known && channel == "" {
		for _, key := range messageKeys[1:] {
			f[key].Faultf("%s: expected nothing else of what is ignored", key)
		}
		return all
	}
	m := &message{at: n, channel: channel}
	m.vars = l.vars(f["vars"])
	m.id = l.idOfKind(f, base.id)
	if m.id != nil && m.id.kind != device.KindDevice && channel == device.ChannelStatus {
		f["channel"].Faultf("channel status: it is of the connection, which only devices have, and not entities of kind %s", m.id.kind.Word())
	}
	m.inside = l.inside(f["inside"])
	m.each, m.when, m.data = l.list(f["each"]), l.condition(f["when"]), l.data(f["data"])
	m.only, m.omit = l.members(f["only"]), l.members(f["omit"])
	m.number = l.numbering(f["number"])
	if m.channel == device.ChannelTwin {
		f["number"].Faultf("number: expected none of what is reported: copies of a state do no harm, and are not counted")
	}
	m.time, m.absent, m.words = base.time, base.absent, base.words
	if f["time"].Exists() {
		m.time = l.timing(f["time"])
	}
	if f["absent"].Exists() {
		m.absent = l.absent(f["absent"])
	}
	if f["status"].Exists() {
		m.words = l.words(f["status"], device.StatusWords{})
	}
	if f["relayed"].Exists() {
		m.relayed = f["relayed"].Bool()
	}
	if m.awake = base.awake; f["awake"].Exists() {
		m.awake = l.awake(f["awake"])
	}
	if known {
		l.name(n, f["name"], m)
		m.checkStatus(f)
		m.checkAnswer(f)
	}
	m.checkItem(f)
	m.checkInside(f)
	m.checkPayload(base.shape, f)
	m.checkAbsent(base.shape, f)
	m.checkMembers(f)
	m.checkNumber(f)
	return append(all, m)
}

// name is that of an event, or of the command that is answered: a string with variables.
func (l *loader) name(at, n source.Node, m *message) {
	switch {
	case m.channel == device.ChannelEvents && !n.Exists():
		at.Faultf("key %q is missing: of events, each has one", "name")
	case m.channel != device.ChannelEvents && m.channel != device.ChannelAck && n.Exists():
		n.Faultf("name: only what is on the channels events and answers has one")
	case n.Exists():
		t, err := parseText(n.String())
		if err != nil {
			n.Faultf("name %q: %v", n.String(), err)
			return
		}
		m.name = t
		m.checkName(n)
	}
}

// checkVariables notes those that a message uses and neither the topic nor itself has.
func (m *message) checkVariables(t *template) {
	known := slices.Clone(t.names)
	for _, v := range m.vars {
		if slices.Contains(known, v.name) {
			m.at.Faultf("variable %q: it is in the topic %q, too", v.name, t.text)
		}
		known = append(known, v.name)
	}
	need := func(what string, names []string) {
		for _, name := range names {
			if !slices.Contains(known, name) {
				m.at.FaultHint(source.DidYouMean(name, known), "%s: {%s} is neither in the topic %q nor in vars", what, name, t.text)
			}
		}
	}
	if m.id != nil {
		need(fmt.Sprintf("device id %q", m.id.text), m.id.variables())
	}
	if m.name != nil {
		need(fmt.Sprintf("name %q", m.name.text), m.name.variables())
	}
}

// checkName notes a name that is not one of events or commands, whatever its variables stand for.
func (m *message) checkName(n source.Node) {
	t := m.name
	name := t.fill(func(string) string { return "x" })
	switch {
	case !device.ValidName(name):
		n.Faultf("name %q: expected 1 to %d letters, digits, _, - and ., and variables", t.text, device.MaxEventName)
	case m.channel == device.ChannelEvents && len(t.variables()) == 0 && device.ReservedName(name):
		n.Faultf("name %q: it is reserved for the service", t.text)
	}
}

// id is nil where there is none, or where it has a fault.
func (l *loader) id(n source.Node) *idTemplate {
	if !n.Exists() {
		return nil
	}
	t, err := parseIDTemplate(n.String())
	if err != nil {
		n.Faultf("device id %q: %v", n.String(), err)
		return nil
	}
	return t
}

// idOfKind is the template that a node has, where it has an id or a kind, instead of another.
func (l *loader) idOfKind(f map[string]source.Node, otherwise *idTemplate) *idTemplate {
	id, kind := otherwise, device.KindDevice
	if otherwise != nil {
		kind = otherwise.kind
	}
	if f["id"].Exists() {
		id = l.id(f["id"])
	}
	return id.of(l.kind(f["kind"], kind))
}

// kind is one of entities, as people call it.
func (l *loader) kind(n source.Node, otherwise device.Kind) device.Kind {
	if !n.Exists() {
		return otherwise
	}
	kind, err := device.ParseKind(n.String())
	if err != nil {
		n.Faultf("%v", err)
		return otherwise
	}
	return kind
}

func (l *loader) vars(n source.Node) (vars []variable) {
	if !n.Exists() {
		return nil
	}
	for _, e := range n.Entries() {
		if !validVariable(e.Key) {
			e.KeyAt.Faultf("variable %q: expected letters, digits and _, and a letter first", e.Key)
		}
		vars = append(vars, variable{e.Key, l.formula(e.Value, "variable "+e.Key)})
	}
	return vars
}

var numberKeys = []string{"epoch", "seq", "id"}

func (l *loader) numbering(n source.Node) *numbering {
	if !n.Exists() {
		return nil
	}
	f := n.Fields(numberKeys...)
	if f["id"].Exists() {
		for _, key := range numberKeys[:2] {
			f[key].Faultf("%s: expected none where there is an id", key)
		}
		return &numbering{id: l.formula(f["id"], "id of the message")}
	}
	n.Require(f, "seq")
	return &numbering{epoch: l.formula(f["epoch"], "epoch"), seq: l.formula(f["seq"], "seq")}
}

var wordKeys = []string{"online", "offline"}

func (l *loader) words(n source.Node, otherwise device.StatusWords) device.StatusWords {
	if !n.Exists() {
		return otherwise
	}
	f := n.Fields(wordKeys...)
	list := func(n source.Node) (words []string) {
		for _, v := range n.OneOrList() {
			word, ok := textOf(v.Any())
			if !ok || v.IsNull() {
				v.Faultf("status: expected a word, a number, true or false; found %s", v.Kind())
				continue
			}
			words = append(words, word)
		}
		return words
	}
	w := device.StatusWords{Online: list(f["online"]), Offline: list(f["offline"])}
	if err := w.Validate(); err != nil {
		for line := range strings.Lines(err.Error()) {
			n.Faultf("%s", strings.TrimSuffix(line, "\n"))
		}
	}
	return w
}
