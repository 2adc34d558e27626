package stack

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"

	"devicetwin/device"
)

// TLS says how devices connect to the TLS listener of the broker (PartMQTTS):
// with a certificate of an authority in CAFile, whose common name is the
// device's id. All files are PEM.
type TLS struct {
	// Host is the IP address listened on; empty means Options.Host.
	Host string
	// CAFile holds the authorities whose certificates devices have.
	CAFile string
	// CertFile and KeyFile are of the broker.
	CertFile, KeyFile string
}

func (t *TLS) host(o Options) string {
	if t == nil || t.Host == "" {
		return o.Host
	}
	return t.Host
}

// validate reports every fault that can be seen without reading the files.
func (t *TLS) validate() error {
	if t == nil {
		return errors.New("part mqtts needs certificates (TLS)")
	}
	var faults []error
	if t.Host != "" && net.ParseIP(t.Host) == nil {
		faults = append(faults, fmt.Errorf("host %q of mqtts: expected an IP address such as 0.0.0.0", t.Host))
	}
	for _, file := range []struct{ what, path string }{{"authorities", t.CAFile}, {"certificate", t.CertFile}, {"key", t.KeyFile}} {
		if file.path == "" {
			faults = append(faults, fmt.Errorf("part mqtts needs a file with its %s", file.what))
		}
	}
	return errors.Join(faults...)
}

// serverConfig reads the files.
func (t *TLS) serverConfig() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("read certificate %s and key %s: %w", t.CertFile, t.KeyFile, err)
	}
	raw, err := os.ReadFile(t.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read authorities: %w", err)
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(raw) {
		return nil, fmt.Errorf("read authorities: %s holds no PEM certificate", t.CAFile)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{cert},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    authorities,
		MinVersion:   tls.VersionTLS12,
		VerifyConnection: func(s tls.ConnectionState) error {
			_, err := deviceOf(s)
			return err
		},
	}, nil
}

// deviceOf is the id of the device at the other end of a verified connection. Not
// device.Parse: a name with a slash would reach the topics of other devices.
func deviceOf(s tls.ConnectionState) (device.ID, error) {
	id, err := device.New(device.KindDevice, s.PeerCertificates[0].Subject.CommonName)
	if err != nil {
		return "", fmt.Errorf("common name of the certificate: %w", err)
	}
	return id, nil
}
