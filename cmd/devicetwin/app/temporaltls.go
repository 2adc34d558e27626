package app

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// tlsConfig is nil where the connection is not encrypted. All faults come at once.
func (c TemporalConfig) tlsConfig() (*tls.Config, error) {
	if !c.TLS && c.APIKey == "" && c.CAFile == "" && c.CertFile == "" && c.KeyFile == "" && c.ServerName == "" {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	var faults []error
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		t.RootCAs = x509.NewCertPool()
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("read Temporal's certificate authority (--temporal-ca-file): %w", err))
		case !t.RootCAs.AppendCertsFromPEM(pem):
			faults = append(faults, fmt.Errorf("certificate authority of Temporal (--temporal-ca-file): no PEM certificate in %s", c.CAFile))
		}
	}
	switch {
	case (c.CertFile == "") != (c.KeyFile == ""):
		faults = append(faults, errors.New("--temporal-cert-file and --temporal-key-file: expected both or neither"))
	case c.CertFile != "":
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			faults = append(faults, fmt.Errorf("read the certificate for Temporal (--temporal-cert-file, --temporal-key-file): %w", err))
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, errors.Join(faults...)
}
