package devicefsm

import (
	"path/filepath"
	"slices"
	"strings"

	"devicetwin/device"
	"devicetwin/internal/expression"
	"devicetwin/source"
)

// The keys of a model file. A state has chartKeys, and so has the whole file,
// which is the root state.
var (
	modelKeys = []string{"model", "kind", "description", "time", "zone", "liveness", "hours", "events", "patterns", "windows", "alarms", "process", "members", "context", "config"}
	chartKeys = []string{
		"id", "type", "description", "initial", "states", "on", "always", "after", "schedules",
		"entry", "exit", "invoke", "onDone", "output", "history", "target", "tags", "meta",
	}
)

// loader compiles one file. Whatever is wrong is noted on the file, and loading
// goes on to find more.
type loader struct {
	f     *source.File
	m     *Model
	nodes []map[string]source.Node // the fields of each state, by its index
	at    []source.Node            // the place of each state
	// places are those of the transitions.
	places map[*transition]source.Node
	ids    map[string]*state
	exprs  map[exprKey]*compiled
	refs   []exprRef
	// sequences are those of each pattern, its own after those of its groups.
	sequences map[*patternRule][][]sequenceItem
	// raised are the event names that the chart itself raises, or takes.
	raised map[string]bool
	taken  map[string]bool
	// hoursAt and scheduleAt are the places of hours and schedules; usedHours are named somewhere.
	hoursAt        map[string]source.Node
	usedHours      map[string]bool
	scheduleAt     map[*schedule]source.Entry
	countSchedules int
}

type exprKey struct {
	at     place
	source string
}

type compiled struct {
	expr   *expr
	faults []expression.Fault
}

// exprRef is an expression and its place in the file, for checks that need the
// complete chart.
type exprRef struct {
	expr *expr
	node source.Node
}

// Load compiles a model file, YAML or JSON. The error is Faults:
// every error in the file, each with line and column. The file's
// name is used in faults and, without `model:` or `id:`, as the model's name: no
// file is opened.
//
// A file that holds only a statechart is a model, too. It is then named after
// its `id`, or else after the file.
func Load(file string, src []byte) (*Model, error) {
	l := newLoader(file, src)
	root := l.f.Root()
	switch {
	case !root.Exists():
		if l.f.Err() == nil {
			root.Faultf("the file is empty; expected a model, such as model: pump, initial: online, states: …")
		}
		return nil, l.f.Err()
	case !root.IsMap():
		root.Faultf("expected a model, found %s", root.Kind())
		return nil, l.f.Err()
	}
	l.model(root, file)
	if err := l.f.Err(); err != nil {
		return nil, err
	}
	l.m.hash, l.m.written = canonicalHash(root), readWritten(l.m, root)
	return l.m, nil
}

func newLoader(file string, src []byte) *loader {
	return &loader{
		f: source.Parse(file, src), m: &Model{edition: EditionNow, byPath: map[string]*state{}, events: map[string]bool{}, scheduled: map[string]bool{}},
		places: map[*transition]source.Node{}, ids: map[string]*state{}, exprs: map[exprKey]*compiled{},
		hoursAt: map[string]source.Node{}, usedHours: map[string]bool{}, scheduleAt: map[*schedule]source.Entry{},
		raised: map[string]bool{}, taken: map[string]bool{}, sequences: map[*patternRule][][]sequenceItem{},
	}
}

func (l *loader) model(root source.Node, file string) {
	fields := root.Fields(slices.Concat(modelKeys, chartKeys)...)
	l.name(fields, file)
	l.kind(fields["kind"])
	if n := fields["time"]; n.Exists() {
		l.m.byArrival = l.oneOf(n, timeDevice, timeArrival) == timeArrival
	}
	l.m.zone = l.zone(fields["zone"], defaultZone)
	l.liveness(fields["liveness"])
	l.businessHours(fields["hours"])
	l.m.context = l.object(fields["context"])
	l.m.config = l.object(fields["config"])
	l.members(fields["members"])
	l.rules(fields["events"])
	l.declareStates(root, fields)
	l.completeStates()
	if l.f.Err() == nil {
		l.m.finish()
	}
	l.process(fields["process"])
	l.patternRules(fields["patterns"])
	l.alarmRules(fields["alarms"])
	l.windowRules(fields["windows"])
	l.resolveStateIn()
	l.resolveZones()
	if l.f.Err() == nil {
		l.m.readsTwin = slices.ContainsFunc(l.refs, func(r exprRef) bool { return r.expr.reads["twin"] })
		l.m.classes = newClassTable(l.m, freeSources)
	}
}

func (l *loader) name(fields map[string]source.Node, file string) {
	base := filepath.Base(file)
	l.m.name = strings.TrimSuffix(base, filepath.Ext(base))
	for _, key := range []string{"id", "model"} {
		if fields[key].Exists() {
			l.m.name = fields[key].String()
		}
	}
	if n := fields["model"]; n.IsString() && !validModelName(l.m.name) {
		n.Faultf("model name %q: expected 1 to 64 of a-z A-Z 0-9 _ . -", l.m.name)
	}
}

