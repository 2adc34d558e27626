package points

import (
	"log/slog"
	"time"

	"devicetwin/internal/recordlog"
)

// logReader makes batches of what is in a log: of lines, and of the readings in other
// records. It waits for nothing, and belongs to the goroutine of the collector.
//
// The cursor is committed to where a batch ends that InfluxDB has taken. That is not
// where the batch before it in memory ends: a record may be in two batches.
type logReader struct {
	cursor   *recordlog.Cursor
	log      *recordlog.Log
	readings func(recordlog.Record, func(Reading)) error
	refuse   func(Refusal)
	messages *slog.Logger

	points, bytes int // of a batch
	wait          time.Duration

	ready   []batch // full, oldest first
	filling batch
	given   int              // lines, of all batches
	losses  recordlog.Losses // in records that could not be decoded
	shown   recordlog.Losses // are in the figures

	lines linesDecoder
	flat  flattener
	text  []byte // a line that is being written

	failures int // to read the disk, one after the other
}

// A pass over the log ends after so much even if no batch is full, so that the
// collector does what else it has to do.
const (
	passRecords = 10_000
	passBytes   = 4 << 20
)

// Reading that fails is tried again, and then goes on behind what cannot be read.
const (
	readRetry    = time.Second
	readAttempts = 5
)

// atOnce is a channel from which can be received.
var atOnce = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// fill reads until there is a full batch, or nothing more on the disk. It returns what
// is to be waited for before it is called again: nil if a batch is full.
func (r *logReader) fill() <-chan struct{} {
	changed := r.log.Changed()
	records, bytes := 0, 0
	for len(r.ready) == 0 {
		if records >= passRecords || bytes >= passBytes {
			return atOnce
		}
		e, ok, err := r.cursor.TryNext()
		if err != nil {
			return r.failed(err)
		}
		r.failures = 0
		if !ok {
			// Also beyond what was erased, or cannot be read.
			r.filling.end = r.cursor.Position()
			return changed
		}
		r.add(e)
		records++
		bytes += len(e.Data)
	}
	return nil
}

// failed takes an error of reading the disk.
func (r *logReader) failed(err error) <-chan struct{} {
	if r.failures++; r.failures < readAttempts {
		r.messages.Warn("cannot read the log; trying again", "error", err)
		again := make(chan struct{})
		time.AfterFunc(readRetry, func() { close(again) })
		return again
	}
	r.failures = 0
	r.messages.Error("points in the log are lost: it cannot be read", "error", err)
	r.cursor.Skip()
	return atOnce
}

// add puts the points of a record into batches.
func (r *logReader) add(e recordlog.Entry) {
	before := r.given
	if err := r.decode(e); err != nil {
		r.losses.Damages++
		r.losses.Items += uint64(max(0, e.Items-(r.given-before)))
		r.messages.Error("points in the log are lost: a record cannot be decoded", "position", e.Start, "kind", e.Kind, "error", err)
	}
	r.filling.end = e.End
	if len(r.filling.lines) >= r.points {
		r.full()
	}
}

func (r *logReader) decode(e recordlog.Entry) error {
	if e.Kind == KindLines {
		lines, err := r.lines.lines(e.Data)
		for _, line := range lines {
			r.put(line, e.At)
		}
		return err
	}
	if r.readings == nil {
		return nil
	}
	return r.readings(e.Record, func(reading Reading) {
		var ok bool
		if r.text, ok = r.flat.line(r.text[:0], reading, r.refuse); ok {
			r.put(string(r.text), e.At)
		}
	})
}

// put adds a line of a record that was appended at a time.
func (r *logReader) put(line string, at time.Time) {
	if n := len(r.filling.lines); n >= r.points || n > 0 && r.filling.bytes+len(line) >= r.bytes {
		r.full()
	}
	if len(r.filling.lines) == 0 {
		r.filling.since = at
	}
	r.filling.add(line)
	r.given++
}

// full ends the batch that is being filled. The record of which the next line is ends
// in another one.
func (r *logReader) full() {
	r.ready = append(r.ready, r.filling)
	r.filling = batch{lines: make([]string, 0, len(r.filling.lines))}
}

// pop returns the next batch: a full one, or one whose points have waited long enough
// for others, or if all is set, whatever there is. Without one, it returns the time
// until the next one, and 0 if there is none.
func (r *logReader) pop(at time.Time, all bool) (b batch, ok bool, wait time.Duration) {
	switch {
	case len(r.ready) > 0:
		b = r.ready[0]
		r.ready[0] = batch{}
		r.ready = r.ready[1:]
		return b, true, 0
	case len(r.filling.lines) == 0:
		if r.filling.end > 0 {
			r.cursor.Commit(r.filling.end) // nothing before it waits: there were no points
		}
		return batch{}, false, 0
	}
	// A clock that was set may not keep points waiting.
	since := r.filling.since
	if since.After(at) {
		since = at
	}
	if wait = since.Add(r.wait).Sub(at); wait > 0 && !all {
		return batch{}, false, wait
	}
	b, r.filling = r.filling, batch{}
	return b, true, 0
}

// caughtUp reports that all that is on the disk was read and given away.
func (r *logReader) caughtUp() bool {
	return len(r.ready) == 0 && len(r.filling.lines) == 0 && r.cursor.Position() >= r.log.Durable()
}

// lost is what the reader did not have of the log's points.
func (r *logReader) lost() recordlog.Losses {
	lost := r.cursor.Losses()
	lost.Items += r.losses.Items
	lost.Damages += r.losses.Damages
	return lost
}

// since is when the oldest point was appended that was read and not given away; zero if
// there is none.
func (r *logReader) since() time.Time {
	if len(r.ready) > 0 {
		return r.ready[0].since
	}
	return r.filling.since
}
