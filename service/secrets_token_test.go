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

// The file takes the place of the folder that is the default.
func TestCredentialsFromAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte("postgres://u:secret@h/d\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := DefaultConfig()
	c.Worker.CredentialsFile = file
	for range 2 { // a command line reads it, and so does the plan
		if err := c.Worker.readSecrets(); err != nil || c.Worker.Credentials != "postgres://u:secret@h/d" {
			t.Errorf("%q, %v", c.Worker.Credentials, err)
		}
	}
	c.Worker.CredentialsFile = file + "-none"
	if err := c.Worker.readSecrets(); err == nil || !strings.Contains(err.Error(), "--worker-credentials-file") {
		t.Errorf("%v", err)
	}
}
