package credentials

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"devicetwin/device"
	"devicetwin/internal/durable"
)

// revocations is a file in a folder of credentials that says which devices were
// revoked, for those whose task is to end sessions. It has those of the last hour,
// and at most the last 100,000.
type revocations struct {
	dir string
	mu  sync.Mutex // of writers of this process
}

const (
	revocationsKept = time.Hour
	revocationsMost = 100_000
	// revocationsEvery is the interval of looks at the file.
	revocationsEvery = 200 * time.Millisecond
)

// revocationsFile is the content of the file.
type revocationsFile struct {
	Revoked []revocation `json:"revoked"` // oldest first
}

type revocation struct {
	N      uint64    `json:"n"` // grows by one from each to the next
	Device device.ID `json:"device"`
	At     time.Time `json:"at"`
}

func (l *revocations) path() string { return filepath.Join(l.dir, "revocations.json") }

// add is durable when it returns.
func (l *revocations) add(ids []device.ID, now time.Time) error {
	if len(ids) == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	lock, err := durable.LockFile(filepath.Join(l.dir, lockName))
	if err != nil {
		return fmt.Errorf("lock the list of revocations: %w", err)
	}
	defer lock.Close()
	var content revocationsFile
	if err := readJSON(l.path(), &content); err != nil {
		return fmt.Errorf("read the list of revocations: %w", err)
	}
	n, list := content.last(), content.Revoked
	for _, id := range ids {
		n++
		list = append(list, revocation{N: n, Device: id, At: now})
	}
	list = list[max(0, len(list)-revocationsMost):]
	for len(list) > 1 && now.Sub(list[0].At) > revocationsKept { // the last one has the number
		list = list[1:]
	}
	if err := writeJSON(l.path(), revocationsFile{list}); err != nil {
		return fmt.Errorf("write the list of revocations: %w", err)
	}
	return nil
}

func (f revocationsFile) last() uint64 {
	if len(f.Revoked) == 0 {
		return 0
	}
	return f.Revoked[len(f.Revoked)-1].N
}

func (l *revocations) watch(ctx context.Context, f func(device.ID)) error {
	var content revocationsFile
	seen, err := os.Stat(l.path())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("watch the list of revocations: %w", err)
	}
	if err := readJSON(l.path(), &content); err != nil {
		return fmt.Errorf("watch the list of revocations: %w", err)
	}
	last := content.last()
	go func() {
		look := time.NewTicker(revocationsEvery)
		defer look.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-look.C:
			}
			is, err := os.Stat(l.path())
			if err != nil || seen != nil && os.SameFile(seen, is) && seen.ModTime().Equal(is.ModTime()) {
				continue
			}
			var content revocationsFile
			if readJSON(l.path(), &content) != nil {
				continue // the next look tries again
			}
			seen = is
			for _, r := range content.Revoked {
				if r.N > last && ctx.Err() == nil {
					f(r.Device)
				}
			}
			last = max(last, content.last())
		}
	}()
	return nil
}
