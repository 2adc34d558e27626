package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"devicetwin/internal/text"
	"devicetwin/mqtt"
	"devicetwin/wire"
)

// The reasons for which a message that could be read becomes a dead letter.
const (
	ReasonRefused wire.Reason = "refused" // the signaller refused it for good
	ReasonQuota   wire.Reason = "quota"   // more than one device may have signalled, or held up
)

// Reasons lists every reason of a dead letter.
func Reasons() []wire.Reason { return append(wire.Reasons(), ReasonRefused, ReasonQuota) }

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

func newDeadLetter(m mqtt.Message, ref *wire.Refused) DeadLetter {
	l := DeadLetter{
		Topic: text.Clip(m.Topic, 1024), Reason: ref.Reason, Detail: text.Clip(ref.Detail, 1024), Payload: m.Payload, At: m.At,
	}
	if ref.Reason == wire.ReasonTooLarge && len(m.Payload) > keptPayload {
		l.Payload, l.Truncated = m.Payload[:keptPayload], len(m.Payload)
	}
	return l
}

// deadLetterPublishers is how many dead letters are on their way at once.
const deadLetterPublishers = 8

// deadLetters counts refused messages, keeps the last ones to be looked up, and
// publishes them. Its queue is bounded: a flood of refused messages must not
// hold up the good ones, so beyond the bound they are counted and kept, but not
// published.
type deadLetters struct {
	topic   string
	timeout time.Duration
	pub     MessagePublisher
	counts  *counters
	log     *slog.Logger
	*outbox[DeadLetter]

	mu   sync.Mutex
	last []DeadLetter // a ring
	next int
}

func newDeadLetters(cfg Config, pub MessagePublisher, counts *counters, log *slog.Logger) *deadLetters {
	q := &deadLetters{
		topic:   wire.DeadLetterTopic(cfg.ID),
		timeout: cfg.DeadLetterTimeout,
		pub:     pub,
		counts:  counts,
		log:     log,
		last:    make([]DeadLetter, 0, cfg.DeadLettersKept),
	}
	q.outbox = newOutbox(deadLetterPublishers, q.publish)
	return q
}

// add takes a letter and reports whether it will be published; then done is
// called, from another goroutine, once it is, or once that has been given up.
func (q *deadLetters) add(l DeadLetter, done func()) bool {
	q.counts.deadLetters[l.Reason].Add(1)
	q.keep(l)
	q.log.Debug("message refused", "topic", l.Topic, "reason", l.Reason, "detail", l.Detail)
	if q.pub == nil {
		return false
	}
	taken := q.outbox.add(l, done)
	if !taken {
		q.counts.deadLettersUnpublished.Add(1)
	}
	return taken
}

func (q *deadLetters) keep(l DeadLetter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case cap(q.last) == 0:
	case len(q.last) < cap(q.last):
		q.last = append(q.last, l)
	default:
		q.last[q.next] = l
		q.next = (q.next + 1) % len(q.last)
	}
}

// recent returns the letters that are kept, oldest first.
func (q *deadLetters) recent() []DeadLetter {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append(append(make([]DeadLetter, 0, len(q.last)), q.last[q.next:]...), q.last[:q.next]...)
}

func (q *deadLetters) publish(ctx context.Context, l DeadLetter) {
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	payload, err := json.Marshal(l)
	if err == nil {
		err = q.pub.Publish(ctx, q.topic, 1, false, payload)
	}
	if err != nil {
		q.counts.deadLettersUnpublished.Add(1)
		if !errors.Is(err, context.Canceled) {
			q.log.Warn("dead letter could not be published; it is kept in memory only", "topic", l.Topic, "reason", l.Reason, "err", err)
		}
	}
}
