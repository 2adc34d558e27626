package points

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"devicetwin/internal/durable"
)

// A frame is one batch in a segment of the spool, all integers little endian:
//
//	0   4  magic
//	4   4  bytes of the payload
//	8   4  points
//	12  8  when it was appended, Unix ms
//	20  4  CRC-32C of the payload
//	24  4  CRC-32C of these 24 bytes
//	28     payload, deflated: for each line its length (uvarint) and the line
//
// The header has a sum of its own, so that a damaged payload costs one frame,
// and how many points were lost with it is known. Lines have lengths because a
// field that is a string may contain line ends.
const frameHeader = 28

var (
	frameMagic = []byte("dts1")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// frameHead is what the header of a frame says.
type frameHead struct {
	start  int64 // in its file
	size   int64 // with the header
	points int
	at     time.Time
	sum    uint32
}

func (h frameHead) end() int64 { return h.start + h.size }

// framer makes frames.
type framer struct {
	raw []byte
	buf bytes.Buffer
	z   *flate.Writer
}

// frame returns a frame of the lines. It is good until the next call.
func (f *framer) frame(lines []string, at time.Time) []byte {
	f.raw = f.raw[:0]
	for _, line := range lines {
		f.raw = binary.AppendUvarint(f.raw, uint64(len(line)))
		f.raw = append(f.raw, line...)
	}
	f.buf.Reset()
	f.buf.Write(make([]byte, frameHeader))
	if f.z == nil {
		f.z, _ = flate.NewWriter(&f.buf, flate.BestSpeed) // the level is a good one
	} else {
		f.z.Reset(&f.buf)
	}
	_, _ = f.z.Write(f.raw) // a bytes.Buffer takes everything
	_ = f.z.Close()

	frame := f.buf.Bytes()
	header, payload := frame[:frameHeader], frame[frameHeader:]
	copy(header, frameMagic)
	binary.LittleEndian.PutUint32(header[4:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(header[8:], uint32(len(lines)))
	binary.LittleEndian.PutUint64(header[12:], uint64(at.UnixMilli()))
	binary.LittleEndian.PutUint32(header[20:], crc32.Checksum(payload, castagnoli))
	binary.LittleEndian.PutUint32(header[24:], crc32.Checksum(header[:24], castagnoli))
	return frame
}

// parseHead reads the header of a frame that begins at start and does not go
// beyond end. ok is false if there is none.
func parseHead(header []byte, start, end int64) (h frameHead, ok bool) {
	if len(header) < frameHeader || !bytes.HasPrefix(header, frameMagic) ||
		crc32.Checksum(header[:24], castagnoli) != binary.LittleEndian.Uint32(header[24:]) {
		return frameHead{}, false
	}
	h = frameHead{
		start:  start,
		size:   frameHeader + int64(binary.LittleEndian.Uint32(header[4:])),
		points: int(binary.LittleEndian.Uint32(header[8:])),
		at:     time.UnixMilli(int64(binary.LittleEndian.Uint64(header[12:]))),
		sum:    binary.LittleEndian.Uint32(header[20:]),
	}
	return h, h.end() <= end
}

// seekFrame finds the first header from a place on: see durable.Seek.
func seekFrame(r io.ReaderAt, from, end int64) (h frameHead, ok bool, err error) {
	return durable.Seek(r, from, end, frameMagic, frameHeader, func(header []byte, start int64) (frameHead, bool) {
		return parseHead(header, start, end)
	})
}

var errDamaged = errors.New("damaged")

// read returns the lines of a frame. The error is errDamaged if they are not
// what was written.
func (h frameHead) read(r io.ReaderAt) (batch, error) {
	payload := make([]byte, h.size-frameHeader)
	if n, err := r.ReadAt(payload, h.start+frameHeader); n < len(payload) && err != nil {
		return batch{}, err
	}
	if crc32.Checksum(payload, castagnoli) != h.sum {
		return batch{}, fmt.Errorf("%w: wrong sum", errDamaged)
	}
	payload, err := io.ReadAll(flate.NewReader(bytes.NewReader(payload)))
	if err != nil {
		return batch{}, fmt.Errorf("%w: %w", errDamaged, err)
	}
	var b batch
	for len(payload) > 0 {
		length, n := binary.Uvarint(payload)
		if n <= 0 || length > uint64(len(payload)-n) {
			return batch{}, fmt.Errorf("%w: wrong length of a line", errDamaged)
		}
		b.add(string(payload[n : n+int(length)]))
		payload = payload[n+int(length):]
	}
	if len(b.lines) != h.points || h.points == 0 {
		return batch{}, fmt.Errorf("%w: %d lines instead of %d", errDamaged, len(b.lines), h.points)
	}
	return b, nil
}
