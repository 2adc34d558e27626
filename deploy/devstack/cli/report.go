package cli

import (
	"fmt"
	"os"
)

// writeReport writes a report as JSON to a file; to none without a name.
func writeReport(file string, report interface{ JSON() ([]byte, error) }) error {
	if file == "" {
		return nil
	}
	raw, err := report.JSON()
	if err == nil {
		err = os.WriteFile(file, raw, 0o644)
	}
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
