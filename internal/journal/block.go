package journal

import (
	"bufio"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"devicetwin/internal/durable"
	"devicetwin/internal/recordlog"
)

// Keys encrypt blocks: those of a log.
type Keys = recordlog.Keys

// A block is a row of lines. In a file it is, with skippable frames of zstd (RFC 8878, 3.1.2):
//
//	in clear:   a skippable frame with its head, and then a zstd frame
//	encrypted:  a skippable frame of another kind with nonce and ciphertext of head and zstd frame
//
// The first frame of a file is skippable, and has a fileHead.
const (
	magicHead   = 0x184D2A50
	magicSealed = 0x184D2A51
	magicFile   = 0x184D2A52

	skippable = 8  // bytes before the content of a skippable frame
	headBytes = 36 // of a block
	maxBlock  = 64 << 20
)

// block is what the head of a block says.
type block struct {
	packed, plain int   // bytes
	lines         int   //
	first, last   int64 // when the earliest and the latest of its entries were taken, Unix ms
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (b block) append(to []byte) []byte {
	at := len(to)
	for _, n := range []int{b.packed, b.plain, b.lines} {
		to = binary.LittleEndian.AppendUint32(to, uint32(n))
	}
	to = binary.LittleEndian.AppendUint64(to, uint64(b.first))
	to = binary.LittleEndian.AppendUint64(to, uint64(b.last))
	to = binary.LittleEndian.AppendUint32(to, 0) // later versions
	return binary.LittleEndian.AppendUint32(to, crc32.Checksum(to[at:], castagnoli))
}

var errDamaged = errors.New("damaged")

func readHead(raw []byte) (b block, err error) {
	if len(raw) < headBytes || binary.LittleEndian.Uint32(raw[headBytes-4:]) != crc32.Checksum(raw[:headBytes-4], castagnoli) {
		return b, fmt.Errorf("the head of a block is %w", errDamaged)
	}
	b.packed, b.plain, b.lines = int(binary.LittleEndian.Uint32(raw)), int(binary.LittleEndian.Uint32(raw[4:])), int(binary.LittleEndian.Uint32(raw[8:]))
	b.first, b.last = int64(binary.LittleEndian.Uint64(raw[12:])), int64(binary.LittleEndian.Uint64(raw[20:]))
	if b.packed > maxBlock || b.plain > maxBlock {
		return b, fmt.Errorf("the size of a block is %w", errDamaged)
	}
	return b, nil
}

func appendSkippable(to []byte, magic uint32, content []byte) []byte {
	to = binary.LittleEndian.AppendUint32(to, magic)
	to = binary.LittleEndian.AppendUint32(to, uint32(len(content)))
	return append(to, content...)
}

// fileHead is the content of the first frame of a file, as JSON.
type fileHead struct {
	Version int    `json:"version"`
	Process string `json:"process,omitempty"` // that wrote it
	Key     string `json:"key,omitempty"`     // id; "": the file is in clear
	Salt    []byte `json:"salt,omitempty"`
}

const fileVersion = 1

// newFile is the head of a file, and its cipher; nil without keys.
func newFile(process string, keys Keys) ([]byte, cipher.AEAD, error) {
	h := fileHead{Version: fileVersion, Process: process}
	var aead cipher.AEAD
	if keys != nil {
		h.Key, h.Salt = keys.Active(), make([]byte, 16)
		rand.Read(h.Salt) // never fails
		var err error
		if aead, err = keys.Derive(h.Key, h.Salt); err != nil {
			return nil, nil, fmt.Errorf("encrypt a file of the journal: %w", err)
		}
	}
	raw, err := json.Marshal(h)
	if err != nil {
		return nil, nil, fmt.Errorf("head of a file of the journal: %w", err)
	}
	return appendSkippable(nil, magicFile, raw), aead, nil
}

// packing is used by one goroutine at a time: it makes a block of lines.
type packing struct {
	encoder *zstd.Encoder
	packed  []byte
}

func newPacking() (*packing, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(true))
	if err != nil {
		return nil, fmt.Errorf("compress the journal: %w", err)
	}
	return &packing{encoder: e}, nil
}

// append adds a block.
func (p *packing) append(to []byte, lines []byte, b block, aead cipher.AEAD) []byte {
	p.packed = p.encoder.EncodeAll(lines, p.packed[:0])
	b.packed, b.plain = len(p.packed), len(lines)
	if aead == nil {
		return append(appendSkippable(to, magicHead, b.append(nil)), p.packed...)
	}
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce)
	return appendSkippable(to, magicSealed, aead.Seal(nonce, nonce, append(b.append(nil), p.packed...), nil))
}

var decoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlock))
	if err != nil {
		return err
	}
	return d
}}

