package cli

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"devicetwin/deploy/devstack/pki"
	"devicetwin/deploy/devstack/stack"
)

// tlsFlags say how devices with certificates connect. Its port is among the
// ports.
type tlsFlags struct {
	Listen      string   `help:"IP address for devices with certificates (mutual TLS); 0.0.0.0 for every interface. The other listeners stay on loopback." default:"127.0.0.1" placeholder:"ADDRESS"`
	MQTTTLSName []string `name:"mqtt-tls-name" help:"Additional names or IP addresses of this machine, for its certificate." placeholder:"NAME"`
	MQTTTLSCA   string   `name:"mqtt-tls-ca-file" help:"PEM file of the authorities that sign the devices' certificates. Default: one that is created in the data folder." placeholder:"FILE"`
	MQTTTLSCert string   `name:"mqtt-tls-cert-file" help:"PEM file of the broker's certificate. Default: issued by the authority in the data folder." placeholder:"FILE"`
	MQTTTLSKey  string   `name:"mqtt-tls-key-file" help:"PEM file of the broker's key." placeholder:"FILE"`
}

// Validate is called by the parser.
func (f tlsFlags) Validate() error {
	if net.ParseIP(f.Listen) == nil {
		return fmt.Errorf("--listen %q: expected an IP address, such as 0.0.0.0", f.Listen)
	}
	if (f.MQTTTLSCert == "") != (f.MQTTTLSKey == "") {
		return errors.New("--mqtt-tls-cert-file and --mqtt-tls-key-file: expected both or none")
	}
	return nil
}

func authorityDir(dataDir string) string { return filepath.Join(dataDir, "tls") }

// options make what was not given.
func (f tlsFlags) options(dataDir string) (*stack.TLS, error) {
	t := &stack.TLS{Host: f.Listen, CAFile: f.MQTTTLSCA, CertFile: f.MQTTTLSCert, KeyFile: f.MQTTTLSKey}
	if t.CAFile != "" && t.CertFile != "" {
		return t, nil
	}
	authority, err := pki.Open(authorityDir(dataDir), time.Now())
	if err != nil {
		return nil, err
	}
	if t.CAFile == "" {
		t.CAFile = authority.CAFile()
	}
	if t.CertFile == "" {
		names, err := f.names()
		if err != nil {
			return nil, err
		}
		pair, err := authority.Server(names, time.Now())
		if err != nil {
			return nil, err
		}
		t.CertFile, t.KeyFile = pair.CertFile, pair.KeyFile
	}
	return t, nil
}

// names are by what devices may call this machine.
func (f tlsFlags) names() ([]string, error) {
	names := append([]string{"localhost", "127.0.0.1", "::1"}, f.MQTTTLSName...)
	if host, err := os.Hostname(); err == nil && host != "" {
		names = append(names, host)
	}
	listen := net.ParseIP(f.Listen)
	if !listen.IsUnspecified() {
		names = append(names, listen.String())
	} else {
		addresses, err := net.InterfaceAddrs()
		if err != nil {
			return nil, fmt.Errorf("list the addresses of this machine: %w", err)
		}
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
				names = append(names, n.IP.String())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
