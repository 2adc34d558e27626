package device

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/twin"
)

// ShadowMessage is a message of the device shadow protocol.
type ShadowMessage struct {
	// Topic is the whole topic of an answer to a request. Without one, the message
	// goes to Rest below the shadow's base in every scheme.
	Topic  string `json:"topic,omitempty"`
	Shadow string `json:"shadow,omitempty"`
	Rest   string `json:"rest,omitempty"`
	// Payload is JSON; an empty one of the retained document clears it.
	Payload []byte `json:"payload,omitempty"`
	// Inform says that the payload is a delta that the device is sent in its dialect, too.
	Inform bool `json:"inform,omitempty"`
}

// request carries out a request of the shadow protocol.
func (d *run) request(m device.Message) {
	if m.Twin == nil {
		return
	}
	r, doc := m.Twin, d.document(m.Twin.Shadow, m.Time)
	var payload []byte
	var refused *twin.Rejection
	switch m.Name {
	case device.MethodGet:
		payload, refused = twin.Get(doc, d.nameOf(r.Shadow), r.Payload, m.Time, d.settings.Limits)
	case device.MethodDelete:
		var next twin.Document
		if next, payload, refused = twin.Delete(doc, d.nameOf(r.Shadow), r.Payload, m.Time, d.settings.Limits); refused == nil {
			d.putDocument(r.Shadow, doc, next, m.Time)
		}
	case device.MethodUpdate:
		var next twin.Document
		var answers twin.Answers
		if refused = d.roomFor(r.Shadow, doc); refused != nil {
			refused.ClientToken = twin.ClientToken(r.Payload, d.settings.Limits)
			break
		}
		if next, answers, refused = twin.Update(doc, r.Payload, m.Time, d.settings.Limits); refused == nil {
			d.announce(r.Shadow, answers)
			d.putDocument(r.Shadow, doc, next, m.Time)
			payload = answers.Accepted
		}
	default:
		return
	}
	if r.Reply == "" { // the device only says what its state is, in a dialect of its own
		if refused != nil {
			d.report(device.Fault{At: m.Time, Topic: m.Topic(), Reason: device.FaultRefused, Detail: refused.Error()})
		}
		return
	}
	answer := "/accepted"
	if refused != nil {
		if d.follows(rulesCorners) {
			refused = refused.Named()
		}
		answer, payload = "/rejected", refused.Payload(m.Time)
	}
	d.sayShadow(ShadowMessage{Topic: r.Reply + "/" + m.Name + answer, Payload: payload})
}

// nameOf is how the protocol calls a shadow in its refusals.
func (d *run) nameOf(shadow string) string {
	if shadow == "" {
		return d.state.Device.Name()
	}
	return shadow
}

// roomFor refuses one named shadow too many.
func (d *run) roomFor(name string, doc twin.Document) *twin.Rejection {
	if name == "" || doc.Exists() {
		return nil
	}
	named := 0
	for _, s := range d.state.Twins {
		if s.Name != "" && s.Document.Exists() {
			named++
		}
	}
	if named < d.settings.Shadows {
		return nil
	}
	return &twin.Rejection{Refused: *device.Refuse(400, "The limit of %d named shadows is reached", d.settings.Shadows)}
}

func (d *run) shadowIndex(name string) (int, bool) {
	return slices.BinarySearchFunc(d.state.Twins, name, func(s Shadow, name string) int { return strings.Compare(s.Name, name) })
}

// document is a shadow as it stands; what was deleted too long ago is forgotten.
func (d *run) document(name string, now time.Time) twin.Document {
	i, ok := d.shadowIndex(name)
	if !ok {
		return twin.Document{}
	}
	return twin.Prune(d.state.Twins[i].Document, now, d.settings.Limits)
}

