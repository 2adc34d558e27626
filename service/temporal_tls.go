package service

import (
	"crypto/tls"

	"devicetwin/internal/tlsfiles"
)

// tlsConfig is nil where the connection is not encrypted. The error reports
// every fault.
func (c TemporalServer) tlsConfig() (*tls.Config, error) {
	if !c.TLS && c.APIKey == "" && c.CAFile == "" && c.CertFile == "" && c.KeyFile == "" && c.ServerName == "" {
		return nil, nil
	}
	config, err := tlsfiles.Files{CA: c.CAFile, Cert: c.CertFile, Key: c.KeyFile}.Load(tlsfiles.Names{Server: "Temporal", Flags: "--temporal"})
	if err != nil {
		return nil, err
	}
	config.ServerName = c.ServerName
	return config, nil
}
