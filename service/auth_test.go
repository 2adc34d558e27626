package service

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"devicetwin/auth"
	"devicetwin/auth/authtest"
	"devicetwin/device"
	"devicetwin/internal/credentials"
	"devicetwin/internal/testfile"
)

// startBrokers starts the server for brokers with a device's credentials.
func startBrokers(t *testing.T, change func(*AuthSettings)) (s *Service, store credentials.Store) {
	t.Helper()
	c := DefaultAuth()
	c.Auth.Listen, c.HTTP.Listen, c.Worker.Credentials = "127.0.0.1:0", "127.0.0.1:0", filepath.Join(t.TempDir(), "credentials")
	if change != nil {
		change(&c)
	}
	plan, err := c.Plan()
	if err != nil {
		t.Fatal(err)
	}
	if s, err = plan.Start(slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if store, err = credentials.Open(c.Worker.Credentials); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return s, store
}

// askBroker is what RabbitMQ is answered about a login.
func askBroker(t *testing.T, base, name, password string) string {
	t.Helper()
	answer, err := http.PostForm(base+"/rabbitmq/user?secret=s3cret", url.Values{"username": {name}, "client_id": {name}, "password": {password}})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

// A device that is reprovisioned logs in with what it has, until it has used what it was
// given; one that is revoked is out with the next login.
func TestBrokersKnowTheCredentialsOfTheWorkers(t *testing.T) {
	s, store := startBrokers(t, func(c *AuthSettings) { c.Auth.Secret = "s3cret" })
	issue := func(credential string) string {
		secret, err := store.Issue(t.Context(), "pump-1", credential)
		if err != nil {
			t.Fatal(err)
		}
		return secret
	}
	expect := func(password, want string) {
		t.Helper()
		if got := askBroker(t, s.AuthURL(), "pump-1", password); got != want {
			t.Errorf("answered %s, want %s", got, want)
		}
	}
	expect("anything", "deny")
	first := issue("first")
	expect(first, "allow")
	second := issue("second")
	expect(first, "allow")
	expect(second, "allow")
	expect(first, "deny")
	expect("guess", "deny")
	if _, err := store.Revoke(t.Context(), []device.ID{"pump-1"}); err != nil {
		t.Fatal(err)
	}
	expect(second, "deny")

	metrics := get(t, s.HTTPAddr(), "/metrics")
	if !strings.Contains(metrics, `devicetwin_auth_requests_total{broker="rabbitmq",outcome="denied"} 4`) {
		t.Errorf("metrics:\n%s", metrics)
	}
	base := s.AuthURL()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if answer, err := http.Get(base); err == nil {
		answer.Body.Close()
		t.Error("the server answers after it was stopped")
	}
}

// The server is ready as long as it can read what it has to.
func TestReadinessOfTheServerForBrokers(t *testing.T) {
	accounts := testfile.Write(t, "accounts", "devicetwin.bridge:"+strings.Repeat("ab", 32)+"\n")
	s, _ := startBrokers(t, func(c *AuthSettings) { c.Auth.Services = accounts })
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
		if said := get(t, s.HTTPAddr(), path); said != want {
			t.Errorf("%s: %s", path, said)
		}
	}
	if err := os.Remove(accounts); err != nil {
		t.Fatal(err)
	}
	if said := get(t, s.HTTPAddr(), "/readyz"); !strings.Contains(said, "accounts: ") {
		t.Errorf("without its accounts: %s", said)
	}
}

func TestFaultsOfTheServerForBrokers(t *testing.T) {
	c := DefaultAuth()
	c.Auth = AuthConfig{Listen: "0.0.0.0:1", KeyFile: "x", Allow: []string{"publish #", "read a"}, NATS: AuthNATSConfig{URL: []string{"nats://user:secret@x:1"}}}
	c.Topics.TopicPrefix, c.Worker.Credentials = "a/#", ""
	_, err := c.Plan()
	var config *ConfigError
	if !errors.As(err, &config) {
		t.Fatalf("got %v", err)
	}
	for _, says := range []string{
		"reachable from other hosts", "--auth-cert-file", "--auth-rabbitmq-vhost", `rule "publish #"`, `rule "read a"`, `topic prefix "a/#"`, "--worker-credentials",
		"--auth-nats-seed-file", "--auth-nats-account", "--auth-nats-url", "--auth-nats-resume",
	} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("not reported: %s\n%v", says, err)
		}
	}
	if strings.Contains(err.Error(), "secret@") {
		t.Errorf("the error contains a password: %v", err)
	}
	for name, change := range map[string]func(*AuthSettings){
		"read accounts":    func(c *AuthSettings) { c.Auth.Services = filepath.Join(t.TempDir(), "none") },
		"--auth-cert-file": func(c *AuthSettings) { c.Auth.CertFile, c.Auth.KeyFile = "none", "none" },
		"the issuer's seed": func(c *AuthSettings) {
			c.Auth.NATS.URL, c.Auth.NATS.SeedFile = []string{"nats://127.0.0.1:1"}, filepath.Join(t.TempDir(), "none")
		},
		"--auth-secret-file": func(c *AuthSettings) { c.Auth.SecretFile = filepath.Join(t.TempDir(), "none") },
	} {
		c := DefaultAuth()
		c.Auth.Listen, c.HTTP.Listen, c.Worker.Credentials = "127.0.0.1:0", "", t.TempDir()
		change(&c)
		plan, err := c.Plan()
		if err == nil {
			_, err = plan.Start(slog.New(slog.DiscardHandler))
		}
		if !errors.As(err, &config) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestTheServerForBrokersSpeaksTLS(t *testing.T) {
	dir := t.TempDir()
	pair := APIConfig{CertFile: filepath.Join(dir, "cert"), KeyFile: filepath.Join(dir, "key")}
	makeCertificate(t, pair, "brokers")
	s, _ := startBrokers(t, func(c *AuthSettings) { c.Auth.CertFile, c.Auth.KeyFile = pair.CertFile, pair.KeyFile })
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	if !strings.HasPrefix(s.AuthURL(), "https://") {
		t.Fatal(s.AuthURL())
	}
	answer, err := client.Post(s.AuthURL()+"/emqx/authn", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if raw, _ := io.ReadAll(answer.Body); string(raw) != `{"result":"deny"}` {
		t.Errorf("answered %s", raw)
	}
}

// A device that speaks a dialect may use the topics of it that have its name, and those of the
// settings; nothing of others.
func TestAccessOfDialects(t *testing.T) {
	topics := DefaultConfig().MQTT.TopicConfig
	topics.TopicPrefix, topics.Dialect = "site/a", []string{"tasmota"}
	access, err := topics.Access()
	if err != nil {
		t.Fatal(err)
	}
	decider, err := auth.New(access, authtest.Passwords{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	plug := auth.Client{Device: "plug"}
	for topic, may := range map[string]bool{
		"site/a/plug/telemetry": true, "tele/plug/LWT": true, "stat/plug/POWER": true,
		"tele/other/LWT": false, "cmnd/plug/POWER": false, "site/a/other/telemetry": false, "devices/plug/telemetry": false,
	} {
		if got := decider.MayPublish(plug, topic); got != may {
			t.Errorf("publish to %s: %t, want %t", topic, got, may)
		}
	}
	for filter, may := range map[string]bool{
		"site/a/plug/#": true, "cmnd/plug/#": true, "cmnd/plug/POWER": true, "cmnd/#": false, "cmnd/other/POWER": false, "tele/+/LWT": false,
	} {
		if got := decider.MaySubscribe(plug, filter); got != may {
			t.Errorf("subscribe to %s: %t, want %t", filter, got, may)
		}
	}
	topics.Dialect = []string{"nothing"}
	if _, err := topics.Access(); err == nil || !strings.Contains(err.Error(), "--mqtt-dialect") {
		t.Errorf("a dialect that is unknown: %v", err)
	}
}
