package codec

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

const (
	keyBytes = 32 // AES-256
	maxKeys  = 1000
)

var keyID = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,64}$`)

// key is one line of a key file.
type key struct {
	id     string
	secret []byte
}

// NewKey makes a line for a key file.
func NewKey(id string) (line string, err error) {
	if !keyID.MatchString(id) {
		return "", fmt.Errorf("key id %q: expected %s", id, keyID)
	}
	secret := make([]byte, keyBytes)
	rand.Read(secret) // never fails
	return id + " " + base64.StdEncoding.EncodeToString(secret), nil
}

// ReadKeys reads a key file: lines ID BASE64, of 32 bytes each; empty ones and
// those that begin with # are left out. The first key encrypts, all decrypt. The
// error reports all faults, and contains no keys.
func ReadKeys(file string) (*Codec, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	c := &Codec{secrets: map[string][]byte{}}
	var faults []error
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		k, err := parseKey(line)
		if err == nil && c.secrets[k.id] != nil {
			err = fmt.Errorf("key %q is there twice", k.id)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s:%d: %w", file, n, err))
			continue
		}
		if c.active == "" {
			c.active = k.id
		}
		c.secrets[k.id] = k.secret
	}
	if err := lines.Err(); err != nil {
		faults = append(faults, fmt.Errorf("read keys: %s: %w", file, err))
	}
	if len(faults) == 0 && (c.active == "" || len(c.secrets) > maxKeys) {
		faults = append(faults, fmt.Errorf("%s: expected 1 to %d keys, found %d", file, maxKeys, len(c.secrets)))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return c, nil
}

func parseKey(line string) (key, error) {
	id, text, _ := strings.Cut(line, " ")
	if !keyID.MatchString(id) {
		return key{}, fmt.Errorf("key id: expected %s and a space", keyID)
	}
	secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(secret) != keyBytes {
		return key{}, fmt.Errorf("key %q: expected %d bytes as base64", id, keyBytes)
	}
	return key{id, secret}, nil
}
