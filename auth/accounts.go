package auth

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

// AccountFile is a file with a line NAME:SHA256 for each account of a service. The
// hash is of a long random password, in hexadecimal; the name contains a dot. Empty
// lines and those that begin with # do not count. It is read for each question,
// because accounts change while brokers run.
type AccountFile string

// Validate reports what is wrong with the file.
func (f AccountFile) Validate() error {
	_, err := f.hash("")
	return err
}

// Check implements Passwords.
func (f AccountFile) Check(_ context.Context, name, password string) (bool, error) {
	want, err := f.hash(name)
	if err != nil {
		return false, err
	}
	sum := sha256.Sum256([]byte(password))
	return subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(want)) == 1, nil
}

// Known implements Accounts.
func (f AccountFile) Known(name string) (bool, error) {
	hash, err := f.hash(name)
	return hash != "", err
}

// hash is that of an account's password, "" if there is no such account.
func (f AccountFile) hash(name string) (hash string, err error) {
	file, err := os.Open(string(f))
	if err != nil {
		return "", fmt.Errorf("read accounts of services: %w", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		account, sum, _ := strings.Cut(line, ":")
		if raw, err := hex.DecodeString(sum); err != nil || len(raw) != sha256.Size || !isService(account) {
			return "", fmt.Errorf("%s:%d: expected NAME:SHA256, with a dot in the name", string(f), n)
		}
		if account == name {
			hash = strings.ToLower(sum)
		}
	}
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("read accounts of services: %w", err)
	}
	return hash, nil
}
