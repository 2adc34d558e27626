package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"devicetwin/device"
)

const (
	authorityLife = 30 * 365 * 24 * time.Hour
	serverLife    = 10 * 365 * 24 * time.Hour
	// renewBefore is how long a server certificate must still be valid when a
	// broker starts, which may then run for a long time.
	renewBefore = 365 * 24 * time.Hour
	// skew is how far back certificates are valid: gateways start with a clock
	// that is wrong.
	skew = 24 * time.Hour
)

// ErrExists says that a device has a certificate already.
var ErrExists = errors.New("it has a certificate already")

// Authority issues certificates. It is safe for use by one goroutine; Open takes
// no lock on the folder.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

// Pair names the PEM files of a certificate and of its key.
type Pair struct{ CertFile, KeyFile string }

// Open reads the authority of a folder, or makes both. It refuses a folder in
// which the key is missing or belongs to another certificate.
func Open(dir string, now time.Time) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder for certificates: %w", err)
	}
	a := &Authority{dir: dir}
	pair := Pair{a.CAFile(), filepath.Join(dir, "ca.key")}
	cert, key, err := readPair(pair)
	if errors.Is(err, fs.ErrNotExist) && !exists(pair.CertFile) {
		if err := a.create(pair, now); err != nil {
			return nil, err
		}
		cert, key, err = readPair(pair)
	}
	if err != nil {
		return nil, fmt.Errorf("read certificate authority: %w", err)
	}
	a.cert, a.key = cert, key
	return a, nil
}

// create writes the key first: after a kill between the two, the next start makes
// both again.
func (a *Authority) create(pair Pair, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make key of the certificate authority: %w", err)
	}
	template := &x509.Certificate{
		// Unique names: a device that has the certificate of another authority has
		// to report that.
		Subject:   pkix.Name{CommonName: "devicetwin authority " + rand.Text()[:8]},
		NotBefore: now.Add(-skew), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("make certificate of the certificate authority: %w", err)
	}
	return writePair(pair, der, key)
}

// CAFile is the PEM file that devices check the server against, and the server
// its devices.
func (a *Authority) CAFile() string { return filepath.Join(a.dir, "ca.pem") }

// Device issues a certificate for the device with this id. The error is
// ErrExists if there is one: two devices with one id would throw each other off
// the broker. Remove its files to issue another one.
func (a *Authority) Device(id string, life time.Duration, now time.Time) (Pair, error) {
	// Not Parse: only devices have certificates, and "/" would be a folder.
	if _, err := device.New(device.KindDevice, id); err != nil {
		return Pair{}, err
	}
	dir := filepath.Join(a.dir, "devices")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Pair{}, fmt.Errorf("make folder for certificates: %w", err)
	}
	pair := Pair{filepath.Join(dir, id+".pem"), filepath.Join(dir, id+".key")}
	if exists(pair.CertFile) {
		return pair, fmt.Errorf("issue certificate for device %s: %w: %s", id, ErrExists, pair.CertFile)
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: id},
		NotBefore: now.Add(-skew), NotAfter: now.Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if err := a.issue(pair, template); err != nil {
		return Pair{}, fmt.Errorf("issue certificate for device %s: %w", id, err)
	}
	return pair, nil
}

// issue makes a key and a certificate for it, which is valid no longer than the
// authority's own.
func (a *Authority) issue(pair Pair, template *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	if template.NotAfter.After(a.cert.NotAfter) {
		template.NotAfter = a.cert.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("sign certificate: %w", err)
	}
	return writePair(pair, der, key)
}
