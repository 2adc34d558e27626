package dialect

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"devicetwin/device"
	"devicetwin/internal/expression"
	"devicetwin/mqtt"
	"devicetwin/source"
	"devicetwin/wire"
	"devicetwin/wire/format"
)

// Dialect is what a file says of how devices speak. It cannot be changed, and may be used
// from any goroutine.
type Dialect struct {
	name        string
	description string
	filters     []string
	rules       []*rule // the most exact template first
	limits      limits
	clock       wire.Clock
	mine        func(name string) bool // nil: all are
}

// Name is what the file calls it.
func (d *Dialect) Name() string { return d.name }

// Description is a line for people; it may be empty.
func (d *Dialect) Description() string { return d.description }

// Filters are the topic filters that bring in everything that the dialect reads.
func (d *Dialect) Filters() []string { return slices.Clone(d.filters) }

// Load reads a dialect. No file is opened, except for those that it names, in the folder of
// the given one (descriptors of protobuf). The error is source.Faults: all of them, each with
// its place.
func Load(file string, src []byte) (*Dialect, error) {
	l := &loader{file: source.Parse(file, src)}
	if err := l.file.Err(); err != nil { // it is not YAML
		return nil, err
	}
	d := l.dialect(l.file.Root())
	if err := l.file.Err(); err != nil {
		return nil, err
	}
	return d, nil
}

type loader struct{ file *source.File }

// defaults are what topics have that say nothing else.
type defaults struct {
	id      *idTemplate
	payload *format.Format
	plain   bool // the payload is JSON, as it is
	time    *timing
	absent  []any
	words   device.StatusWords
}

var dialectName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

func (l *loader) dialect(n source.Node) *Dialect {
	if !n.Exists() {
		n.Faultf("the file is empty; expected a dialect")
		return nil
	}
	f := n.Fields("dialect", "description", "subscribe", "id", "payload", "time", "absent", "status", "topics")
	n.Require(f, "dialect", "topics")
	d := &Dialect{name: f["dialect"].String(), description: f["description"].String()}
	if v := f["dialect"]; v.Exists() && !dialectName.MatchString(d.name) {
		v.Faultf("name %q: expected %s", d.name, dialectName)
	}
	base := defaults{
		id: l.id(f["id"]), time: l.timing(f["time"]), absent: l.absent(f["absent"]), words: l.words(f["status"], device.DefaultStatusWords()),
	}
	if base.id == nil {
		base.id, _ = parseIDTemplate("{id}")
	}
	base.payload, base.plain = l.format(f["payload"])
	for _, topic := range f["topics"].List() {
		d.rules = append(d.rules, l.rules(topic, base)...)
	}
	l.order(d)
	d.filters = l.filters(f["subscribe"], d)
	return d
}

// order puts the rules in the order in which they are asked, and refuses those between
// which nothing decides.
func (l *loader) order(d *Dialect) {
	slices.SortStableFunc(d.rules, func(a, b *rule) int { return moreExact(a.topic, b.topic) })
	for i, r := range d.rules {
		for _, other := range d.rules[i+1:] {
			if moreExact(r.topic, other.topic) == 0 && share(r.topic, other.topic) {
				other.at.Faultf("topic %q and %q: nothing decides between them for topics that are of both", r.topic.text, other.topic.text)
			}
		}
	}
}

// own are topics that nobody else may use, as the standard dialect and the bridge do.
var own = []string{"bridge/x/status", "bridge/x/claim", "bridge/x/deadletter", "$aws/things/x/shadow/update"}

func (l *loader) filters(n source.Node, d *Dialect) []string {
	if !n.Exists() {
		var filters []string
		for _, r := range d.rules {
			if !r.ignored() {
				filters = append(filters, r.topic.filter())
			}
		}
		return together(filters)
	}
	var filters []string
	for _, v := range n.OneOrList() {
		filter := v.String()
		if err := mqtt.CheckFilter(filter); err != nil {
			v.Faultf("topic filter %q: %v", filter, err)
		} else if mqtt.Shared(filter) {
			v.Faultf("topic filter %q: expected one that is not shared", filter)
		}
		filters = append(filters, filter)
	}
	return filters
}

