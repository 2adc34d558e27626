// Package dialect is the commands for people who describe what their devices speak.
package dialect

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

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

type checkCommand struct{ names }

// Run checks each dialect, and that they can be used together.
func (c *checkCommand) Run(streams cli.Streams) error {
	all, err := c.load()
	if err != nil {
		return err
	}
	if _, err := set(all...); err != nil {
		return err
	}
	for _, d := range all {
		fmt.Fprintf(streams.Out, "%s: ok, subscribes to %s\n", d.Name(), strings.Join(d.Filters(), ", "))
	}
	return nil
}

type testCommand struct{ names }

// Run compares what each dialect makes of its samples.
func (c *testCommand) Run(streams cli.Streams) error {
	all, err := c.load()
	if err != nil {
		return err
	}
	failed := 0
	for i, d := range all {
		samples, err := samplesOf(c.Names[i])
		if err != nil {
			return cli.Usage(err)
		}
		alone, err := set(d)
		if err != nil {
			return err
		}
		wrong := 0
		for _, s := range samples {
			if err := s.Check(alone); err != nil {
				fmt.Fprintf(streams.Out, "%s: %v\n", d.Name(), err)
				wrong++
			}
		}
		for _, topic := range d.Unused(samples) {
			fmt.Fprintf(streams.Out, "%s: no sample has the topic %s\n", d.Name(), topic)
		}
		if failed += wrong; wrong == 0 {
			fmt.Fprintf(streams.Out, "%s: ok, %s\n", d.Name(), cli.Count(len(samples), "sample"))
		}
	}
	if failed > 0 {
		return fmt.Errorf("samples with other results than expected: %d", failed)
	}
	return nil
}

func samplesOf(name string) ([]dialect.Sample, error) {
	file, src, err := dialects.Samples(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("dialect %s has no samples: expected %s", name, file)
	}
	if err != nil {
		return nil, err
	}
	return dialect.LoadSamples(file, src)
}

type tryCommand struct {
	Dialect  string    `arg:"" name:"dialect" help:"File of a dialect, or the name of one that comes with devicetwin; several separated by commas."`
	Topic    string    `arg:"" help:"Topic."`
	Payload  string    `arg:"" optional:"" help:"Payload; - is standard input, as it is." default:"-"`
	Received time.Time `help:"When it is received; by default now." placeholder:"TIME"`
}

// Run prints a line for each message, or why there is none.
func (c *tryCommand) Run(streams cli.Streams) error {
	all, err := names{strings.Split(c.Dialect, ",")}.load()
	if err != nil {
		return err
	}
	s, err := set(all...)
	if err != nil {
		return err
	}
	payload := []byte(c.Payload)
	if c.Payload == "-" {
		if payload, err = io.ReadAll(os.Stdin); err != nil {
			return fmt.Errorf("read the payload: %w", err)
		}
	}
	at := c.Received
	if at.IsZero() {
		at = time.Now()
	}
	received, err := s.Decode(c.Topic, payload, false, at.UTC())
	if err != nil {
		return fmt.Errorf("topic %s: %w", c.Topic, err)
	}
	for i := range received {
		fmt.Fprintln(streams.Out, dialect.Line(&received[i]))
	}
	return nil
}
