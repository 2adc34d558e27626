// Package dialect is the commands for people who describe what their devices speak.
package dialect

import (
	"fmt"

	"devicetwin/dialects"
	"devicetwin/internal/cli"
	"devicetwin/internal/modelfile"
	"devicetwin/wire"
	"devicetwin/wire/dialect"
)

// Command is "devicetwin dialect".
type Command struct {
	List  listCommand  `cmd:"" help:"List the dialects that come with devicetwin."`
	Show  showCommand  `cmd:"" help:"Print a dialect that comes with devicetwin, to change a copy of it."`
	Check checkCommand `cmd:"" help:"Check dialects, and report every error."`
	Test  testCommand  `cmd:"" help:"Compare what dialects make of their samples with what these say."`
	Try   tryCommand   `cmd:"" help:"Show what dialects make of one message."`
}

type listCommand struct{}

// Run lists names and descriptions.
func (*listCommand) Run(streams cli.Streams) error {
	for _, name := range dialects.Names() {
		d, err := dialects.Load(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(streams.Out, "%-16s %s\n", name, d.Description())
	}
	return nil
}

type showCommand struct {
	Name string `arg:"" help:"Name of the dialect."`
}

// Run prints the file.
func (c *showCommand) Run(streams cli.Streams) error {
	_, src, err := dialects.Source(c.Name)
	if err != nil {
		return cli.Usage(err)
	}
	if _, err := streams.Out.Write(src); err != nil {
		return fmt.Errorf("print dialect %s: %w", c.Name, err)
	}
	return nil
}

// names are the dialects that a command is about.
type names struct {
	Names []string `arg:"" name:"dialect" help:"Files of dialects, or names of those that come with devicetwin."`
}

// load reads them; all faults of all files come at once, as a usage error.
func (n names) load() ([]*dialect.Dialect, error) {
	all, err := modelfile.Each(n.Names, dialects.Load)
	return all, cli.Usage(err)
}

// set is them together.
func set(all ...*dialect.Dialect) (*dialect.Set, error) {
	s, err := dialect.NewSet(wire.DefaultConfig(), all...)
	return s, cli.Usage(err)
}
