package device

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

// Some models have events processed one by one: an activity is called for each of them, in
// their order, and for the next one when the last has ended. The queue is in the state of the
// workflow, and so is what its first event has come to. No run of an earlier release can have
// had such a model, which it could not load: there are no rules of their own for it.

// Versions of what runs do in addition with what is processed, as runSettings.Process: a run
// keeps that with which it began.
const (
	// processShown: a decision of an operator is an event for the chart and is kept, and search
	// attributes say what waits.
	processShown = 1

	processNow = processShown
)

// Values of AttributeProcessing; it is empty where a queue is empty, or just being processed.
const (
	ProcessingHeld    = "held"    // an event has failed permanently, and the queue waits for an operator
	ProcessingWaiting = "waiting" // an event has had its turn for waitingAfter, or the queue was full; until it is empty
)

// waitingAfter is when an event is so late that lists show it. Sooner would cost each event the
// writing of search attributes, which is a third of a signal.
const waitingAfter = time.Minute

const (
	// maxQueueBytes is how many bytes may wait in a queue before there is no room.
	maxQueueBytes = 512 << 10
	// Beyond these, no signal is taken any more until there is room: of what is delivered
	// without asking for it. The state must be taken by the next run.
	hardQueue      = 4000
	hardQueueBytes = 1 << 20

	keptFailures      = 16
	maxProcessMessage = 512 // bytes
)

// Processing is what is processed of an entity one by one.
type Processing struct {
	// Policy is that of the model by which an event was queued last: also that of what
	// waits when the entity has got a model that processes none.
	Policy devicefsm.Process `json:"policy"`
	// Queue are the events that wait, the first of which is being processed, or next.
	Queue []Queued `json:"queue,omitempty"`
	// Number is that of the event that was queued last, from 1.
	Number uint64 `json:"number"`
	// Began is when the turn of the first event came; zero if that has not been.
	Began time.Time `json:"began,omitzero"`
	// Held is why the first event has failed permanently, if the queue waits for an operator
	// to decide on it.
	Held string `json:"held,omitempty"`
	// Done, Failed and Skipped count the ends of events.
	Done    uint64 `json:"done,omitempty"`
	Failed  uint64 `json:"failed,omitempty"`
	Skipped uint64 `json:"skipped,omitempty"`
	// Failures are the last that failed permanently, newest last.
	Failures []ProcessFailure `json:"failures,omitempty"`
}

// Queued is an event that waits to be processed.
type Queued struct {
	// ID is the same in every attempt, and of no other event: whoever is called drops what
	// comes twice by it.
	ID     string          `json:"id"`
	Number uint64          `json:"n"`
	Event  string          `json:"event"`
	Src    string          `json:"src"`
	To     string          `json:"to,omitempty"`
	Data   json.RawMessage `json:"data,omitempty"`
	// At is when the event was, and Arrived when it arrived, if that is another time.
	At      time.Time `json:"at"`
	Arrived time.Time `json:"arrived,omitzero"`
	Model   string    `json:"model"`           // hash of the one that queued it
	Fault   string    `json:"fault,omitempty"` // why there is nothing to call with
}

// ProcessFailure is an event that failed permanently.
type ProcessFailure struct {
	ID      string    `json:"id"`
	Number  uint64    `json:"n"`
	Event   string    `json:"event"`
	Message string    `json:"message"`
	At      time.Time `json:"at"`
	// Decision is that of an operator on it, if it held the queue; nil: none yet.
	Decision *DecisionTaken `json:"decision,omitempty"`
}

// DecisionTaken is what an operator decided on an event that failed permanently.
type DecisionTaken struct {
	Do   string    `json:"do"` // ProcessRetry or ProcessSkip
	Who  string    `json:"who,omitempty"`
	Note string    `json:"note,omitempty"`
	At   time.Time `json:"at"`
}

// bytes are about those of the queue in JSON.
func (p *Processing) bytes() int {
	n := 0
	for i := range p.Queue {
		n += p.Queue[i].bytes()
	}
	return n
}

