package client

import (
	"context"
	"fmt"
	"sync"

	"devicetwin/device"
	deviceworkflow "devicetwin/workflows/device"
)

const (
	batchOperations = 100       // operations in one update, at most
	batchBytes      = 512 << 10 // and about their bytes together
	mostWaiting     = 5000      // operations that may wait for one device
)

// batcher puts the operations of concurrent callers into one update: while one
// update of a device is under way, those that come join the next. The server takes
// ten updates of a workflow at a time and 2,000 in a run; an update of a hundred
// operations costs as much as one of one. It owns its goroutines: close ends them.
type batcher struct {
	// send carries out Operations, in their order.
	send func(ctx context.Context, id device.ID, list []deviceworkflow.Operation) ([]deviceworkflow.OperationResult, error)

	ctx     context.Context // of all updates
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	lines  map[device.ID]*line
	closed bool
}

func newBatcher(send func(context.Context, device.ID, []deviceworkflow.Operation) ([]deviceworkflow.OperationResult, error)) *batcher {
	b := &batcher{send: send, lines: map[device.ID]*line{}}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b
}

// close ends the updates that are under way, and waits until nothing runs any more.
// Callers that wait, or come later, get an error.
func (b *batcher) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.cancel()
	b.running.Wait()
}

// line is who waits for one device. It exists as long as somebody serves it.
type line struct {
	waiting []*caller
}

// caller waits for one operation.
type caller struct {
	operation deviceworkflow.Operation
	size      int
	done      chan callResult // of capacity 1
	gone      <-chan struct{} // closed when nobody waits any more
}

type callResult struct {
	result deviceworkflow.OperationResult
	err    error
}

// do queues an operation and waits for its result. Where the context ends first,
// an operation that was not sent yet is not sent any more.
func (b *batcher) do(ctx context.Context, id device.ID, op deviceworkflow.Operation, size int) (deviceworkflow.OperationResult, error) {
	c := &caller{operation: op, size: size, done: make(chan callResult, 1), gone: ctx.Done()}
	if err := b.join(id, c); err != nil {
		return deviceworkflow.OperationResult{}, err
	}
	select {
	case a := <-c.done:
		return a.result, a.err
	case <-ctx.Done():
		return deviceworkflow.OperationResult{}, fmt.Errorf("%w: %w", device.ErrUnavailable, ctx.Err())
	}
}

func (b *batcher) join(id device.ID, c *caller) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return fmt.Errorf("%w: the client is closed", device.ErrUnavailable)
	}
	l := b.lines[id]
	if l == nil {
		l = &line{}
		b.lines[id] = l
		b.running.Go(func() { b.serve(id, l) })
	}
	if len(l.waiting) >= mostWaiting {
		return device.Refuse(429, "%d requests wait for this device already", mostWaiting)
	}
	l.waiting = append(l.waiting, c)
	return nil
}

// serve sends batch after batch until nobody waits.
func (b *batcher) serve(id device.ID, l *line) {
	for {
		batch := b.take(id, l)
		if len(batch) == 0 {
			return
		}
		list := make([]deviceworkflow.Operation, len(batch))
		for i, c := range batch {
			list[i] = c.operation
		}
		ctx, cancel := b.whileAnyWaits(batch)
		results, err := b.send(ctx, id, list)
		cancel()
		if err == nil && len(results) != len(batch) {
			err = fmt.Errorf("%d results of %d operations", len(results), len(batch))
		}
		for i, c := range batch {
			a := callResult{err: err}
			if err == nil {
				a = callResult{results[i], results[i].Err()}
			}
			c.done <- a
		}
	}
}

// take gives the next batch. It ends the line if there is none.
func (b *batcher) take(id device.ID, l *line) []*caller {
	b.mu.Lock()
	defer b.mu.Unlock()
	var batch []*caller
	size, taken := 0, 0
	for _, c := range l.waiting {
		if len(batch) == batchOperations || len(batch) > 0 && size+c.size > batchBytes {
			break
		}
		taken++
		select {
		case <-c.gone:
			continue
		default:
		}
		batch = append(batch, c)
		size += c.size
	}
	clear(l.waiting[:taken])
	l.waiting = l.waiting[taken:]
	if len(batch) == 0 {
		delete(b.lines, id)
	}
	return batch
}

// whileAnyWaits is a context that ends when all callers have gone.
func (b *batcher) whileAnyWaits(batch []*caller) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(b.ctx)
	b.running.Go(func() {
		for _, c := range batch {
			select {
			case <-c.gone:
			case <-ctx.Done():
				return
			}
		}
		cancel()
	})
	return ctx, cancel
}
