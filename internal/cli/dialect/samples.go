package dialect

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"devicetwin/dialects"
	"devicetwin/internal/cli"
	"devicetwin/wire/dialect"
)

type testCommand struct{ names }

// Help is the rest of the command's help.
func (*testCommand) Help() string {
	return "The samples of plant.yaml are in plant.samples.yaml. The exit status is 0, 1 if a sample has another result than it says or a dialect has no sample, or 2 if a file has errors."
}

// Run compares what each dialect makes of its samples.
func (c *testCommand) Run(streams cli.Streams) error {
	all, err := c.load()
	if err != nil {
		return err
	}
	failed, untested := 0, 0
	for i, d := range all {
		samples, err := samplesOf(c.Names[i])
		if err != nil {
			return cli.Usage(err)
		}
		alone, err := set(d)
		if err != nil {
			return err
		}
		wrong := compare(streams.Out, d, alone, samples)
		switch failed += wrong; {
		case len(samples) == 0:
			untested++
			fmt.Fprintf(streams.Out, "%s: no samples\n", d.Name())
		case wrong == 0:
			fmt.Fprintf(streams.Out, "%s: ok, %s\n", d.Name(), cli.Count(len(samples), "sample"))
		}
	}
	switch {
	case failed > 0:
		return fmt.Errorf("samples with other results than expected: %d", failed)
	case untested > 0:
		return fmt.Errorf("dialects without samples: %d", untested)
	}
	return nil
}

// compare prints what is other than the samples of a dialect say, and which topics and entries have none. It
// returns how many samples are wrong.
func compare(out io.Writer, d *dialect.Dialect, alone *dialect.Set, samples []dialect.Sample) (wrong int) {
	for _, s := range samples {
		if err := s.Check(alone); err != nil {
			fmt.Fprintf(out, "%s: %v\n", d.Name(), err)
			wrong++
		}
	}
	for _, topic := range d.Unused(samples) {
		fmt.Fprintf(out, "%s: no sample has the topic %s\n", d.Name(), topic)
	}
	for _, entry := range d.Unsent(samples) {
		fmt.Fprintf(out, "%s: no sample sends by the entry at %s\n", d.Name(), entry)
	}
	return wrong
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
