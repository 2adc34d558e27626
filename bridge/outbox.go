package bridge

import (
	"context"
	"sync"
)

// outboxRoom is how many values may wait in an outbox.
const outboxRoom = 256

// outbox publishes values from a bounded queue, several at once, so that a flood
// of what is published beside the main road holds up nothing there.
type outbox[T any] struct {
	publishers int // how many values are on their way at once
	publish    func(context.Context, T)
	queue      chan outgoing[T]
}

type outgoing[T any] struct {
	value T
	done  func()
}

func newOutbox[T any](publishers int, publish func(context.Context, T)) *outbox[T] {
	return &outbox[T]{publishers: publishers, publish: publish, queue: make(chan outgoing[T], outboxRoom)}
}

// add takes a value and reports whether there is room for it; then done is
// called, from another goroutine, once it is published or given up.
func (o *outbox[T]) add(value T, done func()) bool {
	select {
	case o.queue <- outgoing[T]{value, done}:
		return true
	default:
		return false
	}
}

// run publishes until ctx ends.
func (o *outbox[T]) run(ctx context.Context) {
	var publishers sync.WaitGroup
	for range o.publishers {
		publishers.Go(func() {
			for {
				select {
				case next := <-o.queue:
					o.publish(ctx, next.value)
					next.done()
				case <-ctx.Done():
					return
				}
			}
		})
	}
	publishers.Wait()
}
