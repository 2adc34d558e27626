package credentials

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"devicetwin/device"
)

const (
	// followEvery is the interval of looks at what has changed.
	followEvery = 200 * time.Millisecond
	// lookWithin bounds one such look, and loadWithin that at the whole table.
	lookWithin, loadWithin = 2 * time.Second, 2 * time.Minute
	// RememberedFor is how long what a process knows by heart is good after the
	// database went down. Nothing can be revoked there in that time, except where it
	// is only this process that can't reach it.
	RememberedFor = time.Hour
	// revokedMargin is how long the transaction of a revocation may take.
	revokedMargin = time.Minute
	// sayEvery is the least interval of warnings in the log.
	sayEvery = 10 * time.Second
)

// ErrDown is the error of a check of a password that is not known by heart while
// the database is down.
var ErrDown = errors.New("what is asked is not known here, and the credential store does not answer")

// follower keeps up with the table, over a connection of its own: with what is new
// each time it looks. What is new is in rows of transactions that the last look did
// not see: each row has the number of the transaction that wrote it, and each look
// the snapshot that it saw. So nothing is missed that is committed late, and
// nothing is read twice; and it needs no LISTEN, which poolers do not pass on.
type follower struct {
	p      *postgres
	config *pgx.ConnConfig

	mu       sync.Mutex
	memory   memory
	reached  bool      // the database, at the last look
	cause    error     // why not
	since    time.Time // of this process's clock: the last look that reached it
	said     time.Time // when that it is down was logged
	warned   bool      // that it is down now
	watchers map[*watcher]bool

	// Of run's goroutine alone.
	snapshot string
	at       time.Time // of the database's clock: the last look
	seen     map[device.ID]time.Time
}

// watcher is one call of Watch.
type watcher struct {
	f     func(device.ID)
	from  time.Time // of the database's clock; zero if it was down
	began time.Time // of this process's clock
}

func newFollower(p *postgres, config *pgx.ConnConfig) *follower {
	// reached until the first look fails: a check may ask before that.
	return &follower{p: p, config: config.Copy(), memory: newMemory(memoryMost), reached: true, watchers: map[*watcher]bool{}, seen: map[device.ID]time.Time{}}
}

// down reports whether there is no use in asking.
func (f *follower) down() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.reached
}

// lost says that somebody got no answer. Until the next look that gets one, nobody
// else waits for one.
func (f *follower) lost(err error) {
	f.mu.Lock()
	say := f.reached && time.Since(f.said) > sayEvery
	f.reached, f.cause = false, err
	if say {
		f.said, f.warned = time.Now(), true
	}
	f.p.counts.setDown(true)
	f.mu.Unlock()
	if say {
		f.p.log.Warn("the credential store does not answer: logins are checked by what is known here", "known_for", RememberedFor, "error", err)
	}
}

// remembers reports whether what is known by heart is still good.
func (f *follower) remembers() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.since) > RememberedFor {
		return f.unknown()
	}
	return nil
}

// recall checks by heart.
func (f *follower) recall(id device.ID, password string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.since) > RememberedFor || !f.memory.check(id, password) {
		f.p.counts.unknown()
		return false, f.unknown()
	}
	f.p.counts.remembered()
	return true, nil
}

func (f *follower) unknown() error {
	if f.cause == nil {
		return ErrDown
	}
	return fmt.Errorf("%w: %w", ErrDown, f.cause)
}

func (f *follower) watch(ctx context.Context, call func(device.ID)) error {
	w := &watcher{f: call, began: time.Now()}
	asking, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	if err := f.p.prepare(asking); err == nil {
		_ = f.p.pool.QueryRow(asking, `SELECT clock_timestamp()`).Scan(&w.from)
	}
	f.mu.Lock()
	f.watchers[w] = true
	f.mu.Unlock()
	context.AfterFunc(ctx, func() {
		f.mu.Lock()
		delete(f.watchers, w)
		f.mu.Unlock()
	})
	return nil
}

// run follows until the context ends.
func (f *follower) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := f.session(ctx)
		if ctx.Err() != nil {
			return
		}
		f.lost(err)
		select {
		case <-ctx.Done():
		case <-time.After(followEvery):
		}
	}
}

// session follows until something fails. It begins with the whole table, because
// what the last session saw may have been another server's.
func (f *follower) session(ctx context.Context) error {
	starting, cancel := context.WithTimeout(ctx, changeWithin)
	defer cancel()
	if err := f.p.prepare(starting); err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(starting, f.config)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookWithin)
		defer cancel()
		_ = conn.Close(closing) // it is lost, or of no more use
	}()
	f.p.pool.Reset() // its connections may be to a server that is gone
	if err := f.tell(ctx); err != nil {
		return err
	}
	if err := f.load(ctx, conn); err != nil {
		return err
	}
	look := time.NewTicker(followEvery)
	defer look.Stop()
	for {
		if err := f.reach(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
		if err := f.look(ctx, conn); err != nil {
			return err
		}
	}
}

