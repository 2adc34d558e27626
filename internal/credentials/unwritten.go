package credentials

import (
	"context"
	"maps"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"devicetwin/device"
)

// writeAgain is how long what could not be written waits.
const writeAgain = 2 * time.Second

// ahead ends in the record of a device what is older than the credential that it used while
// the database was down, as long as that is not written there.
func (f *follower) ahead(id device.ID, r *Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if used := f.memory.unwritten[id]; r.index(used) >= 0 {
		r.Used = used
		r.trim()
	}
}

// write writes, until the context ends, which credentials were used while the database
// was down, once it is back. Nothing waits for it: whoever is checked here is checked by
// what he used (ahead).
func (f *follower) write(ctx context.Context) {
	for wait := followEvery; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if wait = followEvery; f.down() {
			continue
		}
		left, err := f.writeOnce(ctx)
		if err == nil || ctx.Err() != nil {
			continue
		}
		wait = writeAgain
		f.mu.Lock()
		say := time.Since(f.saidUnwritten) > sayEvery
		if say {
			f.saidUnwritten = time.Now()
		}
		f.mu.Unlock()
		if say {
			f.p.log.Warn("which credentials devices have used cannot be written: other processes still take their older ones", "devices", left, "error", err)
		}
	}
}

// writeOnce tries each device once. The error is that of one of those that are left.
func (f *follower) writeOnce(ctx context.Context) (left int, err error) {
	f.mu.Lock()
	unwritten := maps.Clone(f.memory.unwritten)
	f.mu.Unlock()
	var all errgroup.Group
	all.SetLimit(cap(f.p.using))
	var failed atomic.Int64
	for id, credential := range unwritten {
		all.Go(func() error {
			err := f.writeUse(ctx, id, credential)
			if err != nil {
				failed.Add(1)
			}
			return err
		})
	}
	err = all.Wait()
	return int(failed.Load()), err
}

func (f *follower) writeUse(ctx context.Context, id device.ID, credential string) error {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	// It is not among them if a newer one was used elsewhere, or all were revoked.
	_, err := f.p.use(ctx, id, credential, func(r *Record) bool { return r.index(credential) >= 0 })
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.memory.unwritten[id] == credential {
		delete(f.memory.unwritten, id)
	}
	f.p.counts.setUnwritten(len(f.memory.unwritten))
	return nil
}
