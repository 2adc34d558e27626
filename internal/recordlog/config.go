package recordlog

import (
	"errors"
	"fmt"
	"time"
)

// Config says where a log is and how large it may grow.
type Config struct {
	// Dir is its folder, which is made if need be. No other process may use it.
	Dir string
	// MaxBytes bounds all files together. Beyond it, the oldest segments go: at once
	// those that every reader has had, and those that only cursors that may lose have
	// not. If a cursor that may not lose needs them, nothing more is taken.
	MaxBytes int64
	// MaxAge is how long what every reader has had is kept; 0: as long as there is
	// room.
	MaxAge time.Duration
	// SegmentBytes is the size of a file, about. 0: an eighth of MaxBytes, 64 MiB at most.
	SegmentBytes int64
	// BufferBytes bounds the memory of what was appended and is not yet on the disk.
	// 0: 16 MiB.
	BufferBytes int
	// Keys encrypt the data of records; nil: they are in clear.
	Keys Keys
}

// Bounds of settings.
const (
	MinBytes       = 1 << 20
	minSegment     = 64 << 10
	defaultSegment = 64 << 20
	defaultBuffer  = 16 << 20
)

// Validate reports every fault of the settings.
func (c Config) Validate() error {
	var faults []error
	if c.Dir == "" {
		faults = append(faults, errors.New("a folder is needed"))
	}
	if c.MaxBytes < MinBytes {
		faults = append(faults, fmt.Errorf("maximum of %d bytes: expected %d or more", c.MaxBytes, int64(MinBytes)))
	}
	if c.MaxAge < 0 || c.SegmentBytes < 0 || c.BufferBytes < 0 {
		faults = append(faults, errors.New("age and sizes: expected 0 or more"))
	}
	return errors.Join(faults...)
}

func (c Config) withDefaults() Config {
	if c.SegmentBytes == 0 {
		c.SegmentBytes = min(defaultSegment, c.MaxBytes/8)
	}
	c.SegmentBytes = max(minSegment, c.SegmentBytes)
	if c.BufferBytes == 0 {
		c.BufferBytes = defaultBuffer
	}
	return c
}
