package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"devicetwin/api"
	"devicetwin/auth"
	"devicetwin/auth/callout"
	"devicetwin/auth/hooks"
	"devicetwin/wire"
)

// AuthConfig is the server that MQTT brokers ask who may connect, and which topics a
// client may use. Begin with DefaultAuth.
type AuthConfig struct {
	Listen   string `help:"Address for the requests of brokers." placeholder:"HOST:PORT"`
	CertFile string `help:"PEM file of the server's certificate and its intermediates; enables TLS. Reloaded when it changes." placeholder:"FILE"`
	KeyFile  string `help:"PEM file of the certificate's key." placeholder:"FILE"`

	Secret     string `help:"Secret that brokers have to send, as Authorization: Bearer SECRET or ?secret=SECRET; prefer the environment or a file."`
	SecretFile string `help:"File with the secret." placeholder:"FILE"`

	Services  string   `help:"File of the accounts of services, such as bridge and worker: a line NAME:SHA256 for each, with a dot in the name." placeholder:"FILE"`
	Allow     []string `help:"Permission in addition to the service's own topics: publish, subscribe or all, and a topic filter with {id} for the device, as in 'publish tele/{id}/#'; for an account 'NAME: subscribe tele/#'." placeholder:"RULE"`
	Anonymous bool     `help:"Admit clients that name nobody, and let them use every topic. For tests in a closed network."`

	RabbitMQVHost        string `name:"rabbitmq-vhost" help:"Virtual host of RabbitMQ that clients may use." placeholder:"NAME"`
	RabbitMQCertificates bool   `name:"rabbitmq-certificates" help:"RabbitMQ verifies certificates (mqtt.ssl_cert_login), and asks without a password about clients that have one."`

	NATS AuthNATSConfig `embed:"" prefix:"nats-"`
}

// AuthNATSConfig is how to reach NATS servers that ask who may connect by MQTT.
type AuthNATSConfig struct {
	URL          []string `help:"NATS servers that ask by their authorization callout: nats://HOST:4222. Empty: none." placeholder:"URL"`
	Username     string   `help:"User of the callout, among auth_users."`
	Password     string   `help:"Password of that user; prefer the environment or a file."`
	PasswordFile string   `help:"File with the password." placeholder:"FILE"`
	CAFile       string   `name:"ca-file" help:"PEM file of the certificate authorities to trust for NATS." placeholder:"FILE"`
	SeedFile     string   `help:"File with the seed of the issuer, which begins with SA: the private key of what NATS has as issuer." placeholder:"FILE"`
	Account      string   `help:"Account that clients are put into." placeholder:"NAME"`
	Certificates bool     `help:"The common name of a certificate that NATS has verified is the id of the device, or an account, and replaces the password."`
	Resume       string   `help:"Clients that are sent again at their login, first and in order, what they had not acknowledged: ${enum}. The others get that once NATS's ack_wait has passed, after newer messages." enum:"services,all,none" default:"${from_config}"`
}

// resumes says which clients are sent again at once what they had not acknowledged.
func (c AuthNATSConfig) resumes() func(auth.Client) bool {
	switch c.Resume {
	case "all":
		return func(auth.Client) bool { return true }
	case "services":
		return func(c auth.Client) bool { return c.Service != "" }
	}
	return nil
}

func (c AuthNATSConfig) validate() error {
	if len(c.URL) == 0 {
		return nil
	}
	var faults []error
	if c.SeedFile == "" {
		faults = append(faults, errors.New("NATS: seed of the issuer (--auth-nats-seed-file): expected a file"))
	}
	if c.Account == "" {
		faults = append(faults, errors.New("NATS: account (--auth-nats-account): expected a name, such as $G"))
	}
	if !slices.Contains([]string{"services", "all", "none"}, c.Resume) {
		faults = append(faults, fmt.Errorf("NATS: sessions that are resumed (--auth-nats-resume) %q: expected services, all or none", c.Resume))
	}
	for _, u := range c.URL {
		// It is not repeated: it may have a password.
		if parsed, err := url.Parse(u); err != nil || parsed.Host == "" || parsed.User != nil {
			faults = append(faults, errors.New("NATS: address (--auth-nats-url): expected nats://HOST:PORT or tls://HOST:PORT, without a password"))
		}
	}
	return errors.Join(faults...)
}

