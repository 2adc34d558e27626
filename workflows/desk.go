package workflows

import (
	"context"
	"fmt"
	"sync"

	"devicetwin/device"
)

const (
	deskBatch   = 100       // operations in one update, at most
	deskBytes   = 512 << 10 // and about their bytes together
	deskWaiting = 5000      // operations that may wait for one device
)

// desk gathers the operations of concurrent callers: while one update of a device
// is under way, those that come join the next. The server takes ten updates of a
// workflow at a time and 2,000 in a run; an update of a hundred operations costs
// what one of one does.
type desk struct {
	// send carries out operations, in their order.
	send func(ctx context.Context, id device.ID, list []operation) ([]operationResult, error)

	mu    sync.Mutex
	lines map[device.ID]*line
}

// line is who waits for one device. It exists as long as somebody serves it.
type line struct {
	waiting []*caller
}

// caller waits for one operation.
type caller struct {
	operation operation
	size      int
	done      chan deskAnswer // of capacity 1
	gone      <-chan struct{} // closed when nobody waits any more
}

type deskAnswer struct {
	result operationResult
	err    error
}

// do queues an operation and waits for its result. Where the context ends first,
// an operation that was not sent yet is not sent any more.
func (d *desk) do(ctx context.Context, id device.ID, op operation, size int) (operationResult, error) {
	c := &caller{operation: op, size: size, done: make(chan deskAnswer, 1), gone: ctx.Done()}
	if !d.join(id, c) {
		return operationResult{}, refusedTooMany()
	}
	select {
	case a := <-c.done:
		return a.result, a.err
	case <-ctx.Done():
		return operationResult{}, fmt.Errorf("%w: %w", device.ErrUnavailable, ctx.Err())
	}
}

func refusedTooMany() error {
	return device.Refuse(429, "%d requests wait for this device already", deskWaiting)
}

func (d *desk) join(id device.ID, c *caller) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.lines[id]
	if l == nil {
		l = &line{}
		if d.lines == nil {
			d.lines = map[device.ID]*line{}
		}
		d.lines[id] = l
		go d.serve(id, l)
	}
	if len(l.waiting) >= deskWaiting {
		return false
	}
	l.waiting = append(l.waiting, c)
	return true
}

// serve sends batch after batch until nobody waits.
func (d *desk) serve(id device.ID, l *line) {
	for {
		batch := d.take(id, l)
		if len(batch) == 0 {
			return
		}
		list := make([]operation, len(batch))
		for i, c := range batch {
			list[i] = c.operation
		}
		ctx, cancel := whileAnyWaits(batch)
		results, err := d.send(ctx, id, list)
		cancel()
		if err == nil && len(results) != len(batch) {
			err = fmt.Errorf("%d results of %d operations", len(results), len(batch))
		}
		for i, c := range batch {
			a := deskAnswer{err: err}
			if err == nil {
				a = deskAnswer{results[i], results[i].err()}
			}
			c.done <- a
		}
	}
}

// take gives the next batch. It ends the line if there is none.
func (d *desk) take(id device.ID, l *line) []*caller {
	d.mu.Lock()
	defer d.mu.Unlock()
	var batch []*caller
	size, taken := 0, 0
	for _, c := range l.waiting {
		if len(batch) == deskBatch || len(batch) > 0 && size+c.size > deskBytes {
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
		delete(d.lines, id)
	}
	return batch
}

// whileAnyWaits is a context that ends when all callers have gone.
func whileAnyWaits(batch []*caller) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for _, c := range batch {
			select {
			case <-c.gone:
			case <-ctx.Done():
				return
			}
		}
		cancel()
	}()
	return ctx, cancel
}
