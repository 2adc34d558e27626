package devicetwin

import (
	"io"
	"maps"
	"slices"

	"devicetwin/internal/cli"
)

// Environment is every environment variable that some command reads, in order:
// deployments are checked against it.
func Environment() ([]string, error) {
	parser, err := cli.NewParser(newCommandLine(), "devicetwin", description, io.Discard, io.Discard)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{"DEVICETWIN_CONFIG": true} // which the file itself may not set
	for _, flag := range cli.Flags(parser.Model) {
		for _, name := range flag.Envs {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// CheckArguments reports what is wrong with the arguments of the command, and does
// not carry them out. The environment counts.
func CheckArguments(args []string) error {
	parser, err := cli.NewParser(newCommandLine(), "devicetwin", description, io.Discard, io.Discard)
	if err != nil {
		return err
	}
	_, err = parser.Parse(args)
	return err
}

// FlagsOf is the names of the flags of a command, in order: other command lines
// are compared with it.
func FlagsOf(command string) ([]string, error) {
	parser, err := cli.NewParser(newCommandLine(), "devicetwin", description, io.Discard, io.Discard)
	if err != nil {
		return nil, err
	}
	return cli.FlagsOf(parser.Model, command), nil
}