// queuedBytes are about those of an event without its data.
const queuedBytes = 256

func (q *Queued) bytes() int { return queuedBytes + len(q.Data) + len(q.Fault) }

// Room is how many more events may be queued; 0 if there are enough.
func (p *Processing) Room() int {
	if p.bytes() >= maxQueueBytes {
		return 0
	}
	return max(0, p.Policy.Queue-len(p.Queue))
}

// processing is the call that is under way.
type processing struct {
	future   workflow.Future
	cancel   workflow.CancelFunc
	recalled bool // the run has to end
}

// toProcess queues an event.
func (d *run) toProcess(a devicefsm.Action) {
	p := d.state.Process
	if p == nil {
		p = &Processing{}
		d.state.Process = p
	}
	if policy, ok := d.model.Process(); ok {
		p.Policy = policy
	}
	p.Number++
	q := Queued{
		ID: d.effectID(a.ID), Number: p.Number, Event: a.Name, Src: a.Src, To: a.To,
		At: a.At, Arrived: a.Arrived, Model: d.state.Model, Fault: a.Fault,
	}
	if q.Fault == "" && len(a.Data) > 0 {
		raw, err := json.Marshal(a.Data)
		if err != nil {
			q.Fault = fmt.Sprintf("encode the data of event %s: %v", a.Name, err)
		}
		q.Data = raw
	}
	p.Queue = append(p.Queue, q)
	if d.counts != nil && !d.replaying() {
		d.counts.ProcessQueue.Observe(float64(len(p.Queue)))
	}
}

// processNext calls the activity of the first event, if none is under way. It reports whether
// the state machine was stepped instead, because that event has failed without a call.
func (d *run) processNext(ctx workflow.Context) (stepped bool) {
	p := d.state.Process
	switch {
	case p == nil || len(p.Queue) == 0 || p.Held != "" || d.processing != nil:
		return false
	case d.deleted || ctx.Err() != nil || d.runIsLong(ctx): // the next run begins with it
		return false
	}
	now := workflow.Now(ctx)
	if p.Began.IsZero() {
		p.Began = now
	}
	first := p.Queue[0]
	left := p.Began.Add(p.Policy.Deadline).Sub(now)
	switch {
	case first.Fault != "":
		d.processFailed(now, first.Fault)
		return true
	case left <= 0:
		d.processFailed(now, "the deadline of its attempts is over")
		return true
	}
	ctx, cancel := workflow.WithCancel(ctx)
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		ScheduleToCloseTimeout: left,
		StartToCloseTimeout:    min(p.Policy.AttemptTimeout, left),
		WaitForCancellation:    true, // or the next run could call at the same time
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: p.Policy.InitialInterval, BackoffCoefficient: p.Policy.Backoff,
			MaximumInterval: p.Policy.MaxInterval, MaximumAttempts: int32(p.Policy.MaxAttempts),
		},
	})
	input := map[string]any{"to": first.To, "event": first.Event, "number": first.Number}
	if first.Data != nil {
		input["data"] = first.Data
	}
	in := Invocation{
		Device: d.state.Device, Model: first.Model, ID: first.ID, Input: input, Site: d.state.Site, At: first.At, Arrived: first.Arrived,
	}
	d.processing = &processing{future: workflow.ExecuteActivity(ctx, first.Src, in), cancel: cancel}
	return false
}

// recalled reports whether no call is under way, and cancels the one that is: the run has to
// end, and the next one must not call at the same time.
func (d *run) recalled() bool {
	if d.processing == nil {
		return true
	}
	if !d.processing.recalled {
		d.processing.recalled = true
		d.processing.cancel()
	}
	return false
}

// processed takes the end of a call.
func (d *run) processed(ctx workflow.Context, f workflow.Future) {
	recalled := d.processing.recalled
	d.processing = nil
	var result map[string]any
	err := f.Get(ctx, &result)
	now := workflow.Now(ctx)
	switch {
	case err == nil:
		d.processDone(now, result)
	case (recalled || ctx.Err() != nil) && wasCancelled(err):
		// The next run calls again, under the same id, within the same deadline.
	default:
		d.processFailed(now, cause(err))
	}
}

