package replay

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/devicefsm/calendar"
)

// Config is with which models histories are replayed.
type Config struct {
	// Model is the model of a hash; false if it is not at hand.
	Model func(hash string) (*devicefsm.Model, bool)
	// New is another model, which is tried on the devices that ran a model of its name. Nil:
	// each entry is run through the model that ran then, and has to come to what is recorded.
	New *devicefsm.Model
	// Moves is how devices get from a model that they ran to New; an error is why they cannot.
	// It is asked once for each model.
	Moves func(old *devicefsm.Model) (*devicefsm.Migration, devicefsm.Plan, error)
	// Zones are time zones by which New goes, around a time. Nil: those that were recorded.
	Zones func(names []string, at time.Time) (calendar.Zones, error)
	// Until is up to when the histories go. What would be due in New before that, and after the
	// last entry of a device, is a difference. Zero: nothing is.
	Until time.Time
	// Most is how many differences are kept; 0: all. All are counted.
	Most int
}

// Kinds of differences, in addition to the types of actions.
const (
	KindTransition = "transition"
	KindMatch      = "match"
	KindAlarm      = "alarm"
	KindFault      = "fault"
	KindResult     = "result" // ids and times, with the model that ran
	KindState      = "state"  // the device itself, with the model that ran
)

// Difference is one in the first entry of a device in which there was any.
type Difference struct {
	Device device.ID `json:"device"`
	Kind   string    `json:"kind"`
	// N, At and Event are those of the entry; N 0 and "after": a timer after the last one.
	N     uint64    `json:"n,omitempty"`
	At    time.Time `json:"at"`
	Event string    `json:"event,omitempty"`
	// Recorded and Replayed are what there was, and what there would have been, "" for nothing.
	Recorded string `json:"recorded"`
	Replayed string `json:"replayed"`
}

// Group is differences that are alike.
type Group struct {
	Kind     string    `json:"kind"`
	Recorded string    `json:"recorded"`
	Replayed string    `json:"replayed"`
	Devices  int       `json:"devices"`
	First    device.ID `json:"first"`
}

