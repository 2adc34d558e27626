package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"devicetwin/device"
	"devicetwin/internal/durable"
)

const (
	lockName = "lock" // of those who rewrite files
	// writeWithin is after what time at most an entry is in a file.
	writeWithin = 10 * time.Second
	mostHead    = 1 << 10 // bytes of the head of a file
)

// Erase removes what the journal has of devices from before a time, from all files of the folder.
// Those of processes that were killed are ended first. waits: a process that lives writes a file
// that has something of them, or may have it in a moment. It is to erase that itself, and this is to
// be called again. What other devices reported of them stays.
//
// What is damaged is taken out of a file with the rest of it that nobody can tell what it was. After
// an error, of files that could not be read or written, the others are done.
func (w *Writer) Erase(ctx context.Context, devices map[device.ID]time.Time) (waits bool, err error) {
	if len(devices) == 0 {
		return false, nil
	}
	if err := w.drain(ctx); err != nil {
		return false, fmt.Errorf("erase from the journal: %w", err)
	}
	w.work.Lock()
	w.flush()
	err = w.end()
	w.work.Unlock()
	if err != nil {
		return false, fmt.Errorf("erase from the journal: %w", err)
	}
	lock, err := durable.LockFile(filepath.Join(w.c.Dir, lockName))
	if err != nil {
		return false, fmt.Errorf("erase from the journal: %w", err)
	}
	defer lock.Close()
	files, err := Files(w.c.Dir)
	if err != nil {
		return false, err
	}
	packing, err := newPacking()
	if err != nil {
		return false, err
	}
	faults := []error{w.removeDrafts()}
	for _, f := range files {
		if ctx.Err() != nil {
			return waits, errors.Join(append(faults, ctx.Err())...)
		}
		e := erasing{w: w, ctx: ctx, packing: packing, devices: devices}
		waiting, err := e.file(f)
		waits = waits || waiting
		if err != nil {
			faults = append(faults, fmt.Errorf("erase from %s of the journal: %w", filepath.Base(f.Path), err))
		}
	}
	return waits, errors.Join(faults...)
}