// wasCancelled reports whether a call ended because it was cancelled: at once, or with an
// attempt that failed and would otherwise have been repeated.
func wasCancelled(err error) bool {
	var activity *temporal.ActivityError
	return temporal.IsCanceledError(err) || errors.As(err, &activity) && activity.RetryState() == enums.RETRY_STATE_CANCEL_REQUESTED
}

func (d *run) processDone(now time.Time, result map[string]any) {
	p := d.state.Process
	first := p.Queue[0]
	p.Done++
	d.processEnds(first, outcomeDone, now)
	p.next()
	d.setCause(Cause{Kind: CauseActivity, Name: first.Src, ID: first.ID})
	d.step(d.ofService(devicefsm.ProcessedEvent(first.ID, first.Number, first.Event, result, now), now))
}

// processFailed ends the first event, or holds the queue at it.
func (d *run) processFailed(now time.Time, message string) {
	p := d.state.Process
	first := p.Queue[0]
	p.Failed++
	message = device.Clip(message, maxProcessMessage)
	d.processEnds(first, outcomeFailed, now)
	p.Failures = append(slices.Clone(p.Failures), ProcessFailure{ID: first.ID, Number: first.Number, Event: first.Event, Message: message, At: now})
	p.Failures = p.Failures[max(0, len(p.Failures)-keptFailures):]
	d.notCarriedOut(now, fmt.Sprintf("event %s, number %d, was not processed: %s", first.Event, first.Number, message))
	if p.Policy.Hold {
		p.Held = message
	} else {
		p.next()
	}
	d.setCause(Cause{Kind: CauseActivity, Name: first.Src, ID: first.ID})
	d.step(d.ofService(devicefsm.ProcessFailedEvent(first.ID, first.Number, first.Event, message, now), now))
}

// next gives the next event its turn.
func (p *Processing) next() {
	p.Queue, p.Began, p.Held = slices.Clone(p.Queue[1:]), time.Time{}, ""
}

// Ends of events that were processed, for the metrics.
const (
	outcomeDone    = "done"
	outcomeFailed  = "failed"
	outcomeSkipped = "skipped"
)

func (d *run) processEnds(q Queued, outcome string, now time.Time) {
	if d.counts == nil || d.replaying() {
		return
	}
	d.counts.Processed[outcome].Add(1)
	at := q.Arrived
	if at.IsZero() {
		at = q.At
	}
	d.counts.ProcessSeconds.Observe(max(0, now.Sub(at).Seconds()))
}

// room answers the query of bridges.
func (d *run) room() Room {
	policy, ok := d.model.Process()
	switch p := d.state.Process; {
	case d.deleted || !ok && p == nil:
		return Room{Unbounded: true}
	case p == nil:
		return Room{Free: policy.Queue}
	case !ok && len(p.Queue) == 0:
		return Room{Unbounded: true}
	default:
		return Room{Free: p.Room(), Waiting: len(p.Queue)}
	}
}

// Room answers the query "room": how many events may be delivered that are processed one by one.
type Room struct {
	// Unbounded says that the entity's model does not process events one by one.
	Unbounded bool `json:"unbounded,omitempty"`
	Free      int  `json:"free"`
	Waiting   int  `json:"waiting"`
}

// takesSignals reports whether signals are taken: not if the queue has far more than it
// should, unless the run has to end, and hand them to the next.
func (d *run) takesSignals(ctx workflow.Context) bool {
	return d.deleted || !d.state.Process.hasTooMany() || workflow.GetInfo(ctx).GetCurrentHistoryLength() >= hardHistory
}

func (p *Processing) hasTooMany() bool {
	return p != nil && (len(p.Queue) >= hardQueue || p.bytes() >= hardQueueBytes)
}

