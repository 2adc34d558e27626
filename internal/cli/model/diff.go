package model

import (
	"context"
	"encoding/json"
	"fmt"

	"devicetwin/devicefsm/diff"
	"devicetwin/internal/cli"
)

type diffCommand struct {
	registryFlags
	Old  string `arg:"" help:"The old version: a model file, or NAME@VERSION of the registry."`
	New  string `arg:"" help:"The new version: a model file, or NAME@VERSION of the registry."`
	JSON bool   `name:"json" help:"Write JSON."`
}

// Run compares two models.
func (c *diffCommand) Run(ctx context.Context, streams cli.Streams) error {
	old, new, err := c.pair(ctx, c.Old, c.New)
	if err != nil {
		return err
	}
	d := diff.Compare(old, new)
	if c.JSON {
		out := json.NewEncoder(streams.Out)
		out.SetEscapeHTML(false)
		out.SetIndent("", "  ")
		err = out.Encode(struct {
			*diff.Diff
			Same bool `json:"same"`
		}{d, !d.Differs()})
	} else {
		_, err = fmt.Fprint(streams.Out, d)
	}
	switch {
	case err != nil:
		return fmt.Errorf("write the comparison: %w", err)
	case d.Differs():
		return cli.ErrDiffers
	}
	return nil
}
