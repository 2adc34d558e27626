package mqtt

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"devicetwin/internal/faults"
	"devicetwin/internal/tlsfiles"
)

// Config is how one client reaches the broker. Begin with DefaultConfig.
type Config struct {
	// Brokers are tried in order at each connection attempt: mqtt://, tcp://,
	// mqtts://, ssl://, tls://, ws://, wss:// or unix://.
	Brokers []string
	// ClientID must stay the same over restarts of a client with a kept session:
	// the broker keeps the session, and with it what was published meanwhile, under
	// this name.
	ClientID string
	Username string
	Password string
	// CAFile, CertFile and KeyFile are PEM files. CAFile replaces the system's
	// authorities; CertFile and KeyFile go together.
	CAFile   string
	CertFile string
	KeyFile  string

	KeepAlive      time.Duration // whole seconds; a dead link is noticed within twice this
	ConnectTimeout time.Duration // for each broker of the list
	BackoffMin     time.Duration // wait after the first failed connection, doubled each time
	BackoffMax     time.Duration
}

// DefaultConfig is for a broker on this host. ClientID is left empty.
func DefaultConfig() Config {
	return Config{
		Brokers:        []string{"mqtt://127.0.0.1:1883"},
		KeepAlive:      15 * time.Second,
		ConnectTimeout: 10 * time.Second,
		BackoffMin:     250 * time.Millisecond,
		BackoffMax:     15 * time.Second,
	}
}

var brokerSchemes = []string{"mqtt", "tcp", "mqtts", "ssl", "tls", "ws", "wss", "unix"}

// Validate reports every fault, as one error with a line for each. An empty
// ClientID is not a fault here: who makes a client asks for it.
func (c Config) Validate() error {
	var f faults.List
	f.Check(len(c.Brokers) > 0, "no broker: expected a URL such as mqtt://127.0.0.1:1883")
	for _, b := range c.Brokers {
		u, err := url.Parse(b)
		switch {
		case err != nil:
			f.Add(fmt.Errorf("broker: %w", err))
		case !slices.Contains(brokerSchemes, u.Scheme):
			f.Add(fmt.Errorf("broker %s: scheme %q: expected one of %s", u.Redacted(), u.Scheme, strings.Join(brokerSchemes, ", ")))
		case u.Host == "" && u.Scheme != "unix":
			f.Add(fmt.Errorf("broker %s: expected scheme://host:port", u.Redacted()))
		}
	}
	f.Check(len(c.ClientID) <= 128 && utf8.ValidString(c.ClientID), "mqtt client id %q: expected at most 128 bytes of UTF-8", c.ClientID)
	f.Check(c.Password == "" || c.Username != "", "mqtt password without a username")
	f.Check((c.CertFile == "") == (c.KeyFile == ""), "mqtt certificate and key: expected both or neither")
	f.Check(c.KeepAlive >= time.Second && c.KeepAlive <= time.Hour && c.KeepAlive%time.Second == 0,
		"mqtt keep alive %v: expected whole seconds, from 1s to 1h", c.KeepAlive)
	f.Positive("mqtt connect timeout", c.ConnectTimeout)
	f.Ordered("mqtt reconnect wait", c.BackoffMin, c.BackoffMax)
	return f.Err()
}

// Named is the configuration under another client id.
func (c Config) Named(clientID string) Config {
	c.ClientID = clientID
	return c
}

// opener opens the network connection to a broker.
type opener func(*url.URL) (net.Conn, error)

// opener opens connections as the configuration says.
func (c Config) opener() (opener, error) {
	tlsConfig, err := tlsfiles.Files{CA: c.CAFile, Cert: c.CertFile, Key: c.KeyFile}.Load(tlsfiles.Names{Server: "mqtt"})
	if err != nil {
		return nil, err
	}
	return func(u *url.URL) (net.Conn, error) { return openConn(u, tlsConfig, c.ConnectTimeout) }, nil
}
