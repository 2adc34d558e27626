package recordlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"devicetwin/internal/durable"
)

// A frame is one record in a segment, all integers little endian:
//
//	0   4  magic
//	4   4  bytes of the data, as they are in the file
//	8   1  kind
//	9   1  1 if the data is encrypted
//	10  2  items: see Record
//	12  8  when it was appended, Unix ms
//	20  4  CRC-32C of the data
//	24  4  CRC-32C of these 24 bytes
//	28     data
//
// The header has a sum of its own, so that damaged data costs one record.
const frameHeader = 28

// maxData bounds the data of a record: more is taken for damage.
const maxData = 64 << 20

var (
	frameMagic = []byte("dtl1")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// Kinds from reserved on are the log's own.
const (
	reserved    = 0xf0
	kindSegment = 0xf0 // the first of each segment: see segmentHead
	kindErased  = 0xf1
	kindFile    = 0xf2 // in files next to the segments
)

// frameHead is what the header of a frame says.
type frameHead struct {
	start int64 // in its file
	size  int64 // with the header
	kind  byte
	seal  bool
	items int
	at    int64 // Unix ms
	sum   uint32
}

func (h frameHead) end() int64 { return h.start + h.size }

func (h frameHead) record(data []byte) Record { return Record{h.kind, h.time(), data, h.items} }

func (h frameHead) time() time.Time { return time.UnixMilli(h.at).UTC() }

// appendFrame adds the frame of some data.
func appendFrame(b []byte, kind byte, sealed bool, at time.Time, data []byte) []byte {
	return appendItems(b, kind, sealed, at, 0, data)
}

// appendItems adds the frame of the data of some items.
func appendItems(b []byte, kind byte, sealed bool, at time.Time, items int, data []byte) []byte {
	var header [frameHeader]byte
	putHeader(header[:], kind, sealed, items, at.UnixMilli(), len(data), crc32.Checksum(data, castagnoli))
	return append(append(b, header[:]...), data...)
}

func putHeader(header []byte, kind byte, sealed bool, items int, at int64, size int, sum uint32) {
	copy(header, frameMagic)
	binary.LittleEndian.PutUint32(header[4:], uint32(size))
	header[8] = kind
	if sealed {
		header[9] = 1
	}
	binary.LittleEndian.PutUint16(header[10:], uint16(max(0, min(items, MaxItems))))
	binary.LittleEndian.PutUint64(header[12:], uint64(at))
	binary.LittleEndian.PutUint32(header[20:], sum)
	binary.LittleEndian.PutUint32(header[24:], crc32.Checksum(header[:24], castagnoli))
}

// parseHead reads the header of a frame that begins at start and does not go beyond
// end. ok is false if there is none.
func parseHead(header []byte, start, end int64) (h frameHead, ok bool) {
	if len(header) < frameHeader || !bytes.HasPrefix(header, frameMagic) ||
		crc32.Checksum(header[:24], castagnoli) != binary.LittleEndian.Uint32(header[24:]) {
		return frameHead{}, false
	}
	size := binary.LittleEndian.Uint32(header[4:])
	h = frameHead{
		start: start,
		size:  frameHeader + int64(size),
		kind:  header[8],
		seal:  header[9] == 1,
		items: int(binary.LittleEndian.Uint16(header[10:])),
		at:    int64(binary.LittleEndian.Uint64(header[12:])),
		sum:   binary.LittleEndian.Uint32(header[20:]),
	}
	return h, size <= maxData && h.end() <= end
}

// headAt reads the header of a frame that begins at a place in a file: see parseHead.
func headAt(r io.ReaderAt, start, end int64) (h frameHead, ok bool, err error) {
	header := make([]byte, frameHeader)
	if _, err := r.ReadAt(header, start); err != nil {
		return frameHead{}, false, err
	}
	h, ok = parseHead(header, start, end)
	return h, ok, nil
}

// seekFrame finds the first header from a place on: see durable.Seek.
func seekFrame(r io.ReaderAt, from, end int64) (h frameHead, ok bool, err error) {
	return durable.Seek(r, from, end, frameMagic, frameHeader, func(header []byte, start int64) (frameHead, bool) {
		return parseHead(header, start, end)
	})
}

// checked returns the data of a frame in clear. The error is ErrDamaged if it is not
// what was written.
func checked(s *segment, h frameHead, data []byte) ([]byte, error) {
	if crc32.Checksum(data, castagnoli) != h.sum {
		return nil, fmt.Errorf("%w: wrong sum", ErrDamaged)
	}
	if !h.seal {
		return data, nil
	}
	if s.aead == nil {
		return nil, fmt.Errorf("%w: the key of its segment cannot be read", ErrDamaged)
	}
	return unseal(s.aead, data)
}
