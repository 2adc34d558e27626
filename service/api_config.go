package service

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"devicetwin/api"
)

// APIConfig is the operator's HTTP API.
type APIConfig struct {
	Listen    string `help:"Address of the operator's HTTP API; empty to disable." placeholder:"HOST:PORT"`
	CertFile  string `help:"PEM file of the API's certificate and its intermediates; enables TLS. Reloaded when it changes." placeholder:"FILE"`
	KeyFile   string `help:"PEM file of the certificate's key." placeholder:"FILE"`
	TokenFile string `help:"File with the hashes of accepted tokens; \"devicetwin token new\" prints its lines. Reloaded when it changes." placeholder:"FILE"`

	OIDCIssuer   string `name:"oidc-issuer" help:"URL of the issuer of accepted JSON Web Tokens." placeholder:"URL"`
	OIDCAudience string `name:"oidc-audience" help:"Required audience of such a token."`
	OIDCClaim    string `name:"oidc-claim" help:"Claim that contains the scopes: read, operate, admin."`
	OIDCPrefix   string `name:"oidc-prefix" help:"Prefix of the scopes in that claim, as in devicetwin:read." placeholder:"devicetwin:"`

	Audit   string        `help:"Audit file: every requested change is appended as a line of JSON. Default: the log." placeholder:"FILE"`
	Timeout time.Duration `help:"Timeout of requests, except streams."`
	Streams int           `help:"Maximum number of streams."`
}

func (c APIConfig) oidcConfig() api.OIDCConfig {
	return api.OIDCConfig{Issuer: c.OIDCIssuer, Audience: c.OIDCAudience, Claim: c.OIDCClaim, Prefix: c.OIDCPrefix}
}

// Validate reports every fault of the settings.
func (c APIConfig) Validate() error {
	if c.Listen == "" {
		return nil
	}
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("API: "+format, args...)) }
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		fault("address (--api-listen) %q: expected HOST:PORT", c.Listen)
	}
	if err == nil && c.open() && !api.IsLoopback(host) {
		fault("address (--api-listen) %s is reachable from other hosts: expected tokens (--api-token-file) or an issuer (--api-oidc-issuer)", c.Listen)
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		fault("a certificate (--api-cert-file) and its key (--api-key-file) go together")
	}
	if c.OIDCIssuer != "" {
		if err := c.oidcConfig().Validate(); err != nil {
			fault("OIDC (--api-oidc-…): %w", err)
		}
	}
	if c.Timeout < 100*time.Millisecond || c.Timeout > 5*time.Minute {
		fault("timeout (--api-timeout) %v: expected 100ms to 5m", c.Timeout)
	}
	if c.Streams < 1 || c.Streams > 100_000 {
		fault("streams (--api-streams) %d: expected 1 to 100000", c.Streams)
	}
	return errors.Join(faults...)
}

// open says that nobody is asked who he is.
func (c APIConfig) open() bool { return c.TokenFile == "" && c.OIDCIssuer == "" }

// authenticator is nil if everybody is let in.
func (c APIConfig) authenticator(log *slog.Logger) (api.Authenticator, error) {
	var all []api.Authenticator
	if c.TokenFile != "" {
		tokens, err := api.OpenTokens(c.TokenFile, log)
		if err != nil {
			return nil, &ConfigError{fmt.Errorf("API tokens (--api-token-file): %w", err)}
		}
		if tokens.Len() == 0 {
			log.Warn("the API's token file contains no tokens yet", "file", c.TokenFile)
		}
		all = append(all, tokens)
	}
	if c.OIDCIssuer != "" {
		all = append(all, api.NewOIDC(c.oidcConfig()))
	}
	switch len(all) {
	case 0:
		return nil, nil
	case 1:
		return all[0], nil
	}
	return api.AnyOf(all...), nil
}

// auditLog writes every change, whatever the log's level is.
func (c APIConfig) auditLog(logging LogConfig, log *slog.Logger) (*slog.Logger, func() error, error) {
	if c.Audit == "" {
		return LogConfig{Level: "info", Format: logging.Format}.Logger(os.Stderr).With("log", "audit"), func() error { return nil }, nil
	}
	file, err := os.OpenFile(c.Audit, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, &ConfigError{fmt.Errorf("open the API's audit (--api-audit): %w", err)}
	}
	return slog.New(slog.NewJSONHandler(auditFile{file, log}, nil)), file.Close, nil
}

// auditFile logs that lines could not be written.
type auditFile struct {
	file *os.File
	log  *slog.Logger
}

func (f auditFile) Write(line []byte) (int, error) {
	n, err := f.file.Write(line)
	if err != nil {
		f.log.Error("cannot write an audit record", "error", err, "line", string(line))
	}
	return n, err
}
