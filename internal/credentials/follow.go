package credentials

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

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
	// saidUnwritten is when it was logged that something cannot be written.
	saidUnwritten time.Time

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
	f.p.counts.setUnwritten(len(f.memory.unwritten))
	return true, nil
}

// recallRevoked says by heart whether a device was revoked.
func (f *follower) recallRevoked(id device.ID) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case time.Since(f.since) > RememberedFor || f.memory.partial && !f.memory.revoked[id]:
		f.p.counts.unknown()
		return false, f.unknown()
	case f.memory.revoked[id]:
		return true, nil
	}
	f.p.counts.remembered()
	return false, nil
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
	if err := f.load(ctx, conn); err != nil {
		return err
	}
	look := time.NewTicker(followEvery)
	defer look.Stop()
	for {
		f.reach()
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

// reach lets checks ask again.
func (f *follower) reach() {
	f.mu.Lock()
	f.since = time.Now()
	say := f.warned
	f.reached, f.warned = true, false
	f.p.counts.setDown(false)
	f.mu.Unlock()
	if say {
		f.p.log.Info("the credential store answers again")
	}
}

// row is one of a look.
type row struct {
	Record              // its credentials only
	revokedAt time.Time // zero for never; it may be in again
}

// load reads the whole table. Rows of transactions that are still to come are those
// of another cluster, from which the table was copied: nobody would find out that
// they have changed. One that somebody has locked waits for the next load: it is read
// at each look until then.
func (f *follower) load(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, loadWithin)
	defer cancel()
	err := pgx.BeginTxFunc(ctx, conn, waits{loadWithin, loginLock, idleWithin}.transaction(), func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE devicetwin_credentials SET changed = pg_current_xact_id() WHERE device IN
			(SELECT device FROM devicetwin_credentials WHERE changed >= pg_snapshot_xmax(pg_current_snapshot()) FOR UPDATE SKIP LOCKED)`)
		return err
	})
	if err != nil {
		return fmt.Errorf("read all credentials: %w", explained(err))
	}
	fresh := newMemory(f.memory.most)
	saw, err := f.rows(ctx, conn, fresh.put, `true`)
	if err != nil {
		return fmt.Errorf("read all credentials: %w", explained(err))
	}
	f.mu.Lock()
	fresh.keep(f.memory.unwritten)
	f.memory = fresh
	f.countKnown()
	f.mu.Unlock()
	f.seeing(saw)
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
	saw, err := f.rows(ctx, conn, put,
		`changed >= pg_snapshot_xmin($1::text::pg_snapshot) AND NOT pg_visible_in_snapshot(changed, $1::text::pg_snapshot)`, f.snapshot)
	if err != nil {
		return fmt.Errorf("read which credentials changed: %w", err)
	}
	f.mu.Lock()
	f.countKnown()
	f.mu.Unlock()
	f.seeing(saw)
	return nil
}

// countKnown needs the lock.
func (f *follower) countKnown() {
	f.p.counts.setKnown(len(f.memory.devices))
	f.p.counts.setUnwritten(len(f.memory.unwritten))
}

// found is what a look found.
type found struct {
	snapshot string
	at       time.Time // of the database's clock
	revoked  []row
}

// rows reads some of the table. A statement sees one snapshot: its own.
func (f *follower) rows(ctx context.Context, conn *pgx.Conn, put func(Record), where string, args ...any) (s found, err error) {
	rows, err := conn.Query(ctx, `SELECT pg_current_snapshot()::text, statement_timestamp(), c.device, c.issued, c.used, c.revoked, c.revoked_at
		FROM (SELECT) AS always LEFT JOIN devicetwin_credentials c ON `+where, args...)
	if err != nil {
		return s, err
	}
	defer rows.Close()
	for rows.Next() {
		var r row
		var name, used *string
		var revoked *bool
		var when *time.Time
		var now time.Time
		if err := rows.Scan(&s.snapshot, &now, &name, &r.Issued, &used, &revoked, &when); err != nil {
			return s, err
		}
		if s.at.IsZero() {
			s.at = now
		}
		if name == nil { // the one row of a look that found nothing
			continue
		}
		r.Device, r.Used = device.ID(*name), *used
		if when != nil {
			r.revokedAt = *when
			s.revoked = append(s.revoked, r)
		}
		if *revoked {
			r.Revoked = cmp.Or(r.revokedAt, now)
		}
		r.trim()
		put(r.Record)
	}
	return s, rows.Err()
}

// seeing reports what was seen, once it is known by heart: a device whose sessions end
// may be back at once.
func (f *follower) seeing(s found) {
	f.revoked(s.revoked, s.at, f.at.IsZero())
	f.snapshot, f.at = s.snapshot, s.at
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
