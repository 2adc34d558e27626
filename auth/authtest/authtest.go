// Package authtest has what tests of logins need: passwords in memory, and hashes of those
// of accounts.
package authtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
)

// Passwords are those of devices, by name, in memory: an auth.Passwords.
type Passwords map[string]string

// Check reports whether this is the password of the name.
func (p Passwords) Check(_ context.Context, name, password string) (bool, error) {
	want, known := p[name]
	return known && want == password, nil
}

// Hash is that of a password in a file of accounts.
func Hash(password string) string {
	sum := sha256.Sum256([]byte(password))
	return hex.EncodeToString(sum[:])
}
