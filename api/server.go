package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
)

// Options configure a Server. Log, Audit and Backend are required.
type Options struct {
	Backend Backend
	// Models is the registry of models; nil for none.
	Models Models
	// Auth identifies callers; nil gives every caller admin access, which is only
	// for listeners on loopback addresses.
	Auth    Authenticator
	Log     *slog.Logger
	Audit   *slog.Logger
	Metrics prometheus.Registerer // nil for none

	Timeout time.Duration // of a request that is not a stream
	MaxBody int64         // bytes of a request's body
	Stream  StreamOptions
}

// DefaultOptions are the defaults; the required options are missing.
func DefaultOptions() Options {
	return Options{
		Timeout: 10 * time.Second, MaxBody: 128 << 10,
		Stream: StreamOptions{Interval: time.Second, Heartbeat: 15 * time.Second, Most: 200, WriteTimeout: 10 * time.Second},
	}
}

// Server is the API as an http.Handler. Close ends its streams.
type Server struct {
	backend  Backend
	models   Models // nil: there is no registry
	versions *versions
	auth     Authenticator
	log      *slog.Logger
	auditLog *slog.Logger
	timeout  time.Duration
	maxBody  int64
	metrics  *metrics
	hub      *hub
	mux      *http.ServeMux
	handler  http.Handler
	document []byte // OpenAPI
}

// New makes a Server.
func New(o Options) (*Server, error) {
	versions := newVersions(o.Models)
	backend := numbered{o.Backend, versions}
	s := &Server{
		backend: backend, versions: versions, models: o.Models, auth: o.Auth, log: o.Log, auditLog: o.Audit,
		timeout: o.Timeout, maxBody: o.MaxBody, metrics: newMetrics(o.Metrics),
		hub: newHub(backend, o.Stream, o.Log), mux: http.NewServeMux(),
	}
	api := humago.New(s.mux, config(s.auth != nil))
	api.UseMiddleware(s.observe, s.authorize, s.limit, once)
	s.register(api)
	allowNull(api.OpenAPI())
	var err error
	if s.document, err = json.MarshalIndent(api.OpenAPI(), "", "  "); err != nil {
		return nil, fmt.Errorf("write the OpenAPI document: %w", err)
	}
	s.mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(s.document)
	})
	s.mux.HandleFunc("/", s.unknownPath)
	sameSite := http.NewCrossOriginProtection()
	sameSite.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, http.StatusForbidden, "a browser sent this request for a page of another site")
	}))
	s.handler = sameSite.Handler(s.mux)
	if s.auth == nil {
		s.handler = onlyLoopbackNames(s.handler)
	}
	return s, nil
}

// Close ends all streams, and waits for what they had begun.
func (s *Server) Close() { s.hub.close() }

// OpenAPI is the document of the API, version 3.1, as JSON.
func (s *Server) OpenAPI() []byte { return s.document }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := context.WithValue(r.Context(), requestKey{}, rand.Text()[:12])
	w.Header().Set("X-Request-Id", requestID(ctx))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	defer func() {
		fault := recover()
		if fault == nil || fault == http.ErrAbortHandler {
			return
		}
		s.log.Error("request panicked", "id", requestID(ctx), "method", r.Method, "path", r.URL.Path, "panic", fault, "stack", string(debug.Stack()))
		writeProblem(w, http.StatusInternalServerError, "internal error; see the log for id "+requestID(ctx))
	}()
	s.handler.ServeHTTP(w, r.WithContext(ctx))
}

type requestKey struct{}

// requestID identifies a request in the log.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

// config is huma's, without the parts that load scripts from elsewhere, or add
// to the answers. The document names tokens where they are asked for.
func config(tokens bool) huma.Config {
	var schemes map[string]*huma.SecurityScheme
	if tokens {
		schemes = map[string]*huma.SecurityScheme{
			bearer: {Type: "http", Scheme: "bearer", Description: "A token of the token file, or a JSON Web Token of the configured issuer."},
		}
	}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "devicetwin", Version: "1",
				Description: "Read and operate the twins of a fleet.",
			},
			Components: &huma.Components{
				Schemas:         huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: schemes,
			},
		},
		Formats:                      map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	}
}

const bearer = "bearer"

// unknownPath answers what no operation does.
func (s *Server) unknownPath(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := s.mux.Handler(probe); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		writeProblem(w, http.StatusNotFound, "no such path; GET /openapi.json describes those that there are")
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	writeProblem(w, http.StatusMethodNotAllowed, "this path takes "+strings.Join(allowed, ", "))
}

// onlyLoopbackNames refuses requests that were made to any other name: a page
// in this machine's browser could reach the API under a name of its own.
func onlyLoopbackNames(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if !IsLoopback(strings.Trim(host, "[]")) {
			writeProblem(w, http.StatusMisdirectedRequest, "without tokens the API answers only to localhost, 127.0.0.1 and [::1]")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// IsLoopback reports whether a host's name is this machine's own.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
