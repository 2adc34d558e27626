package bridge

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// tlsFiles makes a client's configuration of the PEM files that are named: the
// authorities in place of the system's, and a certificate with its key.
func tlsFiles(what, caFile, certFile, keyFile string) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	var f faults
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			f.add(fmt.Errorf("reading the %s certificate authority: %w", what, err))
		} else {
			t.RootCAs = x509.NewCertPool()
			f.check(t.RootCAs.AppendCertsFromPEM(pem), "%s certificate authority %s: no PEM certificate in it", what, caFile)
		}
	}
	if certFile != "" && keyFile != "" {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			f.add(fmt.Errorf("reading the %s client certificate: %w", what, err))
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, f.err()
}
