package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"devicetwin/bridge/ingest"
	"devicetwin/internal/tlsfiles"
)

func TestEveryFaultOfAConfigurationIsReported(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	c := DefaultConfig()
	c.ID, c.Group, c.DeadLetters, c.Client.Brokers = "a b", "", "a/b", []string{"localhost"}
	c.Client.Files.CA, c.Client.SASL.User = "ca.pem", "x"
	c.Partition = ingest.Partition{Index: 1, Of: 2}
	c.Waiting, c.CommitEvery, c.SessionTimeout, c.TopicsEvery, c.StillAfter, c.DrainTimeout = 0, 0, 0, 0, 0, 0
	err := c.Validate()
	for _, part := range []string{
		`bridge id "a b"`, `consumer group ""`, `topic of dead letters "a/b"`, `broker "localhost"`, "files of TLS without TLS", "credentials without a mechanism",
		"the group shares the partitions", "records of a partition that wait", "interval of commits", "session timeout", "looks for new partitions", "does not move", "drain timeout",
	} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v\nlacks %s", err, part)
		}
	}
	for _, s := range []SASL{
		{Mechanism: "GSSAPI"}, {Mechanism: Plain, User: "x"}, {Mechanism: ScramSHA256, User: "x", Password: "y", TokenFile: "z"},
		{Mechanism: OAuthBearer}, {Mechanism: OAuthBearer, TokenFile: "z", User: "x"},
	} {
		if s.validate() == nil {
			t.Errorf("%+v is accepted", s)
		}
	}
	d := DefaultConfig()
	d.DeadLetters = "purchases"
	for what, topics := range map[string][]string{"no topic is read": nil, "it is that of dead letters": {"purchases"}, `topic "a b"`: {"a b"}} {
		if err := d.CheckTopics(topics); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v: %v, want %s", topics, err, what)
		}
	}
}

// Members identify themselves by SASL, over TLS where that is asked for.
func TestBrokersThatWantCredentials(t *testing.T) {
	server := httptest.NewTLSServer(nil) // for its certificate, of 127.0.0.1
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	for _, test := range []struct {
		mechanism string
		tls       bool
	}{{Plain, false}, {ScramSHA256, false}, {ScramSHA512, true}} {
		t.Run(test.mechanism, func(t *testing.T) {
			options := []kfake.Opt{kfake.EnableSASL(), kfake.Superuser(test.mechanism, "bridge", "secret"), kfake.Superuser("PLAIN", "test", "test")}
			client := []kgo.Opt{kgo.SASL(plain.Auth{User: "test", Pass: "test"}.AsMechanism())}
			if test.tls {
				options = append(options, kfake.TLS(&tls.Config{Certificates: server.TLS.Certificates}))
				client = append(client, kgo.DialTLSConfig(&tls.Config{RootCAs: roots}))
			}
			w := newWorld(t, 1, options...)
			w.connect(client...)
			password := "secret"
			w.change = func(c *Config) {
				c.Client.SASL = SASL{Mechanism: test.mechanism, User: "bridge", Password: password}
				if c.Client.TLS = test.tls; test.tls {
					c.Client.Files = tlsfiles.Files{CA: ca}
				}
			}
			w.produce("purchases", `a={"n":1}`)
			s := w.start("a")
			w.eventually("applied", func() bool { return w.twins.of("a") == "1" })
			s.end()
			password = "wrong"
			s = w.start("b")
			w.eventually("refused", func() bool {
				err := s.Ready()
				return err != nil && strings.Contains(err.Error(), "look for topics")
			})
		})
	}
}

// The token is read for each connection.
func TestATokenIsReadAnew(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	m := SASL{Mechanism: OAuthBearer, TokenFile: file}.mechanism()
	if _, _, err := m.Authenticate(t.Context(), "host"); err == nil {
		t.Error("authenticated without a token")
	}
	for _, token := range []string{"one", "two"} {
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, first, err := m.Authenticate(t.Context(), "host")
		if err != nil || !strings.Contains(string(first), "Bearer "+token+"\x01") {
			t.Errorf("says %q, %v", first, err)
		}
	}
}
