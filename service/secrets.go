package service

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// AfterApply implements kong's hook: faults of the files are reported with those
// of the flags.
func (c *BrokerConfig) AfterApply() error { return c.readSecrets() }

// AfterApply implements kong's hook.
func (c *InfluxServer) AfterApply() error { return c.readSecrets() }

// AfterApply implements kong's hook.
func (c *TemporalServer) AfterApply() error { return c.readSecrets() }

func (c *BrokerConfig) readSecrets() error {
	return readSecret(&c.Password, &c.PasswordFile, "--mqtt-password")
}

func (c *InfluxServer) readSecrets() error {
	return readSecret(&c.Token, &c.TokenFile, "--influx-token")
}

func (c *TemporalServer) readSecrets() error {
	return readSecret(&c.APIKey, &c.APIKeyFile, "--temporal-api-key")
}

// readSecret fills a secret from its file, and forgets the file's name, so that it
// may be called again.
func readSecret(secret, file *string, flag string) error {
	if *file == "" {
		return nil
	}
	if *secret != "" {
		return fmt.Errorf("%s and %s-file: expected one of them", flag, flag)
	}
	raw, err := os.ReadFile(*file)
	if err != nil {
		return fmt.Errorf("%s-file: %w", flag, err)
	}
	text := strings.TrimRight(string(raw), "\r\n")
	if text == "" {
		return errors.New(flag + "-file: " + *file + " is empty")
	}
	*secret, *file = text, ""
	return nil
}
