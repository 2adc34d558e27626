package credentials

import (
	"context"
	"sync"

	"devicetwin/device"
)

// turns lets those who do something for one device take turns. The zero value is
// ready to use.
type turns struct {
	mu sync.Mutex
	of map[device.ID]*turn // with somebody who has the turn, or waits for it
}

// turn is that of one device.
type turn struct {
	taken chan struct{} // has room for the one whose turn it is
	users int           // guarded by turns.mu
}

// begin waits for a turn, and end gives it to the next. Its error is the reason for
// which ctx ended.
func (t *turns) begin(ctx context.Context, id device.ID) (end func(), err error) {
	t.mu.Lock()
	if t.of == nil {
		t.of = map[device.ID]*turn{}
	}
	its := t.of[id]
	if its == nil {
		its = &turn{taken: make(chan struct{}, 1)}
		t.of[id] = its
	}
	its.users++
	t.mu.Unlock()

	select {
	case its.taken <- struct{}{}:
		return func() { <-its.taken; t.leave(id, its) }, nil
	case <-ctx.Done():
		t.leave(id, its)
		return nil, context.Cause(ctx)
	}
}

func (t *turns) leave(id device.ID, its *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if its.users--; its.users == 0 {
		delete(t.of, id)
	}
}