// tell writes which credentials were used while the database was down.
func (f *follower) tell(ctx context.Context) error {
	f.mu.Lock()
	unwritten := maps.Clone(f.memory.unwritten)
	f.mu.Unlock()
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(poolMax)
	for id, credential := range unwritten {
		all.Go(func() error {
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
			return nil
		})
	}
	return all.Wait()
}

// reach lets checks ask again, once all that was decided here is written: until
// then the database would say that an older credential is good.
func (f *follower) reach(ctx context.Context) error {
	for {
		f.mu.Lock()
		f.since = time.Now()
		if f.reached {
			f.mu.Unlock()
			return nil
		}
		if len(f.memory.unwritten) == 0 {
			f.reached = true
			f.p.counts.setDown(false)
			warned := f.warned
			f.warned = false
			f.mu.Unlock()
			if warned {
				f.p.log.Info("the credential store answers again")
			}
			return nil
		}
		f.mu.Unlock()
		if err := f.tell(ctx); err != nil {
			return err
		}
	}
}

// row is one of a look.
type row struct {
	Record              // its credentials only
	revokedAt time.Time // zero for never; it may be in again
}

// load reads the whole table. Rows of transactions that are still to come are those
// of another cluster, from which the table was copied: nobody would find out that
// they have changed.
func (f *follower) load(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, loadWithin)
	defer cancel()
	_, err := conn.Exec(ctx, `UPDATE devicetwin_credentials SET changed = pg_current_xact_id() WHERE changed >= pg_snapshot_xmax(pg_current_snapshot())`)
	if err != nil {
		return fmt.Errorf("read all credentials: %w", explained(err))
	}
	fresh := newMemory(f.memory.most)
	first := f.at.IsZero()
	err = f.rows(ctx, conn, first, fresh.put, `true`)
	if err != nil {
		return fmt.Errorf("read all credentials: %w", explained(err))
	}
	f.mu.Lock()
	fresh.unwritten = f.memory.unwritten
	f.memory = fresh
	f.p.counts.setKnown(len(fresh.devices))
	f.mu.Unlock()
	return nil
}

func (f *follower) look(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	put := func(r Record) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.memory.put(r)
	}
	err := f.rows(ctx, conn, false, put,
		`changed >= pg_snapshot_xmin($1::text::pg_snapshot) AND NOT pg_visible_in_snapshot(changed, $1::text::pg_snapshot)`, f.snapshot)
	if err != nil {
		return fmt.Errorf("read which credentials changed: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.p.counts.setKnown(len(f.memory.devices))
	return nil
}

// rows reads some of the table, and notes what was seen. A statement sees one
// snapshot: its own.
func (f *follower) rows(ctx context.Context, conn *pgx.Conn, first bool, put func(Record), where string, args ...any) error {
	rows, err := conn.Query(ctx, `SELECT pg_current_snapshot()::text, statement_timestamp(), c.device, c.issued, c.used, c.revoked_at
		FROM (SELECT) AS always LEFT JOIN devicetwin_credentials c ON `+where, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var snapshot string
	var at time.Time
	var revoked []row
	for rows.Next() {
		var r row
		var name, used *string
		var when *time.Time
		var now time.Time
		if err := rows.Scan(&snapshot, &now, &name, &r.Issued, &used, &when); err != nil {
			return err
		}
		if at.IsZero() {
			at = now
		}
		if name == nil { // the one row of a look that found nothing
			continue
		}
		r.Device, r.Used = device.ID(*name), *used
		if when != nil {
			r.revokedAt = *when
			revoked = append(revoked, r)
		}
		r.trim()
		put(r.Record)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	f.revoked(revoked, at, first)
	f.snapshot, f.at = snapshot, at
	return nil
}

// revoked reports to watchers the revocations since the last look, as far as they are
// new: a row that says that its device was revoked may have changed for another
// reason.
func (f *follower) revoked(rows []row, now time.Time, first bool) {
	f.mu.Lock()
	watchers := make([]watcher, 0, len(f.watchers))
	for w := range f.watchers {
		watchers = append(watchers, *w)
	}
	f.mu.Unlock()
	for _, r := range rows {
		if !first && r.revokedAt.Before(f.at.Add(-revokedMargin)) || f.seen[r.Device].Equal(r.revokedAt) {
			continue
		}
		f.seen[r.Device] = r.revokedAt
		for _, w := range watchers {
			from := w.from
			if from.IsZero() { // it began while the database was down
				from = now.Add(-time.Since(w.began) - checkWithin)
			}
			// Since the first look, what is new was committed after it, whatever its time.
			if first && r.revokedAt.Before(from) {
				continue
			}
			w.f(r.Device)
		}
	}
	for id, at := range f.seen {
		if at.Before(now.Add(-2 * revokedMargin)) {
			delete(f.seen, id)
		}
	}
}
