package device

import (
	"strings"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/measure"
	"devicetwin/twin/command"
)

// keptAsides bounds the points that wait for company; of more, the oldest are
// dropped.
const keptAsides = 32

// aside keeps a point until something else leaves: a message, or the point of a
// transition. So it never costs the server anything of its own. It loses
// little: what such a point is about hardly ever happens without a transition.
func (d *run) aside(p Point) {
	d.state.Asides = append(d.state.Asides, p)
	d.state.Asides = d.state.Asides[max(0, len(d.state.Asides)-keptAsides):]
}

// withAsides adds the points that wait to those of transitions, if anything leaves, or
// if it is time for faults to leave alone.
func (d *run) withAsides(now time.Time, messages []Outgoing, points []Point) []Point {
	if len(messages) == 0 && len(points) == 0 {
		if due, ok := d.faultsDue(); !ok || due.After(now) {
			return nil
		}
		d.state.FaultsLeft = now
	}
	points = append(points, d.state.Asides...)
	d.state.Asides = nil
	return append(points, d.takeFaultPoints()...)
}

// tags are those of every point of this device, and the given ones, in pairs.
func (d *run) tags(more ...string) map[string]string {
	tags := measure.EntityTags(string(d.state.Device))
	tags[measure.TagModel] = d.model.Name()
	if d.state.Site != "" {
		tags[measure.TagSite] = d.state.Site
	}
	for i := 0; i+1 < len(more); i += 2 {
		tags[more[i]] = more[i+1]
	}
	return tags
}

// transitionPoint is the point of one change of state.
func (d *run) transitionPoint(t devicefsm.Transition) Point {
	arrived := t.Arrived
	switch {
	case t.Event == "after": // of a timer: nothing arrived
		arrived = time.Time{}
	case arrived.IsZero(): // the device's clock says the same
		arrived = t.Time
	}
	return Point{
		Arrived:     arrived,
		Measurement: measure.Transitions,
		Tags:        d.tags(measure.TagFrom, t.From, measure.TagTo, t.To, measure.TagEvent, eventKind(t.Event)),
		Fields:      map[string]any{measure.State: t.To, measure.Count: int64(1)},
		At:          d.pointTime(t.Time, len(d.points)),
	}
}

// eventKind is an event's name without the id of an invocation, which would make
// each one a series of its own.
func eventKind(event string) string {
	for _, end := range []string{"done.invoke", "error.invoke"} {
		if strings.HasPrefix(event, end+".") {
			return end
		}
	}
	return event
}

// notePatterns, noteAlarms and noteStepFaults make points of what a step did in addition to
// transitions.
func (d *run) notePatterns(matched []string) {
	for _, pattern := range matched {
		d.aside(Point{
			Measurement: measure.Sequences,
			Tags:        d.tags(measure.TagPattern, pattern),
			Fields:      map[string]any{measure.Count: int64(1)},
			At:          d.pointTime(d.state.Snapshot.EventTime(), len(d.state.Asides)),
		})
	}
}

// maxAlarmPoints bounds the points of one alarm in one step: all must fit into an activity.
const maxAlarmPoints = 100

// noteAlarms makes points of alarms, which leave at once. Of very many at one time, such as
// those of a site whose gateway is back, there is one.
func (d *run) noteAlarms(changes []devicefsm.AlarmChange) {
	for len(changes) > 0 {
		same := 1
		for same < len(changes) && changes[same].Alarm == changes[0].Alarm && changes[same].Ended == changes[0].Ended {
			same++
		}
		if same > maxAlarmPoints {
			d.points = append(d.points, d.alarmPoint(changes[0], same))
		} else {
			for _, c := range changes[:same] {
				d.points = append(d.points, d.alarmPoint(c, 1))
			}
		}
		changes = changes[same:]
	}
}

// alarmPoint is the point of so many alarms of which this is the first.
func (d *run) alarmPoint(c devicefsm.AlarmChange, n int) Point {
	fields := map[string]any{}
	if n == 1 && c.Key != "" {
		fields[measure.AlarmKey] = c.Key
	}
	if c.Ended {
		fields[measure.AlarmEnded], fields[measure.AlarmSeconds] = int64(n), c.At.Sub(c.Since).Seconds()
	} else {
		fields[measure.AlarmRaised] = int64(n)
	}
	return Point{Measurement: measure.Alarms, Tags: d.tags(measure.TagAlarm, c.Alarm), Fields: fields, At: d.pointTime(c.At, len(d.points))}
}

func (d *run) noteStepFaults(reason device.FaultReason, faults ...string) {
	if len(faults) == 0 {
		return
	}
	d.reportStep(reason, faults)
	d.aside(Point{
		Measurement: measure.ModelFaults,
		Tags:        d.tags(),
		Fields:      map[string]any{measure.Count: int64(len(faults)), measure.Text: bounded(faults[len(faults)-1])},
		At:          d.pointTime(d.state.Snapshot.EventTime(), len(d.state.Asides)),
	})
}

// noteEnd makes a point of a command that the service ended.
func (d *run) noteEnd(c command.Command) {
	d.aside(Point{
		Measurement: measure.Commands,
		Tags:        d.tags(measure.TagName, c.Name, measure.TagStatus, string(c.Status)),
		Fields:      map[string]any{measure.Count: int64(1), measure.CommandID: c.ID, measure.Text: bounded(c.Reason)},
		At:          spreadTimestamps(c.Ended, len(d.state.Asides)),
	})
}

// noteVersion makes a point of a new version of a document.
func (d *run) noteVersion(shadow string, version int64, at time.Time) {
	tags := d.tags()
	if shadow != "" {
		tags[measure.TagShadow] = shadow
	}
	d.aside(Point{
		Measurement: measure.Twin, Tags: tags, Fields: map[string]any{measure.TwinVersion: version},
		At: spreadTimestamps(at, len(d.state.Asides)),
	})
}

// spreadTimestamps keeps points of one millisecond from replacing one another.
func spreadTimestamps(at time.Time, index int) time.Time {
	return at.Add(time.Duration(index) * time.Nanosecond)
}
