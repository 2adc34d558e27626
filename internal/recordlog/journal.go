package recordlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"devicetwin/internal/durable"
)

// journal is frames that are about to be written over others. It is on the disk before
// the first of them is, so that a crash in between leaves no half of a record: then
// they are written again.
//
// As a file, it is the position, the number of bytes and the bytes of each frame, and
// the CRC-32C of all that; integers have 8 bytes, little endian.
type journal struct{ data []byte }

const journalName = "rewrite"

func (j *journal) add(position int64, frame []byte) {
	j.data = binary.LittleEndian.AppendUint64(j.data, uint64(position))
	j.data = binary.LittleEndian.AppendUint64(j.data, uint64(len(frame)))
	j.data = append(j.data, frame...)
}

func (j *journal) size() int { return len(j.data) }

func (j *journal) reset() { j.data = j.data[:0] }

// apply writes the frames.
func (j *journal) apply(write func(position int64, frame []byte) error) error {
	for rest := j.data; len(rest) >= 16; {
		position, n := binary.LittleEndian.Uint64(rest), binary.LittleEndian.Uint64(rest[8:])
		if rest = rest[16:]; n > uint64(len(rest)) {
			return fmt.Errorf("%w: a frame of %d bytes in a journal", ErrDamaged, n)
		}
		if err := write(int64(position), rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// write puts the journal on the disk, whole or not at all.
func (j *journal) write(dir string) error {
	sum := binary.LittleEndian.AppendUint64(j.data, uint64(crc32.Checksum(j.data, castagnoli)))
	if err := durable.Replace(filepath.Join(dir, journalName), sum, 0o600); err != nil {
		return fmt.Errorf("write the journal of log %s: %w", dir, err)
	}
	return nil
}

// readJournal reads the one of a process that crashed, if there is one.
func readJournal(dir string) (j journal, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, journalName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return journal{}, nil
	case err != nil:
		return journal{}, err
	case len(raw) < 8:
		return journal{}, fmt.Errorf("%w: a journal of %d bytes", ErrDamaged, len(raw))
	}
	raw, sum := raw[:len(raw)-8], binary.LittleEndian.Uint64(raw[len(raw)-8:])
	if sum != uint64(crc32.Checksum(raw, castagnoli)) {
		return journal{}, fmt.Errorf("%w: wrong sum of a journal", ErrDamaged)
	}
	return journal{raw}, nil
}

func removeJournal(dir string) error {
	if err := os.Remove(filepath.Join(dir, journalName)); err != nil {
		return err
	}
	return durable.SyncDir(dir)
}

// recover finishes what a crash interrupted. What is damaged of it is reported, and left
// out: the log reads as it was, but for the record that was being written.
func (l *Log) recover() error {
	j, err := readJournal(l.cfg.Dir)
	if errors.Is(err, ErrDamaged) {
		l.log.Error("cannot finish rewriting records after a crash", "error", err)
		l.stats.Damaged++
		return removeJournal(l.cfg.Dir)
	}
	if err != nil || j.size() == 0 {
		return err
	}
	err = j.apply(func(position int64, frame []byte) error {
		s := l.at(position)
		if s == nil {
			return nil // it was removed
		}
		f, err := os.OpenFile(s.path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt(frame, position-s.base)
		return errors.Join(err, f.Sync(), f.Close())
	})
	if err != nil {
		return err
	}
	return removeJournal(l.cfg.Dir)
}
