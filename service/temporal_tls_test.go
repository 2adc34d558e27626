package service

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"devicetwin/internal/testfile"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	var der []byte
	der, a.key = a.sign(a.cert, nil)
	a.file = testfile.Write(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return a
}

func (a *authority) sign(template *x509.Certificate, by *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if by == nil {
		by = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, by)
	if err != nil {
		a.t.Fatal(err)
	}
	return der, key
}

// issue makes the two files of a certificate.
func (a *authority) issue(name string) (certFile, keyFile string) {
	a.t.Helper()
	der, key := a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.key)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return testfile.Write(a.t, name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		testfile.Write(a.t, name+"-key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})))
}

// The connection is mutual TLS: each side checks the other's certificate.
func TestTemporalTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	pair, err := tls.LoadX509KeyPair(ours.issue("temporal"))
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(mustLoad(t, ours.file))
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	server.StartTLS()
	defer server.Close()

	cert, key := ours.issue("worker")
	strange, strangeKey := theirs.issue("worker")
	for _, tt := range []struct {
		name   string
		config TemporalServer
		good   bool
	}{
		{"both know each other", TemporalServer{CAFile: ours.file, CertFile: cert, KeyFile: key}, true},
		{"by the name of the certificate", TemporalServer{CAFile: ours.file, CertFile: cert, KeyFile: key, ServerName: "temporal"}, true},
		{"another name", TemporalServer{CAFile: ours.file, CertFile: cert, KeyFile: key, ServerName: "other"}, false},
		{"no certificate of ours", TemporalServer{CAFile: ours.file}, false},
		{"certificate of a strange authority", TemporalServer{CAFile: ours.file, CertFile: strange, KeyFile: strangeKey}, false},
		{"server of a strange authority", TemporalServer{CAFile: theirs.file, CertFile: cert, KeyFile: key}, false},
		{"authorities of the system", TemporalServer{TLS: true, CertFile: cert, KeyFile: key}, false},
	} {
		config, err := tt.config.tlsConfig()
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		client := http.Client{Transport: &http.Transport{TLSClientConfig: config}}
		response, err := client.Get(server.URL)
		if (err == nil) != tt.good {
			t.Errorf("%s: got %v", tt.name, err)
		}
		if err == nil {
			response.Body.Close()
		}
		client.CloseIdleConnections()
	}
}

func mustLoad(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	config, err := TemporalServer{CAFile: file}.tlsConfig()
	if err != nil || config.RootCAs == nil {
		t.Fatalf("read %s: %v", file, err)
	}
	block, _ := pem.Decode(readFile(t, file))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestFaultsOfTemporalTLS(t *testing.T) {
	if config, err := (TemporalServer{}).tlsConfig(); config != nil || err != nil {
		t.Errorf("without settings: %v, %v", config, err)
	}
	if config, err := (TemporalServer{APIKey: "k"}).tlsConfig(); config == nil || err != nil {
		t.Errorf("with an API key: %v, %v", config, err)
	}
	text := testfile.Write(t, "text.pem", "no certificate")
	_, err := TemporalServer{CAFile: text, CertFile: text}.tlsConfig()
	for _, says := range []string{"no PEM certificate in " + text, "expected both or neither"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, and not %q", err, says)
		}
	}
}

func readFile(t *testing.T, file string) []byte {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