// AuthTopics are those settings of TopicConfig that permissions derive from.
type AuthTopics struct {
	TopicPrefix string   `help:"First level, or levels, of all device topics: PREFIX/{device}/telemetry; the same as for bridge and worker." placeholder:"PREFIX"`
	TwinTopics  []string `help:"Topics of the shadow protocol; the same as for bridge and worker." placeholder:"TEMPLATE"`
}

// AuthSettings is every setting of that server.
type AuthSettings struct {
	Auth   AuthConfig        `embed:"" prefix:"auth-" group:"Brokers"`
	Topics AuthTopics        `embed:"" prefix:"mqtt-" group:"Topics"`
	Worker CredentialsConfig `embed:"" prefix:"worker-" group:"Worker"`
	HTTP   HTTPConfig        `embed:"" prefix:"http-" group:"HTTP"`
	Log    LogConfig         `embed:"" prefix:"log-" group:"Logging"`
}

// DefaultAuth is for brokers on this host, with the topics and the folder of
// DefaultConfig.
func DefaultAuth() AuthSettings {
	c, topics := DefaultConfig(), wire.DefaultConfig()
	s := AuthSettings{
		Auth:   AuthConfig{Listen: "127.0.0.1:8095", RabbitMQVHost: "/", NATS: AuthNATSConfig{Account: "$G", Resume: "services"}},
		Topics: AuthTopics{TopicPrefix: topics.Prefix, TwinTopics: topics.ShadowTopics},
		HTTP:   c.HTTP, Log: c.Log,
	}
	s.Worker.Credentials = c.Worker.Credentials
	return s
}

// AfterApply implements kong's hook.
func (c *AuthConfig) AfterApply() error { return c.readSecrets() }

func (c *AuthConfig) readSecrets() error {
	if err := readToken(&c.Secret, &c.SecretFile, "--auth-secret"); err != nil {
		return err
	}
	return readSecret(&c.NATS.Password, &c.NATS.PasswordFile, "--auth-nats-password")
}

// AuthPlan is what the server is started with. Start uses nothing else.
type AuthPlan struct {
	Config      AuthConfig
	Topics      auth.Config
	Credentials string // a folder, or a URL, which has a password
	HTTP        HTTPConfig
	Log         LogConfig
}

// Plan checks the settings, and reads the file with the secret. An error reports every
// fault, as a ConfigError.
func (s AuthSettings) Plan() (AuthPlan, error) {
	faults := []error{s.Auth.readSecrets(), s.Auth.validate(), s.Worker.readSecrets()}
	p := AuthPlan{
		Config: s.Auth, Credentials: s.Worker.Credentials, HTTP: s.HTTP, Log: s.Log,
		Topics: auth.Config{Prefix: s.Topics.TopicPrefix, ShadowTopics: s.Topics.TwinTopics, Allow: s.Auth.Allow, Anonymous: s.Auth.Anonymous},
	}
	if _, err := p.Topics.Rules(); err != nil {
		faults = append(faults, fmt.Errorf("topics (--mqtt-topic-prefix, --mqtt-twin-topics, --auth-allow): %w", err))
	}
	if s.Worker.Credentials == "" {
		faults = append(faults, errors.New("credentials (--worker-credentials): expected a folder, or the URL of a PostgreSQL"))
	}
	if err := errors.Join(faults...); err != nil {
		return AuthPlan{}, &ConfigError{err}
	}
	return p, nil
}

// validate reports every fault that can be seen without reading files.
func (c AuthConfig) validate() error {
	var faults []error
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		faults = append(faults, fmt.Errorf("address for brokers (--auth-listen) %q: expected HOST:PORT", c.Listen))
	}
	if err == nil && c.Secret == "" && c.SecretFile == "" && !api.IsLoopback(host) {
		faults = append(faults, fmt.Errorf("address for brokers (--auth-listen) %s is reachable from other hosts, which could try passwords: expected a secret (--auth-secret-file)", c.Listen))
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		faults = append(faults, errors.New("a certificate (--auth-cert-file) and its key (--auth-key-file) go together"))
	}
	if c.RabbitMQVHost == "" {
		faults = append(faults, errors.New("virtual host (--auth-rabbitmq-vhost): expected a name, such as /"))
	}
	faults = append(faults, c.NATS.validate())
	return errors.Join(faults...)
}

