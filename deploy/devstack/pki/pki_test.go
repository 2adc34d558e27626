package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, dir string) *Authority {
	t.Helper()
	a, err := Open(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func leaf(t *testing.T, pair Pair, err error) *x509.Certificate {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	both, err := tls.LoadX509KeyPair(pair.CertFile, pair.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	return both.Leaf
}

func verify(a *Authority, cert *x509.Certificate, usage x509.ExtKeyUsage, at time.Time) error {
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	_, err := cert.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}, CurrentTime: at})
	return err
}

func TestDeviceCertificate(t *testing.T) {
	a := open(t, filepath.Join(t.TempDir(), "tls"))
	pair, err := a.Device("pump:1_a-b", time.Hour, now)
	cert := leaf(t, pair, err)
	if cert.Subject.CommonName != "pump:1_a-b" || cert.IsCA {
		t.Errorf("common name %q, authority %v", cert.Subject.CommonName, cert.IsCA)
	}
	if err := verify(a, cert, x509.ExtKeyUsageClientAuth, now.Add(59*time.Minute)); err != nil {
		t.Errorf("as a client: %v", err)
	}
	if verify(a, cert, x509.ExtKeyUsageServerAuth, now) == nil {
		t.Error("a device's certificate is good for a server")
	}
	if verify(a, cert, x509.ExtKeyUsageClientAuth, now.Add(time.Hour+time.Second)) == nil {
		t.Error("it does not expire")
	}
	if _, err := a.Device("pump:1_a-b", time.Hour, now); !errors.Is(err, ErrExists) {
		t.Errorf("the same device again: %v", err)
	}
	for _, id := range []string{"", "a/b", "../ca", "a b", "a.b", strings.Repeat("x", 129)} {
		if _, err := a.Device(id, time.Hour, now); err == nil || !strings.Contains(err.Error(), "device id") {
			t.Errorf("device id %q: %v", id, err)
		}
	}
}

func TestNothingOutlivesTheAuthority(t *testing.T) {
	a := open(t, t.TempDir())
	pair, err := a.Device("p1", 100*365*24*time.Hour, now)
	if cert := leaf(t, pair, err); cert.NotAfter.After(a.cert.NotAfter) {
		t.Errorf("the device's certificate ends on %v, the authority's on %v", cert.NotAfter, a.cert.NotAfter)
	}
}

func TestServerCertificateIsKeptAndRenewed(t *testing.T) {
	dir := t.TempDir()
	names := []string{"127.0.0.1", "::1", "localhost", "gateway.example"}
	a := open(t, dir)
	pair, err := a.Server(names, now)
	first := leaf(t, pair, err)
	for _, name := range names {
		if err := first.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if err := verify(a, first, x509.ExtKeyUsageServerAuth, now); err != nil {
		t.Error(err)
	}
	a = open(t, dir)
	for _, c := range []struct {
		what  string
		names []string
		at    time.Time
		same  bool
	}{
		{"the next day", names, now.Add(24 * time.Hour), true},
		{"fewer names", names[:1], now, true},
		{"half a year before its end", names, first.NotAfter.Add(-183 * 24 * time.Hour), false},
		{"another name", append(names, "10.0.0.7"), now, false},
	} {
		pair, err := a.Server(c.names, c.at)
		got := leaf(t, pair, err)
		if got.Equal(first) != c.same {
			t.Errorf("%s: kept %v, want %v", c.what, !c.same, c.same)
		}
		if !c.same {
			first = got
		}
	}
	// The authority was put in the place of another one.
	for _, name := range []string{"ca.pem", "ca.key"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	a = open(t, dir)
	pair, err = a.Server(names, now)
	if err := verify(a, leaf(t, pair, err), x509.ExtKeyUsageServerAuth, now); err != nil {
		t.Errorf("after a new authority was made: %v", err)
	}
}

func TestAuthorityStays(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir)
	if second := open(t, dir); !first.cert.Equal(second.cert) {
		t.Error("opened again, it is another one")
	}
	for name, mode := range map[string]os.FileMode{"ca.key": 0o600, "ca.pem": 0o644} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v; want mode %v", name, info.Mode(), err, mode)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".new-*")); len(left) > 0 {
		t.Errorf("drafts are left: %v", left)
	}
	// Killed between key and certificate: neither was ever used.
	if err := os.Remove(filepath.Join(dir, "ca.pem")); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	// A key that is lost is not replaced: all devices would have to be visited.
	if err := os.Remove(filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, now); err == nil || !strings.Contains(err.Error(), "ca.key") {
		t.Errorf("without its key: %v", err)
	}
}
