package credentials

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"devicetwin/device"
)

const (
	// poolMax is how many connections a process has at most, unless the URL says
	// something else by pool_max_conns.
	poolMax = 8
	// connectWithin bounds an attempt to connect, unless the URL has a connect_timeout.
	connectWithin = 5 * time.Second
	// checkWithin bounds what a login waits for the database.
	checkWithin = 2 * time.Second
	// loginLock bounds what a login waits for the row of its device. A broker may ask
	// from its only thread.
	loginLock = 500 * time.Millisecond
	// changeWithin bounds all other calls, of one device or of one batch, and changeLock
	// what they wait for each row: longer than idleWithin.
	changeWithin, changeLock = 30 * time.Second, 15 * time.Second
	// idleWithin is how long a transaction may rest before the server ends it: rows that
	// a host locked which is gone are free again then.
	idleWithin = 10 * time.Second
	// batchMost is how many devices are changed in one transaction.
	batchMost = 500
)

// postgres is a store for processes on several machines: a row for each device in
// one table, which is locked while it is changed. A check reads the row, so that
// its answer is what holds now. A process that checks also follows the changes of
// the table (follower): while the database is down, it answers what it knows by
// heart (memory).
type postgres struct {
	pool   *pgxpool.Pool
	log    *slog.Logger
	counts *Counts

	prepared  atomic.Bool   // there are tables
	preparing chan struct{} // has room for the one who looks for them
	// using has room for those who write that a credential was used: half of the
	// connections, so that rows that are locked do not keep others from asking. Those of
	// one device take turns before, so that a row that is locked takes one of them only.
	using chan struct{}
	turns turns

	follow   sync.Once
	follower *follower
	ctx      context.Context // until Close
	stop     context.CancelFunc
	done     sync.WaitGroup
}

// IsURL reports whether a store is in PostgreSQL, rather than in a folder.
func IsURL(where string) bool {
	return strings.HasPrefix(where, "postgres://") || strings.HasPrefix(where, "postgresql://")
}

func openPostgres(where string, o Options) (*postgres, error) {
	config, err := parseURL(where)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	pool, err := pgxpool.NewWithConfig(ctx, config) // which does not connect yet
	if err != nil {
		stop()
		return nil, fmt.Errorf("open credential store: %w", err)
	}
	p := &postgres{pool: pool, log: o.Log, counts: o.Counts, preparing: make(chan struct{}, 1), using: make(chan struct{}, max(1, config.MaxConns/2)), ctx: ctx, stop: stop}
	p.follower = newFollower(p, config.ConnConfig)
	if o.Checks {
		p.following()
	}
	return p, nil
}

func (p *postgres) Close() {
	p.stop()
	p.done.Wait()
	p.pool.Close()
}

func (p *postgres) Ready(ctx context.Context) error {
	p.following()
	if p.follower.down() {
		return p.follower.remembers()
	}
	if err := p.prepare(ctx); err != nil {
		return err
	}
	if err := p.pool.Ping(ctx); err != nil {
		return fmt.Errorf("ask the credential store: %w", err)
	}
	return nil
}

func (p *postgres) Issue(ctx context.Context, id device.ID, credential string) (string, error) {
	return p.issue(ctx, id, credential, false)
}

func (p *postgres) Enrol(ctx context.Context, id device.ID, credential string) (string, error) {
	return p.issue(ctx, id, credential, true)
}

func (p *postgres) issue(ctx context.Context, id device.ID, credential string, enrol bool) (secret string, err error) {
	secret, hash := NewSecret()
	now := time.Now().UTC()
	err = p.change(ctx, ofChange, []string{id.Name()}, true, func(r *Record, _ bool) error { return r.issue(credential, hash, enrol, now) })
	if err != nil {
		return "", err
	}
	return secret, nil
}

func (p *postgres) Check(ctx context.Context, name, password string) (bool, error) {
	id, err := device.New(device.KindDevice, name)
	if err != nil {
		return false, nil // nobody's: not one that the database could even read
	}
	p.following()
	recall := func() (bool, error) { return p.follower.recall(id, password) }
	if p.follower.down() {
		return recall()
	}
	asking, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	r, err := p.read(asking, id)
	if err != nil {
		return p.orByHeart(ctx, err, recall)
	}
	p.follower.ahead(id, &r)
	credential := r.find(password)
	if credential == "" || credential == r.Used {
		return credential != "", nil
	}
	good, err := p.use(asking, id, credential, func(r *Record) bool { return r.find(password) == credential })
	switch {
	case err == nil:
		return good, nil
	case errors.Is(err, context.DeadlineExceeded): // it has just answered: this row is what it can't write
		return false, err
	}
	return p.orByHeart(ctx, err, recall)
}

