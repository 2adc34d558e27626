package device

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/twin/command"
)

// Records are what readers of Kafka get of an entity, keyed by it and in its order: changes of
// state, ends of commands, and what its model publishes to a topic of Kafka. Each waits in the state until it
// is written. It leaves with what else leaves, in the same local activity; where that fails, an
// activity of its own takes over, and the run goes on meanwhile. Only one of them is under
// way, so a record is never written before an earlier one of its topic; it may be written more than once.

// ActivityRecord is the activity that writes records that were not written at once.
const ActivityRecord = "record"

// Kinds of records.
const (
	RecordTransition   = "transition"
	RecordCommand      = "command"      // it has ended
	RecordPublished    = "published"    // by the model
	RecordNotification = "notification" // of a receiver that is a topic
)

// Record is one record, as the workflow decided it.
type Record struct {
	// ID is unique, and the same whenever the record is written again.
	ID string `json:"id"`
	// N rises by one with each record of the entity's workflow.
	N    uint64 `json:"n"`
	Kind string `json:"kind"`
	// Topic is that of a RecordPublished; the worker has those of the others.
	Topic string          `json:"topic,omitempty"`
	Value json.RawMessage `json:"value"`
	// At is when it was decided, on the service's clock: Kafka keeps records by their times, and refuses
	// those of the future.
	At time.Time `json:"at"`
}

// RecordSettings are which records workers make; a run keeps what it began with.
type RecordSettings struct {
	Transitions bool `json:"transitions,omitempty"`
	Commands    bool `json:"commands,omitempty"`
	// Published are those of models: true, but for runs that began before there were records.
	Published bool `json:"published,omitempty"`
}

// recordBox is the outbox of records.
type recordBox struct {
	Last uint64   `json:"last,omitempty"` // number of the last one
	List []Record `json:"list,omitempty"` // that wait, in their order
}

const (
	maxRecordValue = 256 << 10 // of one record, in bytes
	// Of one attempt. What is over the first bound goes alone.
	maxRecordBytes = 512 << 10
	maxRecordCount = 100
	// With so many that wait, a run takes nothing in before some are written.
	fullRecords     = 256
	fullRecordBytes = 512 << 10
	// lastRecords is how long a workflow that ends tries to write what is left.
	lastRecords = time.Minute
)

// transitionRecord is the value of a RecordTransition.
type transitionRecord struct {
	ID     string `json:"id"`
	Entity string `json:"entity"` // as in URLs of the API: customer/4711, or pump-1
	Model  string `json:"model"`
	Hash   string `json:"hash"` // of the model
	From   string `json:"from"`
	To     string `json:"to"`
	Event  string `json:"event"`
	// At is when it happened, and Arrived when that was on the service's clock.
	At      time.Time `json:"at"`
	Arrived time.Time `json:"arrived,omitzero"`
}

