package service

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A line break at the end of a token does no harm, and one within is named, from a file and
// from a flag.
func TestTokensWithLineBreaks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	read := func(flag, content string) (string, error) {
		c := InfluxServer{Token: flag}
		if content != "" {
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			c.TokenFile = file
		}
		err := c.readSecrets()
		return c.Token, err
	}
	for _, c := range [][3]string{
		{"secret\n", "", ""}, {"", "secret\n", ""}, {"", "secret\r\n\r\n", ""},
		{"secret\nother", "", "--influx-token: there is a line break"},
		{"", "secret\nother\n", "--influx-token-file: there is a line break"},
		{"", "\ufeffsecret\n", "byte order mark"},
		{"secret", "secret\n", "expected one of them"},
	} {
		token, err := read(c[0], c[1])
		if c[2] == "" && (err != nil || token != "secret") || c[2] != "" && (err == nil || !strings.Contains(err.Error(), c[2])) {
			t.Errorf("%q: %q, %v", c, token, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the token is in the error: %v", err)
		}
	}
	key := TemporalServer{APIKey: "a\x00b"}
	if err := key.readSecrets(); err == nil || !strings.Contains(err.Error(), "--temporal-api-key: there is a control character") {
		t.Errorf("%v", err)
	}
}
