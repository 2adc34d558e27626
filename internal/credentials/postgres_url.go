package credentials

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// parseURL says what is wrong with a URL without the password in it.
func parseURL(where string) (*pgxpool.Config, error) {
	parsed, err := url.Parse(where)
	if err != nil {
		return nil, errors.New("open credential store: expected postgres://USER:PASSWORD@HOST:PORT/DATABASE, with %XX for each character of the password that has a meaning in URLs")
	}
	config, err := pgxpool.ParseConfig(where)
	if err != nil {
		password, _ := parsed.User.Password()
		said := err.Error()
		if inner := errors.Unwrap(err); inner != nil {
			said = inner.Error()
		}
		if password != "" && strings.Contains(said, password) || strings.Contains(said, "://") {
			said = "a setting has no meaning"
		}
		return nil, fmt.Errorf("open credential store at PostgreSQL %s: %s", parsed.Host, said)
	}
	if err := checkSecurity(parsed.Query(), &config.ConnConfig.Config); err != nil {
		return nil, err
	}
	if !parsed.Query().Has("pool_max_conns") {
		config.MaxConns = poolMax
	}
	if !parsed.Query().Has("connect_timeout") {
		config.ConnConfig.ConnectTimeout = connectWithin
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "devicetwin"
	}
	return config, nil
}

// checkSecurity refuses a connection to another host that nobody has said may be in the
// clear. By default, PostgreSQL's clients try TLS without looking at the certificate, and
// then go on without TLS.
func checkSecurity(said url.Values, config *pgconn.Config) error {
	if said.Has("sslmode") || said.Has("ssl") || os.Getenv("PGSSLMODE") != "" {
		return nil
	}
	tries := []*pgconn.FallbackConfig{{Host: config.Host, TLSConfig: config.TLSConfig}}
	for _, t := range slices.Concat(tries, config.Fallbacks) {
		if t.TLSConfig == nil && !isLocal(t.Host) {
			return fmt.Errorf("open credential store at PostgreSQL %s: the URL does not say whether the connection is encrypted: "+
				"expected sslmode=verify-full in it, with sslrootcert=FILE where the authority is your own; or, if nobody else is in the network between, sslmode=disable", t.Host)
		}
	}
	return nil
}

// isLocal reports whether a host is this one: a socket, or the loopback interface.
func isLocal(host string) bool {
	if strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}
