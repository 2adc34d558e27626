package cli

import (
	"encoding/json"
	"fmt"

	"github.com/alecthomas/kong"

	"devicetwin/internal/version"
)

// VersionCommand is "devicetwin version".
type VersionCommand struct {
	Output string `short:"o" help:"Output format: ${enum}." enum:"text,json" default:"text" env:"-"`
}

// Run prints version, commit and Go version.
func (c *VersionCommand) Run(streams Streams, parsed *kong.Context) error {
	if c.Output == "json" {
		encoder := json.NewEncoder(streams.Out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(version.Get())
	}
	_, err := fmt.Fprintf(streams.Out, "%s %s\n", parsed.Model.Name, version.Get())
	return err
}
