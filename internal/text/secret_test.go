package text

import (
	"strings"
	"testing"
)

func TestHeaderSecret(t *testing.T) {
	for token, want := range map[string]string{
		"secret": "secret", "secret\n": "secret", "secret\r\n": "secret", "": "", "my secret": "my secret",
	} {
		if got, err := HeaderSecret(token); got != want || err != nil {
			t.Errorf("%q: %q, %v", token, got, err)
		}
	}
	for token, want := range map[string]string{
		"secret\nother\n": "line break after 6 bytes", "sec\x00ret": "control character after 3 bytes", "\ufeffsecret": "(BOM)", "sec\tret": "control",
	} {
		_, err := HeaderSecret(token)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", token, err)
		}
	}
}
