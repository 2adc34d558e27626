package chaos

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"devicetwin/bridge/history"
	"devicetwin/device"
	"devicetwin/internal/recordlog"
	"devicetwin/simulator"
)

// logFolder is the folder of a bridge's log. What is changed in it is changed while the
// bridge is down.
type logFolder string

// checkpointFile is where a bridge keeps the state of its filters.
const checkpointFile = "checkpoint"

func (dir logFolder) checkpoint() string { return filepath.Join(string(dir), checkpointFile) }

// delivered is the position before which both readers have had everything, as far as
// they have written it down.
func (dir logFolder) delivered() (position int64, err error) {
	for i, name := range []string{"signals", "points"} {
		raw, err := os.ReadFile(filepath.Join(string(dir), "cursor-"+name))
		if err != nil {
			return 0, fmt.Errorf("read how far the log was read: %w", err)
		}
		at, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read how far the log was read: %w", err)
		}
		if i == 0 || at < position {
			position = at
		}
	}
	return position, nil
}

// segment is a file of the log, by the position of its first byte.
type segment struct {
	path        string
	begin, size int64
}

// segments are the files, the oldest first.
func (dir logFolder) segments() (all []segment, err error) {
	paths, err := filepath.Glob(filepath.Join(string(dir), "*.log"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths { // sorted
		begin, err := strconv.ParseInt(strings.TrimSuffix(filepath.Base(path), ".log"), 10, 64)
		if err != nil {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		all = append(all, segment{path, begin, info.Size()})
	}
	return all, nil
}

// overwrite destroys what is between two positions.
func (dir logFolder) overwrite(from, to int64) error {
	segments, err := dir.segments()
	if err != nil {
		return fmt.Errorf("overwrite part of the log: %w", err)
	}
	for _, s := range segments {
		at, end := max(from, s.begin), min(to, s.begin+s.size)
		if at >= end {
			continue
		}
		if err := overwrite(s.path, at-s.begin, end-at); err != nil {
			return fmt.Errorf("overwrite part of the log: %w", err)
		}
	}
	return nil
}

func overwrite(path string, at, n int64) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.WriteAt(bytes.Repeat([]byte{0xa5}, int(n)), at)
	return err
}

// How much of a log is overwritten.
const (
	damagedRecords = 8       // of what was not delivered, at most
	damagedBytes   = 4 << 10 // of what was, twice
)

// damageDelivered overwrites two places that every reader has had: in the middle, and
// last of all, where the state of filters may not be in the checkpoint.
func (dir logFolder) damageDelivered() error {
	segments, err := dir.segments()
	if err != nil {
		return fmt.Errorf("overwrite part of the log: %w", err)
	}
	delivered, err := dir.delivered()
	if err != nil {
		return err
	}
	begin := segments[0].begin
	for _, from := range []int64{begin + (delivered-begin)/2, delivered - damagedBytes} {
		if err := dir.overwrite(from, min(from+damagedBytes, delivered)); err != nil {
			return err
		}
	}
	return nil
}

// damageUndelivered overwrites some readings in a row, of those that no reader has
// had and that came after a moment, and returns which they are.
func (dir logFolder) damageUndelivered(after time.Time) ([]simulator.LostMessage, error) {
	delivered, err := dir.delivered()
	if err != nil {
		return nil, err
	}
	records, err := dir.records()
	if err != nil {
		return nil, err
	}
	records = slices.DeleteFunc(records, func(e recordlog.Entry) bool { return e.Start < delivered || e.At.Before(after) })
	run, messages, err := someReadings(records)
	if err != nil {
		return nil, err
	}
	return messages, dir.overwrite(run[0].Start, run[len(run)-1].End)
}

// someReadings finds the longest row of readings, up to a number. Messages of a sequence
// are left alone: without one of them, other devices would be due than the ledger says.
func someReadings(records []recordlog.Entry) (run []recordlog.Entry, messages []simulator.LostMessage, err error) {
	begin, found := 0, []simulator.LostMessage(nil)
	for i, e := range records {
		of, ok, err := readings(e)
		if err != nil {
			return nil, nil, err
		}
		if !ok {
			begin, found = i+1, nil
			continue
		}
		found = append(found, of...)
		if n := i + 1 - begin; n > len(run) && len(found) > 0 {
			run, messages = records[begin:i+1], found
			if n == damagedRecords {
				break
			}
		}
	}
	if len(run) == 0 {
		return nil, nil, fmt.Errorf("none of %d records that were not delivered is one of a reading", len(records))
	}
	return run, messages, nil
}

// readings are the messages of a record that has nothing but readings. Of other records
// only an outcome is one too: without it, a message is delivered again.
func readings(e recordlog.Entry) (messages []simulator.LostMessage, ok bool, err error) {
	if e.Kind != history.KindArrival {
		return nil, e.Kind == history.KindOutcome, nil
	}
	arrival, err := history.ReadArrival(e.Data, e.At)
	if err != nil {
		return nil, false, fmt.Errorf("read the log: %w", err)
	}
	for _, m := range arrival.Messages {
		if m.Message.Channel != device.ChannelTelemetry || bytes.Contains(m.Object, []byte(`"code"`)) {
			return nil, false, nil
		}
		id := simulator.LostMessage{Device: string(m.ID), Epoch: m.Message.Epoch, Seq: m.Message.Seq}
		if id.Seq == 0 {
			id.Digest = m.Message.Digest
		}
		messages = append(messages, id)
	}
	return messages, len(messages) > 0, nil
}

// records are all that can be read.
func (dir logFolder) records() (all []recordlog.Entry, err error) {
	r, err := recordlog.OpenReader(string(dir), nil)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for {
		e, ok, err := r.TryNext()
		if err != nil || !ok {
			return all, err
		}
		all = append(all, e)
	}
}