// putDocument keeps a changed document and raises its events.
func (d *run) putDocument(name string, before, after twin.Document, now time.Time) {
	i, ok := d.shadowIndex(name)
	if ok {
		d.state.Twins[i].Document = after
	} else {
		d.state.Twins = slices.Insert(d.state.Twins, i, Shadow{Name: name, Document: after})
	}
	d.forgetShadows()
	d.twinValues, d.properties, d.twinTaken = nil, nil, false
	d.noteVersion(name, after.Version(), now)
	if !slices.Contains(d.changed, name) {
		d.changed = append(d.changed, name)
	}
	changes := twin.ChangedPaths(before, after)
	d.raiseChange(device.EventReportedChanged, name, after.Version(), changes.Reported)
	d.raiseChange(device.EventDesiredChanged, name, after.Version(), changes.Desired)
	if name == "" && len(changes.Reported) > 0 {
		d.shown(now)
	}
	d.unwatch(name, changes.Desired)
	d.state.Convergence = slices.DeleteFunc(d.state.Convergence, func(c Convergence) bool {
		return c.Shadow == name && len(twin.Diverged(after, c.Paths)) == 0
	})
}

// forgetShadows drops deleted shadows of which only a version is left, if they
// become too many.
func (d *run) forgetShadows() {
	for extra := len(d.state.Twins) - 2*(d.settings.Shadows+1); extra > 0; extra-- {
		i := slices.IndexFunc(d.state.Twins, func(s Shadow) bool { return !s.Document.Exists() })
		if i < 0 {
			return
		}
		d.state.Twins = slices.Delete(d.state.Twins, i, i+1)
	}
}

func (d *run) raiseChange(event, shadow string, version int64, paths []string) {
	if len(paths) == 0 {
		return
	}
	list := make([]any, len(paths))
	for i, p := range paths {
		list[i] = p
	}
	d.raise(devicefsm.Event{Name: event, Data: map[string]any{"shadow": shadow, "version": float64(version), "paths": list}})
}

// announce publishes what everybody may know of a change: the delta and the
// documents.
func (d *run) announce(shadow string, a twin.Answers) {
	inform := d.news(shadow, a.Delta, len(a.Asked()) > 0)
	for _, m := range a.Messages() {
		if m.Topic != "update/accepted" {
			d.sayShadow(ShadowMessage{Shadow: shadow, Rest: m.Topic, Payload: m.Payload, Inform: inform && m.Topic == restDelta})
		}
	}
}

func (d *run) sayShadow(m ShadowMessage) {
	d.pending = append(d.pending, effect{message: &Outgoing{Shadow: &m}})
}

// desireFromModel is the model's action desire.
func (d *run) desireFromModel(a devicefsm.Action) {
	now := d.state.Snapshot.Time()
	doc := d.document(a.Name, now)
	refused := d.roomFor(a.Name, doc)
	if refused == nil {
		var next twin.Document
		var answers twin.Answers
		if next, answers, refused = twin.Desire(doc, a.Data, now, d.settings.Limits); refused == nil {
			if len(twin.ChangedPaths(doc, next).Desired) > 0 { // else no new version for it
				d.desired(a.Name, doc, next, answers, now)
				doc = next
			}
			d.watch(a.Name, doc, answers.Asked(), a.Within, now)
			return
		}
	}
	d.noteStepFaults(device.FaultAction, fmt.Sprintf("desire: %v", refused))
}

// desired makes a change of desired properties known.
func (d *run) desired(shadow string, before, after twin.Document, answers twin.Answers, now time.Time) {
	d.announce(shadow, answers)
	d.putDocument(shadow, before, after, now)
}

// diverge raises an event for each deadline that is over.
func (d *run) diverge(now time.Time) {
	var over []Convergence
	d.state.Convergence = slices.DeleteFunc(d.state.Convergence, func(c Convergence) bool {
		if c.Due.After(now) {
			return false
		}
		over = append(over, c)
		return true
	})
	for _, c := range over {
		d.setCause(Cause{Kind: CauseTwin, Name: c.Shadow})
		d.raiseChange(device.EventDiverged, c.Shadow, c.Version, twin.Diverged(d.document(c.Shadow, now), c.Paths))
		d.stepRaised(now)
	}
}

// resendDelta publishes what is still desired to a device that came back and may have
// missed it.
func (d *run) resendDelta(now time.Time) {
	for _, s := range d.state.Twins {
		if delta := twin.Delta(s.Document, now); delta != nil {
			d.sayShadow(ShadowMessage{Shadow: s.Name, Rest: restDelta, Payload: delta, Inform: d.news(s.Name, delta, true)})
		}
	}
}

