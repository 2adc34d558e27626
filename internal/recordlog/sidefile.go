package recordlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"devicetwin/internal/durable"
)

// Errors of reading one record, or a file next to it.
var (
	// ErrDamaged is that of data which is not what was written.
	ErrDamaged = errors.New("damaged")
	// ErrErased is that of a record that was erased: see Log.Rewrite.
	ErrErased = errors.New("it was erased")
)

// WriteFile replaces a file in the folder of the segments: it is encrypted as they
// are, and either whole or as it was before. What it was written from has to be on the
// disk first if it may not be newer than the log: see Wait.
func (l *Log) WriteFile(name string, parts ...[]byte) error {
	now := time.Now()
	s, content, err := newSegment(l.cfg.Dir, 0, l.cfg.Keys, now)
	if err != nil {
		return fmt.Errorf("write %s of log %s: %w", name, l.cfg.Dir, err)
	}
	var memory []byte
	for _, part := range parts {
		data := part
		if s.aead != nil {
			memory = seal(s.aead, memory, part)
			data = memory
		}
		content = appendFrame(content, kindFile, s.aead != nil, now, data)
	}
	if err := durable.Replace(filepath.Join(l.cfg.Dir, name), content, 0o600); err != nil {
		return fmt.Errorf("write %s of log %s: %w", name, l.cfg.Dir, err)
	}
	return nil
}

// ReadFile reads such a file. There is none: nil. It is ErrDamaged, or of a key that is
// not there: an error, after which it may be replaced.
func (l *Log) ReadFile(name string) (parts [][]byte, err error) {
	path := filepath.Join(l.cfg.Dir, name)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	s := &segment{path: path, size: info.Size()}
	head, err := readHead(f, s.size)
	if err == nil {
		err = s.unlock(head, l.cfg.Keys)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w: %w", path, ErrDamaged, err)
	}
	for at := int64(0); at < s.size; {
		h, ok, err := headAt(f, at, s.size)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w: %w", path, ErrDamaged, err)
		}
		if !ok {
			return nil, fmt.Errorf("read %s: %w at byte %d", path, ErrDamaged, at)
		}
		at = h.end()
		if h.kind != kindFile {
			continue
		}
		part, err := readData(f, h, s)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		parts = append(parts, part)
	}
	return parts, nil
}