// commandRecord is the value of a RecordCommand.
type commandRecord struct {
	ID      string          `json:"id"`
	Entity  string          `json:"entity"`
	Model   string          `json:"model"`
	Command string          `json:"command"` // its id
	Name    string          `json:"name"`
	Status  command.Status  `json:"status"`
	Reason  string          `json:"reason,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	By      string          `json:"by,omitempty"` // who issued it
	Created time.Time       `json:"created,omitzero"`
	Ended   time.Time       `json:"ended"`
}

// recordTransition makes a record of a change of state, if the run makes any.
func (d *run) recordTransition(t devicefsm.Transition) {
	if !d.settings.Records.Transitions {
		return
	}
	id := d.nextRecordID()
	d.addRecord(Record{ID: id, Kind: RecordTransition}, transitionRecord{
		ID: id, Entity: string(d.state.Device), Model: d.model.Name(), Hash: d.state.Model,
		From: t.From, To: t.To, Event: t.Event, At: t.Time, Arrived: t.Arrived,
	})
}

// recordEnd makes a record of a command that has ended, if the run makes any.
func (d *run) recordEnd(c command.Command) {
	if !d.settings.Records.Commands {
		return
	}
	id := d.nextRecordID()
	d.addRecord(Record{ID: id, Kind: RecordCommand}, commandRecord{
		ID: id, Entity: string(d.state.Device), Model: d.model.Name(), Command: c.ID, Name: c.Name, Status: c.Status, Reason: c.Reason,
		Result: c.Result, By: c.By, Created: c.Created, Ended: c.Ended,
	})
}

// recordPublished makes a record of what the model publishes to a topic of Kafka.
func (d *run) recordPublished(topic string, data map[string]any) {
	if data == nil {
		data = map[string]any{}
	}
	d.addRecord(Record{ID: d.nextRecordID(), Kind: RecordPublished, Topic: topic}, data)
}

// nextRecordID is the id of the record that is added next.
func (d *run) nextRecordID() string {
	id := fmt.Sprintf("record-%d", d.state.Records.Last+1)
	if d.state.Origin != "" {
		id = withOrigin(id, d.state.Origin)
	}
	return d.effectID(id)
}

func (d *run) addRecord(r Record, value any) {
	raw, err := json.Marshal(value)
	switch {
	case err != nil:
		d.noteStepFaults(device.FaultAction, fmt.Sprintf("record of a %s: %v", r.Kind, err))
		return
	case len(raw) > maxRecordValue:
		d.noteStepFaults(device.FaultAction, fmt.Sprintf("record of a %s: %d bytes, the limit is %d", r.Kind, len(raw), maxRecordValue))
		return
	}
	d.state.Records.Last++
	r.N, r.Value, r.At = d.state.Records.Last, raw, d.state.Snapshot.Time()
	d.state.Records.List = append(d.state.Records.List, r)
}

// next are the records that are written next.
func (b *recordBox) next() []Record {
	size, n := 0, 0
	for n < min(len(b.List), maxRecordCount) {
		if size += len(b.List[n].Value); n > 0 && size > maxRecordBytes {
			break
		}
		n++
	}
	return b.List[:n:n]
}

// written removes the first of the records that were to be written.
func (b *recordBox) written(tried []Record, n int) {
	if n = min(n, len(tried)); n <= 0 {
		return
	}
	last := tried[n-1].N
	b.List = slices.DeleteFunc(slices.Clone(b.List), func(r Record) bool { return r.N <= last })
}

// full reports whether so many wait that no more may be decided.
func (b *recordBox) full() bool {
	size := 0
	for _, r := range b.List {
		size += len(r.Value)
	}
	return len(b.List) >= fullRecords || size >= fullRecordBytes
}

// recording is an activity that writes records.
type recording struct {
	future workflow.Future
	tried  []Record
}

// recordsToSend are those that an emission takes along.
func (d *run) recordsToSend() []Record {
	if d.recording != nil {
		return nil
	}
	return d.state.Records.next()
}

// takeRecorded takes the result of an emission with records. What was not written is left to an
// activity, which does not hold up the run.
func (d *run) takeRecorded(ctx workflow.Context, tried []Record, n int) {
	if len(tried) == 0 {
		return
	}
	d.state.Records.written(tried, n)
	d.recordPatiently(ctx, 0)
}

// recordPatiently starts the activity that writes what waits. It is tried again for as long as it
// takes; or as long as within says, if that is not zero.
func (d *run) recordPatiently(ctx workflow.Context, within time.Duration) {
	tried := d.state.Records.next()
	if len(tried) == 0 || d.recording != nil {
		return
	}
	// What was decided is written also when the workflow is being cancelled.
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 30 * time.Second, ScheduleToCloseTimeout: within,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, MaximumInterval: 30 * time.Second},
	})
	d.recording = &recording{workflow.ExecuteActivity(ctx, ActivityRecord, Emission{Device: d.state.Device, Records: tried}), tried}
}

// recorded takes the end of the activity that writes records. What it has not written is sent again.
func (d *run) recorded(ctx workflow.Context) (err error) {
	r := d.recording
	d.recording = nil
	var done Emitted
	if err = r.future.Get(ctx, &done); err == nil {
		d.state.Records.written(r.tried, done.Recorded)
		d.notCarriedOut(workflow.Now(ctx), done.Refused...)
	}
	return err
}

// finishRecords writes what waits: all of it if the workflow is about to end, as far as
// that is possible in some time, or else so much that there is room again.
func (d *run) finishRecords(ctx workflow.Context) {
	if d.deleted {
		d.recording = nil // what it writes is written again: nobody waits for it for so long
	}
	for {
		switch wait := d.deleted && len(d.state.Records.List) > 0 || d.state.Records.full(); {
		case !wait:
			d.recordPatiently(ctx, 0) // what is left, if nothing is under way
			return
		case d.recording == nil && d.deleted:
			d.recordPatiently(ctx, lastRecords)
		case d.recording == nil:
			d.recordPatiently(ctx, 0)
		}
		if err := d.recorded(ctx); err != nil && d.deleted {
			workflow.GetLogger(ctx).Warn("the last records of an entity are not written to Kafka", "device", d.state.Device, "records", len(d.state.Records.List), "error", err)
			d.state.Records.List = nil
		}
	}
}

// KafkaRecord is a record as it is written.
type KafkaRecord struct {
	Topic, Key, ID string
	// Headers are in addition to that of the id.
	Headers []KafkaHeader
	Value   []byte
	At      time.Time
}

// KafkaHeader is a header of a KafkaRecord.
type KafkaHeader struct{ Key, Value string }

// Headers of records.
const (
	HeaderKind   = "devicetwin.kind"
	HeaderNumber = "devicetwin.number" // Record.N
	HeaderEntity = "devicetwin.entity"
)

// RecordWriter writes records to Kafka. A nil error means that Kafka has the record; one that wraps
// ErrRecordRefused, that it never will.
type RecordWriter interface {
	WriteRecord(ctx context.Context, r KafkaRecord) error
}

// ErrRecordRefused is of a record that would be refused again.
var ErrRecordRefused = errors.New("the record is refused")

// RecordTopics are the topics of Kafka to which a worker writes.
type RecordTopics struct {
	Transitions, Commands string
	// Published are those that models may publish to.
	Published []string
}

// writeWithin is how long an emission waits for Kafka: what is not written then is left to an
// activity of its own.
const writeWithin = time.Second

// Record writes records that were not written at once. The error is that of the first one that could not
// be written, if it is the very first.
func (a *Activities) Record(ctx context.Context, e Emission) (done Emitted, err error) {
	if done.Recorded, done.Refused, err = a.writeRecords(ctx, e); done.Recorded > 0 {
		err = nil
	}
	return done, err
}

// writeRecords writes records in their order. It returns how many of the first are done: written,
// or refused, with the reason. The error is why no more are.
func (a *Activities) writeRecords(ctx context.Context, e Emission) (n int, refused []string, err error) {
	for _, r := range e.Records {
		topic, why := a.topicOf(r)
		if why == "" {
			err = a.Records.WriteRecord(ctx, KafkaRecord{
				Topic: topic, Key: string(e.Device), ID: r.ID, Value: r.Value, At: r.At,
				Headers: recordHeaders(r.Kind, e.Device, r.N),
			})
		}
		switch {
		case why != "":
			refused = append(refused, why)
		case errors.Is(err, ErrRecordRefused):
			refused = append(refused, fmt.Sprintf("record of a %s: %v", r.Kind, err))
		case err != nil:
			return n, refused, fmt.Errorf("record of a %s of %s: %w", r.Kind, e.Device.Entity(), err)
		}
		n++
	}
	return n, refused, nil
}

func recordHeaders(kind string, id device.ID, n uint64) []KafkaHeader {
	all := []KafkaHeader{{HeaderKind, kind}, {HeaderEntity, string(id)}}
	if n > 0 {
		all = append(all, KafkaHeader{HeaderNumber, strconv.FormatUint(n, 10)})
	}
	return all
}

// topicOf is the topic of a record; why: it has none.
func (a *Activities) topicOf(r Record) (topic, why string) {
	switch {
	case r.Kind == RecordTransition:
		topic = a.RecordTopics.Transitions
	case r.Kind == RecordCommand:
		topic = a.RecordTopics.Commands
	case slices.Contains(a.RecordTopics.Published, r.Topic):
		topic = r.Topic
	default:
		return "", fmt.Sprintf("publish to %s%s: not among the topics of Kafka that the worker's configuration allows", devicefsm.KafkaTopic, r.Topic)
	}
	if topic == "" || a.Records == nil {
		return "", fmt.Sprintf("record of a %s: the worker's configuration names no topic of Kafka for it", r.Kind)
	}
	return topic, ""
}

// kafkaTopic is the topic of Kafka that a topic or an address of a receiver names.
func kafkaTopic(name string) (string, bool) { return strings.CutPrefix(name, devicefsm.KafkaTopic) }
