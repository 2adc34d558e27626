// Package credentials keeps what devices log in with: random secrets, of which
// only hashes are stored, in a folder that the workers and the broker's
// authentication share. Why they are as they are: docs/adr/0002-credentials.md.
package credentials

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"devicetwin/device"
	"devicetwin/internal/durable"
)

const (
	secretBytes     = 32 // 256 bits
	keptCredentials = 16 // issued since the one that the device last used
	keptSecrets     = 16 // of one credential, one for each attempt to deliver it
)

// Store makes and checks credentials: random 256-bit secrets, of which
// only SHA-256 hashes are kept, one small file a device in one directory that
// workers and the broker's authentication share. The hash needs no salt and no
// stretching, because the secret is random and long.
//
// A device may never have got the newest credentials, or may refuse them, so
// older ones stay good until a newer one has been used.
//
// It may be used from several goroutines; from several processes, as long as one
// device is provisioned by one process at a time, which the device's workflow
// sees to. Check writes to a file of its own for that reason.
type Store struct {
	dir string
	mu  sync.Mutex // serialises writers of this process
}

// Open opens or makes the store in a directory.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open credential store: %w", err)
	}
	return &Store{dir: dir}, nil
}

// issued is one credential on disk, newest first in its file.
type issued struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	Hashes []string  `json:"sha256"`
}

// Issue makes a new secret for the device under the given credential id and
// returns it. Called again with the same id, as a retry does, it makes one more
// secret that is valid in addition to the first.
func (s *Store) Issue(_ context.Context, id device.ID, credential string) (string, error) {
	raw := make([]byte, secretBytes)
	rand.Read(raw) // never fails
	secret := hex.EncodeToString(raw)

	s.mu.Lock()
	defer s.mu.Unlock()
	list, err := s.good(id.Name())
	if err != nil {
		return "", err
	}
	at := slices.IndexFunc(list, func(c issued) bool { return c.ID == credential })
	if at < 0 {
		list = slices.Insert(list, 0, issued{ID: credential, At: time.Now().UTC()})
		if n := len(list); n > keptCredentials { // the oldest is the one in use
			list = append(list[:keptCredentials-1], list[n-1])
		}
		at = 0
	}
	hashes := append(list[at].Hashes, hashOf(secret))
	list[at].Hashes = hashes[max(0, len(hashes)-keptSecrets):]
	if err := s.write(id.Name(), list); err != nil {
		return "", err
	}
	return secret, nil
}

// Check reports whether the password is a good one of the device. It ends the
// older ones.
func (s *Store) Check(device, password string) bool {
	list, err := s.good(device)
	if err != nil {
		return false
	}
	got := []byte(hashOf(password))
	for i, c := range list {
		for _, h := range c.Hashes {
			if subtle.ConstantTimeCompare(got, []byte(h)) == 1 {
				// Where this cannot be written, older credentials stay good: no
				// reason to lock the device out.
				if i < len(list)-1 || s.used(device) != c.ID {
					_ = replaceFile(s.path(device)+usedSuffix, []byte(c.ID))
				}
				return true
			}
		}
	}
	return false
}

// usedSuffix names the file that holds the id of the newest credential used.
const usedSuffix = ".used"

func (s *Store) used(device string) string {
	raw, err := os.ReadFile(s.path(device) + usedSuffix)
	if err != nil {
		return ""
	}
	return string(raw)
}

// good is the device's credentials down to the one that it used last, newest
// first.
func (s *Store) good(device string) ([]issued, error) {
	list, err := s.read(device)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	used := s.used(device)
	if at := slices.IndexFunc(list, func(c issued) bool { return c.ID == used }); at >= 0 {
		list = list[:at+1]
	}
	return list, nil
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// path spreads devices over 256 directories, by hash, because a device id may
// hold characters that a file name may not.
func (s *Store) path(device string) string {
	name := hashOf(device)
	return filepath.Join(s.dir, name[:2], name+".json")
}

func (s *Store) read(device string) ([]issued, error) {
	raw, err := os.ReadFile(s.path(device))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read credentials of device %s: %w", device, err)
	}
	var list []issued
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("decode credentials of device %s: %w", device, err)
	}
	return list, nil
}

// write only returns when the file would survive a crash: the device must never
// hold a secret that the broker forgot.
func (s *Store) write(device string, list []issued) error {
	raw, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("encode credentials of device %s: %w", device, err)
	}
	if err := replaceFile(s.path(device), raw); err != nil {
		return fmt.Errorf("write credentials of device %s: %w", device, err)
	}
	return nil
}

// replaceFile puts a file in the place of another in one step, durably.
func replaceFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return durable.Replace(path, content, 0o600)
}
