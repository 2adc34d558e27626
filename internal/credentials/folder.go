package credentials

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"devicetwin/device"
	"devicetwin/internal/durable"
	"devicetwin/internal/text"
)

// folder is a store for processes of one machine: small files, in one of 256
// directories, all named after the hash of the device's name, because a name may
// hold characters that a file name may not. HASH.json has the credentials,
// newest first, HASH.json.used the id of the newest that was used, and
// HASH.device the rest: the name, what is said about the device, and whether it
// is revoked. Each directory has a lock for those who write to it.
type folder struct {
	dir     string
	writing [256]sync.Mutex // of this process, one for each directory
	log     revocations
}

// Endings of the names of a device's files.
const (
	issuedSuffix = ".json"
	usedSuffix   = ".json.used"
	aboutSuffix  = ".device"
)

// maxShown bounds the name in an error, which may be anything that a client says.
const maxShown = 200

func openFolder(dir string) (*folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open credential store: %w", err)
	}
	return &folder{dir: dir, log: revocations{dir: dir}}, nil
}

func (*folder) Close() {}

func (s *folder) Ready(context.Context) error {
	if _, err := os.ReadDir(s.dir); err != nil {
		return fmt.Errorf("read the credential store: %w", err)
	}
	return nil
}

// aboutFile is what is in HASH.device.
type aboutFile struct {
	Device device.ID `json:"device"`
	About
	Revoked *time.Time `json:"revoked,omitempty"`
}

func (s *folder) Issue(_ context.Context, id device.ID, credential string) (string, error) {
	return s.issue(id, credential, false)
}

func (s *folder) Enrol(_ context.Context, id device.ID, credential string) (string, error) {
	return s.issue(id, credential, true)
}

func (s *folder) issue(id device.ID, credential string, enrol bool) (secret string, err error) {
	secret, hash := NewSecret()
	err = s.change(id.Name(), func(r *Record) error {
		r.Device = device.ID(id.Name())
		return r.issue(credential, hash, enrol, time.Now().UTC())
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

func (s *folder) Check(_ context.Context, name, password string) (bool, error) {
	stem := s.stem(name)
	r, err := readIssued(stem)
	if err != nil {
		return false, fmt.Errorf("read credentials of device %q: %w", text.Clip(name, maxShown), err)
	}
	credential := r.find(password)
	if credential == "" {
		return false, nil
	}
	if r.Used == credential && exists(stem+aboutSuffix) {
		return true, nil
	}
	good := true
	err = s.change(name, func(r *Record) error {
		if r.find(password) != credential {
			good = false
			return nil
		}
		r.Device, r.Used = device.ID(name), credential
		return nil
	})
	// Where this cannot be written, older credentials stay good: no reason to lock
	// the device out.
	return good || err != nil, nil
}

func (s *folder) Revoked(_ context.Context, name string) (bool, error) {
	about, err := readAbout(s.stem(name))
	if err != nil {
		return false, fmt.Errorf("read whether device %q is revoked: %w", text.Clip(name, maxShown), err)
	}
	return about.Revoked != nil, nil
}

func (s *folder) Revoke(_ context.Context, ids []device.ID) (known []device.ID, err error) {
	now := time.Now().UTC()
	for _, id := range ids {
		found := false
		err := s.change(id.Name(), func(r *Record) error {
			if found = r.kept(); found {
				r.Device = device.ID(id.Name())
				r.revoke(now)
			}
			return nil
		})
		if err != nil {
			return known, errors.Join(err, s.log.add(known, now))
		}
		if found {
			known = append(known, id)
		}
	}
	return known, s.log.add(known, now)
}

// importing is how many devices are written at once: most of the time of a write
// is waiting for the disk.
const importing = 16

func (s *folder) Import(ctx context.Context, records []Record) ([]Outcome, error) {
	outcomes := make([]Outcome, len(records))
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(importing)
	for i, given := range records {
		all.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return s.change(given.Device.Name(), func(r *Record) error {
				outcomes[i] = r.take(given, !r.kept())
				return nil
			})
		})
	}
	return outcomes, all.Wait()
}

func (s *folder) Get(_ context.Context, ids []device.ID) (map[device.ID]Record, error) {
	found := map[device.ID]Record{}
	for _, id := range ids {
		r, err := read(s.stem(id.Name()))
		if err != nil {
			return nil, fmt.Errorf("read credentials of device %s: %w", id, err)
		}
		if r.kept() {
			r.Device = id
			found[id] = r
		}
	}
	return found, nil
}

func (s *folder) All(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for i := range 256 {
			dir := filepath.Join(s.dir, hex.EncodeToString([]byte{byte(i)}))
			stems, err := stemsIn(dir)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(Record{}, fmt.Errorf("list credentials: %w", err))
				return
			}
			for _, stem := range stems {
				r, err := read(filepath.Join(dir, stem))
				if err != nil {
					err = fmt.Errorf("read credentials %s: %w", stem, err)
				} else if !r.kept() {
					continue // revoked by hand: the file with credentials was deleted
				}
				if !yield(r, err) || err != nil {
					return
				}
			}
		}
	}
}

