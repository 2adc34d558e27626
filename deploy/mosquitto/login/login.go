// Package login decides who may connect to Mosquitto: devices, by the
// credentials that the workers gave them, and services, by a file of accounts.
package login

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"devicetwin/internal/credentials"
)

// Setting is one plugin_opt_NAME VALUE of mosquitto.conf.
type Setting struct{ Name, Value string }

// reserved begins the client ids of bridges and workers.
const reserved = "devicetwin-"

// Settings are all of them.
type Settings []Setting

// Checker checks logins. It reads the files each time, because credentials and
// accounts change while the broker runs.
type Checker struct {
	devices  credentials.Store
	services string // file of accounts; empty for none
}

// New takes credentials, the folder of the devices' credentials, which must be
// there, and services, a file with a line NAME:SHA256 for each account, which may
// be left out. The hash is of a long random password, in hexadecimal. The name of
// an account contains a dot, and that of a device can't, so that neither can be
// taken for the other.
func New(settings Settings) (*Checker, error) {
	var folder, services string
	for _, s := range settings {
		switch s.Name {
		case "credentials":
			folder = s.Value
		case "services":
			services = s.Value
		default:
			return nil, fmt.Errorf("plugin_opt_%s: no such option; there is credentials and services", s.Name)
		}
	}
	if folder == "" {
		return nil, errors.New("plugin_opt_credentials is missing: the folder of the devices' credentials")
	}
	if _, err := os.ReadDir(folder); err != nil {
		return nil, fmt.Errorf("plugin_opt_credentials: %w", err)
	}
	store, err := credentials.Open(folder)
	if err != nil {
		return nil, fmt.Errorf("plugin_opt_credentials: %w", err)
	}
	c := &Checker{devices: store, services: services}
	if services != "" {
		if _, err := c.service(""); err != nil {
			return nil, fmt.Errorf("plugin_opt_services: %w", err)
		}
	}
	return c, nil
}

// Check returns nil when this client may log in by this name and password.
//
// A device's client id is its own id, with anything after a dot: whoever may
// choose freely could take over the session of another device or of a bridge,
// with the messages that wait in it.
func (c *Checker) Check(client, username, password string) error {
	if strings.Contains(username, ".") {
		return c.checkService(username, password)
	}
	if strings.HasPrefix(username, reserved) {
		return fmt.Errorf("refused device %q: names that begin with %s are those of sessions of bridges and workers", username, reserved)
	}
	if own, _, _ := strings.Cut(client, "."); own != username {
		return fmt.Errorf("refused %q: its client id is %q, and has to be its own name, or begin with it and a dot", username, client)
	}
	good, err := c.devices.Check(context.Background(), username, password)
	if err != nil {
		return fmt.Errorf("refused device %q: %w", username, err)
	}
	if !good {
		return fmt.Errorf("refused device %q: unknown, or wrong password", username)
	}
	return nil
}

func (c *Checker) checkService(username, password string) error {
	want, err := c.service(username)
	if err != nil {
		return fmt.Errorf("refused %q: %w", username, err)
	}
	sum := sha256.Sum256([]byte(password))
	if subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(want)) != 1 {
		return fmt.Errorf("refused %q: unknown, or wrong password", username)
	}
	return nil
}

// service is the hash of an account's password, "" if there is no such account.
func (c *Checker) service(username string) (hash string, err error) {
	if c.services == "" {
		return "", nil
	}
	file, err := os.Open(c.services)
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
		name, sum, _ := strings.Cut(line, ":")
		if raw, err := hex.DecodeString(sum); err != nil || len(raw) != sha256.Size || !strings.Contains(name, ".") {
			return "", fmt.Errorf("%s:%d: expected NAME:SHA256, with a dot in the name", c.services, n)
		}
		if name == username {
			hash = strings.ToLower(sum)
		}
	}
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("read accounts of services: %w", err)
	}
	return hash, nil
}
