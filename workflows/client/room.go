package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.temporal.io/api/enums/v1"

	"devicetwin/device"
	deviceworkflow "devicetwin/workflows/device"
)

// A workflow cannot refuse a signal. So who delivers events that are processed one by one asks
// before whether there is room for them, and delivers half of that without asking again: another
// bridge may do the same at this moment. What is delivered too much is taken, and waits: each
// bridge delivers at most one batch that there was no room for.

const (
	// roomPatience bounds a question.
	roomPatience = 8 * time.Second
	// mostRooms are remembered; beyond, all are forgotten, and asked for again.
	mostRooms = 100_000
)

// rooms remembers how many events may be delivered without asking again.
type rooms struct {
	ask func(context.Context, device.ID) (deviceworkflow.Room, error)

	mu   sync.Mutex
	left map[device.ID]int
}

func newRooms(ask func(context.Context, device.ID) (deviceworkflow.Room, error)) *rooms {
	return &rooms{ask: ask, left: map[device.ID]int{}}
}

// take takes room for some messages. Its error wraps device.ErrNoRoom.
func (r *rooms) take(ctx context.Context, id device.ID, messages int) error {
	if r.takeKnown(id, messages) {
		return nil
	}
	asked, cancel := context.WithTimeout(ctx, roomPatience)
	defer cancel()
	room, err := r.ask(asked, id)
	switch {
	case errors.Is(err, device.ErrUnknown): // it begins with this batch, or has ended
		return nil
	case err != nil:
		return fmt.Errorf("%w: nobody says how many: %w", device.ErrNoRoom, err)
	case room.Unbounded:
		return nil
	case room.Free <= 0:
		return fmt.Errorf("%w: %d", device.ErrNoRoom, room.Waiting)
	}
	r.keep(id, room.Free/2-messages)
	return nil
}

// takeKnown is take without asking, as long as there is surely room.
func (r *rooms) takeKnown(id device.ID, messages int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	left, ok := r.left[id]
	if !ok || left < messages {
		delete(r.left, id)
		return false
	}
	r.left[id] = left - messages
	return true
}

func (r *rooms) keep(id device.ID, left int) {
	if left <= 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.left) >= mostRooms {
		clear(r.left)
	}
	r.left[id] = left
}

// room asks the workflow of an entity.
func (c *Client) room(ctx context.Context, id device.ID) (deviceworkflow.Room, error) {
	var room deviceworkflow.Room
	err := c.query(ctx, deviceworkflow.QueryRoom, runOf{device: id, open: true}, &room)
	return room, err
}

// CallAttempt is how far a call is that is under way.
type CallAttempt struct {
	Number      int       // from 1
	LastFailure string    // why the attempt before failed; empty of the first
	Next        time.Time // when this attempt is due; zero if it is under way
}

// CallUnderWay asks Temporal how far the call of an activity is. ok is false if none is known, or
// several of the same name are under way, which look the same.
func (c *Client) CallUnderWay(ctx context.Context, id device.ID, activity string) (attempt CallAttempt, ok bool, err error) {
	answer, err := c.temporal.DescribeWorkflowExecution(ctx, deviceworkflow.WorkflowID(id), "")
	if err != nil {
		return CallAttempt{}, false, fmt.Errorf("ask for the calls of device %s: %w", id, availability(err))
	}
	for _, p := range answer.GetPendingActivities() {
		switch {
		case p.GetActivityType().GetName() != activity:
			continue
		case ok:
			return CallAttempt{}, false, nil
		}
		ok = true
		attempt = CallAttempt{Number: max(1, int(p.GetAttempt())), LastFailure: device.Clip(p.GetLastFailure().GetMessage(), maxCallFailure)}
		if p.GetState() == enums.PENDING_ACTIVITY_STATE_SCHEDULED && p.GetScheduledTime() != nil {
			attempt.Next = p.GetScheduledTime().AsTime()
		}
	}
	return attempt, ok, nil
}

// maxCallFailure bounds why an attempt failed, in bytes.
const maxCallFailure = 512

// DecideProcess decides on an event that failed permanently and holds the queue of what is
// processed one by one.
func (c *Client) DecideProcess(ctx context.Context, id device.ID, by device.By, d deviceworkflow.ProcessDecision) (deviceworkflow.ProcessDecided, error) {
	r, err := c.operate(ctx, id, by, deviceworkflow.Operation{Process: &d})
	if err != nil {
		return deviceworkflow.ProcessDecided{}, fmt.Errorf("decide on an event of device %s: %w", id, err)
	}
	return *r.Decided, nil
}
