package credentials

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// migrations make the tables, one version after the other. Each is run once, in a
// transaction. Those of released versions are never changed.
//
// The column changed is the transaction that wrote the row, by which a follower
// finds out what is new (follow.go).
var migrations = []string{`
CREATE TABLE devicetwin_credentials (
	device     text COLLATE "C" PRIMARY KEY,
	issued     jsonb NOT NULL DEFAULT '[]',
	used       text NOT NULL DEFAULT '',
	about      jsonb NOT NULL DEFAULT '{}',
	revoked    boolean NOT NULL DEFAULT false,
	revoked_at timestamptz,
	changed    xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX devicetwin_credentials_changed ON devicetwin_credentials (changed);
`}

// oldestServer is the oldest version that has all that is used here:
// pg_current_xact_id and its type.
const oldestServer = 130000

// setupLock is the key of the advisory lock under which the tables are made. It is
// any number that nobody else would take.
const setupLock = 7_016_874_322

// prepare makes the tables, once, if they are not there.
func (p *postgres) prepare(ctx context.Context) error {
	if p.prepared.Load() {
		return nil
	}
	select {
	case p.preparing <- struct{}{}:
		defer func() { <-p.preparing }()
	case <-ctx.Done():
		return fmt.Errorf("prepare the credential store: %w", ctx.Err())
	}
	if p.prepared.Load() {
		return nil
	}
	err := p.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error { return migrate(ctx, c.Conn()) })
	if err != nil {
		p.counts.failed()
		return fmt.Errorf("prepare the credential store: %w", explained(err))
	}
	p.prepared.Store(true)
	return nil
}

// migrate brings the tables to the version of this program. A newer one is left as
// it is: its program comes with it, and reads what this one does.
func migrate(ctx context.Context, conn *pgx.Conn) error {
	var server int
	if err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int`).Scan(&server); err != nil {
		return err
	}
	if server < oldestServer {
		return fmt.Errorf("PostgreSQL %d is too old: expected 13 or newer", server/10000)
	}
	if version, err := schemaVersion(ctx, conn); err != nil || version >= len(migrations) {
		return err
	}
	return pgx.BeginTxFunc(ctx, conn, ofChange.transaction(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(setupLock)); err != nil {
			return err
		}
		version, err := schemaVersion(ctx, tx) // another process may have been faster
		if err != nil || version >= len(migrations) {
			return err
		}
		if version == 0 {
			if _, err := tx.Exec(ctx, `CREATE TABLE devicetwin_credentials_schema (version integer NOT NULL)`); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `INSERT INTO devicetwin_credentials_schema VALUES (0)`); err != nil {
				return err
			}
		}
		for _, m := range migrations[version:] {
			if _, err := tx.Exec(ctx, m); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `UPDATE devicetwin_credentials_schema SET version = $1`, len(migrations))
		return err
	})
}

// queryer is a connection or a transaction.
type queryer interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// schemaVersion is 0 where there are no tables. It searches the catalog, because
// to_regclass may answer from before an advisory lock was waited for.
func schemaVersion(ctx context.Context, in queryer) (version int, err error) {
	var there bool
	if err := in.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'devicetwin_credentials_schema' AND pg_table_is_visible(oid))`).Scan(&there); err != nil || !there {
		return 0, err
	}
	err = in.QueryRow(ctx, `SELECT version FROM devicetwin_credentials_schema`).Scan(&version)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, errors.New("the table devicetwin_credentials_schema is empty: expected the version of the tables")
	}
	return version, err
}
