package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
)

// A certificate without a name is nobody's, and says so.
func TestTheNameInACertificate(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate := func(subject pkix.Name) []byte {
		c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: subject}
		der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	for what, tt := range map[string]struct {
		der    []byte
		name   string
		reason Reason
	}{
		"a device's":     {certificate(pkix.Name{CommonName: "pump-1"}), "pump-1", ""},
		"without a name": {certificate(pkix.Name{Organization: []string{"pump-1"}}), "", ReasonCertificate},
		"nonsense":       {[]byte("x"), "", ReasonCertificate},
	} {
		if name, err := CommonName(tt.der); name != tt.name || ReasonOf(err) != tt.reason {
			t.Errorf("%s: got %q, %v", what, name, err)
		}
	}
}
