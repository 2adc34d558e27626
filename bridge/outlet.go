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

// outlet takes what leaves the bridge but not to the sink: points, dead letters, and
// rejections of requests. A flood of refused messages must not hold up the good
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
)

func newOutlet(cfg Config, deps Deps, counts *counters, log *slog.Logger) *outlet {
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
	}
}

// notReadings are the members of a message that are not telemetry.
var notReadings = wire.ReservedKeys()

// Point writes the telemetry of a message.
func (o *outlet) Point(p ingest.Point) {
	if o.points == nil {
		return
	}
	o.points.WriteReading(p.Model, p.ID.Name(), p.Object, notReadings, p.Time)
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

// run publishes until ctx ends.
func (o *outlet) run(ctx context.Context) {
	var running sync.WaitGroup
	for range letterPublishers {
		running.Go(func() { publishAll(ctx, o.letters, o.publishLetter) })
	}
	for range rejectionPublishers {
		running.Go(func() { publishAll(ctx, o.rejections, o.publishRejection) })
	}
	running.Wait()
}

// publishAll publishes what comes in on a queue until ctx ends.
func publishAll[T any](ctx context.Context, queue <-chan outgoing[T], publish func(context.Context, T)) {
	for {
		select {
		case next := <-queue:
			publish(ctx, next.value)
			next.done()
		case <-ctx.Done():
			return
		}
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
