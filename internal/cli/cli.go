// Package cli is what the command lines of devicetwin, devstack and
// devicetwin-standalone have in common: settings from flags, environment and file,
// exit statuses, and completion. The commands are in the packages below it, split
// by who uses them.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"devicetwin/api/client"
	"devicetwin/service"
	"devicetwin/source"
)

// Exit statuses of the command.
const (
	ExitOK       = 0
	ExitFailed   = 1 // the run failed
	ExitUsage    = 2 // wrong flags, configuration, model or scenario; nothing was started
	ExitNotClean = 3 // the simulator's ledger found a fault
	ExitNotFound = 4 // the API knows no such device or command
)

// ErrNotClean ends a simulation whose report has violations.
var ErrNotClean = errors.New("the report has violations")

// ErrDiffers ends a comparison that found differences: the exit status is ExitFailed, and
// there is nothing to complain about.
var ErrDiffers = errors.New("the two differ")

// Usage marks an error as one of the input, found before anything was started:
// the exit status is ExitUsage.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// exitRequest carries kong's request to exit (--help) out of the parser.
type exitRequest int

// Execute parses args into a kong grammar, runs the command chosen, and
// translates its error into an exit status. The command's Run method may take a
// context.Context and a Streams.
func Execute(ctx context.Context, grammar any, name, description string, args []string, stdout, stderr io.Writer) (status int) {
	defer func() {
		if r := recover(); r != nil {
			code, ok := r.(exitRequest)
			if !ok {
				panic(r)
			}
			status = int(code)
		}
	}()
	parser, err := NewParser(grammar, name, description, stdout, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return ExitFailed
	}
	if len(args) == 1 && args[0] == "--version" { // as a flag, commands could not have one of that name
		args = []string{"version"}
	}
	command, err := parser.Parse(withNumber(args))
	if err != nil {
		complain(stderr, name, err)
		fmt.Fprintf(stderr, "%s: run \"%s --help\" for usage\n", name, askedFor(name, err))
		return ExitUsage
	}
	command.BindTo(ctx, (*context.Context)(nil))
	command.Bind(Streams{Out: stdout, Err: stderr})
	err = command.Run()
	if err != nil && !errors.Is(err, ErrNotClean) && !errors.Is(err, ErrDiffers) {
		complain(stderr, name, err)
	}
	return statusOf(err)
}

// askedFor is the command that was asked for, as far as the arguments could be parsed,
// with the program's name before it.
func askedFor(name string, err error) string {
	var fault *kong.ParseError
	if !errors.As(err, &fault) || fault.Context == nil {
		return name
	}
	for _, step := range slices.Backward(fault.Context.Path) {
		if step.Command != nil {
			return step.Command.FullPath()
		}
	}
	return name
}

func statusOf(err error) int {
	var usage usageError
	var config *service.ConfigError
	switch {
	case err == nil:
		return ExitOK
	case errors.Is(err, ErrNotClean):
		return ExitNotClean
	case notFound(err):
		return ExitNotFound
	case errors.As(err, &usage), errors.As(err, &config):
		return ExitUsage
	}
	return ExitFailed
}

// notFound reports whether the API does not know the thing asked for.
func notFound(err error) bool {
	var problem *client.Problem
	return errors.As(err, &problem) && problem.Status == http.StatusNotFound
}

// NewParser makes the parser of a grammar: a pointer to a struct with the tags of
// kong. The values in it are the defaults.
func NewParser(grammar any, name, description string, stdout, stderr io.Writer) (parser *kong.Kong, err error) {
	return kong.New(grammar,
		kong.Name(name), kong.Description(description), kong.UsageOnError(),
		kong.DefaultEnvars("DEVICETWIN"), kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(readDuration)), kong.PostBuild(takeDefaults), kong.ValueFormatter(describe),
		kong.Configuration(func(r io.Reader) (kong.Resolver, error) { return loadConfigFile(r, parser.Model) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(exitRequest(code)) }),
	)
}

// Planner is a command that works out what its settings mean before it does
// anything. Run uses nothing but the plan, so a flag that does not change the plan
// has no effect: tests look for such flags.
type Planner interface{ Plan() (any, error) }

// Streams is where a command writes.
type Streams struct{ Out, Err io.Writer }

// complain prints an error; the faults of files with the lines at fault.
func complain(w io.Writer, name string, err error) {
	var faults source.Faults
	if errors.As(err, &faults) {
		fmt.Fprint(w, faults[:min(len(faults), maxFaults)].Pretty())
		if more := len(faults) - maxFaults; more > 0 {
			fmt.Fprintf(w, "and %s\n", Count(more, "more fault"))
		}
		return
	}
	fmt.Fprintf(w, "%s: %v\n", name, err)
}

// Count is a number of things; one is a name in the singular, which takes an s.
func Count[N int | uint64](n N, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// Printable is a string on one line without control sequences for terminals, for what devices chose.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

// IsTerminal reports whether lines that were written to out can be redrawn.
func IsTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}