// unpack is the lines of a block.
func unpack(packed []byte, b block, into []byte) ([]byte, error) {
	got := decoders.Get()
	d, ok := got.(*zstd.Decoder)
	if !ok {
		return nil, fmt.Errorf("read the journal: %w", got.(error))
	}
	defer decoders.Put(d)
	lines, err := d.DecodeAll(packed, into[:0])
	if err != nil || len(lines) != b.plain {
		return nil, fmt.Errorf("a block is %w", errDamaged)
	}
	return lines, nil
}

// blockReader reads the blocks of a file, one after the other.
type blockReader struct {
	in   io.Reader
	aead cipher.AEAD
	head fileHead
	read int64 // bytes of whole frames
	size int64 // of the file when it was opened
}

// errCut is what a process leaves that is killed while it writes a block.
var errCut = errors.New("the last block is not whole")

// begin reads the head of the file. Without keys, an encrypted file has a head only.
func (r *blockReader) begin(keys Keys) error {
	magic, content, err := r.frame()
	switch {
	case err != nil:
		return err
	case magic != magicFile || json.Unmarshal(content, &r.head) != nil:
		return fmt.Errorf("its head is %w", errDamaged)
	case r.head.Version != fileVersion:
		return fmt.Errorf("it has version %d; this program reads version %d", r.head.Version, fileVersion)
	case r.head.Key == "":
		return nil
	case keys == nil:
		return fmt.Errorf("it is encrypted with key %q: give the file of the keys", r.head.Key)
	}
	if r.aead, err = keys.Derive(r.head.Key, r.head.Salt); err != nil {
		return err
	}
	return nil
}

// next is a block, still packed; io.EOF at the end.
func (r *blockReader) next() (b block, packed []byte, err error) {
	magic, content, err := r.frame()
	if err != nil {
		return b, nil, err
	}
	switch magic {
	case magicHead:
		if b, err = readHead(content); err != nil {
			return b, nil, err
		}
		packed = make([]byte, b.packed)
		err = r.full(packed)
		return b, packed, err
	case magicSealed:
		n := 0
		if r.aead != nil {
			n = r.aead.NonceSize()
		}
		if r.aead == nil || len(content) < n {
			return b, nil, fmt.Errorf("a block is %w", errDamaged)
		}
		plain, err := r.aead.Open(nil, content[:n], content[n:], nil)
		if err != nil {
			return b, nil, fmt.Errorf("a block is %w: %w", errDamaged, err)
		}
		if b, err = readHead(plain); err != nil {
			return b, nil, err
		}
		return b, plain[headBytes:], nil
	}
	return b, nil, fmt.Errorf("a block is %w", errDamaged)
}

// frame reads a skippable frame.
func (r *blockReader) frame() (magic uint32, content []byte, err error) {
	var start [skippable]byte
	n, err := io.ReadFull(r.in, start[:])
	switch {
	case n == 0 && errors.Is(err, io.EOF):
		return 0, nil, io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		return 0, nil, errCut
	case err != nil:
		return 0, nil, err
	}
	r.read += skippable
	size := binary.LittleEndian.Uint32(start[4:])
	if size > maxBlock {
		return 0, nil, fmt.Errorf("the size of a block is %w", errDamaged)
	}
	if r.read+int64(size) > r.size {
		return 0, nil, errCut
	}
	content = make([]byte, size)
	return binary.LittleEndian.Uint32(start[:]), content, r.full(content)
}

func (r *blockReader) full(into []byte) error {
	_, err := io.ReadFull(r.in, into)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCut
	}
	r.read += int64(len(into))
	return err
}

// resume goes on with the first block that begins at a place of the file or later, and whose head is
// whole; of an encrypted one, all has to be. false: there is none.
func (r *blockReader) resume(f *os.File, from int64) (bool, error) {
	magic, size := uint32(magicHead), skippable+headBytes
	if r.aead != nil {
		magic, size = magicSealed, skippable
	}
	at, ok, err := durable.Seek(f, from, r.size, binary.LittleEndian.AppendUint32(nil, magic), size, func(head []byte, start int64) (int64, bool) {
		n := int64(binary.LittleEndian.Uint32(head[4:]))
		if r.aead == nil {
			_, err := readHead(head[skippable : skippable+headBytes])
			return start, n == headBytes && err == nil
		}
		if n > maxBlock || start+skippable+n > r.size {
			return 0, false
		}
		try := blockReader{in: io.NewSectionReader(f, start, skippable+n), aead: r.aead, size: skippable + n}
		_, _, err := try.next()
		return start, err == nil
	})
	if err != nil || !ok {
		return false, err
	}
	if _, err := f.Seek(at, io.SeekStart); err != nil {
		return false, err
	}
	r.in, r.read = bufio.NewReaderSize(f, 256<<10), at
	return true, nil
}

func millis(t time.Time) int64 { return t.UnixMilli() }
