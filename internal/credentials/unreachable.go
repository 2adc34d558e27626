package credentials

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// unreachable reports whether an error says that the database is down, as far as this
// process can tell: it can't connect, the connection was lost, the server ends or
// starts, or there is no answer in time. All others are of what was asked:
// https://www.postgresql.org/docs/current/errcodes-appendix.html.
func unreachable(err error) bool {
	if connect := (*pgconn.ConnectError)(nil); errors.As(err, &connect) {
		return true
	}
	if said := (*pgconn.PgError)(nil); errors.As(err, &said) {
		return strings.HasPrefix(said.Code, "08") || strings.HasPrefix(said.Code, "57P") // connection exception, operator intervention
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, pgconn.ErrConnClosed) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
