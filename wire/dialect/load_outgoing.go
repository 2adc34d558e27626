package dialect

import (
	"slices"
	"strings"

	"devicetwin/device"
	"devicetwin/internal/expression"
	"devicetwin/source"
	"devicetwin/wire/format"
)

// outgoingKeys are what all that is sent has.
var outgoingKeys = []string{"topic", "vars", "payload", "data", "qos"}

var (
	commandKeys  = slices.Concat([]string{"command", "kind", "id"}, outgoingKeys, []string{"each", "retained", "done", "reported"})
	desiredKeys  = slices.Concat([]string{"property", "kind", "id"}, outgoingKeys, []string{"each", "retained", "only", "omit"})
	questionKeys = slices.Concat([]string{"at", "id"}, outgoingKeys)
)

// outgoing reads what is sent to devices. What follows from both directions is checked where
// nothing is wrong with what devices send.
func (l *loader) outgoing(f map[string]source.Node, d *Dialect) {
	sound := l.file.Err() == nil
	for _, n := range entries(f["commands"], "commands") {
		d.commands = append(d.commands, l.speaking(commandLanguage).command(n, d))
	}
	for _, n := range entries(f["desired"], "desired") {
		d.desired = append(d.desired, l.desired(n, d))
	}
	for _, n := range entries(f["ask"], "ask") {
		l.speaking(questionLanguage).question(n, d)
	}
	if sound {
		d.checkAwake(f["awake"])
		d.checkOutgoing()
	}
}

// entries are those of a list that is not empty.
func entries(n source.Node, what string) []source.Node {
	if !n.Exists() {
		return nil
	}
	notEmpty(n, what)
	return n.List()
}

// speaking is the loader of what is sent, whose formulas have a language.
func (l *loader) speaking(language *expression.Env) *loader {
	return &loader{file: l.file, language: language, sends: true}
}

// send reads what all that is sent has. The payload is JSON where nothing is said of it.
func (l *loader) send(n source.Node, f map[string]source.Node, id *idTemplate, own string) outgoing {
	n.Require(f, "topic")
	o := outgoing{at: n, topicAt: f["topic"], id: l.idOfKind(f, id), own: own, qos: 1}
	o.topic = outgoingTopic(f["topic"])
	o.vars, o.each, o.data = l.vars(f["vars"]), l.list(f["each"]), l.data(f["data"])
	o.payload = l.written(f["payload"])
	if f["retained"].Exists() {
		o.retained = f["retained"].Bool()
	}
	if f["qos"].Exists() {
		o.qos = byte(f["qos"].Int(0, 1))
	}
	for _, formula := range o.formulas() {
		if formula.reads(varItem) && (o.each == nil || formula == o.each) && !(f["each"].Exists() && o.each == nil) {
			formula.at.Faultf("item: expected each, a list of which it is an element")
		}
	}
	return o
}

// written is a format of payloads that are sent.
func (l *loader) written(n source.Node) *format.Format {
	f, _, _ := l.format(n)
	if f == nil {
		return nil
	}
	if err := f.CheckEncode(); err != nil {
		n.Faultf("payload: %v", err)
	}
	return f
}

// outgoingTopic is the template of topics to which something is sent. Where it has a fault, it is
// nil.
func outgoingTopic(n source.Node) *template {
	text := n.String()
	if text == "" {
		if n.Exists() {
			n.Faultf("topic: it is empty")
		}
		return nil
	}
	t, err := parseTemplate(text)
	if err != nil {
		n.Faultf("topic %q: %v", text, err)
		return nil
	}
	for _, l := range t.levels {
		if l.kind == levelRest || l.kind == levelAny && l.variable < 0 {
			n.Faultf("topic %q: expected a topic to publish to, without + and #", text)
			return nil
		}
	}
	t.checkOwn(n)
	return t
}

