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

const lockName = "lock" // of those who rewrite files

// Erase removes what the journal has of devices from before a time: from all files of the folder
// but those that other processes write now, which are to erase it themselves. What other devices
// reported of them stays.
func (w *Writer) Erase(ctx context.Context, devices map[device.ID]time.Time) error {
	if len(devices) == 0 {
		return nil
	}
	w.drain(ctx)
	w.work.Lock()
	w.flush()
	err := w.end()
	w.work.Unlock()
	if err != nil {
		return fmt.Errorf("erase from the journal: %w", err)
	}
	lock, err := durable.LockFile(filepath.Join(w.c.Dir, lockName))
	if err != nil {
		return fmt.Errorf("erase from the journal: %w", err)
	}
	defer lock.Close()
	files, err := Files(w.c.Dir)
	if err != nil {
		return err
	}
	packing, err := newPacking()
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Open && w.now().Sub(f.Changed) < 2*fileAge {
			continue
		}
		if err := w.eraseFile(ctx, f, packing, devices); err != nil {
			return fmt.Errorf("erase from %s of the journal: %w", filepath.Base(f.Path), err)
		}
	}
	return nil
}

// drain waits until what was taken before is in a block.
func (w *Writer) drain(ctx context.Context) {
	for len(w.taken) > 0 && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// eraseFile writes a file again, if something in it is to be erased.
func (w *Writer) eraseFile(ctx context.Context, f File, p *packing, devices map[device.ID]time.Time) error {
	out, aead, err := newFile(w.c.Process, w.c.Keys)
	if err != nil {
		return err
	}
	found := false
	var lines, kept []byte
	err = readFile(f.Path, w.c.Keys, func(b block, packed []byte) error {
		if err := ctx.Err(); err != nil {
			return stop{err}
		}
		var err error
		if lines, err = unpack(packed, b, lines); err != nil {
			return err
		}
		kept = kept[:0]
		n := 0
		for line := range bytes.Lines(lines) {
			if erased(line, devices) {
				found = true
				continue
			}
			kept = append(kept, line...)
			n++
		}
		if b.lines = n; n > 0 {
			out = p.append(out, kept, b, aead)
		}
		return nil
	})
	var damage Damage
	if err := damage.note(f.Path, err); err != nil || !found {
		return err
	}
	path := strings.TrimSuffix(f.Path, openSuffix)
	if err := durable.Replace(path, out, 0o640); err != nil {
		return err
	}
	if path != f.Path {
		err = os.Remove(f.Path)
	}
	return errors.Join(err, os.Chtimes(path, f.Changed, f.Changed))
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
