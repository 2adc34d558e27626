package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"devicetwin/bridge/history"
	"devicetwin/device"
	"devicetwin/internal/backoff"
	devicejournal "devicetwin/internal/journal"
	"devicetwin/internal/recordlog"
	"devicetwin/points"
	twinclient "devicetwin/workflows/client"
)

// eraser erases what this process keeps of devices that were deleted with all their data:
// records of its log, and points in InfluxDB. What is not done yet is in a file next to
// the log, so it is done after a crash, too. Without a log it is in memory; a journal then has up to when
// all was done, and the next process lists again what ended since.
type eraser struct {
	log    *recordlog.Log        // nil: there is none
	inputs *devicejournal.Writer // nil: there is no journal
	points pointDeleter          // nil: points are not written
	owns   func(name string) bool
	ahead  time.Duration                       // by which the times of points may be later than their arrival
	forget func(context.Context, ...device.ID) // what a bridge remembers
	slog   *slog.Logger
	wake   chan struct{}

	// inputsAgain is when the journal is tried again that another process writes, after inputsTries.
	inputsAgain time.Time
	inputsTries int

	mutex sync.Mutex
	state erasures
}

// pointDeleter is a *points.Deleter.
type pointDeleter interface {
	Delete(ctx context.Context, device string, until time.Time) error
}

// erasures is the content of the file.
type erasures struct {
	// Since is when the list of ended workflows was last read: the next process reads on
	// from there.
	Since   time.Time `json:"since"`
	Pending []erasure `json:"pending,omitempty"`
}

// erasure is a device of which all is to be erased that is from before a time.
type erasure struct {
	Device device.ID `json:"device"`
	Before time.Time `json:"before"`
	// Logged is where the log ended when its records were erased; 0: they are not.
	Logged int64 `json:"logged,omitempty"`
	// Journaled: it was erased from the journal of inputs.
	Journaled bool `json:"journaled,omitempty"`
	// Pointed: its points were deleted from InfluxDB.
	Pointed bool `json:"pointed,omitempty"`
	added   time.Time
}

const (
	erasuresFile = "erasures" // in the folder of the log
	// erasureWait is how long points may be on their way to InfluxDB without a log.
	erasureWait = 10 * time.Second
	erasureLook = time.Second // whether those that are in the log were written
	// firstErasures is how far back the first process looks that keeps a log or a journal.
	firstErasures = time.Hour
	eraseEvery    = 10 * time.Second // the list of ended workflows is read, if nothing else is set
)

// newEraser reads what an earlier process left to do. If that cannot be read, it is lost:
// that is logged, and does not keep the process from starting.
func newEraser(log *recordlog.Log, inputs *devicejournal.Writer, points pointDeleter, messages *slog.Logger) *eraser {
	e := &eraser{
		log: log, inputs: inputs, points: points, slog: messages, wake: make(chan struct{}, 1),
		owns: func(string) bool { return true }, forget: func(context.Context, ...device.ID) {},
	}
	if log == nil {
		if inputs != nil {
			e.readErased()
		}
		return e
	}
	parts, err := log.ReadFile(erasuresFile)
	switch {
	case err == nil && len(parts) == 0: // bridges may be upgraded after those who ask them to erase
		e.state.Since = time.Now().Add(-firstErasures)
	case err == nil:
		err = json.Unmarshal(parts[0], &e.state)
	}
	if err != nil {
		e.state = erasures{}
		messages.Error("cannot read which deleted devices are to be erased: delete those of the last days with their data again", "error", err)
	}
	return e
}

// readErased reads up to when all was erased from the journal of a process without a log.
func (e *eraser) readErased() {
	until, err := e.inputs.Erased()
	if err != nil {
		e.slog.Error("cannot read which deleted devices are to be erased: delete those of the last days with their data again", "error", err)
	}
	if until.IsZero() {
		until = time.Now().Add(-firstErasures)
	}
	e.state.Since = until
}

// watch is what asks for devices that were deleted with their data. A bridge's watch for
// ends asks for the same list, but may be off (--bridge-deleted-every), and goes on where
// the disk does not let this one: each keeps how far it has come itself.
func (e *eraser) watch(ends twinclient.EndingLister, every time.Duration) *twinclient.EndingWatch {
	return &twinclient.EndingWatch{
		Lister: ends, Every: every, Since: e.state.Since, Log: e.slog,
		Erase: e.add, Done: e.reached,
	}
}