// messageKeys are what a message has.
var messageKeys = []string{"channel", "id", "vars", "each", "when", "name", "data", "only", "omit", "number", "time", "absent", "status"}

// rules are one for each template of topics that a node names.
func (l *loader) rules(n source.Node, base defaults) (rules []*rule) {
	f := n.Fields(slices.Concat([]string{"topic", "payload", "messages"}, messageKeys)...)
	n.Require(f, "topic")
	if f["payload"].Exists() {
		base.payload, base.plain = l.format(f["payload"])
	}
	messages := l.messages(n, f, base)
	for _, at := range f["topic"].OneOrList() {
		t, err := parseTemplate(at.String())
		if err != nil {
			at.Faultf("topic %q: %v", at.String(), err)
			continue
		}
		for _, topic := range own {
			if t.match(topic, make([]string, len(t.names))) && t.levels[0].kind == levelText {
				at.Faultf("topic %q: it takes in %s, which is the service's own", t.text, topic)
			}
		}
		r := &rule{at: at, topic: t, payload: base.payload, plain: base.plain, messages: messages}
		for _, m := range messages {
			m.checkVariables(t)
		}
		rules = append(rules, r)
	}
	return rules
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
	for _, v := range list.List() {
		fields := v.Fields(messageKeys...)
		v.Require(fields, "channel")
		all = l.message(v, fields, base, all)
	}
	return all
}

// The channels of a dialect. What is ignored has none.
var channels = map[string]device.Channel{
	"telemetry": device.ChannelTelemetry,
	"events":    device.ChannelEvents,
	"status":    device.ChannelStatus,
	"reported":  device.ChannelTwin,
	"ignored":   "",
}

func (l *loader) channel(n source.Node) device.Channel {
	c, ok := channels[n.String()]
	if n.Exists() && !ok {
		known := []string{"telemetry", "events", "status", "reported", "ignored"}
		n.FaultHint(source.DidYouMean(n.String(), known), "channel %q: expected one of telemetry, events, status, reported, ignored", n.String())
	}
	return c
}

// message adds what a node says of a message, unless it is ignored.
func (l *loader) message(n source.Node, f map[string]source.Node, base defaults, all []*message) []*message {
	m := &message{at: n, channel: l.channel(f["channel"])}
	if m.channel == "" {
		for _, key := range messageKeys[1:] {
			f[key].Faultf("%s: expected nothing else of what is ignored", key)
		}
		return all
	}
	m.vars = l.vars(f["vars"])
	m.id = base.id
	if id := l.id(f["id"]); id != nil {
		m.id = id
	}
	m.each, m.when, m.data = l.expression(f["each"]), l.expression(f["when"]), l.data(f["data"])
	m.only, m.omit = l.members(f["only"]), l.members(f["omit"])
	m.number = l.numbering(f["number"])
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
	l.name(n, f["name"], m)
	return append(all, m)
}

