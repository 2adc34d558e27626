package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"devicetwin/points"
)

// Points go to an InfluxDB that asks for a certificate, and only to one whose
// own certificate is of the authority that is named.
func TestInfluxTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	pair, err := tls.LoadX509KeyPair(ours.issue("influxdb"))
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(mustLoad(t, ours.file))
	written := make(chan string, 10)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		written <- r.TLS.PeerCertificates[0].Subject.CommonName
		w.WriteHeader(http.StatusNoContent)
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(io.Discard, nil), slog.LevelError)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	server.StartTLS()
	defer server.Close()

	cert, key := ours.issue("bridge")
	write := func(c InfluxServer) (written float64) {
		t.Helper()
		c.URL, c.Bucket = server.URL, "b"
		config := c.Points()
		config.CloseWithin = time.Second
		writer, err := points.NewWriter(config, points.Deps{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		writer.WritePoint("m", nil, map[string]any{"v": 1.0}, time.Now())
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // which lets it write what it has
		writer.Run(ctx)
		return writer.Metric("points_written_total")
	}
	if s := write(InfluxServer{CAFile: ours.file, CertFile: cert, KeyFile: key}); s != 1 {
		t.Errorf("with the right files: %v written", s)
	} else if name := <-written; name != "bridge" {
		t.Errorf("the client is %q", name)
	}
	for name, c := range map[string]InfluxServer{
		"no certificate":    {CAFile: ours.file},
		"another authority": {CAFile: theirs.file, CertFile: cert, KeyFile: key},
		"the system's":      {CertFile: cert, KeyFile: key},
	} {
		if s := write(c); s != 0 {
			t.Errorf("%s: %v written", name, s)
		}
	}
	if _, err := points.NewWriter((InfluxServer{URL: server.URL, Bucket: "b", CAFile: "/nowhere"}).Points(), points.Deps{Logger: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("an authority that is not there is taken")
	}
}
