package service

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"devicetwin/internal/text"
)

// AfterApply implements kong's hook: faults of the files are reported with those
// of the flags.
func (c *BrokerConfig) AfterApply() error { return c.readSecrets() }

// AfterApply implements kong's hook.
func (c *InfluxServer) AfterApply() error { return c.readSecrets() }

// AfterApply implements kong's hook.
func (c *TemporalServer) AfterApply() error { return c.readSecrets() }

// AfterApply implements kong's hook.
func (c *CredentialsConfig) AfterApply() error { return c.readSecrets() }

// readSecrets takes the file's content instead of the folder that is the default.
func (c *CredentialsConfig) readSecrets() error {
	if c.CredentialsFile != "" {
		c.Credentials = ""
	}
	return readSecret(&c.Credentials, &c.CredentialsFile, "--worker-credentials")
}

func (c *BrokerConfig) readSecrets() error {
	return readSecret(&c.Password, &c.PasswordFile, "--mqtt-password")
}

func (c *InfluxServer) readSecrets() error {
	return readToken(&c.Token, &c.TokenFile, "--influx-token")
}

func (c *TemporalServer) readSecrets() error {
	return readToken(&c.APIKey, &c.APIKeyFile, "--temporal-api-key")
}

// readToken is readSecret for what goes into a header.
func readToken(token, file *string, flag string) error {
	if *file != "" {
		flag += "-file"
	}
	if err := readSecret(token, file, strings.TrimSuffix(flag, "-file")); err != nil {
		return err
	}
	checked, err := text.HeaderSecret(*token)
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	*token = checked
	return nil
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
	content := strings.TrimRight(string(raw), "\r\n")
	if content == "" {
		return errors.New(flag + "-file: " + *file + " is empty")
	}
	*secret, *file = content, ""
	return nil
}
