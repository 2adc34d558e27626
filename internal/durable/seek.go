package durable

import (
	"bytes"
	"errors"
	"io"
)

// seekChunk is how much is read at a time to find the next record after damage.
const seekChunk = 64 << 10

// Seek finds the first header of a record from a place in a file on. Usually it is there;
// after damage it is where the next record begins. A header has a fixed size, and begins
// with magic; parse says whether one that begins at a place is whole and true. ok is false
// if there is none up to end; an error is one of reading.
func Seek[H any](r io.ReaderAt, from, end int64, magic []byte, size int, parse func(header []byte, start int64) (H, bool)) (h H, ok bool, err error) {
	chunk := make([]byte, size)
	for end-from >= int64(size) {
		chunk = chunk[:min(int64(len(chunk)), end-from)]
		if _, err := r.ReadAt(chunk, from); err != nil && !errors.Is(err, io.EOF) {
			return h, false, err
		}
		for i := 0; i+size <= len(chunk); i++ {
			next := bytes.Index(chunk[i:], magic)
			if next < 0 {
				break
			}
			i += next
			if h, ok := parse(chunk[i:], from+int64(i)); ok {
				return h, true, nil
			}
		}
		from += int64(len(chunk)) - int64(size) + 1
		chunk = make([]byte, seekChunk)
	}
	return h, false, nil
}