func (p *postgres) Revoked(ctx context.Context, name string) (bool, error) {
	id, err := device.New(device.KindDevice, name)
	if err != nil {
		return false, nil
	}
	p.following()
	recall := func() (bool, error) { return p.follower.recallRevoked(id) }
	if p.follower.down() {
		return recall()
	}
	asking, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	if err = p.prepare(asking); err == nil {
		var revoked bool
		err = p.pool.QueryRow(asking, "SELECT revoked FROM devicetwin_credentials WHERE device = $1", string(id)).Scan(&revoked)
		if err == nil || errors.Is(err, pgx.ErrNoRows) {
			return revoked, nil
		}
		err = fmt.Errorf("read whether device %s is revoked: %w", id, explained(err))
	}
	return p.orByHeart(ctx, err, recall)
}

// orByHeart answers a login after an error: by heart, if the error says that the
// database is down. One that is about this login refuses this login only.
func (p *postgres) orByHeart(ctx context.Context, err error, recall func() (bool, error)) (bool, error) {
	if ctx.Err() != nil || !unreachable(err) {
		return false, err
	}
	p.follower.lost(err)
	return recall()
}

// use records that a device has used a credential, if it still is a good one by its
// record. Between the read that it follows and this one, another may have been used, or
// all revoked.
func (p *postgres) use(ctx context.Context, id device.ID, credential string, still func(*Record) bool) (good bool, err error) {
	end, err := p.turns.begin(ctx, id)
	if err != nil {
		return false, fmt.Errorf("write credentials of device %s: wait for an earlier login of it: %w", id, err)
	}
	defer end()
	select {
	case p.using <- struct{}{}:
		defer func() { <-p.using }()
	case <-ctx.Done():
		return false, fmt.Errorf("write credentials of device %s: wait for those of others: %w", id, ctx.Err())
	}
	err = p.change(ctx, ofLogin, []string{id.Name()}, false, func(r *Record, _ bool) error {
		if good = still(r); good {
			r.Used = credential
			r.trim()
		}
		return nil
	})
	return good, err
}

// read leaves out what a check does not need.
func (p *postgres) read(ctx context.Context, id device.ID) (r Record, err error) {
	if err := p.prepare(ctx); err != nil {
		return r, err
	}
	err = p.pool.QueryRow(ctx, "SELECT issued, used FROM devicetwin_credentials WHERE device = $1", string(id)).Scan(&r.Issued, &r.Used)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return r, fmt.Errorf("read credentials of device %s: %w", id, explained(err))
	}
	return r, nil
}

func (p *postgres) Get(ctx context.Context, ids []device.ID) (map[device.ID]Record, error) {
	if err := p.prepare(ctx); err != nil {
		return nil, err
	}
	rows, err := p.pool.Query(ctx, "SELECT "+columns+" FROM devicetwin_credentials WHERE device = ANY($1)", names(ids))
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	found := map[device.ID]Record{}
	all, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	for _, r := range all {
		found[r.Device] = r
	}
	return found, nil
}

func (p *postgres) Revoke(ctx context.Context, ids []device.ID) (known []device.ID, err error) {
	for some := range slices.Chunk(ids, batchMost) {
		found := map[device.ID]bool{}
		err := p.change(ctx, ofChange, names(some), false, func(r *Record, _ bool) error {
			r.revoke(time.Now()) // the time is the database's
			found[r.Device] = true
			return nil
		})
		if err != nil {
			return known, err
		}
		for _, id := range some {
			if found[device.ID(id.Name())] {
				known = append(known, id)
			}
		}
	}
	return known, nil
}

func (p *postgres) Import(ctx context.Context, records []Record) ([]Outcome, error) {
	outcomes := make([]Outcome, 0, len(records))
	for some := range slices.Chunk(records, batchMost) {
		of, ids := map[device.ID]Outcome{}, make([]device.ID, len(some))
		given := map[device.ID]Record{}
		for i, r := range some {
			ids[i], given[device.ID(r.Device.Name())] = r.Device, r
		}
		err := p.change(ctx, ofChange, names(ids), true, func(r *Record, fresh bool) error {
			of[r.Device] = r.take(given[r.Device], fresh)
			return nil
		})
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			outcomes = append(outcomes, of[device.ID(id.Name())])
		}
	}
	return outcomes, nil
}