// Start starts the server. Faults of files are a ConfigError.
func (p AuthPlan) Start(log *slog.Logger) (*Service, error) {
	s := &Service{log: log, failed: make(chan error, 1)}
	if err := s.startAuth(p); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Service) startAuth(p AuthPlan) error {
	metrics := NewRegistry()
	store, err := s.openCredentials(p.Credentials, metrics, true)
	if err != nil {
		return &ConfigError{err}
	}
	var accounts auth.Accounts
	checks := []Check{{"credentials", store.Ready, nil}}
	if p.Config.Services != "" {
		file := auth.AccountFile(p.Config.Services)
		if err := file.Validate(); err != nil {
			return &ConfigError{fmt.Errorf("accounts of services (--auth-services): %w", err)}
		}
		accounts = file
		checks = append(checks, Check{"accounts", func(context.Context) error { return file.Validate() }, nil})
	}
	decider, err := auth.New(p.Topics, store, accounts)
	if err != nil {
		return &ConfigError{err} // it was checked before
	}
	handler, err := hooks.New(hooks.Options{
		Decider: decider, Secret: p.Config.Secret, VHost: p.Config.RabbitMQVHost, Certificates: p.Config.RabbitMQCertificates, Metrics: metrics, Log: s.log,
	})
	if err != nil {
		return fmt.Errorf("make the server for brokers: %w", err)
	}
	listener, err := listenTLS(p.Config.Listen, "brokers", "--auth", p.Config.CertFile, p.Config.KeyFile)
	if err != nil {
		return err
	}
	s.serveBrokers(p.Config, listener, handler)
	if len(p.Config.NATS.URL) > 0 {
		ready, err := s.answerNATS(p.Config.NATS, decider, handler.Counted("nats"))
		if err != nil {
			return err
		}
		checks = append(checks, Check{"nats", ready, nil})
	}
	if p.HTTP.Listen == "" {
		return nil
	}
	own, err := p.HTTP.listener()
	if err != nil {
		return err
	}
	return s.serveHTTP(p.HTTP, own, metrics, checks)
}

// answerNATS answers NATS servers until the service is closed.
func (s *Service) answerNATS(c AuthNATSConfig, decider *auth.Decider, counted func(bool, auth.Reason, time.Duration)) (ready func(context.Context) error, err error) {
	seed, err := callout.ReadSeed(c.SeedFile)
	if err != nil {
		return nil, &ConfigError{fmt.Errorf("NATS (--auth-nats-seed-file): %w", err)}
	}
	server, err := callout.Start(callout.Options{
		Decider: decider, URLs: c.URL, Username: c.Username, Password: c.Password, CAFile: c.CAFile, Seed: seed, Account: c.Account, Certificates: c.Certificates,
		Resumes: c.resumes(), Counted: counted, Log: s.log,
	})
	if err != nil {
		return nil, &ConfigError{err} // servers that are unavailable are tried again
	}
	s.onStop("answers to NATS", func(context.Context) error { return server.Close() })
	return func(context.Context) error { return server.Ready() }, nil
}

// serveBrokers serves until the service is closed.
func (s *Service) serveBrokers(c AuthConfig, listener net.Listener, handler http.Handler) {
	s.url = urlOf(listener, c.CertFile)
	c.tellAccess(s.log, s.url)
	server := &http.Server{
		// Brokers keep connections open between requests.
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.onStop("server for brokers", s.serve("brokers", server, listener))
}

// tellAccess says who is let in.
func (c AuthConfig) tellAccess(log *slog.Logger, url string) {
	host, _, _ := net.SplitHostPort(c.Listen)
	if c.Anonymous {
		log.Warn("clients that name nobody are admitted, and may use every topic (--auth-anonymous)")
	}
	if c.CertFile == "" && !api.IsLoopback(host) {
		log.Warn("brokers are served without TLS: passwords of devices can be read on the network (--auth-cert-file)", "url", url)
		return
	}
	log.Info("serving brokers", "url", url)
}

// AuthURL is where brokers ask, "" if there is no such server.
func (s *Service) AuthURL() string { return s.url }
