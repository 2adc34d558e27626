// Package tlsfiles makes the TLS configuration of a client from PEM files.
package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"devicetwin/internal/faults"
)

// Files names the PEM files of a client. Each may be empty.
type Files struct {
	CA   string // authorities, in place of the system's
	Cert string // the client's certificate; Cert and Key go together
	Key  string
}

// Names is what error messages call the files. Flags is the beginning of the
// settings' names: "--mqtt" stands for --mqtt-ca-file, --mqtt-cert-file and
// --mqtt-key-file. Empty: settings are not mentioned.
type Names struct {
	Server string // "mqtt", "influxdb", "Temporal"
	Flags  string
}

// Load reads the files. The error reports every fault. TLS is 1.2 or later.
func (f Files) Load(names Names) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	var all faults.List
	if f.CA != "" {
		pool, err := loadAuthorities(f.CA)
		if err != nil {
			all.Add(fmt.Errorf("read the %s certificate authority%s: %w", names.Server, names.flags("ca"), err))
		}
		config.RootCAs = pool
	}
	switch {
	case (f.Cert == "") != (f.Key == ""):
		all.Check(false, "%s client certificate and key%s: expected both or neither", names.Server, names.flags("cert", "key"))
	case f.Cert != "":
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			all.Add(fmt.Errorf("read the %s client certificate%s: %w", names.Server, names.flags("cert", "key"), err))
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if err := all.Err(); err != nil {
		return nil, err
	}
	return config, nil
}

func loadAuthorities(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no PEM certificate in %s", file)
	}
	return pool, nil
}

// flags are the names of settings, in parentheses.
func (n Names) flags(files ...string) string {
	if n.Flags == "" {
		return ""
	}
	s := " ("
	for i, file := range files {
		if i > 0 {
			s += ", "
		}
		s += n.Flags + "-" + file + "-file"
	}
	return s + ")"
}
