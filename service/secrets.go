package service

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// AfterApply implements kong's hook.
func (c *MQTTConfig) AfterApply() error {
	return readSecret(&c.Password, c.PasswordFile, "--mqtt-password")
}

// AfterApply implements kong's hook.
func (c *InfluxConfig) AfterApply() error { return readSecret(&c.Token, c.TokenFile, "--influx-token") }

// AfterApply implements kong's hook.
func (c *TemporalConfig) AfterApply() error {
	return readSecret(&c.APIKey, c.APIKeyFile, "--temporal-api-key")
}

// readSecret fills a secret from its file: an environment can be read by whoever
// sees the process.
func readSecret(secret *string, file, flag string) error {
	if file == "" {
		return nil
	}
	if *secret != "" {
		return fmt.Errorf("%s and %s-file: expected one of them", flag, flag)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%s-file: %w", flag, err)
	}
	text := strings.TrimRight(string(raw), "\r\n")
	if text == "" {
		return errors.New(flag + "-file: " + file + " is empty")
	}
	*secret = text
	return nil
}
