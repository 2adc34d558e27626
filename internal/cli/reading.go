package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"

	"devicetwin/internal/codec"
	"devicetwin/internal/recordlog"
)

// ReadKeys reads the file of --temporal-keys, for what may be encrypted; nil without one. Its errors
// are usage errors.
func ReadKeys(file string) (recordlog.Keys, error) {
	if file == "" {
		return nil, nil
	}
	keys, err := codec.ReadKeys(file)
	if err != nil {
		return nil, Usage(fmt.Errorf("--temporal-keys: %w", err))
	}
	return keys, nil
}

// CheckPatterns reports which values of --device cannot be read.
func CheckPatterns(patterns []string) (faults []error) {
	for _, pattern := range patterns {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			faults = append(faults, fmt.Errorf("--device %q: expected a pattern such as pump-*", pattern))
		}
	}
	return faults
}

// Matches reports whether a name matches one of some patterns that were checked.
func Matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, _ := path.Match(pattern, name)
		return ok
	})
}

// WriteJSON writes a value for programs, indented.
func WriteJSON(w io.Writer, value any) error {
	raw, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s\n", raw)
	return err
}
