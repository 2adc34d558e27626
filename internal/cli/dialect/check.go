package dialect

import (
	"fmt"
	"slices"
	"strings"

	"devicetwin/internal/cli"
	"devicetwin/wire/dialect"
)

type checkCommand struct{ names }

// Help is the rest of the command's help.
func (*checkCommand) Help() string {
	return "The exit status is 0, or 2 if a file has errors or the dialects cannot be used together."
}

// Run checks each dialect, and that they can be used together. It lists what devices are sent.
func (c *checkCommand) Run(streams cli.Streams) error {
	all, err := c.load()
	if err != nil {
		return err
	}
	together, err := set(all...)
	if err != nil {
		return err
	}
	for _, d := range all {
		fmt.Fprintf(streams.Out, "%s: ok\n", d.Name())
		for _, line := range d.Sends() {
			fmt.Fprintf(streams.Out, "  %s\n", line)
		}
		for _, note := range d.Notes() {
			fmt.Fprintf(streams.Out, "note: %s: %s\n", d.Name(), note)
		}
	}
	filters := together.Filters()
	fmt.Fprintf(streams.Out, "a bridge with %s subscribes to %s\n", them(len(all)), strings.Join(filters, ", "))
	if slices.Contains(filters, "#") {
		fmt.Fprintf(streams.Out, "note: # is everything that the broker has, because of %s: a bridge keeps only those filters separate that begin with a fixed level\n", strings.Join(wild(all), " and "))
	}
	return nil
}

func them(dialects int) string {
	if dialects == 1 {
		return "it"
	}
	return "them"
}

// wild are the filters whose first level is a wildcard, each with its dialect.
func wild(all []*dialect.Dialect) (filters []string) {
	for _, d := range all {
		for _, f := range d.Filters() {
			if strings.HasPrefix(f, "+") || f == "#" {
				filters = append(filters, fmt.Sprintf("%s (%s)", f, d.Name()))
			}
		}
	}
	return filters
}
