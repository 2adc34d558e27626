package service

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"devicetwin/api"
	"devicetwin/internal/testfile"
)

// serveAPI serves the API alone, while Temporal is unavailable.
func serveAPI(t *testing.T, log io.Writer, c APIConfig) *Service {
	t.Helper()
	c.Listen, c.Timeout, c.Streams = "127.0.0.1:0", 200*time.Millisecond, 10
	config := withoutServers()
	config.API = c
	service, err := Start(config, API, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = service.Close() })
	return service
}

func TestAPIWithoutTemporal(t *testing.T) {
	var log bytes.Buffer
	audit := filepath.Join(t.TempDir(), "audit")
	service := serveAPI(t, &log, APIConfig{Audit: audit})
	if !strings.Contains(log.String(), "API authentication is disabled") {
		t.Errorf("the log does not say that the API is open:\n%s", log.String())
	}
	request, err := http.NewRequest(http.MethodDelete, service.APIURL()+"/v1/devices/pump-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("status %d, Retry-After %q", response.StatusCode, response.Header.Get("Retry-After"))
	}
	line, err := os.ReadFile(audit)
	if err != nil || !strings.Contains(string(line), `"who":"anonymous","what":"delete-device","device":"pump-1","result":"failed","status":503`) {
		t.Errorf("audit: %s, %v", line, err)
	}
	if page := get(t, service.HTTPAddr(), "/metrics"); !strings.Contains(page, `devicetwin_api_requests_total{operation="delete-device",status="503"} 1`) {
		t.Errorf("metrics:\n%s", page)
	}
	if page := get(t, service.HTTPAddr(), "/readyz"); !strings.Contains(page, "temporal: ") {
		t.Errorf("ready without Temporal: %s", page)
	}
	if err := service.Close(); err != nil {
		t.Error(err)
	}
	if _, err := http.Get(service.APIURL()); err == nil {
		t.Error("still served after the end")
	}
}

func TestAPIWithTLSAndTokens(t *testing.T) {
	token, line, err := api.NewToken("ops", []api.Scope{api.ScopeRead})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pair := APIConfig{TokenFile: testfile.Write(t, "tokens", line+"\n"), CertFile: filepath.Join(dir, "cert"), KeyFile: filepath.Join(dir, "key")}
	first := makeCertificate(t, pair, "first")
	service := serveAPI(t, io.Discard, pair)
	ask := func(token string) (status int, subject string) {
		t.Helper()
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
		request, err := http.NewRequest(http.MethodGet, service.APIURL()+"/v1/devices/pump-1", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode, response.TLS.PeerCertificates[0].Subject.CommonName
	}
	if status, subject := ask(token); status != http.StatusServiceUnavailable || subject != "first" {
		t.Errorf("status %d of %s", status, subject)
	}
	if status, _ := ask("guessed"); status != http.StatusUnauthorized {
		t.Errorf("a guessed token: status %d", status)
	}
	if err := os.WriteFile(pair.CertFile, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	later(t, pair, first.Add(time.Minute))
	if _, subject := ask(token); subject != "first" {
		t.Errorf("while the files are being replaced: certificate of %s", subject)
	}
	second := makeCertificate(t, pair, "second")
	later(t, pair, second.Add(time.Hour))
	if _, subject := ask(token); subject != "second" {
		t.Errorf("after they were replaced: certificate of %s", subject)
	}
	if !strings.HasPrefix(service.APIURL(), "https://") {
		t.Error(service.APIURL())
	}
}

// later sets the time of the files, which may be too coarse otherwise.
func later(t *testing.T, pair APIConfig, at time.Time) {
	t.Helper()
	if err := os.Chtimes(pair.CertFile, at, at); err != nil {
		t.Fatal(err)
	}
}

func makeCertificate(t *testing.T, pair APIConfig, name string) time.Time {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{pair.CertFile: {Type: "CERTIFICATE", Bytes: der}, pair.KeyFile: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return newest(pair.CertFile)
}

// Audit records that the disk did not take are logged.
func TestAuditThatIsNotWritten(t *testing.T) {
	var log bytes.Buffer
	file, err := os.Create(filepath.Join(t.TempDir(), "audit"))
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	out := auditFile{file, slog.New(slog.NewTextHandler(&log, nil))}
	if _, err := fmt.Fprintln(out, "who did what"); err == nil || !strings.Contains(log.String(), "who did what") {
		t.Errorf("%v, log %s", err, log.String())
	}
}