// drain waits until what was taken before is in a block.
func (w *Writer) drain(ctx context.Context) error {
	passed := make(chan struct{})
	select {
	case w.taken <- item{passed: passed}:
	case <-w.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-passed:
	case <-w.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// removeDrafts removes what a process left that was killed while it wrote a file again. Nobody else
// writes one now: it is called with the lock.
func (w *Writer) removeDrafts() error {
	entries, err := os.ReadDir(w.c.Dir)
	if err != nil {
		return fmt.Errorf("read the folder of the journal: %w", err)
	}
	var faults []error
	for _, e := range entries {
		if durable.Draft(e.Name()) {
			faults = append(faults, os.Remove(filepath.Join(w.c.Dir, e.Name())))
		}
	}
	return errors.Join(faults...)
}

// erasing goes over one file.
type erasing struct {
	w       *Writer
	ctx     context.Context
	packing *packing
	devices map[device.ID]time.Time

	blocks int
	found  bool
	// named is, after damage, of which devices the file has said since what holds for all their
	// entries; nil: nothing is damaged.
	named map[device.ID]bool
}

func (e *erasing) file(f File) (waits bool, err error) {
	if f.Open {
		lock, err := e.w.lockDead(f)
		switch {
		case errors.Is(err, os.ErrNotExist): // it was ended meanwhile
		case err != nil:
			return false, err
		case lock == nil:
			return e.written(f)
		default:
			defer lock.Close()
			if err := finish(strings.TrimSuffix(f.Path, openSuffix)); err != nil {
				return false, err
			}
		}
		f.Path, f.Open = strings.TrimSuffix(f.Path, openSuffix), false
	}
	return false, e.rewrite(f)
}

// written reports whether a file that a process writes has something that is to be erased, or may
// have it in a moment.
func (e *erasing) written(f File) (bool, error) {
	err := readFile(f.Path, e.w.c.Keys, func(b block, packed []byte) error {
		_, err := e.lines(b, packed, nil)
		return err
	})
	var damage Damage
	if err := damage.note(f.Path, err); err != nil {
		return false, err
	}
	if e.found || len(damage.Damaged) > 0 {
		return true, nil
	}
	e.w.work.Lock()
	own := e.w.file != nil && f.Path == e.w.path+openSuffix
	e.w.work.Unlock()
	if own { // it was begun after all from before
		return false, nil
	}
	for _, before := range e.devices {
		if e.w.now().Sub(before) < writeWithin {
			return true, nil
		}
	}
	return false, nil
}

// lines adds the lines of a block that stay.
func (e *erasing) lines(b block, packed, to []byte) (kept []byte, err error) {
	if err := e.ctx.Err(); err != nil {
		return nil, stop{err}
	}
	all, err := unpack(packed, b, nil)
	if err != nil {
		return nil, err
	}
	e.blocks++
	for line := range bytes.Lines(all) {
		switch {
		case erased(line, e.devices):
			e.found = true
		case e.named == nil || e.standsAlone(line):
			to = append(to, line...)
		}
	}
	return to, nil
}

// standsAlone reports whether a line behind damage says all, or follows one that does.
func (e *erasing) standsAlone(line []byte) bool {
	var is struct {
		Device   device.ID `json:"device"`
		Instance string    `json:"instance"`
	}
	if json.Unmarshal(line, &is) != nil {
		return false
	}
	if is.Instance != "" {
		e.named[is.Device] = true
	}
	return e.named[is.Device]
}

// rewrite writes a file again, if something in it is to be erased, or cannot be read.
func (e *erasing) rewrite(f File) error {
	head, aead, err := newFile(e.w.c.Process, e.w.c.Keys)
	if err != nil {
		return err
	}
	out := head
	var kept []byte
	left, err := readAround(f.Path, e.w.c.Keys, func(b block, packed []byte) error {
		var err error
		if kept, err = e.lines(b, packed, kept[:0]); err != nil {
			return err
		}
		if b.lines = bytes.Count(kept, []byte{'\n'}); b.lines > 0 {
			out = e.packing.append(out, kept, b, aead)
		}
		return nil
	}, func() { e.named = map[device.ID]bool{} })
	switch {
	case errors.Is(err, errCut) && f.Bytes <= mostHead: // it has no entry
		return nil
	case err != nil:
		return err
	case left.damaged > 0 && e.blocks == 0: // with another key of that name, perhaps
		return fmt.Errorf("all of it is %w: remove it if it cannot be repaired", errDamaged)
	case !e.found && left == around{}:
		return nil
	}
	if left.damaged > 0 {
		e.w.log.Warn("a file of the journal is damaged; it is written again without what cannot be read, so that nothing of devices is left there that were deleted with their data", "file", f.Path, "places", left.damaged)
	}
	if len(out) == len(head) {
		return os.Remove(f.Path)
	}
	if err := durable.Replace(f.Path, out, 0o600); err != nil {
		return err
	}
	return os.Chtimes(f.Path, f.Changed, f.Changed)
}

// erased reports whether a line is of one of the devices, and not later than it is erased up to.
func erased(line []byte, devices map[device.ID]time.Time) bool {
	id, ok := DeviceOf(line)
	if !ok {
		return false
	}
	before, ok := devices[id]
	if !ok {
		return false
	}
	var e struct {
		Task time.Time `json:"task"`
	}
	return json.Unmarshal(line, &e) == nil && !e.Task.After(before)
}

// DeviceOf is the device of a line, without decoding it: it is the first member.
func DeviceOf(line []byte) (device.ID, bool) {
	rest, ok := bytes.CutPrefix(line, []byte(`{"device":"`))
	if !ok {
		return "", false
	}
	id, _, ok := bytes.Cut(rest, []byte{'"'})
	return device.ID(id), ok
}

// erasedName is the file that has up to when deletions of devices are done in the folder: a process
// that keeps that nowhere else goes on from there.
const erasedName = "erased"

type erasedUntil struct {
	Until time.Time `json:"until"`
}

// Erased is the time that NoteErased was called with last, by any process that writes to the folder;
// zero: never.
func (w *Writer) Erased() (time.Time, error) {
	var e erasedUntil
	raw, err := os.ReadFile(filepath.Join(w.c.Dir, erasedName))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return time.Time{}, nil
	case err == nil:
		err = json.Unmarshal(raw, &e)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read up to when the journal is erased: %w", err)
	}
	return e.Until, nil
}

// NoteErased notes that all devices that were deleted before a time are erased from the folder. It
// does not wait: while a process erases, nothing is noted.
func (w *Writer) NoteErased(until time.Time) error {
	lock, err := os.OpenFile(filepath.Join(w.c.Dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("note up to when the journal is erased: %w", err)
	}
	defer lock.Close()
	locked, err := durable.TryLock(lock)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
	case err != nil:
		return fmt.Errorf("note up to when the journal is erased: %w", err)
	case !locked:
		return nil
	}
	if before, err := w.Erased(); err == nil && !until.After(before) {
		return nil
	}
	raw, err := json.Marshal(erasedUntil{until})
	if err == nil {
		err = durable.Replace(filepath.Join(w.c.Dir, erasedName), raw, 0o600)
	}
	if err != nil {
		return fmt.Errorf("note up to when the journal is erased: %w", err)
	}
	return nil
}
