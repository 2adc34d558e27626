package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"devicetwin/bridge/ingest"
	"devicetwin/internal/text"
	"devicetwin/wire"
)

// DeadLetter is a message that was refused, as it is published on
// bridge/{bridge id}/deadletter.
type DeadLetter struct {
	Topic   string      `json:"topic"`
	Reason  wire.Reason `json:"reason"`
	Detail  string      `json:"detail"`
	Payload []byte      `json:"payload_base64"`
	At      time.Time   `json:"at"` // when it was received, UTC
	// Truncated is the length of the payload if not all of it is here: what was
	// refused as too large is not carried on.
	Truncated int `json:"payload_bytes,omitempty"`
}

// keptPayload bounds what of a payload that is itself too large goes into its
// dead letter.
const keptPayload = 4 << 10

func newDeadLetter(l ingest.DeadLetter) DeadLetter {
	d := DeadLetter{
		Topic: text.Clip(l.Origin, 1024), Reason: l.Reason, Detail: text.Clip(l.Detail, 1024), Payload: l.Payload, At: l.At,
	}
	if l.Reason == wire.ReasonTooLarge && len(l.Payload) > keptPayload {
		d.Payload, d.Truncated = l.Payload[:keptPayload], len(l.Payload)
	}
	return d
}

// outlet takes what leaves the bridge but not to the sink: points, dead letters,
// rejections of requests, and questions to devices. A flood of refused messages must not hold up the good
// ones: beyond the bounds of its queues they are counted, and not published.
type outlet struct {
	topic      string // of dead letters
	timeout    time.Duration
	points     PointWriter
	publisher  MessagePublisher // of dead letters
	answers    MessagePublisher
	counts     *counters
	log        *slog.Logger
	letters    chan outgoing[ingest.DeadLetter]
	rejections chan outgoing[ingest.Rejection]
	dialect    wire.Dialect
	asker      MessagePublisher // of questions
	questions  chan wire.Publication
}

// outgoing is a value that is to be published; done is called once it is, or
// given up.
type outgoing[T any] struct {
	value T
	done  func()
}

// Bounds of what waits to be published, and of what is on its way at once.
const (
	outletRoom          = 256
	letterPublishers    = 8
	rejectionPublishers = 4
	questionRoom        = 4096 // many devices may be born at once
	questionPublishers  = 4
)

func newOutlet(cfg Config, deps Deps, dialect wire.Dialect, counts *counters, log *slog.Logger) *outlet {
	return &outlet{
		topic:      wire.DeadLetterTopic(cfg.ID),
		timeout:    cfg.DeadLetterTimeout,
		points:     deps.Points,
		publisher:  deps.DeadLetters,
		answers:    deps.Answers,
		counts:     counts,
		log:        log,
		letters:    make(chan outgoing[ingest.DeadLetter], outletRoom),
		rejections: make(chan outgoing[ingest.Rejection], outletRoom),
		dialect:    dialect,
		asker:      deps.Questions,
		questions:  make(chan wire.Publication, questionRoom),
	}
}

// notReadings are the members of a message that are not telemetry.
var notReadings = wire.ReservedKeys()

// Point writes the telemetry of a message.
func (o *outlet) Point(p ingest.Point) {
	if o.points == nil {
		return
	}
	o.points.WriteReading(p.Model, string(p.ID), p.Object, notReadings, p.Time)
}

// DeadLetter publishes a dead letter, if there is room for it.
func (o *outlet) DeadLetter(l ingest.DeadLetter, done func()) bool {
	if o.publisher == nil {
		return false
	}
	select {
	case o.letters <- outgoing[ingest.DeadLetter]{l, done}:
		return true
	default:
		o.counts.deadLettersUnpublished.Add(1)
		return false
	}
}

// Reject answers a request of the shadow protocol, if there is room for it. Without
// an answer, a client asks again.
func (o *outlet) Reject(r ingest.Rejection, done func()) bool {
	if o.answers == nil {
		return false
	}
	select {
	case o.rejections <- outgoing[ingest.Rejection]{r, done}:
		return true
	default:
		o.counts.unanswered.Add(1)
		return false
	}
}

// Ask asks a device what its dialect asks after a birth, as far as there is room.
func (o *outlet) Ask(q ingest.Question) {
	if o.asker != nil {
		o.queueQuestions(o.dialect.Questions(q.ID, q.To))
	}
}

// open asks all devices, because what they published before is not known.
func (o *outlet) open() {
	if o.asker != nil {
		o.queueQuestions(o.dialect.Opening())
	}
}

// queueQuestions drops questions for which there is no room: the next birth asks again.
func (o *outlet) queueQuestions(list []wire.Publication) {
	for _, p := range list {
		select {
		case o.questions <- p:
		default:
			o.counts.unasked.Add(1)
		}
	}
}

// run publishes until ctx ends.
func (o *outlet) run(ctx context.Context) {
	var running sync.WaitGroup
	for range letterPublishers {
		running.Go(func() { publishAll(ctx, o.letters, thenDone(o.publishLetter)) })
	}
	for range rejectionPublishers {
		running.Go(func() { publishAll(ctx, o.rejections, thenDone(o.publishRejection)) })
	}
	for range questionPublishers {
		running.Go(func() { publishAll(ctx, o.questions, o.publishQuestion) })
	}
	running.Wait()
}

func (o *outlet) publishQuestion(ctx context.Context, p wire.Publication) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	err := o.asker.Publish(ctx, p.Topic, p.QoS, p.Retained, p.Payload)
	if err == nil {
		o.counts.asked.Add(1)
		return
	}
	o.counts.unasked.Add(1)
	if !errors.Is(err, context.Canceled) {
		o.log.Warn("question could not be published; devices are asked again after their next birth", "topic", text.Clip(p.Topic, 1024), "error", err)
	}
}

// publishAll publishes what comes in on a queue until ctx ends.
func publishAll[T any](ctx context.Context, queue <-chan T, publish func(context.Context, T)) {
	for {
		select {
		case next := <-queue:
			publish(ctx, next)
		case <-ctx.Done():
			return
		}
	}
}

// thenDone publishes a value for which something waits.
func thenDone[T any](publish func(context.Context, T)) func(context.Context, outgoing[T]) {
	return func(ctx context.Context, next outgoing[T]) {
		publish(ctx, next.value)
		next.done()
	}
}

func (o *outlet) publishLetter(ctx context.Context, l ingest.DeadLetter) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	payload, err := json.Marshal(newDeadLetter(l))
	if err == nil {
		err = o.publisher.Publish(ctx, o.topic, 1, false, payload)
	}
	if err != nil {
		o.counts.deadLettersUnpublished.Add(1)
		if !errors.Is(err, context.Canceled) {
			o.log.Warn("dead letter could not be published", "topic", text.Clip(l.Origin, 1024), "reason", l.Reason, "detail", l.Detail, "error", err)
		}
	}
}

func (o *outlet) publishRejection(ctx context.Context, r ingest.Rejection) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	topic, payload := wire.RejectRequest(r.ID, r.Request, r.Code, r.At)
	if err := o.answers.Publish(ctx, topic, 1, false, payload); err != nil {
		o.counts.unanswered.Add(1)
		if !errors.Is(err, context.Canceled) {
			o.log.Warn("rejection could not be published; the client has to ask again", "topic", topic, "error", err)
		}
	}
}
