package migration

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"devicetwin/device"
)

// Devices are those that are moved. Errors are those of package device.
type Devices interface {
	// ListModel lists running devices of a model by its hash, of those that a visibility query finds.
	ListModel(ctx context.Context, hash, query string, limit int, cursor []byte) (ids []device.ID, next []byte, err error)
	// MoveDevice moves a device by a devicefsm.Plan, as JSON. The states are those before and after.
	MoveDevice(ctx context.Context, id device.ID, by device.By, plan json.RawMessage, hash, note string) (from, to string, already bool, err error)
	// Announce says that a migration begins, or is over.
	Announce(ctx context.Context, c Change) error
}

// Activities are what migrations do to the world.
type Activities struct{ Devices Devices }

// Register registers the workflows and their activities with a worker.
func Register(r worker.Registry, a *Activities) {
	r.RegisterWorkflowWithOptions(Moves, workflow.RegisterOptions{Name: MovesType})
	r.RegisterWorkflowWithOptions(Migrate, workflow.RegisterOptions{Name: WorkflowType})
	r.RegisterActivityWithOptions(a.Announce, activity.RegisterOptions{Name: ActivityAnnounce})
	r.RegisterActivityWithOptions(a.List, activity.RegisterOptions{Name: ActivityList})
	r.RegisterActivityWithOptions(a.Page, activity.RegisterOptions{Name: ActivityMigrate})
}

// Announce says that a migration begins, or is over.
func (a *Activities) Announce(ctx context.Context, c Change) error { return a.Devices.Announce(ctx, c) }

// List lists a page of devices.
func (a *Activities) List(ctx context.Context, r ListRequest) (Page, error) {
	ids, next, err := a.Devices.ListModel(ctx, r.From, r.Query, r.Limit, r.Cursor)
	if err != nil {
		return Page{}, err
	}
	return Page{Devices: ids, Cursor: next}, nil
}

const (
	// atOnce is how many devices are moved at one time.
	atOnce = 32
	// attempts is how often a device is tried whose worker does not answer, or lacks the model.
	attempts     = 6
	attemptPause = time.Second // doubled each time
)

// codeUnavailable is that of a device that did not answer.
const codeUnavailable = 503

// Page moves the devices of a page. Repeated, it gets the first results of the devices. If the
// migration is stopped, it leaves the rest out.
func (a *Activities) Page(ctx context.Context, r PageRequest) (PageResult, error) {
	var mu sync.Mutex
	var result PageResult
	var all sync.WaitGroup
	room := make(chan struct{}, atOnce)
	next := time.NewTicker(max(time.Duration(float64(time.Second)/r.Rate), time.Microsecond))
	defer next.Stop()
	stop := heartbeats(ctx)
	defer stop()
	for _, id := range r.Devices {
		select {
		case <-next.C:
		case <-ctx.Done():
		}
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-room }()
			image, already, err := a.move(ctx, r, id)
			mu.Lock()
			defer mu.Unlock()
			result.add(id, image, already, err)
		})
	}
	all.Wait()
	select {
	case <-activity.GetWorkerStopChannel(ctx):
		return PageResult{}, errors.New("the worker stops")
	default: // the results so far count, also if the migration is stopped
		result.sort()
		return result, nil
	}
}

// heartbeats says that the activity goes on, until it is stopped.
func heartbeats(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		for ctx.Err() == nil {
			activity.RecordHeartbeat(ctx)
			select {
			case <-time.After(5 * time.Second):
			case <-ctx.Done():
			}
		}
	}()
	return cancel
}

// move moves one device, in several attempts.
func (a *Activities) move(ctx context.Context, r PageRequest, id device.ID) (image Image, already bool, err error) {
	by := device.By{Who: r.Who, ID: r.Key}
	for pause, attempt := attemptPause, 1; ; pause, attempt = 2*pause, attempt+1 {
		image = Image{Devices: 1, First: id}
		image.From, image.To, already, err = a.Devices.MoveDevice(ctx, id, by, r.Plan, r.Hash, r.Note)
		if err == nil || attempt == attempts || !mayPass(err) {
			return image, already, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return image, already, err
		}
	}
}

// mayPass reports whether an error may be none at another moment.
func mayPass(err error) bool {
	var refused *device.Refused
	if errors.As(err, &refused) {
		return refused.Code == codeUnavailable || refused.Code == 429
	}
	return !errors.Is(err, device.ErrUnknown)
}

func (p *PageResult) add(id device.ID, image Image, already bool, err error) {
	var refused *device.Refused
	switch {
	case errors.Is(err, device.ErrUnknown):
		p.Gone++
	case errors.As(err, &refused):
		p.Refusals = append(p.Refusals, Refusal{Device: id, Code: refused.Code, Message: device.Clip(refused.Message, maxMessage)})
	case err != nil:
		p.Refusals = append(p.Refusals, Refusal{Device: id, Code: codeUnavailable, Message: device.Clip(fmt.Sprint(err), maxMessage)})
	case already:
		p.Already++
	default:
		p.Moved++
		at := slices.IndexFunc(p.Images, func(i Image) bool { return i.From == image.From && i.To == image.To })
		if at >= 0 {
			p.Images[at].Devices++
			p.Images[at].First = min(p.Images[at].First, id)
		} else {
			p.Images = append(p.Images, image)
		}
	}
}

// maxMessage bounds a reason, in bytes.
const maxMessage = 300

func (p *PageResult) sort() {
	slices.SortFunc(p.Refusals, func(a, b Refusal) int { return cmp.Compare(a.Device, b.Device) })
	slices.SortFunc(p.Images, func(a, b Image) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
}
