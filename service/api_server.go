package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"devicetwin/api"
)

// startAPI serves until the service is closed.
func (s *Service) startAPI(p Plan, listener net.Listener, backend api.Backend, models api.Models, metrics prometheus.Registerer) error {
	c, o := p.API, api.DefaultOptions()
	o.Backend, o.Models, o.Log, o.Metrics = backend, models, s.log, metrics
	o.Timeout, o.Stream.Most = c.Timeout, c.Streams
	var err error
	if o.Auth, err = c.authenticator(s.log); err != nil {
		return err
	}
	audit, closeAudit, err := c.auditLog(p.Log, s.log)
	if err != nil {
		return err
	}
	s.onClose("audit log of the API", func(context.Context) error { return closeAudit() })
	o.Audit = audit
	handler, err := api.New(o)
	if err != nil {
		return fmt.Errorf("make the API: %w", err)
	}
	s.apiURL = urlOf(listener, c.CertFile)
	c.tellAccess(s.log, s.apiURL)
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	stop := s.serve("the API", server, listener)
	s.onStop("API", func(ctx context.Context) error {
		handler.Close() // streams would never end
		return stop(ctx)
	})
	return nil
}

// serve serves until stop is called, which waits for the requests that are under way. That
// it can't go on is a failure of the service.
func (s *Service) serve(what string, server *http.Server, listener net.Listener) (stop func(context.Context) error) {
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.fail(fmt.Errorf("serve %s: %w", what, err))
		}
	}()
	return func(ctx context.Context) error {
		err := server.Shutdown(ctx)
		<-served
		return err
	}
}

func (c APIConfig) listener() (net.Listener, error) {
	return listenTLS(c.Listen, "the API", "--api", c.CertFile, c.KeyFile)
}

// listenTLS listens with a certificate, or without one if there is none. flags is how
// the names of the flags begin: --api for --api-listen, --api-cert-file and so on.
func listenTLS(address, what, flags, certFile, keyFile string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for %s (%s-listen): %w", what, flags, err)
	}
	if certFile == "" {
		return listener, nil
	}
	pair := &certificate{what: fmt.Sprintf("%s's certificate (%s-cert-file, %s-key-file)", what, flags, flags), certFile: certFile, keyFile: keyFile}
	if _, err := pair.get(nil); err != nil {
		return nil, errors.Join(&ConfigError{err}, listener.Close())
	}
	return tls.NewListener(listener, &tls.Config{
		MinVersion: tls.VersionTLS12, GetCertificate: pair.get, NextProtos: []string{"http/1.1"},
	}), nil
}

// urlOf is how what listenTLS listens for is reached on this machine.
func urlOf(listener net.Listener, certFile string) string {
	scheme := "http"
	if certFile != "" {
		scheme = "https"
	}
	return scheme + "://" + listener.Addr().String()
}

// tellAccess says who is let in.
func (c APIConfig) tellAccess(log *slog.Logger, url string) {
	host, _, _ := net.SplitHostPort(c.Listen)
	switch {
	case c.open():
		log.Warn("API authentication is disabled: anyone on this host has admin access (--api-token-file, --api-oidc-issuer)", "api", url)
	case c.CertFile == "" && !api.IsLoopback(host):
		log.Warn("the API is served without TLS: tokens can be read on the network unless a proxy in front encrypts (--api-cert-file)", "api", url)
	default:
		log.Info("serving the API", "api", url)
	}
}

// certificate is a pair of files that is read again when it changes.
type certificate struct {
	what              string // it is, with its flags
	certFile, keyFile string

	mu      sync.Mutex
	pair    *tls.Certificate
	changed time.Time // of the newer file, when they were read
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed := newest(c.certFile, c.keyFile)
	if c.pair != nil && changed.Equal(c.changed) {
		return c.pair, nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err == nil {
		c.pair, c.changed = &pair, changed
	}
	if c.pair == nil {
		return nil, fmt.Errorf("read %s: %w", c.what, err)
	}
	return c.pair, nil // as long as the new files do not fit together, the old ones
}

func newest(files ...string) time.Time {
	var at time.Time
	for _, file := range files {
		if info, err := os.Stat(file); err == nil && info.ModTime().After(at) {
			at = info.ModTime()
		}
	}
	return at
}
