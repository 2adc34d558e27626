package app

import (
	"fmt"
)

// modelCommand is "devicetwin model".
type modelCommand struct {
	Check modelCheckCommand `cmd:"" help:"Check model files and tell everything that is wrong with them."`
}

type modelCheckCommand struct {
	Files []string `arg:"" name:"file" help:"Model files."`
}

// Run loads each file.
func (c *modelCheckCommand) Run(streams Streams) error {
	models, err := ModelConfig{Model: c.Files[0], Models: c.Files[1:]}.LoadModels()
	if err != nil {
		return err
	}
	for _, m := range models {
		fmt.Fprintf(streams.Out, "%s: ok, %d states, hash %s\n", m.Name(), len(m.States()), m.Hash())
	}
	return nil
}
