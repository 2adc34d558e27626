package journal

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm/replay"
	"devicetwin/internal/durable"
)

// Config says where a journal is, and how large it may grow.
type Config struct {
	// Dir is its folder, which is made if need be. Several processes may write to one.
	Dir string
	// Process is the name of this process, for people.
	Process string
	// MaxBytes bounds all files of the folder together: beyond it, the oldest are removed.
	// A file that a process writes is not: each has up to an eighth of it, and more than eight
	// processes together may be beyond it.
	MaxBytes int64
	// MaxAge is how long a file is kept after the last entry in it; 0: as long as there is
	// room.
	MaxAge time.Duration
	// Keys encrypt the files; nil: they are in clear.
	Keys Keys
}

// MinBytes is the least of Config.MaxBytes.
const MinBytes = 1 << 20

// Validate reports every fault of the settings.
func (c Config) Validate() error {
	var faults []error
	if c.Dir == "" {
		faults = append(faults, errors.New("a folder is needed"))
	}
	if c.MaxBytes < MinBytes {
		faults = append(faults, fmt.Errorf("maximum of %d bytes: expected %d or more", c.MaxBytes, MinBytes))
	}
	if c.MaxAge < 0 {
		faults = append(faults, fmt.Errorf("age %s: expected 0s or more", c.MaxAge))
	}
	return errors.Join(faults...)
}

const (
	waitingEntries = 4096      // that were taken, and are not yet in a block
	blockBytes     = 256 << 10 // of lines
	blockAge       = time.Second
	syncEvery      = 10 * time.Second // what a loss of power costs
	fileAge        = time.Hour
	maxFileBytes   = 64 << 20
	maxFileDevices = 200_000 // of which the writer knows what is in the file
	retryAfter     = 5 * time.Second
)

// Writer writes a journal. Took may be called from any goroutine.
type Writer struct {
	c      Config
	counts *Counts
	log    *slog.Logger
	taken  chan item
	ended  chan struct{} // closed when Run has ended
	now    func() time.Time

	// work is held while files are changed: by Run, and by Erase.
	work sync.Mutex
	file *os.File // nil: none is open
	path string
	aead cipher.AEAD
	size int64
	at   time.Time // when it was begun
	// synced is when it was last forced to the disk, and with how many bytes.
	synced      time.Time
	syncedBytes int64
	// known is, by device, the last entry in the file.
	known   map[device.ID]known
	line    bytes.Buffer
	lines   []byte
	block   block
	began   time.Time // of the block
	out     []byte
	packing *packing
	failed  time.Time // the last time; zero: it works
}

// item is an entry, or the place up to which Erase waits: passed is closed when all before it
// is in the block.
type item struct {
	entry  *replay.Entry
	passed chan struct{}
}

// known is what a file has of a device.
type known struct {
	instance, model string
	edition, runs   int
	n               uint64
}

// Open makes the folder, and finds out whether it can be written.
func Open(c Config, counts *Counts, log *slog.Logger) (*Writer, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder of the journal: %w", err)
	}
	p, err := newPacking()
	if err != nil {
		return nil, err
	}
	w := &Writer{c: c, counts: counts, log: log, taken: make(chan item, waitingEntries), ended: make(chan struct{}), now: time.Now, packing: p}
	if _, err := Files(c.Dir); err != nil {
		return nil, err
	}
	if err := w.begin(); err != nil {
		return nil, err
	}
	return w, w.end()
}

// Took takes an entry, or counts it as lost if there is no room for it. It never waits.
func (w *Writer) Took(e *replay.Entry) {
	select {
	case w.taken <- item{entry: e}:
	default:
		w.counts.lost[lostFull].Add(1)
	}
}

// Run writes until ctx ends, and then what was taken before. It is called once.
func (w *Writer) Run(ctx context.Context) {
	defer close(w.ended)
	tick := time.NewTicker(blockAge)
	defer tick.Stop()
	for {
		select {
		case i := <-w.taken:
			w.next(i)
			continue
		case <-tick.C:
			w.tick()
			continue
		case <-ctx.Done():
		}
		for len(w.taken) > 0 {
			w.next(<-w.taken)
		}
		w.work.Lock()
		defer w.work.Unlock()
		w.flush()
		if err := w.end(); err != nil {
			w.log.Warn("cannot close a file of the journal", "error", err)
		}
		return
	}
}

