package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"time"
)

// Server returns the certificate of the broker for these host names and IP
// addresses. It is kept across restarts, and issued again when it is about to expire,
// lacks a name, or was issued by another authority: devices notice nothing, for
// they know the authority.
func (a *Authority) Server(names []string, now time.Time) (Pair, error) {
	pair := Pair{filepath.Join(a.dir, "server.pem"), filepath.Join(a.dir, "server.key")}
	cert, _, err := readPair(pair)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Pair{}, fmt.Errorf("read server certificate: %w", err)
	}
	if err == nil && a.serves(cert, names, now) {
		return pair, nil
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "devicetwin broker"},
		NotBefore: now.Add(-skew), NotAfter: now.Add(serverLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	if err := a.issue(pair, template); err != nil {
		return Pair{}, fmt.Errorf("issue server certificate: %w", err)
	}
	return pair, nil
}

// serves reports whether a server certificate will do for the time to come.
func (a *Authority) serves(cert *x509.Certificate, names []string, now time.Time) bool {
	if cert.CheckSignatureFrom(a.cert) != nil || now.Before(cert.NotBefore) || now.Add(renewBefore).After(cert.NotAfter) {
		return false
	}
	for _, name := range names {
		if cert.VerifyHostname(name) != nil {
			return false
		}
	}
	return true
}
