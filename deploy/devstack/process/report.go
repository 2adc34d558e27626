package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
)

// Report is the outcome of a run over cases.
type Report interface {
	WriteTable(io.Writer) error // for people
	JSON() ([]byte, error)      // for programs
}

// Publish writes a report: the table to out, and JSON to a file, if one is named.
func Publish(r Report, out io.Writer, file string) error {
	return errors.Join(r.WriteTable(out), writeJSON(r, file))
}

func writeJSON(r Report, file string) error {
	if file == "" {
		return nil
	}
	raw, err := r.JSON()
	if err == nil {
		err = os.WriteFile(file, raw, 0o644)
	}
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// JSON is a report as an indented JSON object with a newline at its end.
func JSON(report any) ([]byte, error) {
	raw, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the report: %w", err)
	}
	return append(raw, '\n'), nil
}

// Table aligns cells that end with a tab to the right, when it is flushed.
func Table(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
}
