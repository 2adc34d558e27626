package bridge

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// answerPublishers is how many answers are on their way at once.
const answerPublishers = 4

// answers publishes what the bridge itself answers to requests of shadows. Its
// queue is bounded: beyond it, a client hears nothing and asks again.
type answers struct {
	timeout time.Duration
	pub     MessagePublisher
	counts  *counters
	log     *slog.Logger
	*outbox[answer]
}

type answer struct {
	topic   string
	payload []byte
}

func newAnswers(cfg Config, pub MessagePublisher, counts *counters, log *slog.Logger) *answers {
	a := &answers{timeout: cfg.DeadLetterTimeout, pub: pub, counts: counts, log: log}
	a.outbox = newOutbox(answerPublishers, a.publish)
	return a
}

// add takes an answer and reports whether it will be published; then done is
// called, from another goroutine, once it is, or once that has been given up.
func (a *answers) add(topic string, payload []byte, done func()) bool {
	if a.pub == nil {
		return false
	}
	taken := a.outbox.add(answer{topic, payload}, done)
	if !taken {
		a.counts.unanswered.Add(1)
	}
	return taken
}

func (a *answers) publish(ctx context.Context, q answer) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	if err := a.pub.Publish(ctx, q.topic, 1, false, q.payload); err != nil {
		a.counts.unanswered.Add(1)
		if !errors.Is(err, context.Canceled) {
			a.log.Warn("answer could not be published; the client has to ask again", "topic", q.topic, "err", err)
		}
	}
}