// refusesMore refuses an event that would have to be queued where there is no room.
func (d *run) refusesMore(event string) *OperationResult {
	if p := d.state.Process; p == nil || p.Room() > 0 || !d.model.Processes(event) {
		return nil
	}
	r := refusal(429, "%d events wait to be processed; repeat the request later", len(d.state.Process.Queue))
	return &r
}

// operateProcess decides on an event that holds the queue.
func (d *run) operateProcess(in ProcessDecision, now time.Time, cause Cause) OperationResult {
	p := d.state.Process
	switch {
	case p == nil || p.Held == "":
		return refusal(409, "no event has failed that holds the queue")
	case in.ID != "" && in.ID != p.Queue[0].ID:
		return refusal(412, "the event that holds the queue is %s", p.Queue[0].ID)
	}
	first := p.Queue[0]
	switch in.Do {
	case ProcessRetry:
		p.Held, p.Began = "", time.Time{}
	case ProcessSkip:
		p.Skipped++
		d.processEnds(first, outcomeSkipped, now)
		p.next()
	default:
		return refusal(400, "expected %s or %s", ProcessRetry, ProcessSkip)
	}
	d.setCause(cause)
	decided := &ProcessDecided{ID: first.ID, Number: first.Number, Event: first.Event, Waiting: len(p.Queue)}
	if d.settings.Process >= processShown {
		p.decided(first, DecisionTaken{Do: in.Do, Who: cause.Who, Note: device.Clip(in.Note, maxNote), At: now})
		d.stepDecision(first, in, now)
	}
	return OperationResult{Decided: decided}
}

// decided keeps a decision with the failure that it is about, which is the last one.
func (p *Processing) decided(q Queued, taken DecisionTaken) {
	last := len(p.Failures) - 1
	if last < 0 || p.Failures[last].ID != q.ID {
		return
	}
	p.Failures = slices.Clone(p.Failures)
	p.Failures[last].Decision = &taken
}

// stepDecision gives the chart a decision as an event. What the chart does not take is explained
// nevertheless: who looks for why an event was not processed finds who skipped it.
func (d *run) stepDecision(q Queued, in ProcessDecision, now time.Time) {
	cause, moves := d.cause, d.transitions
	ev := devicefsm.Event{Name: device.EventProcess, Data: map[string]any{
		"do": in.Do, "id": q.ID, "number": float64(q.Number), "event": q.Event, "who": cause.Who, "note": device.Clip(in.Note, maxNote),
	}}
	name := d.model.StateName(d.state.Snapshot)
	d.step(d.ofService(ev, now))
	if d.transitions == moves {
		d.keepReason(Reason{At: now, From: name, To: name, Event: ev.Name, Cause: cause, Data: clippedJSON(ev.Data), Model: d.state.Model})
	}
}

// showsProcessing is what the search attributes say of what is processed, after what they said.
func (d *run) showsProcessing(have string, now time.Time) (word string, failed int64) {
	p := d.state.Process
	if p == nil {
		return "", 0
	}
	failed = rounded(p.Failed)
	switch {
	case len(p.Queue) == 0:
		return "", failed
	case p.Held != "":
		return ProcessingHeld, failed
	case have != "", p.Room() == 0, d.waits(now):
		return ProcessingWaiting, failed
	}
	return "", failed
}

// waits reports whether the event that has its turn has had it for a while.
func (d *run) waits(now time.Time) bool {
	at, ok := d.state.Process.waitsFrom()
	return ok && !now.Before(at)
}

// waitsFrom is when lists show that an event waits; ok is false if none has its turn.
func (p *Processing) waitsFrom() (at time.Time, ok bool) {
	return p.Began.Add(waitingAfter), len(p.Queue) > 0 && !p.Began.IsZero() && p.Held == ""
}

// waitingDue is when the search attributes have to say that an event waits, if nothing else has
// them written before.
func (d *run) waitingDue() (at time.Time, ok bool) {
	if d.state.Process == nil || d.settings.Process < processShown || d.state.Attributes.Processing != "" || d.attributesFault != "" {
		return time.Time{}, false
	}
	return d.state.Process.waitsFrom()
}
