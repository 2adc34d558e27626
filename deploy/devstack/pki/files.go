package pki

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"devicetwin/internal/durable"
)

// exists holds a file that can't be looked at for there: nothing is overwritten.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func readPair(pair Pair) (*x509.Certificate, crypto.Signer, error) {
	both, err := tls.LoadX509KeyPair(pair.CertFile, pair.KeyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("%s and %s: %w", pair.CertFile, pair.KeyFile, err)
	}
	key, ok := both.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("%s: this kind of key can't sign", pair.KeyFile)
	}
	return both.Leaf, key, nil
}

// writePair writes the key before the certificate, whose file says that both are
// there.
func writePair(pair Pair, der []byte, key crypto.Signer) error {
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("write key %s: %w", pair.KeyFile, err)
	}
	if err := writePEM(pair.KeyFile, "PRIVATE KEY", raw, 0o600); err != nil {
		return err
	}
	return writePEM(pair.CertFile, "CERTIFICATE", der, 0o644)
}

// writePEM writes a file that is whole or not there.
func writePEM(path, kind string, der []byte, mode fs.FileMode) error {
	if err := durable.Replace(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