func (w *Writer) next(i item) {
	if i.passed != nil {
		close(i.passed)
		return
	}
	w.add(i.entry)
}

func (w *Writer) tick() {
	w.work.Lock()
	defer w.work.Unlock()
	if len(w.lines) > 0 && w.now().Sub(w.began) >= blockAge {
		w.flush()
	}
	if w.file != nil && w.size > w.syncedBytes && w.now().Sub(w.synced) >= syncEvery {
		w.synced, w.syncedBytes = w.now(), w.size
		if err := w.file.Sync(); err != nil {
			w.fail(err, 0)
		}
	}
	if w.file != nil && w.now().Sub(w.at) >= fileAge {
		w.flush()
		if err := w.end(); err != nil {
			w.fail(err, 0)
		}
	}
}

// add writes an entry to the block, with all that the file does not have of the device.
func (w *Writer) add(e *replay.Entry) {
	w.work.Lock()
	defer w.work.Unlock()
	if w.file == nil && !w.reopen() {
		w.counts.lost[lostDisk].Add(1)
		return
	}
	line := *e
	is := known{e.Instance, e.Model, e.Edition, e.Runs, e.N}
	has, ok := w.known[e.Device]
	if ok && has.instance == is.instance && has.model == is.model && has.edition == is.edition && has.runs == is.runs && has.n+1 == is.n {
		line.Instance, line.Model, line.Edition, line.Before = "", "", 0, nil
		if !e.NewTwin {
			line.Twin = nil
		}
	}
	at := w.line.Len()
	encoder := json.NewEncoder(&w.line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(&line); err != nil { // with a number that is not one of JSON, perhaps
		w.line.Truncate(at)
		delete(w.known, e.Device)
		w.counts.lost[lostDisk].Add(1)
		w.log.Debug("an entry of the journal cannot be written", "device", e.Device, "error", err)
		return
	}
	w.known[e.Device] = is
	w.lines = append(w.lines, w.line.Bytes()...)
	w.line.Reset()
	task := millis(e.Task)
	if w.block.lines == 0 {
		w.began = w.now()
		w.block.first, w.block.last = task, task
	}
	w.block.first, w.block.last = min(w.block.first, task), max(w.block.last, task)
	w.block.lines++
	if len(w.lines) >= blockBytes {
		w.flush()
	}
	if w.size >= w.fileBytes() || len(w.known) >= maxFileDevices {
		w.flush()
		if err := w.end(); err != nil {
			w.fail(err, 0)
		}
	}
}

func (w *Writer) fileBytes() int64 { return min(maxFileBytes, w.c.MaxBytes/8) }

// flush writes the block. One that cannot be written is lost, and the file ends before it.
func (w *Writer) flush() {
	if w.block.lines == 0 || w.file == nil {
		return
	}
	lines := w.block.lines
	w.out = w.packing.append(w.out[:0], w.lines, w.block, w.aead)
	w.lines, w.block = w.lines[:0], block{}
	n, err := w.file.Write(w.out)
	if err != nil {
		w.fail(err, lines)
		if n > 0 { // else the half of a block is at the end, which readers know
			_ = w.file.Truncate(w.size)
		}
		if err := w.end(); err != nil {
			w.log.Debug("cannot close a file of the journal", "error", err)
		}
		return
	}
	w.size += int64(n)
	w.counts.entries.Add(uint64(lines))
	if !w.failed.IsZero() {
		w.failed = time.Time{}
		w.log.Info("the journal is written again")
	}
}

// fail counts what is lost, and says so once.
func (w *Writer) fail(err error, lines int) {
	w.counts.lost[lostDisk].Add(uint64(lines))
	if w.failed.IsZero() {
		w.log.Error("cannot write the journal; what is not in it is counted in devicetwin_journal_lost_total", "error", err)
	}
	w.failed = w.now()
}

// reopen begins a file, unless that has just failed.
func (w *Writer) reopen() bool {
	if !w.failed.IsZero() && w.now().Sub(w.failed) < retryAfter {
		return false
	}
	if err := w.begin(); err != nil {
		w.fail(err, 0)
		return false
	}
	return true
}

// begin begins a file, and removes those that are too old, or too many.
func (w *Writer) begin() error {
	w.removeOld()
	head, aead, err := newFile(w.c.Process, w.c.Keys)
	if err != nil {
		return err
	}
	var id [4]byte
	rand.Read(id[:])
	w.at = w.now()
	w.path = filepath.Join(w.c.Dir, w.at.UTC().Format(nameTime)+"-"+hex.EncodeToString(id[:])+suffix)
	// It is locked before it has the name by which others find it: one that is not locked is of a
	// process that was killed.
	f, err := os.OpenFile(w.path+newSuffix, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("begin a file of the journal: %w", err)
	}
	if _, err = durable.TryLock(f); errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	if err == nil {
		_, err = f.Write(head)
	}
	if err == nil {
		err = os.Rename(w.path+newSuffix, w.path+openSuffix)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("begin a file of the journal: %w", err), f.Close(), os.Remove(w.path+newSuffix))
	}
	w.file, w.aead, w.size, w.known = f, aead, int64(len(head)), map[device.ID]known{}
	w.synced, w.syncedBytes = w.at, 0
	return nil
}