// Report is what a replay found.
type Report struct {
	Devices int `json:"devices"` // that were replayed, at least in part
	// Different are the devices with a difference.
	Different int    `json:"different"`
	Entries   uint64 `json:"entries"` // that were replayed
	// Missing are entries that are not in the history, between others, and Skipped those that
	// could not be replayed, because nothing says what the device was before.
	Missing uint64 `json:"missing"`
	Skipped uint64 `json:"skipped"`
	// Restarts is how often the numbers of entries began again within a life of a device: what a
	// worker that numbers none took before that is missing, and not in Missing.
	Restarts uint64 `json:"restarts,omitempty"`
	// NotTried are devices that could not be replayed, by the reason; Others are those that ran
	// no model of the name of the new one.
	NotTried map[string]int `json:"not_tried,omitempty"`
	Others   int            `json:"others,omitempty"`
	// First and Last are when the first and the last entry was taken that was replayed.
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`

	Groups      []Group      `json:"groups,omitempty"` // most devices first
	Differences []Difference `json:"differences,omitempty"`
	// Added counts the devices that would get something that they did not get, by its name: a
	// state, an activity, a command, a topic, the receiver of a notification, a pattern, an alarm. A
	// device gets something that it gets, up to some time, more often than it did. What follows its
	// first difference counts, too, by the rest of what was recorded.
	Added map[string]int `json:"added,omitempty"`
}

// Share is that of the devices with a difference, between 0 and 1.
func (r *Report) Share() float64 {
	if r.Devices == 0 {
		return 0
	}
	return float64(r.Different) / float64(r.Devices)
}

// Replay replays the histories of devices, one after the other.
type Replay struct {
	c      Config
	report Report
	groups map[[3]string]*Group
	moves  map[string]move // by the hash of the old model
	models map[edition]*devicefsm.Model
}

// edition is a model by the rules of an edition: one value for all devices, because a snapshot
// has to be read again for another one.
type edition struct {
	of      *devicefsm.Model
	edition int
}

func (r *Replay) inEdition(m *devicefsm.Model, number int) *devicefsm.Model {
	if number == 0 || number == devicefsm.EditionNow {
		return m
	}
	key := edition{m, number}
	if r.models[key] == nil {
		r.models[key] = m.Edition(number)
	}
	return r.models[key]
}

type move struct {
	migration *devicefsm.Migration
	images    func(state string) string
	err       error
}

// New begins a replay.
func New(c Config) *Replay {
	return &Replay{c: c, report: Report{NotTried: map[string]int{}, Added: map[string]int{}}, groups: map[[3]string]*Group{}, moves: map[string]move{}, models: map[edition]*devicefsm.Model{}}
}

// Report is what was found so far.
func (r *Replay) Report() *Report {
	out := r.report
	for _, g := range r.groups {
		out.Groups = append(out.Groups, *g)
	}
	slices.SortFunc(out.Groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Devices, a.Devices), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Recorded, b.Recorded), cmp.Compare(a.Replayed, b.Replayed))
	})
	return &out
}

// Merge adds what another replay, with the same models, has found of other devices.
func (r *Replay) Merge(other *Replay) {
	a, b := &r.report, &other.report
	a.Devices, a.Different, a.Entries = a.Devices+b.Devices, a.Different+b.Different, a.Entries+b.Entries
	a.Missing, a.Skipped, a.Restarts, a.Others = a.Missing+b.Missing, a.Skipped+b.Skipped, a.Restarts+b.Restarts, a.Others+b.Others
	for reason, n := range b.NotTried {
		a.NotTried[reason] += n
	}
	for name, n := range b.Added {
		a.Added[name] += n
	}
	if a.First.IsZero() || !b.First.IsZero() && b.First.Before(a.First) {
		a.First = b.First
	}
	if b.Last.After(a.Last) {
		a.Last = b.Last
	}
	for _, d := range b.Differences {
		r.keep(d)
	}
	for key, g := range other.groups {
		if mine := r.groups[key]; mine != nil {
			mine.Devices += g.Devices
			mine.First = min(mine.First, g.First)
		} else {
			r.groups[key] = g
		}
	}
}

func (r *Replay) keep(d Difference) {
	if r.c.Most == 0 || len(r.report.Differences) < r.c.Most {
		r.report.Differences = append(r.report.Differences, d)
	}
}

// Device replays the history of one device, as Order returns it.
func (r *Replay) Device(id device.ID, history []*Entry) {
	d := &player{r: r, id: id, added: map[string]bool{}}
	for i, e := range history {
		switch {
		case i == 0 || follows(history[i-1], e):
		case e.Instance != history[i-1].Instance:
			d.lose()
			d.ended = false
		case restarts(history[i-1], e):
			r.report.Restarts++
			if e.N > 1 {
				r.report.Missing += e.N - 1
			}
			d.lose()
		default:
			if e.N > history[i-1].N {
				r.report.Missing += e.N - history[i-1].N - 1
			}
			d.lose()
		}
		if !d.entry(e) {
			break
		}
	}
	if d.snapshot != nil && r.c.New != nil && !d.ended {
		d.due(r.c.Until)
	}
	for name := range d.added {
		r.report.Added[name]++
	}
	switch {
	case d.tried:
		r.report.Devices++
		if d.different {
			r.report.Different++
		}
	case d.not != "":
		r.report.NotTried[d.not]++
	case d.other:
		r.report.Others++
	}
}

// player is the device that is replayed.
type player struct {
	r         *Replay
	id        device.ID
	model     *devicefsm.Model // that runs it
	snapshot  *devicefsm.Snapshot
	twin      map[string]any
	images    func(state string) string // of recorded states in the new model
	tried     bool
	different bool
	ended     bool
	other     bool   // it ran a model of another name
	not       string // why it could not be tried, the last time

	// balance is how much more of each name there was than was recorded, since the device was last
	// as it is recorded, and added are the names of which there was more at some time.
	balance map[string]int
	added   map[string]bool
}

// lose forgets what the device is: the next snapshot that is recorded says it.
func (d *player) lose() { d.snapshot, d.balance = nil, nil }

// entry replays one entry; false: nothing more of the device counts.
func (d *player) entry(e *Entry) bool {
	d.twin = e.Twin
	if e.Do == DoEnd {
		d.ended = true
		return true
	}
	model, ok := d.modelOf(e)
	if !ok {
		d.lose()
		d.r.report.Skipped++
		return true
	}
	if d.r.c.New != nil {
		d.tryNew(model, e)
		return true
	}
	return d.reproduce(model, e)
}

// modelOf is the model that the device ran, in the edition that it ran.
func (d *player) modelOf(e *Entry) (*devicefsm.Model, bool) {
	m, ok := d.r.c.Model(e.Model)
	if !ok {
		d.not = fmt.Sprintf("model %.12s is not at hand", e.Model)
		return nil, false
	}
	if n := d.r.c.New; n != nil && m.Name() != n.Name() {
		d.other = true
		return nil, false
	}
	return d.r.inEdition(m, e.Edition), true
}

func (d *player) count(e *Entry) {
	r := &d.r.report
	d.tried = true
	r.Entries++
	at := e.Task
	if r.First.IsZero() || at.Before(r.First) {
		r.First = at
	}
	if at.After(r.Last) {
		r.Last = at
	}
}

// reproduce runs an entry through the model that ran then.
func (d *player) reproduce(model *devicefsm.Model, e *Entry) bool {
	if e.Before != nil {
		if d.snapshot != nil && !sameSnapshot(d.snapshot, e.Before) {
			d.differs(e, []Difference{{Kind: KindState, Recorded: textOf(e.Before), Replayed: textOf(d.snapshot)}})
			return false
		}
		d.snapshot = e.Before
	}
	after, out, ok, err := d.apply(model, e)
	switch {
	case err != nil:
		d.differs(e, []Difference{{Kind: KindResult, Replayed: err.Error()}})
		return false
	case !ok:
		d.r.report.Skipped++
		if e.After != nil { // from here on it is known
			d.snapshot = e.After
		}
		return true
	}
	d.count(e)
	d.snapshot = after
	got := ResultOf(out)
	switch {
	case !got.same(&e.Result):
		found := compare(&e.Result, &got, asIs)
		if len(found) == 0 {
			recorded, _ := json.Marshal(e.Result) // it was JSON
			replayed, _ := json.Marshal(got)
			found = []Difference{{Kind: KindResult, Recorded: string(recorded), Replayed: string(replayed)}}
		}
		d.differs(e, found)
		return false
	case e.After != nil && !sameSnapshot(after, e.After):
		d.differs(e, []Difference{{Kind: KindState, Recorded: textOf(e.After), Replayed: textOf(after)}})
		return false
	}
	return true
}

// apply does with the device what was done then; ok is false if nothing says what it was before.
func (d *player) apply(model *devicefsm.Model, e *Entry) (after *devicefsm.Snapshot, out devicefsm.Outcome, ok bool, err error) {
	if e.Do == DoStart {
		after, out = model.StartIn(e.Zones, e.Arrived)
		return after, out, true, nil
	}
	if d.snapshot == nil {
		return nil, out, false, nil
	}
	switch e.Do {
	case DoStep:
		after, out = model.Step(d.snapshot, e.event())
	case DoZones:
		after, err = model.Renew(d.snapshot, e.Zones)
	case DoNamed, DoMigrate:
		old, known := d.r.c.Model(d.snapshot.ModelHash())
		if !known {
			return nil, out, false, nil
		}
		old = d.r.inEdition(old, e.Edition)
		if e.Do == DoNamed {
			after, out = model.StartAfter(old, d.snapshot, e.Zones, e.Arrived)
			break
		}
		if e.Plan == nil {
			return nil, out, false, nil
		}
		g, faults := devicefsm.NewMigration(old, model, *e.Plan)
		if len(faults) > 0 {
			return nil, out, false, fmt.Errorf("the recorded plan does not fit its models: %s", faults[0].Message)
		}
		var moved devicefsm.Migrated
		moved, err = g.Apply(d.snapshot, devicefsm.MigrationInput{At: e.Arrived, Zones: e.Zones, Twin: e.Twin, Recent: e.Recent})
		after, out = moved.Snapshot, moved.Outcome
	default:
		err = fmt.Errorf("unknown kind of entry %q: upgrade this program", e.Do)
	}
	return after, out, err == nil, err
}

// tryNew runs an entry through the new model.
func (d *player) tryNew(old *devicefsm.Model, e *Entry) {
	new := d.r.inEdition(d.r.c.New, e.Edition)
	d.model = new
	switch {
	case e.Do == DoMigrate && d.different && d.snapshot != nil: // it is not what the plan was carried out on
		d.moveNames(old)
		d.count(e)
		return
	case e.Do == DoNamed || e.Do == DoMigrate:
		d.balance = nil
		if e.After == nil || !d.from(old, e.After, e) {
			d.lose()
			d.r.report.Skipped++
		} else {
			d.count(e)
		}
		return
	case e.Do == DoStart:
		zones, err := d.zones(e.Zones, e.Arrived)
		if err != nil {
			d.not = err.Error()
			d.lose()
			d.r.report.Skipped++
			return
		}
		d.moveNames(old)
		after, out := new.StartIn(zones, e.Arrived)
		d.snapshot = after
		d.compare(e, out)
		return
	}
	if d.snapshot == nil && (e.Before == nil || !d.from(old, e.Before, e)) {
		d.r.report.Skipped++
		return
	}
	if e.Do == DoZones {
		zones, err := d.zones(e.Zones, e.Arrived)
		if err == nil {
			if after, err := new.Renew(d.snapshot, zones); err == nil {
				d.snapshot = after
			}
		}
		d.count(e)
		return
	}
	ev := e.event()
	if e.asked() {
		ev.Name, _ = new.Classify(e.message())
	}
	after, out := new.Step(d.snapshot, ev)
	d.snapshot = after
	d.compare(e, out)
}

// moveNames finds the images of the states of a model, from which the device need not be moved.
func (d *player) moveNames(old *devicefsm.Model) {
	if _, err := d.move(old); err != nil {
		d.images = asIs
	}
}

// from lets the device go on in the new model as it was in the old one; false: it cannot.
func (d *player) from(old *devicefsm.Model, s *devicefsm.Snapshot, e *Entry) bool {
	moves, err := d.move(old)
	if err != nil {
		d.not = err.Error()
		return false
	}
	if moves == nil { // it is that model
		d.snapshot = s
		return true
	}
	zones, err := d.zones(nil, e.At())
	if err != nil {
		d.not = err.Error()
		return false
	}
	moved, err := moves.Apply(s, devicefsm.MigrationInput{At: s.Time(), Zones: zones, Twin: e.Twin})
	if err != nil {
		d.not = err.Error()
		return false
	}
	d.snapshot = moved.Snapshot
	return true
}

// move is how devices get from a model to the new one; nil: they run it.
func (d *player) move(old *devicefsm.Model) (*devicefsm.Migration, error) {
	new := d.r.c.New
	if old.Hash() == new.Hash() {
		d.images = asIs
		return nil, nil
	}
	m, known := d.r.moves[old.Hash()]
	if !known {
		if d.r.c.Moves == nil {
			m.err = fmt.Errorf("there is no plan from model %.12s", old.Hash())
		} else {
			var plan devicefsm.Plan
			if m.migration, plan, m.err = d.r.c.Moves(old); m.err == nil {
				m.images = imagesOf(plan)
			}
		}
		d.r.moves[old.Hash()] = m
	}
	d.images = m.images
	return m.migration, m.err
}

func (d *player) zones(recorded calendar.Zones, at time.Time) (calendar.Zones, error) {
	names := d.r.c.New.Zones()
	if len(names) == 0 || d.r.c.Zones == nil {
		return recorded, nil
	}
	zones, err := d.r.c.Zones(names, at)
	if err != nil {
		return nil, fmt.Errorf("time zones of the new model: %w", err)
	}
	return zones, nil
}

// compare notes what is different; after the first difference only what the device gets.
func (d *player) compare(e *Entry, out devicefsm.Outcome) {
	d.count(e)
	if len(out.Transitions)+len(out.Actions)+len(out.Matched)+len(out.Alarms)+len(out.Faults) == 0 && e.Result.empty() {
		return
	}
	d.compareResults(e, &e.Result, out)
}

func (d *player) compareResults(e *Entry, recorded *Result, out devicefsm.Outcome) {
	got := ResultOf(out)
	if !d.different {
		found := compare(recorded, &got, d.images)
		if len(found) == 0 {
			return
		}
		d.differs(e, found)
	}
	if d.balance == nil {
		d.balance = map[string]int{}
	}
	for name, n := range surplus(recorded, &got, d.images) {
		if d.balance[name] += n; n > 0 && d.balance[name] > 0 {
			d.added[name] = true
		}
	}
}

// due lets the time pass after the last entry.
func (d *player) due(until time.Time) {
	at, ok := d.model.NextDeadline(d.snapshot)
	if until.IsZero() || !ok || !at.Before(until) {
		return
	}
	_, out := d.model.Step(d.snapshot, devicefsm.Event{Arrived: until, Twin: d.twin})
	d.compareResults(&Entry{Device: d.id, Event: "after", Arrived: at}, &Result{}, out)
}

// differs counts the device.
func (d *player) differs(e *Entry, found []Difference) {
	d.different, d.tried = true, true
	groups := map[[3]string]bool{} // of the device
	for _, f := range found {
		f.Device, f.N, f.At, f.Event = d.id, e.N, e.At(), e.Event
		d.r.keep(f)
		key := [3]string{f.Kind, f.Recorded, f.Replayed}
		if f.Kind == KindResult || f.Kind == KindState { // each device has one of its own
			key = [3]string{f.Kind}
		}
		if groups[key] {
			continue
		}
		groups[key] = true
		if g := d.r.groups[key]; g != nil {
			g.Devices++
		} else {
			d.r.groups[key] = &Group{Kind: f.Kind, Recorded: key[1], Replayed: key[2], Devices: 1, First: d.id}
		}
	}
}

func sameSnapshot(a, b *devicefsm.Snapshot) bool { return textOf(a) == textOf(b) }

func textOf(s *devicefsm.Snapshot) string {
	raw, err := json.Marshal(s)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

func asIs(state string) string { return state }

// imagesOf is what a plan makes of the name of a state: of that of several regions, of each.
func imagesOf(p devicefsm.Plan) func(string) string {
	known := map[string]string{}
	return func(state string) string {
		if image, ok := known[state]; ok {
			return image
		}
		leaves := strings.Split(state, ",")
		for i, leaf := range leaves {
			to, ok := p.States[leaf]
			if !ok && p.Otherwise != "" {
				to = []string{p.Otherwise}
			}
			if len(to) > 0 && to[0] != devicefsm.PlanHold && to[0] != devicefsm.PlanInitial {
				leaves[i] = strings.Join(to, ",")
			}
		}
		image := strings.Join(leaves, ",")
		known[state] = image
		return image
	}
}