func (p *postgres) All(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		fail := func(err error) { yield(Record{}, fmt.Errorf("list credentials: %w", err)) }
		if err := p.prepare(ctx); err != nil {
			fail(err)
			return
		}
		rows, err := p.pool.Query(ctx, "SELECT "+columns+" FROM devicetwin_credentials ORDER BY device")
		if err != nil {
			fail(err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			r, err := scan(rows)
			if err != nil {
				fail(err)
				return
			}
			if !yield(r, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			fail(err)
		}
	}
}

func (p *postgres) Watch(ctx context.Context, f func(device.ID)) error {
	p.following()
	return p.follower.watch(ctx, f)
}

// following starts to follow the changes of the table.
func (p *postgres) following() {
	p.follow.Do(func() {
		p.done.Go(func() { p.follower.run(p.ctx) })
		p.done.Go(func() { p.follower.write(p.ctx) })
	})
}

// waits are what a transaction waits for at most: altogether, for each row that somebody
// else has locked, and, as the server sees it, for this process.
type waits struct{ all, lock, idle time.Duration }

var (
	ofLogin  = waits{checkWithin, loginLock, idleWithin}
	ofChange = waits{changeWithin, changeLock, idleWithin}
)

// transaction makes the server keep to these, too: a process that is gone does not tell
// it. They hold for the one transaction, because a pooler may give the next one another
// session.
func (w waits) transaction() pgx.TxOptions {
	return pgx.TxOptions{BeginQuery: fmt.Sprintf(
		"BEGIN; SET LOCAL statement_timeout = %d; SET LOCAL lock_timeout = %d; SET LOCAL idle_in_transaction_session_timeout = %d",
		w.all.Milliseconds(), w.lock.Milliseconds(), w.idle.Milliseconds())}
}

// change lets f change the records of devices, in one transaction: all of them, or
// none if f returns an error. Devices that have no row are left out, or get one,
// and are fresh.
// Rows are locked in the order of their names, so that two that change the same
// devices do not wait for each other.
func (p *postgres) change(ctx context.Context, w waits, devices []string, add bool, f func(r *Record, fresh bool) error) error {
	ctx, cancel := context.WithTimeout(ctx, w.all)
	defer cancel()
	if err := p.prepare(ctx); err != nil {
		return err
	}
	devices = slices.Compact(slices.Sorted(slices.Values(devices)))
	var own error
	err := pgx.BeginTxFunc(ctx, p.pool, w.transaction(), func(tx pgx.Tx) error {
		fresh := map[device.ID]bool{}
		if add {
			added, err := tx.Query(ctx, `INSERT INTO devicetwin_credentials (device) SELECT unnest($1::text[]) ON CONFLICT (device) DO NOTHING RETURNING device`, devices)
			if err != nil {
				return err
			}
			ids, err := pgx.CollectRows(added, pgx.RowTo[string])
			if err != nil {
				return err
			}
			for _, id := range ids {
				fresh[device.ID(id)] = true
			}
		}
		rows, err := tx.Query(ctx, "SELECT "+columns+" FROM devicetwin_credentials WHERE device = ANY($1) ORDER BY device FOR UPDATE", devices)
		if err != nil {
			return err
		}
		records, err := pgx.CollectRows(rows, scan)
		if err != nil {
			return err
		}
		var updates pgx.Batch
		for _, r := range records {
			was := r.clone()
			if own = f(&r, fresh[r.Device]); own != nil {
				return own
			}
			queueUpdate(&updates, was, r)
		}
		return tx.SendBatch(ctx, &updates).Close()
	})
	if own != nil {
		return own
	}
	if err != nil {
		p.counts.failed()
		return fmt.Errorf("write credentials of %s: %w", few(devices), explained(err))
	}
	return nil
}

func few(devices []string) string {
	if len(devices) == 1 {
		return "device " + devices[0]
	}
	return fmt.Sprintf("%d devices", len(devices))
}

func names(ids []device.ID) []string {
	all := make([]string, len(ids))
	for i, id := range ids {
		all[i] = id.Name()
	}
	return all
}

// columns are those that scan reads.
const columns = "device, issued, used, about, CASE WHEN revoked THEN revoked_at END"

func scan(row pgx.CollectableRow) (r Record, err error) {
	var revoked *time.Time
	err = row.Scan(&r.Device, &r.Issued, &r.Used, &r.About, &revoked)
	if revoked != nil {
		r.Revoked = *revoked
	}
	r.trim()
	return r, err
}

// queueUpdate adds the statement that writes what is different. A revocation that is repeated is
// a new one, for those who end sessions.
func queueUpdate(to *pgx.Batch, was, is Record) {
	revoked := !is.Revoked.IsZero()
	again := revoked && !is.Revoked.Equal(was.Revoked)
	if !again && revoked == !was.Revoked.IsZero() && is.Used == was.Used && is.About.equal(was.About) && sameIssued(was.Issued, is.Issued) {
		return
	}
	if is.Issued == nil {
		is.Issued = []Credential{}
	}
	to.Queue(`UPDATE devicetwin_credentials SET issued = $2, used = $3, about = $4, revoked = $5,
		revoked_at = CASE WHEN $6 THEN clock_timestamp() ELSE revoked_at END, changed = pg_current_xact_id() WHERE device = $1`,
		string(is.Device), is.Issued, is.Used, is.About, revoked, again)
}

// explained adds what an operator has to do.
func explained(err error) error {
	var said *pgconn.PgError
	if errors.As(err, &said) && (said.Code == "42501" || said.Code == "42P01") { // insufficient_privilege, undefined_table
		return fmt.Errorf("%w: see the rights in docs/security.md, and run devicetwin credentials setup", err)
	}
	return err
}
