package mosquitto

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
	"path/filepath"
	"testing"
	"time"

	"devicetwin/internal/testfile"
	"devicetwin/internal/testserver"
)

// authority issues certificates, as files.
type authority struct {
	t           *testing.T
	dir         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.certificate, a.key = a.issue("ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue writes NAME.pem and NAME.key.
func (a *authority) issue(name string, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber, template.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.certificate, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	testfile.WriteTo(a.t, a.file(name+".pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	testfile.WriteTo(a.t, a.file(name+".key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return certificate, key
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// device is the TLS settings of a device with a certificate of this name.
func (a *authority) device(name string) *tls.Config {
	a.t.Helper()
	a.issue(name, &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	pair, err := tls.LoadX509KeyPair(a.file(name+".pem"), a.file(name+".key"))
	if err != nil {
		a.t.Fatal(err)
	}
	return a.trust(pair)
}

// trust is the TLS settings of a client that trusts the authority.
func (a *authority) trust(pairs ...tls.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return &tls.Config{RootCAs: pool, Certificates: pairs}
}

// startTLS starts a broker with a second listener, for certificates, and further lines
// of its configuration.
func startTLS(t *testing.T, a *authority, more ...string) (b, withTLS *broker) {
	t.Helper()
	a.issue("localhost", &x509.Certificate{DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	_, port := testserver.FreeAddress(t)
	b = start(t, append(more, "listener "+port+" 127.0.0.1", "cafile "+a.file("ca.pem"), "certfile "+a.file("localhost.pem"),
		"keyfile "+a.file("localhost.key"), "require_certificate true")...)
	return b, &broker{url: "ssl://127.0.0.1:" + port, port: port, store: b.store}
}

const advertised = "?SDK=JavaScript&Version=2.2.16"

// Where certificates count, the name in one is that of a device or an account.
func TestCertificates(t *testing.T) {
	a := newAuthority(t)
	_, b := startTLS(t, a, "plugin_opt_certificates true")
	secret := b.enrol(t, "pump-1")
	for _, tt := range []struct {
		name, certificate, id, username, password string
		good                                      bool
	}{
		{"no name", "pump-9", "pump-9", "", "", true},
		{"an SDK that says who it is", "pump-9", "pump-9", advertised, "", true},
		{"its own name", "pump-9", "pump-9/log", "pump-9", "", true},
		{"its own name and password", "pump-1", "pump-1", "pump-1", secret, true},
		{"a wrong password", "pump-1", "pump-1", "pump-1", "guess", false},
		{"another name", "pump-9", "pump-9", "pump-1", secret, false},
		{"the session of another device", "pump-9", "pump-1", "", "", false},
		{"a service", "devicetwin.bridge", "x", "", "", true},
		{"a service's name", "pump-9", "pump-9", "devicetwin.bridge", password, false},
		{"of a host", "mqtt.example.org", "x", "", "", false},
	} {
		if _, err := b.connectTLS(t, a.device(tt.certificate), tt.id, tt.username, tt.password); (err == nil) != tt.good {
			t.Errorf("%s: got error %v", tt.name, err)
		}
	}
	// It has the rights of that device, and no others.
	bridge := b.mustConnectTLS(t, a.device("devicetwin.bridge"), "devicetwin-bridge-1", "")
	bridge.Subscribe("devices/#")
	pump := b.mustConnectTLS(t, a.device("pump-9"), "pump-9", advertised)
	mayNotSubscribe(t, pump, "devices/pump-1/#")
	pump.Subscribe("devices/pump-9/#")
	pump.Publish("devices/pump-9/telemetry")
	bridge.Expect("devices/pump-9/telemetry")
}

// A device that is revoked is out, and stays out, also with a certificate, which nobody
// has revoked; until it gets credentials again.
func TestARevokedDeviceWithACertificate(t *testing.T) {
	a := newAuthority(t)
	_, b := startTLS(t, a, "plugin_opt_certificates true")
	b.enrol(t, "pump-1")
	certificate := a.device("pump-1")
	b.revoke(t, "pump-1", b.mustConnectTLS(t, certificate, "pump-1", advertised))
	if _, err := b.connectTLS(t, certificate, "pump-1", "", ""); err == nil {
		t.Error("the device is in again")
	}
	if _, err := b.store.Enrol(t.Context(), "pump-1", "again"); err != nil {
		t.Fatal(err)
	}
	b.mustConnectTLS(t, certificate, "pump-1", advertised)
}

// By default, a certificate is needed in addition to a name and a password, and may be
// anybody's.
func TestCertificatesInAdditionToPasswords(t *testing.T) {
	a := newAuthority(t)
	_, b := startTLS(t, a)
	secret := b.enrol(t, "pump-1")
	batch := a.device("batch 7")
	for _, tt := range []struct {
		username, password string
		good               bool
	}{{"pump-1", secret, true}, {"pump-1" + advertised, secret, true}, {"pump-1", "guess", false}, {"", "", false}, {advertised, "", false}} {
		if _, err := b.connectTLS(t, batch, "pump-1", tt.username, tt.password); (err == nil) != tt.good {
			t.Errorf("%+v: got error %v", tt, err)
		}
	}
	if _, err := b.connectTLS(t, a.trust(), "pump-1", "pump-1", secret); err == nil {
		t.Error("a client without a certificate was taken")
	}
}

// Where anonymous clients may come in, one that only says which library it uses is one
// of them; a wrong password is not.
func TestAnonymousClients(t *testing.T) {
	acl := testfile.Write(t, "acl", "topic readwrite open/#\n")
	b := start(t, "allow_anonymous true", "acl_file "+acl)
	for _, username := range []string{"", advertised} {
		c, err := b.connect(t, "x", username, "")
		if err != nil {
			t.Fatalf("user name %q: %v", username, err)
		}
		c.Subscribe("open/#")
		c.Publish("open/x")
		c.Expect("open/x")
		c.MQTT.Disconnect(0)
	}
	for _, username := range []string{"pump-1", "pump-1" + advertised, "devicetwin.bridge"} {
		if _, err := b.connect(t, "pump-1", username, "guess"); err == nil {
			t.Errorf("user name %q: a wrong password was taken", username)
		}
	}
}