// add takes devices that are to be erased. Without an error, they will be.
func (e *eraser) add(_ context.Context, ended ...twinclient.Ending) error {
	err := e.change(func(s *erasures) {
		for _, end := range ended {
			next := erasure{Device: end.Device, Before: end.At, added: time.Now()}
			if !slices.ContainsFunc(s.Pending, func(p erasure) bool { return p.Device == next.Device && !p.Before.Before(next.Before) }) {
				s.Pending = append(s.Pending, next)
				e.slog.Info("a device was deleted with its data", "device", end.Device)
			}
		}
	})
	if err == nil {
		select {
		case e.wake <- struct{}{}:
		default:
		}
	}
	return err
}

// reached notes how far the list of ended workflows was read. If that cannot be written,
// the next process reads more of it.
func (e *eraser) reached(until time.Time) {
	if err := e.change(func(s *erasures) { s.Since = until }); err != nil {
		e.slog.Warn("cannot note which deleted devices are known", "error", err)
	}
	if e.log == nil && e.inputs != nil && len(e.pending()) == 0 { // else the next process has to know of those
		if err := e.inputs.NoteErased(until); err != nil {
			e.slog.Warn("cannot note which deleted devices are known", "error", err)
		}
	}
}

// change changes the state, durably if there is a log.
func (e *eraser) change(f func(*erasures)) error {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	next := erasures{Since: e.state.Since, Pending: slices.Clone(e.state.Pending)}
	f(&next)
	if e.log != nil {
		raw, err := json.Marshal(next)
		if err == nil {
			err = e.log.WriteFile(erasuresFile, raw)
		}
		if err != nil {
			return fmt.Errorf("note which devices are to be erased from the log: %w", err)
		}
	}
	e.state = next
	return nil
}

func (e *eraser) pending() []erasure {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return slices.Clone(e.state.Pending)
}

// run erases until ctx ends. What fails is tried again.
func (e *eraser) run(ctx context.Context) {
	wait := backoff.New(time.Second, 10*time.Minute)
	failures := 0
	for {
		var again <-chan time.Time
		waits, err := e.erase(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			if failures == 0 {
				e.slog.Error("cannot erase the data of a deleted device yet", "error", err)
			}
			again = time.After(wait(failures))
			failures++
		case waits:
			again, failures = time.After(erasureLook), 0
		default:
			failures = 0
		}
		select {
		case <-ctx.Done():
			return
		case <-e.wake:
		case <-again:
		}
	}
}

// erase erases what is pending: what the bridge remembers, so that it notes no more of it,
// then from the log and from the journal, and then, when nothing of it is on its way any more, from
// InfluxDB. What fails at one of them does not keep the others. waits: something is still on its
// way.
func (e *eraser) erase(ctx context.Context) (waits bool, err error) {
	for _, item := range e.pending() {
		e.forget(ctx, item.Device) // of those that are busy, perhaps the next time
	}
	faults := []error{e.eraseLog(ctx, e.pending())}
	waits, err = e.eraseInputs(ctx, e.pending())
	faults = append(faults, err)
	for _, item := range e.pending() {
		if e.log != nil && item.Logged == 0 { // points of it may come from there
			continue
		}
		if !item.Pointed {
			if !e.written(item) {
				waits = true
				continue
			}
			if err := e.erasePoints(ctx, item); err != nil {
				faults = append(faults, err)
				continue
			}
		}
		switch {
		case e.inputs == nil || item.Journaled:
			faults = append(faults, e.done(item))
		case !item.Pointed:
			faults = append(faults, e.change(func(s *erasures) {
				for i, p := range s.Pending {
					s.Pending[i].Pointed = p.Pointed || p.Device == item.Device && !p.Before.After(item.Before)
				}
			}))
		}
	}
	return waits, errors.Join(faults...)
}

// written reports whether no point of the device is on its way to InfluxDB any more.
func (e *eraser) written(item erasure) bool {
	switch {
	case e.points == nil:
		return true
	case e.log == nil:
		return time.Since(item.added) >= erasureWait
	}
	return e.log.Passed(points.CursorName, item.Logged)
}