// name is that of an event: a string with variables.
func (l *loader) name(at, n source.Node, m *message) {
	switch {
	case m.channel == device.ChannelEvents && !n.Exists():
		at.Faultf("key %q is missing: of events, each has one", "name")
	case m.channel != device.ChannelEvents && n.Exists():
		n.Faultf("name: expected one of events only")
	case n.Exists():
		t, err := parseText(n.String())
		if err != nil {
			n.Faultf("name %q: %v", n.String(), err)
			return
		}
		m.name = t
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

func (l *loader) vars(n source.Node) (vars []variable) {
	if !n.Exists() {
		return nil
	}
	for _, e := range n.Entries() {
		if !validVariable(e.Key) {
			e.KeyAt.Faultf("variable %q: expected letters, digits and _, and a letter first", e.Key)
		}
		vars = append(vars, variable{e.Key, l.expression(e.Value)})
	}
	return vars
}

// language is that of the expressions of a dialect.
var language = func() *expression.Env {
	env, err := expression.NewEnv("payload", "topic", "item")
	if err != nil {
		panic(err) // it does not depend on anything
	}
	return env
}()

func (l *loader) expression(n source.Node) *expression.Program {
	if !n.Exists() {
		return nil
	}
	text := ""
	switch {
	case n.IsString():
		text = n.String()
	case n.Kind() == "a number" || n.Kind() == "true or false":
		text = n.Scalar()
	default:
		n.Faultf("expected an expression, found %s", n.Kind())
		return nil
	}
	p, faults := language.Compile(text)
	for _, f := range faults {
		n.FaultInside(f.Offset(text), f.Hint, "expression: %s", f.Message)
	}
	return p
}

// data is one expression, or one for each member.
func (l *loader) data(n source.Node) (d data) {
	switch {
	case !n.Exists():
	case n.IsMap():
		d.members = []variable{}
		for _, e := range n.Entries() {
			if unreserved(e.Key) != e.Key {
				e.KeyAt.Faultf("member %q: expected another name, because this one is the service's own", e.Key)
			}
			d.members = append(d.members, variable{e.Key, l.expression(e.Value)})
		}
	default:
		d.whole = l.expression(n)
	}
	return d
}

// members are names of members, or beginnings of names that end with *. Nil: there are none.
func (l *loader) members(n source.Node) (names memberNames) {
	for _, v := range n.OneOrList() {
		name := v.String()
		if before, _ := strings.CutSuffix(name, "*"); before == "" || strings.Contains(before, "*") {
			v.Faultf("member %q: expected a name, or the beginning of names and then *", name)
		}
		names = append(names, name)
	}
	return names
}

func (l *loader) numbering(n source.Node) *numbering {
	if !n.Exists() {
		return nil
	}
	f := n.Fields("epoch", "seq")
	n.Require(f, "seq")
	return &numbering{epoch: l.expression(f["epoch"]), seq: l.expression(f["seq"])}
}

func (l *loader) timing(n source.Node) *timing {
	if !n.Exists() || n.IsNull() {
		return nil
	}
	f := n.Fields("at", "unit", "zone")
	n.Require(f, "at")
	t := &timing{at: l.expression(f["at"])}
	if unit := f["unit"]; unit.Exists() {
		known, ok := units[unit.String()]
		if !ok {
			unit.Faultf("unit %q: expected s, ms, us or ns", unit.String())
		}
		t.unit = known
	}
	if zone := f["zone"]; zone.Exists() {
		location, err := time.LoadLocation(zone.String())
		if err != nil || zone.String() == "" || zone.String() == "Local" {
			zone.Faultf("time zone %q: expected one such as UTC or Europe/Berlin", zone.String())
		}
		t.zone = location
	}
	return t
}

// absent are the values that say that there is no reading.
func (l *loader) absent(n source.Node) (values []any) {
	for _, v := range n.OneOrList() {
		switch {
		case v.IsNull():
			values = append(values, nil)
		case v.IsString(), v.Kind() == "a number", v.Kind() == "true or false":
			values = append(values, v.Any())
		default:
			v.Faultf("absent: expected a string, a number, true, false or null, found %s", v.Kind())
		}
	}
	return values
}

func (l *loader) words(n source.Node, otherwise device.StatusWords) device.StatusWords {
	if !n.Exists() {
		return otherwise
	}
	f := n.Fields("online", "offline")
	list := func(n source.Node) (words []string) {
		for _, v := range n.OneOrList() {
			words = append(words, v.String())
		}
		return words
	}
	w := device.StatusWords{Online: list(f["online"]), Offline: list(f["offline"])}
	if err := w.Validate(); err != nil {
		n.Faultf("%v", err)
	}
	return w
}
