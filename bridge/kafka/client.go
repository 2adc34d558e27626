package kafka

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"devicetwin/internal/faults"
	"devicetwin/internal/tlsfiles"
)

// ClientConfig is how the brokers are reached.
type ClientConfig struct {
	Brokers []string // host:port of some of them
	// TLS encrypts connections; the files are optional.
	TLS   bool
	Files tlsfiles.Files
	SASL  SASL
}

// SASL is how a client says who it is. Without a mechanism it does not.
type SASL struct {
	Mechanism      string
	User, Password string
	// TokenFile has the token of OAUTHBEARER. It is read for each connection, so that
	// whoever renews tokens need not restart anything.
	TokenFile string
}

// Mechanisms of SASL.
const (
	Plain       = "PLAIN"
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
	OAuthBearer = "OAUTHBEARER"
)

// Validate reports every fault, as one error with a line for each.
func (c ClientConfig) Validate() error {
	var f faults.List
	f.Check(len(c.Brokers) > 0, "no broker: expected at least one HOST:PORT")
	for _, b := range c.Brokers {
		host, port, err := net.SplitHostPort(b)
		f.Check(err == nil && host != "" && port != "", "broker %q: expected HOST:PORT", b)
	}
	f.Check(c.TLS || c.Files == tlsfiles.Files{}, "files of TLS without TLS")
	if c.TLS {
		_, err := c.Files.Load(tlsNames)
		f.Add(err)
	}
	f.Add(c.SASL.validate())
	return f.Err()
}

var tlsNames = tlsfiles.Names{Server: "Kafka", Flags: "--kafka"}

func (s SASL) validate() error {
	var f faults.List
	switch s.Mechanism {
	case "":
		f.Check(s == SASL{}, "credentials without a mechanism of SASL: expected one of %s", known)
	case Plain, ScramSHA256, ScramSHA512:
		f.Check(s.User != "" && s.Password != "", "%s: expected a user and a password", s.Mechanism)
		f.Check(s.TokenFile == "", "%s: expected no token", s.Mechanism)
	case OAuthBearer:
		f.Check(s.TokenFile != "", "%s: expected a file with the token", s.Mechanism)
		f.Check(s.User == "" && s.Password == "", "%s: expected neither a user nor a password", s.Mechanism)
	default:
		f.Check(false, "mechanism %q of SASL: expected one of %s", s.Mechanism, known)
	}
	return f.Err()
}

// Options are those of a client of somebody else that reaches the brokers. The error reports every
// fault.
func (c ClientConfig) Options() ([]kgo.Opt, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return c.options()
}

// options are those of a client that reaches the brokers.
func (c ClientConfig) options() ([]kgo.Opt, error) {
	all := []kgo.Opt{kgo.SeedBrokers(c.Brokers...)}
	if c.TLS {
		config, err := c.Files.Load(tlsNames)
		if err != nil {
			return nil, err
		}
		all = append(all, kgo.DialTLSConfig(config))
	}
	if c.SASL.Mechanism != "" {
		all = append(all, kgo.SASL(c.SASL.mechanism()))
	}
	return all, nil
}

func (s SASL) mechanism() sasl.Mechanism {
	switch s.Mechanism {
	case Plain:
		return plain.Auth{User: s.User, Pass: s.Password}.AsMechanism()
	case ScramSHA256:
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha256Mechanism()
	case ScramSHA512:
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha512Mechanism()
	}
	return oauth.Oauth(func(context.Context) (oauth.Auth, error) {
		token, err := os.ReadFile(s.TokenFile)
		if err != nil {
			return oauth.Auth{}, fmt.Errorf("read the token for Kafka: %w", err)
		}
		return oauth.Auth{Token: strings.TrimSpace(string(token))}, nil
	})
}