// kind is of which kind the entities are that may run the model.
func (l *loader) kind(n source.Node) {
	if !n.Exists() {
		return
	}
	kind, err := device.ParseKind(n.String())
	if n.IsString() && err != nil {
		n.FaultHint("for example kind: customer", "%v", err)
	}
	l.m.kind = kind
}

// connection notes what needs the connection that only devices have.
func (l *loader) connection(n source.Node, what string) {
	if l.m.kind != device.KindDevice {
		n.Faultf("%s: only devices have it, and the model is of kind %s", what, l.m.kind.Word())
	}
}

// joined are the errors that an error joins, or the one error: a compiler's faults, one by one.
func joined(err error) []error {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return all.Unwrap()
	}
	return []error{err}
}

func validModelName(name string) bool {
	return name != "" && len(name) <= 64 && !strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_.-", r))
	})
}

func (l *loader) liveness(n source.Node) {
	if !n.Exists() {
		return
	}
	fields := n.Fields("silent_after", "tolerance")
	n.Require(fields, "silent_after")
	l.m.silentAfter = fields["silent_after"].Duration()
	l.m.tolerance = fields["tolerance"].Duration()
	if fields["silent_after"].Exists() && l.m.silentAfter <= 0 {
		fields["silent_after"].Faultf("expected a duration greater than 0, such as 5m")
	}
}

// What `time:` may say about the events' times.
const (
	timeDevice  = "device"  // what the device says, if it says it
	timeArrival = "arrival" // when they arrived
)

// object is a mapping of plain JSON values.
func (l *loader) object(n source.Node) map[string]any {
	if !n.Exists() || n.IsNull() {
		return map[string]any{}
	}
	if !n.IsMap() {
		n.Faultf("expected a mapping, found %s", n.Kind())
		return nil
	}
	m, _ := n.Any().(map[string]any)
	if jsonSize(m, maxValueSize) > maxValueSize {
		n.Faultf("expected at most %d bytes", maxValueSize)
	}
	return m
}

var channels = []string{
	string(device.ChannelTelemetry), string(device.ChannelStatus), string(device.ChannelEvents), string(device.ChannelAck), string(device.ChannelSystem),
	string(device.ChannelMembers),
}

func (l *loader) rules(n source.Node) {
	for _, name := range []string{device.EventSilent, device.EventAlive, device.EventSequenceGap, device.EventSequenceLate, device.EventSequenceRestarted} {
		l.m.events[name] = true
	}
	if !n.Exists() {
		return
	}
	for _, e := range n.Entries() {
		fields := e.Value.Fields("channel", "name", "when", "description")
		e.Value.Require(fields, "channel")
		r := rule{event: e.Key}
		switch {
		case !validEventName(e.Key):
			e.KeyAt.Faultf("event name %q: expected a name without *, and without a dot at the beginning or the end", e.Key)
		case device.ReservedName(e.Key):
			e.KeyAt.Faultf("event name %q: names that begin with done., error., device., sequence., twin. or operator. are reserved for the service", e.Key)
		}
		if c := fields["channel"]; c.Exists() {
			r.channel = device.Channel(l.oneOf(c, channels...))
			if r.channel == device.ChannelStatus {
				l.connection(c, "channel status is of the connection")
			}
		}
		if r.channel == device.ChannelMembers && l.m.members == nil {
			fields["channel"].FaultHint("for example members: {by: site}", "channel members: the model is not one of a group")
		}
		if w := fields["when"]; w.Exists() {
			r.when = l.condition(w, placeMessage)
		}
		if c := fields["name"]; c.Exists() {
			r.name = c.String()
			if r.channel == device.ChannelTelemetry || r.channel == device.ChannelStatus {
				c.Faultf("messages on channel %s have no name", r.channel)
			}
			if r.channel == device.ChannelMembers {
				l.oneOf(c, device.MemberReports...)
			}
		} else if (r.channel == device.ChannelEvents || r.channel == device.ChannelAck || r.channel == device.ChannelSystem) && !fields["when"].Exists() {
			e.Value.FaultHint("for example name: "+e.Key, "without name or when, this rule takes every message on channel %s", r.channel)
		}
		l.m.rules = append(l.m.rules, r)
		l.m.events[e.Key] = true
	}
}

// oneOf is one of a few strings.
func (l *loader) oneOf(n source.Node, words ...string) string {
	text := n.String() // notes the fault if it is not a string
	if !n.IsString() {
		return ""
	}
	if !slices.Contains(words, text) {
		n.FaultHint(source.DidYouMean(text, words), "expected one of %s, found %q", strings.Join(words, ", "), text)
		return ""
	}
	return text
}
