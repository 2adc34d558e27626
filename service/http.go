package service

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// HTTPServer is a process's own listener: metrics for Prometheus, and health.
type HTTPServer struct {
	server   http.Server
	listener net.Listener
	served   chan struct{}
}

// Check reports why a part is not ready; nil means that it is.
type Check struct {
	Name  string
	Ready func(context.Context) error
	// Remark, if it is not nil, is what an operator should see to though the part is
	// ready; "" if there is nothing.
	Remark func() string
}

// StartHTTP listens. /healthz answers as soon as the process serves; /readyz
// only when every check passes, with one line for each that does not. A remark is a line
// in either case.
func StartHTTP(c HTTPConfig, metrics prometheus.Gatherer, checks []Check, log *slog.Logger) (*HTTPServer, error) {
	listener, err := c.listener()
	if err != nil {
		return nil, err
	}
	return serveHTTP(c, listener, metrics, checks, log), nil
}

func (c HTTPConfig) listener() (net.Listener, error) {
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics and health (--http-listen): %w", err)
	}
	return listener, nil
}

func serveHTTP(c HTTPConfig, listener net.Listener, metrics prometheus.Gatherer, checks []Check, log *slog.Logger) *HTTPServer {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { answerReady(w, r, checks) })
	if c.Profile {
		serveProfiles(mux)
	}
	s := &HTTPServer{
		server:   http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second},
		listener: listener,
		served:   make(chan struct{}),
	}
	go func() {
		defer close(s.served)
		if err := s.server.Serve(listener); err != http.ErrServerClosed {
			log.Error("metrics and health are no longer served", "error", err)
		}
	}()
	return s
}

// serveProfiles serves what go tool pprof asks for.
func serveProfiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index) // the heap and others by name
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}

func answerReady(w http.ResponseWriter, r *http.Request, checks []Check) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	var reasons, remarks []string
	for _, c := range checks {
		if err := c.Ready(ctx); err != nil {
			reasons = append(reasons, fmt.Sprintf("%s: %v", c.Name, err))
		}
		if c.Remark == nil {
			continue
		}
		if remark := c.Remark(); remark != "" {
			remarks = append(remarks, c.Name+": "+remark)
		}
	}
	if len(reasons) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	} else {
		reasons = []string{"ready"}
	}
	fmt.Fprintln(w, strings.Join(slices.Concat(reasons, remarks), "\n"))
}

// Addr is the address listened on.
func (s *HTTPServer) Addr() string { return s.listener.Addr().String() }

func (s *HTTPServer) Close(ctx context.Context) error {
	err := s.server.Shutdown(ctx)
	<-s.served
	return err
}