// currentDocuments are the retained copies of the documents that changed.
func (d *run) currentDocuments(now time.Time) []Outgoing {
	changed := d.changed
	d.changed = nil
	if !d.settings.Retain {
		return nil
	}
	var list []Outgoing
	for _, name := range changed {
		payload, _ := twin.Get(d.document(name, now), "", nil, now, d.settings.Limits) // nil if there is none
		list = append(list, Outgoing{Retain: true, Shadow: &ShadowMessage{Shadow: name, Rest: twin.RestCurrent, Payload: payload}})
	}
	return list
}

// expressionTwin is what expressions read as twin; nil where none does.
func (d *run) expressionTwin() map[string]any {
	return d.twinFor(d.model)
}

// twinFor is the same for another model.
func (d *run) twinFor(m *devicefsm.Model) map[string]any {
	if !m.ReadsTwin() {
		return nil
	}
	return d.allTwins()
}

// allTwins are the shadows as expressions read them.
func (d *run) allTwins() map[string]any {
	if d.twinValues == nil {
		d.twinValues = twin.Document{}.Values()
		shadows := map[string]any{}
		for _, s := range d.state.Twins {
			if s.Name == "" {
				d.twinValues = s.Document.Values()
			} else {
				shadows[s.Name] = s.Document.Values()
			}
		}
		d.twinValues["shadows"] = shadows
	}
	return d.twinValues
}

// searchable are the values of the indexed paths, as "path=value", sorted.
func (d *run) searchable() []string {
	if len(d.settings.Properties) == 0 {
		return nil
	}
	if d.properties == nil {
		d.properties = []string{}
		i, ok := d.shadowIndex("")
		if !ok {
			return d.properties
		}
		values := d.state.Twins[i].Document.Values()
		for _, path := range d.settings.Properties {
			if text, ok := textAt(values, path); ok {
				d.properties = append(d.properties, path+"="+bounded(text))
			}
		}
		slices.Sort(d.properties)
	}
	return d.properties
}

// textAt is the value at a path of keys with dots between, a string as it is and
// anything else as JSON.
func textAt(values map[string]any, path string) (string, bool) {
	var at any = values
	for key := range strings.SplitSeq(path, ".") {
		o, ok := at.(map[string]any)
		if !ok {
			return "", false
		}
		if at, ok = o[key]; !ok {
			return "", false
		}
	}
	if text, ok := at.(string); ok {
		return text, true
	}
	raw, err := json.Marshal(at)
	return string(raw), err == nil
}

// maxConvergence is how many changes of desired properties are watched.
const maxConvergence = 16

// watch waits for the device to report desired properties in time. They are those
// that were asked for, whether or not they changed: a model that asks again for
// what was not done wants to hear of it again.
func (d *run) watch(shadow string, doc twin.Document, paths []string, within time.Duration, now time.Time) {
	open := twin.Diverged(doc, paths)
	if within <= 0 || len(open) == 0 {
		return
	}
	d.unwatch(shadow, open)
	d.state.Convergence = append(d.state.Convergence, Convergence{Shadow: shadow, Version: doc.Version(), Paths: open, Due: now.Add(within)})
	if extra := len(d.state.Convergence) - maxConvergence; extra > 0 {
		d.noteStepFaults(device.FaultAction, fmt.Sprintf("more than %d deadlines of desired properties; the oldest is not watched any more", maxConvergence))
		d.state.Convergence = slices.Delete(d.state.Convergence, 0, extra)
	}
}

// unwatch ends the deadlines of properties that are desired otherwise now: they
// were for a value that nobody waits for.
func (d *run) unwatch(shadow string, paths []string) {
	list := slices.Clone(d.state.Convergence)
	for i, c := range list {
		if c.Shadow == shadow {
			list[i].Paths = slices.DeleteFunc(slices.Clone(c.Paths), func(p string) bool {
				return slices.ContainsFunc(paths, func(q string) bool { return related(p, q) })
			})
		}
	}
	d.state.Convergence = slices.DeleteFunc(list, func(c Convergence) bool { return len(c.Paths) == 0 })
}

// related reports whether one of two paths is the other, or above it.
func related(p, q string) bool {
	return p == q || strings.HasPrefix(p, q+".") || strings.HasPrefix(q, p+".")
}