func (e *eraser) erasePoints(ctx context.Context, item erasure) error {
	if e.points == nil || !e.owns(item.Device.Name()) {
		return nil
	}
	err := e.points.Delete(ctx, string(item.Device), item.Before.Add(e.ahead))
	if errors.Is(err, points.ErrCannotDelete) {
		e.slog.Error("the points of a deleted device stay in InfluxDB: delete them there", "device", item.Device, "until", item.Before.Add(e.ahead), "error", err)
		return nil
	}
	return err
}

// done forgets what is erased.
func (e *eraser) done(item erasure) error {
	err := e.change(func(s *erasures) {
		s.Pending = slices.DeleteFunc(s.Pending, func(p erasure) bool { return p.Device == item.Device && !p.Before.After(item.Before) })
	})
	if err == nil {
		e.slog.Info("the data of a deleted device was erased", "device", item.Device)
	}
	return err
}

// eraseLog erases from the log, in one pass for all devices.
func (e *eraser) eraseLog(ctx context.Context, list []erasure) error {
	devices := erased{}
	for _, item := range list {
		if item.Logged == 0 && item.Before.After(devices[item.Device]) {
			devices[item.Device] = item.Before
		}
	}
	if e.log == nil || len(devices) == 0 {
		return nil
	}
	p := erasePass{log: e.log, devices: devices, ctx: ctx}
	records, err := e.log.Rewrite(ctx, p.change)
	if err = errors.Join(err, p.failed); err != nil {
		return err
	}
	e.slog.Debug("records of deleted devices were erased", "devices", len(devices), "records", records)
	end := max(1, e.log.Stats().End)
	return e.change(func(s *erasures) {
		for i, item := range s.Pending {
			if item.Logged == 0 && devices.of(item.Device, item.Before) {
				s.Pending[i].Logged = end
			}
		}
	})
}

// erased are devices, and the times before which all of them is erased.
type erased map[device.ID]time.Time

// of reports whether what a record from a time has of a device is erased.
func (d erased) of(id device.ID, at time.Time) bool {
	before, ok := d[id]
	return ok && !at.After(before)
}

// in reports whether data may be of one of the devices.
func (d erased) in(data []byte) bool {
	const few = 8 // of which searching is cheaper than decoding
	if len(d) > few {
		return true
	}
	for id := range d {
		if bytes.Contains(data, []byte(id)) {
			return true
		}
	}
	return false
}

// erasePass goes over the log once.
type erasePass struct {
	ctx     context.Context
	log     *recordlog.Log
	devices erased
	failed  error
}

// change erases a record, or what there is of the devices in it: see recordlog.Rewrite.
// What cannot be decoded stays: nobody knows whose it is.
func (p *erasePass) change(r recordlog.Record) ([]byte, bool) {
	switch r.Kind {
	case history.KindArrival:
		if !p.devices.in(r.Data) {
			return nil, false
		}
		ids, err := history.Devices(r.Data)
		return nil, err == nil && slices.ContainsFunc(ids, func(id device.ID) bool { return p.devices.of(id, r.At) })
	case history.KindOutcome:
		o, err := history.ReadOutcome(r.Data)
		// That a workflow ended is noted after it did. The bridge learns of it again if it is
		// restarted before its next checkpoint: see twinclient.EndingWatch.Since.
		_, ended := p.devices[o.ID]
		return nil, err == nil && (p.devices.of(o.ID, r.At) || o.Ended && ended)
	case points.KindLines:
		return p.changeLines(r)
	}
	return nil, false
}

// changeLines takes the lines of the devices out of a record.
func (p *erasePass) changeLines(r recordlog.Record) ([]byte, bool) {
	of := map[string]bool{}
	for id := range p.devices {
		if p.devices.of(id, r.At) {
			of[string(id)] = true
		}
	}
	rest, changed, err := points.EraseLines(r, func(name string) bool { return of[name] })
	if err != nil || !changed {
		return nil, false
	}
	switch {
	case rest == nil:
		return nil, true
	case len(rest.Data) == len(r.Data):
		return rest.Data, true
	}
	// What is left became larger: it goes to the end of the log, before it is erased here.
	end, err := p.log.Append(*rest)
	if err == nil {
		err = p.log.Wait(p.ctx, end)
	}
	if err != nil {
		p.failed = fmt.Errorf("keep the lines of other devices: %w", err)
		return nil, false
	}
	return nil, true
}
