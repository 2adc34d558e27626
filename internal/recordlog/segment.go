package recordlog

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// segment is one file. Its first frame is its head.
type segment struct {
	base     int64 // the position of its first byte
	size     int64 // bytes that are safely on the disk
	appended int64 // and with those that are not
	newest   int64 // when its last record was appended, Unix ms
	path     string
	key      string      // id of the key of its data; "": it is in clear
	aead     cipher.AEAD // nil: its data is in clear, or cannot be read
}

func (s *segment) end() int64 { return s.base + s.size }

const segmentSuffix = ".log"

func segmentPath(dir string, base int64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", base, segmentSuffix))
}

func segmentBase(name string) (base int64, ok bool) {
	stem, ok := strings.CutSuffix(name, segmentSuffix)
	base, err := strconv.ParseInt(stem, 10, 64)
	return base, ok && err == nil && len(stem) == 20 && base >= 0
}

// Keys encrypt the data of records. Each segment has a key of its own, derived from a
// secret by a salt.
type Keys interface {
	// Active is the id of the key with which new segments are encrypted.
	Active() string
	// Derive returns the cipher of a segment. An error: there is no such key.
	Derive(id string, salt []byte) (cipher.AEAD, error)
}

// segmentHead is the data of a segment's first frame, in JSON.
type segmentHead struct {
	Version int    `json:"version"`
	Key     string `json:"key,omitempty"` // its id; "": the data is in clear
	Salt    []byte `json:"salt,omitempty"`
}

const (
	segmentVersion = 1
	saltBytes      = 16
	maxHead        = 4 << 10
)

// newSegment is a segment that begins at a position, and its first frame.
func newSegment(dir string, base int64, keys Keys, at time.Time) (s *segment, frame []byte, err error) {
	s = &segment{base: base, path: segmentPath(dir, base)}
	head := segmentHead{Version: segmentVersion}
	if keys != nil {
		head.Key, head.Salt = keys.Active(), make([]byte, saltBytes)
		rand.Read(head.Salt) // never fails
		if err := s.unlock(head, keys); err != nil {
			return nil, nil, fmt.Errorf("encrypt a segment: %w", err)
		}
	}
	data, err := json.Marshal(head)
	if err != nil {
		return nil, nil, err
	}
	return s, appendFrame(nil, kindSegment, false, at, data), nil
}

var errNoHead = errors.New("its first record is damaged")

// readHead reads the first frame of a segment.
func readHead(f *os.File, size int64) (head segmentHead, err error) {
	h, ok, err := headAt(f, 0, min(size, maxHead))
	if err != nil || !ok || h.kind != kindSegment {
		return head, errNoHead
	}
	data, err := readData(f, h, nil)
	if err != nil || json.Unmarshal(data, &head) != nil {
		return head, errNoHead
	}
	if head.Version != segmentVersion {
		return head, fmt.Errorf("its version is %d; expected %d", head.Version, segmentVersion)
	}
	return head, nil
}

// unlock prepares the cipher that a head names, if there is one.
func (s *segment) unlock(head segmentHead, keys Keys) (err error) {
	s.key = head.Key
	switch {
	case head.Key == "":
		return nil
	case keys == nil:
		return fmt.Errorf("it is encrypted with key %q, and no keys are given", head.Key)
	}
	s.aead, err = keys.Derive(head.Key, head.Salt)
	return err
}

// seal encrypts data behind a random nonce, if there is a cipher. Under one key of a
// segment there are far fewer records than random nonces are good for.
func seal(aead cipher.AEAD, buf, data []byte) []byte {
	if aead == nil {
		return data
	}
	n := aead.NonceSize()
	buf = append(buf[:0], make([]byte, n)...)
	rand.Read(buf[:n])
	return aead.Seal(buf, buf[:n], data, nil)
}

// unseal is the inverse of seal.
func unseal(aead cipher.AEAD, data []byte) ([]byte, error) {
	n := aead.NonceSize()
	if len(data) < n {
		return nil, fmt.Errorf("%w: too short", ErrDamaged)
	}
	plain, err := aead.Open(nil, data[:n], data[n:], nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return plain, nil
}
