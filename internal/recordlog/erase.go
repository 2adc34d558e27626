package recordlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// Rewrite replaces the data of records, wherever they are in the log: change returns
// what takes its place and true. Nil erases the record: it is overwritten with zeros, and
// readers pass over it. Other data must be as long as what it replaces. A crash leaves each record as it was or as it is to be. After an
// error some may be left: it can be repeated.
func (l *Log) Rewrite(ctx context.Context, change func(Record) (data []byte, ok bool)) (changed int, err error) {
	l.rewriting.Lock() // one at a time
	defer l.rewriting.Unlock()
	l.mutex.Lock()
	end := l.end
	l.mutex.Unlock()
	if err := l.Wait(ctx, end); err != nil {
		return 0, fmt.Errorf("rewrite log %s: %w", l.cfg.Dir, err)
	}
	l.mutex.Lock()
	segments := slices.Clone(l.segments)
	sizes := make([]int64, len(segments))
	for i, s := range segments {
		sizes[i] = s.size
	}
	l.mutex.Unlock()
	for i, s := range segments {
		w := &rewriter{l: l, s: s, size: sizes[i], change: change}
		err := w.run(ctx)
		changed += w.changed
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // it was removed meanwhile
			return changed, fmt.Errorf("rewrite segment %s: %w", s.path, err)
		}
	}
	return changed, nil
}

// rewriter changes one segment.
type rewriter struct {
	l      *Log
	s      *segment
	size   int64
	change func(Record) ([]byte, bool)

	file    *os.File
	journal journal
	dirty   bool
	changed int
}

// journalBytes is how much of a segment is changed at a time.
const journalBytes = 4 << 20

func (w *rewriter) run(ctx context.Context) (err error) {
	if w.file, err = os.OpenFile(w.s.path, os.O_RDWR, 0); err != nil {
		return err
	}
	defer w.file.Close()
	for at := int64(0); ctx.Err() == nil; {
		h, ok, err := seekFrame(w.file, at, w.size)
		if err != nil {
			return err
		}
		if !ok {
			return w.flush()
		}
		at = h.end()
		if err := w.frame(h); err != nil {
			return err
		}
		if w.journal.size() >= journalBytes {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return errors.Join(ctx.Err(), w.flush())
}

// frame changes one record, if it is to be changed.
func (w *rewriter) frame(h frameHead) error {
	data, err := readData(w.file, h, w.s)
	switch {
	case h.kind == kindErased && errors.Is(err, ErrDamaged): // a loss of power left its data
		return w.erase(h)
	case h.kind >= reserved || errors.Is(err, ErrDamaged):
		return nil // what cannot be read, nobody can
	case err != nil:
		return err
	}
	replaced, ok := w.change(h.record(data))
	switch {
	case !ok:
		return nil
	case replaced == nil:
		w.changed++
		return w.erase(h)
	case len(replaced) != len(data):
		return fmt.Errorf("replace a record of %d bytes: got %d", len(data), len(replaced))
	}
	w.changed++
	if h.seal {
		replaced = seal(w.s.aead, nil, replaced)
	}
	w.journal.add(w.s.base+h.start, appendItems(nil, h.kind, h.seal, h.time(), h.items, replaced))
	return nil
}

// erase overwrites a record. It needs no journal: there is nothing to be lost.
func (w *rewriter) erase(h frameHead) error {
	w.dirty = true
	w.l.replacing.Lock()
	defer w.l.replacing.Unlock()
	zeros := appendFrame(nil, kindErased, false, h.time(), make([]byte, h.size-frameHeader))
	_, err := w.file.WriteAt(zeros, h.start)
	return err
}

// flush makes the changes so far durable.
func (w *rewriter) flush() error {
	if w.journal.size() > 0 {
		w.dirty = true
		if err := w.journal.write(w.l.cfg.Dir); err != nil {
			return err
		}
		w.l.replacing.Lock()
		err := w.journal.apply(func(at int64, frame []byte) error {
			_, err := w.file.WriteAt(frame, at-w.s.base)
			return err
		})
		w.l.replacing.Unlock()
		if err != nil {
			return err
		}
	}
	if !w.dirty {
		return nil
	}
	if err := w.file.Sync(); err != nil {
		return err
	}
	w.dirty = false
	if w.journal.size() == 0 {
		return nil
	}
	w.journal.reset()
	return removeJournal(w.l.cfg.Dir)
}

// Passed reports whether the cursor of a name has committed all before a position. One
// that is not open reads nothing.
func (l *Log) Passed(cursor string, position int64) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, c := range l.cursors {
		if c.name == cursor && c.committed < position {
			return false
		}
	}
	return true
}
