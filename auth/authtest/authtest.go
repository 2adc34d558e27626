// Package authtest has what tests of logins need: passwords in memory, and hashes of those
// of accounts.
package authtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
)

// Passwords are those of devices, by name, in memory: an auth.Devices, of which those
// without a password are revoked.
type Passwords map[string]string

// Check reports whether this is the password of the name.
func (p Passwords) Check(_ context.Context, name, password string) (bool, error) {
	want, known := p[name]
	return known && want != "" && want == password, nil
}

// Revoked reports whether the name is there without a password.
func (p Passwords) Revoked(_ context.Context, name string) (bool, error) {
	password, known := p[name]
	return known && password == "", nil
}

// Hash is that of a password in a file of accounts.
func Hash(password string) string {
	sum := sha256.Sum256([]byte(password))
	return hex.EncodeToString(sum[:])
}
