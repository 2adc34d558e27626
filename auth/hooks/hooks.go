// Package hooks answers what MQTT brokers ask over HTTP: EMQX's HTTP authentication
// and authorization, RabbitMQ's rabbitmq_auth_backend_http, and VerneMQ's webhooks.
// What is answered is decided in package auth; here is only how each broker says it.
//
//	POST /emqx/authn          JSON or a form  {"result": "allow"}
//	POST /emqx/authz          JSON or a form  {"result": "deny"}
//	POST /rabbitmq/user       a form          allow, or deny
//	POST /rabbitmq/vhost
//	POST /rabbitmq/resource
//	POST /rabbitmq/topic
//	POST /vernemq             JSON            {"result": "ok"}
//
// All answers have status 200, also refusals: brokers take other statuses for a
// server that is broken, and some of them then ask somebody else. The exceptions are
// requests that no broker sends (400, 404, 405), and those without the secret (401).
//
// A request is POST, because a password in a URL would be in the logs of whatever is
// between. It has the secret, if there is one, in a header "Authorization: Bearer
// SECRET" or, for brokers that send no headers, in the URL: "?secret=SECRET".
package hooks

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"devicetwin/auth"
)

// maxRequest bounds a request, in bytes. VerneMQ sends payloads along, in base64: of
// what a bridge reads at most.
const maxRequest = 512 << 10

// Options are what a Server needs.
type Options struct {
	Decider *auth.Decider
	// Secret that every request has to have; "" for none.
	Secret string
	// VHost is the virtual host of RabbitMQ that clients may use.
	VHost string
	// Certificates says that RabbitMQ asks without a password for a client whose
	// certificate it has verified (mqtt.ssl_cert_login).
	Certificates bool
	Metrics      prometheus.Registerer
	Log          *slog.Logger
}

// Server is an http.Handler.
type Server struct {
	decider      *auth.Decider
	secret       [sha256.Size]byte
	open         bool // there is no secret
	vhost        string
	certificates bool
	metrics      *metrics
	log          *slog.Logger
	mux          *http.ServeMux
}

// New makes a server.
func New(o Options) (*Server, error) {
	s := &Server{
		decider: o.Decider, secret: sha256.Sum256([]byte(o.Secret)), open: o.Secret == "", vhost: o.VHost, certificates: o.Certificates,
		metrics: newMetrics(), log: o.Log, mux: http.NewServeMux(),
	}
	if err := s.metrics.register(o.Metrics); err != nil {
		return nil, err
	}
	s.handle("emqx", "authn", s.emqxLogin)
	s.handle("emqx", "authz", s.emqxPermission)
	s.handle("rabbitmq", "user", s.rabbitLogin)
	s.handle("rabbitmq", "vhost", s.rabbitVHost)
	s.handle("rabbitmq", "resource", s.rabbitResource)
	s.handle("rabbitmq", "topic", s.rabbitTopic)
	s.handle("vernemq", "", s.vernemq)
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// answer is what a broker is answered.
type answer struct {
	body string
	json bool
	// allowed is how it is counted.
	allowed bool
	// cache is how long the broker may remember it.
	cache time.Duration
}

// errNotAsked is a request that no broker sends.
var errNotAsked = errors.New("not a request of this broker")

// handle answers a kind of question. An error of f is the fault of the request.
func (s *Server) handle(broker, question string, f func(*http.Request) (answer, error)) {
	path := "/" + broker
	if question != "" {
		path += "/" + question
	}
	s.mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		if !s.knows(r) {
			s.metrics.count(broker, outcomeUnknown, time.Since(began))
			w.Header().Set("WWW-Authenticate", `Bearer realm="devicetwin"`)
			http.Error(w, "expected the secret: Authorization: Bearer SECRET, or ?secret=SECRET", http.StatusUnauthorized)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		a, err := f(r)
		if err != nil {
			s.log.Warn("cannot read what a broker asks", "path", path, "error", err)
			s.metrics.count(broker, outcomeBad, time.Since(began))
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.metrics.count(broker, outcomeOf(a.allowed), time.Since(began))
		if a.json {
			w.Header().Set("Content-Type", "application/json")
		} else {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		}
		if a.cache > 0 {
			w.Header().Set("Cache-Control", fmt.Sprintf("max-age=%d", int(a.cache.Seconds())))
		}
		_, _ = io.WriteString(w, a.body)
	})
}

// knows reports whether a request has the secret.
func (s *Server) knows(r *http.Request) bool {
	if s.open {
		return true
	}
	secret := ""
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "bearer") {
		secret = strings.TrimSpace(token)
	} else {
		secret = r.URL.Query().Get("secret")
	}
	sum := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(sum[:], s.secret[:]) == 1
}

// Counted counts an answer to a broker that asks in another way than by HTTP.
func (s *Server) Counted(broker string) func(allowed bool, reason auth.Reason, took time.Duration) {
	return func(allowed bool, reason auth.Reason, took time.Duration) {
		s.metrics.count(broker, outcomeOf(allowed), took)
		if reason != "" {
			s.metrics.refused.WithLabelValues(string(reason)).Inc()
		}
	}
}

// login decides about a login, and logs why it is refused.
func (s *Server) login(r *http.Request, l auth.Login) (auth.Client, bool) {
	c, err := s.decider.Login(r.Context(), l)
	if err == nil {
		return c, true
	}
	reason := auth.ReasonOf(err)
	s.metrics.refused.WithLabelValues(string(reason)).Inc()
	s.log.Log(r.Context(), reason.Level(), "mqtt client refused", "path", r.URL.Path, "client", auth.Shown(l.Client), "username", auth.Shown(l.Username), "reason", reason, "error", err)
	return c, false
}

// denied logs what a client may not do.
func (s *Server) denied(r *http.Request, c auth.Client, action, topic string) {
	s.log.Info("mqtt client may not do this", "path", r.URL.Path, "client", auth.Shown(c.String()), "action", auth.Shown(action), "topic", auth.Shown(topic))
}