// command reads how commands are sent.
func (l *loader) command(n source.Node, d *Dialect) *command {
	f := n.Fields(commandKeys...)
	c := &command{outgoing: l.send(n, f, d.id, variableCommand), names: l.commandNames(f["command"])}
	answered := d.answers()
	if c.ends = endSent; answered {
		c.ends = endAnswered
	}
	if v := f["done"]; v.Exists() {
		if c.ends = v.String(); !slices.Contains(ends, c.ends) {
			v.FaultHint(source.DidYouMean(c.ends, ends), "done %q: expected one of %s", c.ends, strings.Join(ends, ", "))
		}
		if c.ends == endAnswered && !answered {
			v.Faultf("done: answered: there is nothing on the channel answers")
		}
	}
	c.reports = l.data(f["reported"])
	c.checkCommand()
	for _, formula := range c.reports.formulas() {
		if formula.reads(varItem) {
			formula.at.Faultf("item: what the device reports is of the command, and not of an element of each")
		}
	}
	switch reported := f["reported"]; {
	case reported.Exists() && c.ends != endReported:
		reported.Faultf("reported: expected done: reported with it")
	case !reported.Exists() && c.ends == endReported:
		f["done"].Faultf("done: reported: expected reported, the state that the device then has")
	}
	return c
}

// commandMembers are those of the variable command: see sending.setCommand.
var commandMembers = []string{"id", "uuid", "name", "data", "value", "at", "ttl"}

// checkCommand notes members of the command that it never has.
func (c *command) checkCommand() {
	for _, f := range c.formulas() {
		checked := f.program.Checked()
		if checked.Binds(varCommand) {
			continue
		}
		names, _ := checked.Members(varCommand)
		for _, name := range names {
			if !slices.Contains(commandMembers, name) {
				f.at.FaultHint(source.DidYouMean(name, commandMembers), "command.%s: expected one of %s", name, strings.Join(commandMembers, ", "))
			}
		}
	}
}

// commandNames are names of commands, or beginnings of names that end with *.
func (l *loader) commandNames(n source.Node) memberNames {
	names := l.members(n)
	for i, v := range n.OneOrList() {
		if name := strings.TrimSuffix(names[i], "*"); name != "" && !strings.Contains(name, "*") && !device.ValidName(name) {
			v.Faultf("command %q: expected 1 to %d letters, digits, _, - and ., or the beginning of such names and then *", names[i], device.MaxEventName)
		}
	}
	return names
}

// desired reads how desired properties are sent.
func (l *loader) desired(n source.Node, d *Dialect) *desired {
	f := n.Fields(desiredKeys...)
	language, own := desiredLanguage, ""
	if f["property"].Exists() {
		language, own = propertyLanguage, variableProperty
	}
	l = l.speaking(language)
	p := &desired{outgoing: l.send(n, f, d.id, own), properties: l.members(f["property"]), selection: selection{only: l.members(f["only"]), omit: l.members(f["omit"])}}
	for _, key := range []string{"only", "omit"} {
		if f["property"].Exists() {
			f[key].Faultf("%s: expected it without property, which says which ones are sent", key)
		}
	}
	return p
}

// The occasions of questions.
var occasions = []string{"birth", "start"}

// question reads what devices are asked.
func (l *loader) question(n source.Node, d *Dialect) {
	f := n.Fields(questionKeys...)
	n.Require(f, "at")
	at := f["at"].String()
	if !f["at"].Exists() {
		return
	}
	if !slices.Contains(occasions, at) {
		f["at"].FaultHint(source.DidYouMean(at, occasions), "at %q: expected one of %s", at, strings.Join(occasions, ", "))
		return
	}
	if at == "birth" {
		d.questions = append(d.questions, &question{l.send(n, f, d.id, "")})
		return
	}
	f["id"].Faultf("id: what is asked at a start is for all devices")
	delete(f, "id")
	q := &question{l.send(n, f, nil, "")}
	if q.topic != nil {
		for _, name := range q.topic.names {
			if !q.has(name) {
				q.topicAt.Faultf("topic %q: {%s}: what is asked at a start is for all devices, so its topic has no variables", q.topic.text, name)
			}
		}
	}
	d.openings = append(d.openings, q)
}

// answers reports whether there is a message on the channel answers.
func (d *Dialect) answers() bool {
	return slices.ContainsFunc(d.messages(), func(m *message) bool { return m.channel == device.ChannelAck })
}
