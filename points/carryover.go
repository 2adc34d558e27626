package points

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"devicetwin/internal/durable"
	"devicetwin/internal/recordlog"
)

// Earlier releases kept points in a spool: files of frames, each with a batch of lines.
// All integers are little endian:
//
//	0   4  magic
//	4   4  bytes of the payload
//	8   4  points
//	12  8  when it was appended, Unix ms
//	20  4  CRC-32C of the payload
//	24  4  CRC-32C of these 24 bytes
//	28     payload, as the lines of a record of KindLines
const (
	spoolSuffix = ".spool"
	spoolHeader = 28
)

var (
	spoolMagic = []byte("dts1")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// carryOverTimeout is how long the disk may take for what was in one file.
const carryOverTimeout = 30 * time.Second

// CarryOver moves what an earlier release left in the folder of its spool into a log,
// and returns how many points that were. Files are removed once the log has them on its
// disk; after an error, or a crash, the others are still there, and it can be repeated:
// points may then be in the log twice, which are the same points in InfluxDB. What is
// damaged is skipped, and reported to messages. A folder that does not exist is one
// without files.
//
// The cursors of the log have to be open: to make room, it removes what no cursor needs.
func CarryOver(ctx context.Context, dir string, into *recordlog.Log, messages *slog.Logger) (points int, err error) {
	files, err := fs.Glob(os.DirFS(dir), "*"+spoolSuffix)
	if err != nil || len(files) == 0 {
		return 0, err
	}
	if !sameFolder(dir, into.Dir()) { // which is locked already
		lock, err := durable.LockDir(dir)
		if err != nil {
			return 0, fmt.Errorf("spool folder %s: %w", dir, err)
		}
		defer lock.Close()
	}
	messages = messages.With("spool", dir)
	for _, name := range files { // in their order
		path := filepath.Join(dir, name)
		n, err := carryOverFile(ctx, path, into, messages)
		points += n
		if err != nil {
			return points, fmt.Errorf("carry over points of spool file %s: %w", path, err)
		}
	}
	messages.Info("points of an earlier release were moved from its spool into the log", "points", points, "log", into.Dir())
	return points, durable.SyncDir(dir)
}

func sameFolder(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

func carryOverFile(ctx context.Context, path string, into *recordlog.Log, messages *slog.Logger) (points int, err error) {
	ctx, cancel := context.WithTimeout(ctx, carryOverTimeout)
	defer cancel()
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	var encoder linesEncoder
	end := int64(0) // of what is in the log
	for at := int64(0); ; {
		frame, ok, err := seekSpoolFrame(f, at, info.Size())
		if err != nil {
			return points, err
		}
		if !ok {
			frame.start = info.Size()
		}
		if frame.start > at {
			messages.Warn("part of the spool cannot be read, or was not written completely", "file", path, "from", at, "bytes", frame.start-at)
		}
		if !ok {
			break
		}
		at = frame.end()
		lines, err := frame.lines(f)
		if err != nil {
			messages.Error("points in the spool are lost: they cannot be read", "file", path, "from", frame.start, "points", frame.points, "error", err)
			continue
		}
		for some := range recordsOf(lines) {
			if end, err = appendWhenRoom(ctx, into, encoder.record(some, frame.at)); err != nil {
				return points, err
			}
		}
		points += len(lines)
	}
	if err := into.Wait(ctx, end); err != nil {
		return points, fmt.Errorf("wait for the disk of log %s: %w", into.Dir(), err)
	}
	return points, os.Remove(path)
}

// appendWhenRoom waits until the log has room, which it has once its disk has taken
// what it has in memory.
func appendWhenRoom(ctx context.Context, to *recordlog.Log, r recordlog.Record) (end int64, err error) {
	for {
		changed := to.Changed()
		if end, err = to.Append(r); !errors.Is(err, recordlog.ErrFull) {
			return end, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, err
		}
	}
}

// spoolFrame is what the header of a frame says.
type spoolFrame struct {
	start  int64 // in its file
	size   int64 // with the header
	points int
	at     time.Time
	sum    uint32
}

func (h spoolFrame) end() int64 { return h.start + h.size }

// seekSpoolFrame finds the first frame from a place on: see durable.Seek.
func seekSpoolFrame(r io.ReaderAt, from, end int64) (h spoolFrame, ok bool, err error) {
	return durable.Seek(r, from, end, spoolMagic, spoolHeader, func(header []byte, start int64) (spoolFrame, bool) {
		return parseSpoolHeader(header, start, end)
	})
}

func parseSpoolHeader(header []byte, start, end int64) (h spoolFrame, ok bool) {
	if len(header) < spoolHeader || !bytes.HasPrefix(header, spoolMagic) ||
		crc32.Checksum(header[:24], castagnoli) != binary.LittleEndian.Uint32(header[24:]) {
		return spoolFrame{}, false
	}
	h = spoolFrame{
		start:  start,
		size:   spoolHeader + int64(binary.LittleEndian.Uint32(header[4:])),
		points: int(binary.LittleEndian.Uint32(header[8:])),
		at:     time.UnixMilli(int64(binary.LittleEndian.Uint64(header[12:]))),
		sum:    binary.LittleEndian.Uint32(header[20:]),
	}
	return h, h.end() <= end
}

var errWrongSum = errors.New("wrong sum")

// lines reads the lines of a frame.
func (h spoolFrame) lines(r io.ReaderAt) ([]string, error) {
	payload := make([]byte, h.size-spoolHeader)
	if n, err := r.ReadAt(payload, h.start+spoolHeader); n < len(payload) {
		return nil, err
	}
	if crc32.Checksum(payload, castagnoli) != h.sum {
		return nil, errWrongSum
	}
	var d linesDecoder
	return d.payload(payload, uint64(h.points))
}
