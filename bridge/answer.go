package bridge

import (
	"context"
	"errors"
	"log/slog"
	"sync"
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
	queue   chan queuedAnswer
}

type queuedAnswer struct {
	topic   string
	payload []byte
	done    func()
}

func newAnswers(cfg Config, pub MessagePublisher, counts *counters, log *slog.Logger) *answers {
	return &answers{timeout: cfg.DeadLetterTimeout, pub: pub, counts: counts, log: log, queue: make(chan queuedAnswer, 256)}
}

// add takes an answer and reports whether it will be published; then done is
// called, from another goroutine, once it is, or once that has been given up.
func (a *answers) add(topic string, payload []byte, done func()) bool {
	if a.pub == nil {
		return false
	}
	select {
	case a.queue <- queuedAnswer{topic, payload, done}:
		return true
	default:
		a.counts.unanswered.Add(1)
		return false
	}
}

// run publishes until ctx ends.
func (a *answers) run(ctx context.Context) {
	var publishers sync.WaitGroup
	for range answerPublishers {
		publishers.Go(func() {
			for {
				select {
				case q := <-a.queue:
					a.publish(ctx, q)
					q.done()
				case <-ctx.Done():
					return
				}
			}
		})
	}
	publishers.Wait()
}

func (a *answers) publish(ctx context.Context, q queuedAnswer) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	if err := a.pub.Publish(ctx, q.topic, 1, false, q.payload); err != nil {
		a.counts.unanswered.Add(1)
		if !errors.Is(err, context.Canceled) {
			a.log.Warn("answer could not be published; the client has to ask again", "topic", q.topic, "err", err)
		}
	}
}
