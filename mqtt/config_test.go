package mqtt

import (
	"strings"
	"testing"
)

func TestFaultsOfAClient(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	if _, err := NewPublisher(Config{}, nil); err == nil || !strings.Contains(err.Error(), "client id") {
		t.Errorf("publisher: %v", err)
	}
	m := DefaultConfig()
	m.CAFile, m.CertFile, m.KeyFile = "/nowhere/ca.pem", "/nowhere/c.pem", "/nowhere/k.pem"
	if _, err := m.opener(); err == nil || !strings.Contains(err.Error(), "ca.pem") || !strings.Contains(err.Error(), "c.pem") {
		t.Errorf("files: %v", err)
	}
}
