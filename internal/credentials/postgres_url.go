package credentials

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

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
