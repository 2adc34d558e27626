package api

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"

	"devicetwin/device"
)

// StreamOptions are about streams.
type StreamOptions struct {
	Interval     time.Duration // between two polls of a device
	Heartbeat    time.Duration // of a stream on which nothing happens
	Most         int           // streams at once
	WriteTimeout time.Duration // of one event to one reader
}

const (
	keptEvents   = 256              // of a device, for readers that reconnect
	waitingFor   = 64               // events that one reader may have waiting
	watchedAfter = 30 * time.Second // how long a device is polled after its last reader left
)

var (
	errTooManyStreams = errors.New("too many streams are open; try again later")
	errHubClosed      = errors.New("the service is shutting down")
)

// hub polls the devices that have readers: one poller for each device,
// however many readers it has.
type hub struct {
	backend Backend
	options StreamOptions
	log     *slog.Logger
	ctx     context.Context // of the pollers
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	watches map[device.ID]*watch
	readers int
}

// reader is one stream's place at a watch. Its channel is closed when there
// will be no more.
type reader struct {
	events chan Event
	ended  string // why the channel was closed; set before
}

func newHub(backend Backend, options StreamOptions, log *slog.Logger) *hub {
	ctx, cancel := context.WithCancel(context.Background())
	return &hub{backend: backend, options: options, log: log, ctx: ctx, cancel: cancel, watches: map[device.ID]*watch{}}
}

// close ends all streams and pollers.
func (h *hub) close() {
	h.mu.Lock()
	h.cancel()
	for _, w := range h.watches {
		w.endReaders("the service is shutting down")
	}
	h.mu.Unlock()
	h.running.Wait()
}

// subscribe returns a reader and the events to send first: those since the event
// of the given id, if they are still available, or else a snapshot.
func (h *hub) subscribe(ctx context.Context, id device.ID, after string) (*watch, *reader, []Event, error) {
	if err := h.reserve(); err != nil {
		return nil, nil, nil, err
	}
	w, err := h.watch(ctx, id)
	if err != nil {
		h.mu.Lock()
		h.readers--
		h.mu.Unlock()
		return nil, nil, nil, err
	}
	defer h.mu.Unlock() // taken by watch
	r := &reader{events: make(chan Event, waitingFor)}
	w.readers[r] = struct{}{}
	return w, r, w.since(after), nil
}

func (h *hub) reserve() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ctx.Err() != nil:
		return errHubClosed
	case h.readers >= h.options.Most:
		return errTooManyStreams
	}
	h.readers++
	return nil
}

// watch finds or makes the watch of a device, and returns with h.mu held if
// there is not an error.
func (h *hub) watch(ctx context.Context, id device.ID) (*watch, error) {
	h.mu.Lock()
	if w, ok := h.watches[id]; ok {
		return w, nil
	}
	h.mu.Unlock()
	first, err := h.backend.Device(ctx, id)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	if h.ctx.Err() != nil {
		h.mu.Unlock()
		return nil, errHubClosed
	}
	if w, ok := h.watches[id]; ok { // another reader was faster
		return w, nil
	}
	w := &watch{id: id, mark: rand.Text()[:8], last: first, readers: map[*reader]struct{}{}}
	h.watches[id] = w
	h.running.Go(func() { h.poll(w) })
	return w, nil
}

// leave removes a reader.
func (h *hub) leave(w *watch, r *reader) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(w.readers, r)
	h.readers--
}

// poll polls a device until it is deleted, or has had no reader for a while.
func (h *hub) poll(w *watch) {
	tick := time.NewTicker(h.options.Interval)
	defer tick.Stop()
	alone := time.Duration(0)
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-tick.C:
		}
		seen, err := h.look(w.id)
		h.mu.Lock()
		alone += h.options.Interval
		if len(w.readers) > 0 {
			alone = 0
		}
		over := h.tell(w, seen, err) || alone >= watchedAfter
		if over {
			delete(h.watches, w.id)
		}
		h.mu.Unlock()
		if over {
			return
		}
	}
}

// look reads a device, within a bounded time.
func (h *hub) look(id device.ID) (Device, error) {
	ctx, cancel := context.WithTimeout(h.ctx, 10*time.Second)
	defer cancel()
	return h.backend.Device(ctx, id)
}

// tell publishes the result of a poll; over says that the device was deleted.
func (h *hub) tell(w *watch, seen Device, err error) (over bool) {
	switch {
	case errors.Is(err, device.ErrUnknown):
		w.publish(h.log, EventGone, struct{}{})
		w.endReaders("the device is gone")
		return true
	case err != nil:
		if h.ctx.Err() == nil && !w.away {
			h.log.Warn("cannot read a watched device", "device", w.id, "error", err)
			w.away = true
			w.publish(h.log, EventProblem, Trouble{Detail: detailUnavailable})
		}
		return false
	}
	w.away = false
	for _, e := range changes(w.last, seen) {
		w.publish(h.log, e.Type, e.Data)
	}
	w.last = seen
	return false
}