// end ends the file. One without entries is removed.
func (w *Writer) end() error {
	if w.file == nil {
		return nil
	}
	f, path := w.file, w.path
	w.file, w.known, w.lines, w.block = nil, nil, w.lines[:0], block{}
	err := errors.Join(f.Sync(), f.Close())
	if errEnd := finish(path); errEnd != nil && !errors.Is(errEnd, os.ErrNotExist) { // another process found it without a lock, and ended it
		err = errors.Join(err, errEnd)
	}
	return err
}

// finish gives a file that nobody writes any more its name. One without entries is removed.
func finish(path string) error {
	info, err := os.Stat(path + openSuffix)
	if err != nil {
		return err
	}
	if isEmpty(path+openSuffix, info.Size()) {
		return os.Remove(path + openSuffix)
	}
	return os.Rename(path+openSuffix, path)
}

// lockDead locks a file that has .open behind its name, if the process that wrote it has ended:
// then it returns what it is locked by. Nil: it is being written, also by this process. The error is
// os.ErrNotExist if it was ended meanwhile.
func (w *Writer) lockDead(f File) (*os.File, error) {
	in, err := os.OpenFile(f.Path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	dead, err := durable.TryLock(in)
	if errors.Is(err, errors.ErrUnsupported) { // its age says it
		dead, err = w.now().Sub(f.Changed) >= 2*fileAge, nil
	}
	if err != nil || !dead {
		return nil, errors.Join(err, in.Close())
	}
	return in, nil
}

// removeOld removes what is too old, and then the oldest files until the rest is small enough.
func (w *Writer) removeOld() {
	files, err := Files(w.c.Dir)
	if err != nil {
		w.log.Warn("cannot read the folder of the journal", "error", err)
		return
	}
	var size int64
	for _, f := range files {
		size += f.Bytes
	}
	room := w.c.MaxBytes - w.fileBytes() // for the file that is begun
	for _, f := range files {
		old := w.c.MaxAge > 0 && w.now().Sub(f.Changed) > w.c.MaxAge
		if !old && size <= room {
			continue
		}
		if f.Open {
			lock, err := w.lockDead(f)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				w.log.Warn("cannot find out who writes a file of the journal", "file", f.Path, "error", err)
			}
			if lock == nil {
				continue // another process writes it, or has ended it
			}
			defer lock.Close()
		}
		if err := os.Remove(f.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
			w.log.Warn("cannot remove an old file of the journal", "error", err)
			continue
		}
		size -= f.Bytes
		w.counts.removed.Add(1)
	}
	w.counts.bytes.Store(size)
}
