package points

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"devicetwin/internal/recordlog"
)

// KindLines is the kind of records with lines: how many there are (uvarint), and
// deflated, each of them with its length (uvarint) before it. They have lengths because
// a field that is a string may contain line ends.
const KindLines byte = 2

// Bounds of one record, far below those of the log.
const (
	maxRecordLines = recordlog.MaxItems
	maxRecordBytes = 8 << 20
)

// Lines returns the lines of a record of KindLines, in line protocol.
func Lines(r recordlog.Record) ([]string, error) {
	var d linesDecoder
	return d.lines(r.Data)
}

var errLines = errors.New("these are not lines")

// linesEncoder makes records of lines. It keeps its memory.
type linesEncoder struct {
	raw []byte
	buf bytes.Buffer
	z   *flate.Writer
}

// record returns a record of some lines. Its data is good until the next call.
func (e *linesEncoder) record(lines []string, at time.Time) recordlog.Record {
	e.raw = e.raw[:0]
	for _, line := range lines {
		e.raw = binary.AppendUvarint(e.raw, uint64(len(line)))
		e.raw = append(e.raw, line...)
	}
	e.buf.Reset()
	e.buf.Write(binary.AppendUvarint(nil, uint64(len(lines))))
	if e.z == nil {
		e.z, _ = flate.NewWriter(&e.buf, flate.BestSpeed) // the level is a good one
	} else {
		e.z.Reset(&e.buf)
	}
	_, _ = e.z.Write(e.raw) // a bytes.Buffer takes everything
	_ = e.z.Close()
	return recordlog.Record{Kind: KindLines, At: at, Items: len(lines), Data: e.buf.Bytes()}
}

// recordsOf divides lines into those of one record each.
func recordsOf(lines []string) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		for from, bytes := 0, 0; from < len(lines); bytes = 0 {
			to := from
			for to < len(lines) && to-from < maxRecordLines && (to == from || bytes+len(lines[to]) <= maxRecordBytes) {
				bytes += len(lines[to])
				to++
			}
			if !yield(lines[from:to]) {
				return
			}
			from = to
		}
	}
}

// linesDecoder decodes such records. It keeps its memory.
type linesDecoder struct {
	raw bytes.Buffer
	in  bytes.Reader
	z   io.ReadCloser
}

func (d *linesDecoder) lines(data []byte) ([]string, error) {
	count, n := binary.Uvarint(data)
	if n <= 0 {
		return nil, fmt.Errorf("%w: no number of lines", errLines)
	}
	return d.payload(data[n:], count)
}

// payload returns a number of deflated lines.
func (d *linesDecoder) payload(deflated []byte, count uint64) ([]string, error) {
	if err := d.inflate(deflated); err != nil {
		return nil, fmt.Errorf("%w: %w", errLines, err)
	}
	return splitLines(d.raw.String(), count)
}

func (d *linesDecoder) inflate(deflated []byte) error {
	d.in.Reset(deflated)
	if d.z == nil {
		d.z = flate.NewReader(&d.in)
	} else if err := d.z.(flate.Resetter).Reset(&d.in, nil); err != nil {
		return err
	}
	if d.raw.Cap() > maxRecordBytes {
		d.raw = bytes.Buffer{}
	}
	d.raw.Reset()
	_, err := d.raw.ReadFrom(d.z)
	return err
}

// splitLines returns lines with their lengths before them. They share their memory.
func splitLines(raw string, count uint64) ([]string, error) {
	lines := make([]string, 0, min(count, uint64(len(raw))))
	for len(raw) > 0 {
		length, n := binary.Uvarint([]byte(raw[:min(len(raw), binary.MaxVarintLen64)]))
		if n <= 0 || length > uint64(len(raw)-n) {
			return nil, fmt.Errorf("%w: wrong length of a line", errLines)
		}
		lines = append(lines, raw[n:n+int(length)])
		raw = raw[n+int(length):]
	}
	if uint64(len(lines)) != count || count == 0 {
		return nil, fmt.Errorf("%w: %d instead of %d", errLines, len(lines), count)
	}
	return lines, nil
}