func (s *folder) Watch(ctx context.Context, f func(device.ID)) error { return s.log.watch(ctx, f) }

// change lets f change the record of a device, and writes what is different. An
// error of f leaves all as it was.
func (s *folder) change(name string, f func(*Record) error) error {
	stem := s.stem(name)
	unlock, err := s.lock(stem)
	if err != nil {
		return fmt.Errorf("lock the credentials of device %s: %w", name, err)
	}
	defer unlock()
	was, err := read(stem)
	if err != nil {
		return fmt.Errorf("read credentials of device %s: %w", name, err)
	}
	is := was.clone()
	if err := f(&is); err != nil {
		return err
	}
	if err := write(stem, was, is); err != nil {
		return fmt.Errorf("write credentials of device %s: %w", name, err)
	}
	return nil
}

// kept reports whether a device has files: an earlier version wrote no name, and by hand
// the file with the credentials may be deleted.
func (r *Record) kept() bool { return r.Device != "" || len(r.Issued) > 0 }

// stem is the path of a device's files without their endings.
func (s *folder) stem(name string) string {
	hash := Hash(name)
	return filepath.Join(s.dir, hash[:2], hash)
}

// lockName is that of the file that is locked by whoever writes to a directory.
const lockName = ".lock"

func (s *folder) lock(stem string) (unlock func(), err error) {
	dir := filepath.Dir(stem)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	i, err := hex.DecodeString(filepath.Base(dir))
	if err != nil {
		return nil, err
	}
	s.writing[i[0]].Lock()
	lock, err := durable.LockFile(filepath.Join(dir, lockName))
	if err != nil {
		s.writing[i[0]].Unlock()
		return nil, err
	}
	return func() { _ = lock.Close(); s.writing[i[0]].Unlock() }, nil
}

func read(stem string) (Record, error) {
	r, err := readIssued(stem)
	if err != nil {
		return r, err
	}
	about, err := readAbout(stem)
	if err != nil {
		return r, err
	}
	r.Device, r.About = about.Device, about.About
	if about.Revoked != nil {
		r.Revoked = *about.Revoked
	}
	return r, nil
}

func readAbout(stem string) (about aboutFile, err error) {
	err = readJSON(stem+aboutSuffix, &about)
	return about, err
}

// readIssued leaves out what a check does not need.
func readIssued(stem string) (r Record, err error) {
	if err := readJSON(stem+issuedSuffix, &r.Issued); err != nil || len(r.Issued) == 0 {
		return r, err
	}
	raw, err := os.ReadFile(stem + usedSuffix)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	r.Used = string(raw)
	r.trim()
	return r, nil
}

// readJSON leaves the value as it is if there is no such file.
func readJSON(path string, value any) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, value); err != nil {
		return fmt.Errorf("decode %s: %w", filepath.Base(path), err)
	}
	return nil
}

// write only returns when the files would survive a crash: the device must never
// hold a secret that the broker forgot. Credentials that end are the first thing
// that it ends, and those that begin are the last.
func write(stem string, was, is Record) error {
	if len(is.Issued) == 0 && len(was.Issued) > 0 {
		for _, suffix := range []string{issuedSuffix, usedSuffix} {
			if err := os.Remove(stem + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if err := durable.SyncDir(filepath.Dir(stem)); err != nil {
			return err
		}
	}
	if is.Device != was.Device || !is.About.equal(was.About) || !is.Revoked.Equal(was.Revoked) {
		about := aboutFile{Device: is.Device, About: is.About}
		if !is.Revoked.IsZero() {
			about.Revoked = &is.Revoked
		}
		if err := writeJSON(stem+aboutSuffix, about); err != nil {
			return err
		}
	}
	if is.Used != was.Used && is.Used != "" {
		if err := durable.Replace(stem+usedSuffix, []byte(is.Used), 0o600); err != nil {
			return err
		}
	}
	if len(is.Issued) > 0 && !sameIssued(was.Issued, is.Issued) {
		return writeJSON(stem+issuedSuffix, is.Issued)
	}
	return nil
}

// sameIssued compares what add can change.
func sameIssued(a, b []Credential) bool {
	if len(a) == 0 || a[0].ID != b[0].ID {
		return false
	}
	return len(a) == len(b) && hashesOf(a) == hashesOf(b)
}

func hashesOf(list []Credential) string {
	var all strings.Builder
	for _, c := range list {
		all.WriteString(strings.Join(c.Hashes, " ") + "\n")
	}
	return all.String()
}

func writeJSON(path string, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return durable.Replace(path, raw, 0o600)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// stemsIn is the names of the devices' files in a directory, without their endings.
func stemsIn(dir string) ([]string, error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var stems []string
	for _, f := range files { // sorted: those of a device follow each other
		stem, _, _ := strings.Cut(f.Name(), ".")
		if stem != "" && (len(stems) == 0 || stems[len(stems)-1] != stem) {
			stems = append(stems, stem)
		}
	}
	return stems, nil
}
