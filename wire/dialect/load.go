package dialect

import (
	"errors"
	"regexp"
	"slices"
	"time"

	"devicetwin/device"
	"devicetwin/internal/expression"
	"devicetwin/mqtt"
	"devicetwin/source"
	"devicetwin/wire/format"
)

// Load reads a dialect. No file is opened, except for those that it names, in the folder of
// the given one (descriptors of protobuf). The error is source.Faults: all of them, each with
// its place.
func Load(file string, src []byte) (*Dialect, error) {
	l := &loader{file: source.Parse(file, src), language: language}
	if err := l.file.Err(); err != nil { // it is not YAML
		return nil, err
	}
	d := l.dialect(l.file.Root())
	if err := l.file.Err(); err != nil {
		return nil, err
	}
	return d, nil
}

type loader struct {
	file     *source.File
	language *expression.Env // of formulas
	sends    bool            // what is loaded says what is sent
}

// defaults are what topics have that say nothing else.
type defaults struct {
	id      *idTemplate
	payload *format.Format
	plain   bool  // the payload is JSON, as it is
	shape   shape // of the payload
	time    *timing
	absent  absent
	words   device.StatusWords
	awake   time.Duration
}

// dialectKeys are what a file has.
var dialectKeys = []string{"dialect", "description", "discovery", "subscribe", "kind", "id", "payload", "time", "absent", "status", "awake", "topics", "commands", "desired", "ask"}

var dialectName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

func (l *loader) dialect(n source.Node) *Dialect {
	if !n.Exists() {
		n.Faultf("the file is empty; expected a dialect")
		return nil
	}
	f := n.Fields(dialectKeys...)
	n.Require(f, "dialect", "topics")
	d := &Dialect{name: f["dialect"].String(), description: f["description"].String()}
	if v := f["dialect"]; v.Exists() && !dialectName.MatchString(d.name) {
		v.Faultf("name %q: expected %s", d.name, dialectName)
	}
	byName, _ := parseIDTemplate("{id}")
	base := defaults{
		id: l.idOfKind(f, byName), time: l.timing(f["time"]), absent: l.absent(f["absent"]), words: l.words(f["status"], device.DefaultStatusWords()),
		awake: l.awake(f["awake"]),
	}
	base.payload, base.plain, base.shape = l.format(f["payload"])
	notEmpty(f["topics"], "topics")
	for _, topic := range f["topics"].List() {
		d.rules = append(d.rules, l.rules(topic, base)...)
	}
	l.order(d)
	d.filters = l.filters(f["subscribe"], d)
	if f["discovery"].Exists() {
		f["kind"].Faultf("kind: what is learned by discovery are devices")
	}
	d.discovery = l.discovery(f["discovery"], f["subscribe"], d.filters, base)
	d.id = base.id
	l.outgoing(f, d)
	if l.file.Err() == nil {
		d.addressMessages()
	}
	return d
}

// notEmpty expects a list with elements.
func notEmpty(n source.Node, what string) {
	if n.IsList() && len(n.List()) == 0 {
		n.Faultf("%s: expected at least one", what)
	}
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

// checkOwn notes a template that takes in one of them.
func (t *template) checkOwn(at source.Node) {
	for _, topic := range own {
		if t.fixed() && t.matches(topic) {
			at.Faultf("topic %q: it takes in %s, which is the service's own", t.text, topic)
		}
	}
}

// filters are those that bring in what is not ignored, or those that the file names instead.
func (l *loader) filters(n source.Node, d *Dialect) (filters []string) {
	if !n.Exists() {
		for _, r := range d.rules {
			if !r.ignored() {
				filters = append(filters, r.topic.filter())
			}
		}
		return together(filters)
	}
	valid := true
	for _, v := range n.OneOrList() {
		filter := v.String()
		err := mqtt.CheckFilter(filter)
		if err == nil && mqtt.Shared(filter) {
			err = errors.New("expected one that is not shared")
		}
		if err != nil {
			v.Faultf("topic filter %q: %v", filter, err)
			valid = false
		}
		filters = append(filters, filter)
	}
	for _, r := range d.rules {
		if valid && !r.ignored() && !slices.ContainsFunc(filters, func(f string) bool { return share(filterTemplate(f), r.topic) }) {
			r.at.Faultf("topic %q: no filter of subscribe brings it in", r.topic.text)
		}
	}
	return together(filters)
}
