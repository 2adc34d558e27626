package stack

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"devicetwin/auth/callout"
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
	// Topics are the filters of the topics that a device may publish and
	// subscribe to, {id} standing for its id; empty means DeviceTopics.
	Topics []string
}

// DeviceTopics are the topics of a device in the schemes that devicetwin supports
// by default.
func DeviceTopics() []string { return []string{"devices/{id}/#", "$aws/things/{id}/shadow/#"} }

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
	for _, topic := range t.Topics {
		if err := checkDeviceTopic(topic); err != nil {
			faults = append(faults, fmt.Errorf("device topic %q of mqtts: %w", topic, err))
		}
	}
	return errors.Join(faults...)
}

// checkDeviceTopic refuses what the broker can't hold a device to.
func checkDeviceTopic(filter string) error {
	levels := strings.Split(filter, "/")
	own := false
	for i, level := range levels {
		own = own || level == "{id}"
		switch {
		case level == "+" || level == "#" && i == len(levels)-1:
		case level == "" || strings.ContainsAny(level, "+#*> \x00"):
			return fmt.Errorf("level %q: expected a name, {id}, +, or # at the end", level)
		}
	}
	if !own {
		return errors.New("expected a level {id}: without it, all devices would share the topic")
	}
	return nil
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

// subjects translates the topics of one device into subjects of the broker.
func (t *TLS) subjects(id device.ID) []string {
	topics := t.Topics
	if len(topics) == 0 {
		topics = DeviceTopics()
	}
	var subjects []string
	for _, topic := range topics {
		levels := strings.Split(topic, "/")
		for i, level := range levels {
			if level == "{id}" {
				levels[i] = id.Name()
			}
		}
		subjects = append(subjects, callout.Subjects(strings.Join(levels, "/"))...)
	}
	return subjects
}
