// Package clitest finds flags that a command accepts and does not use.
package clitest

import (
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"devicetwin/internal/cli"
)

// Try is a flag of a command, and arguments that give it another value.
type Try struct {
	Command *kong.Node
	Path    string // of the command: "devices list"
	Flag    string
	Args    []string // of a plain call
	Changed []string // the same, with another value of the flag
}

func (t Try) String() string { return t.Path + " --" + t.Flag }

// Tries are all flags of all commands of a grammar. base gives further arguments of
// a command, by its path, under which all of its flags count.
func Tries(t *testing.T, grammar any, base map[string][]string) []Try {
	t.Helper()
	model := parser(t, grammar).Model
	var tries []Try
	for _, command := range model.Leaves(false) {
		path := strings.TrimPrefix(command.FullPath(), model.Name+" ")
		if i := strings.IndexByte(path, '<'); i >= 0 {
			path = strings.TrimSpace(path[:i])
		}
		args := append(strings.Fields(path), base[path]...)
		for _, flag := range slices.Concat(command.AllFlags(false)...) {
			if !slices.Contains([]string{"help", "config"}, flag.Name) {
				tries = append(tries, Try{command, path, flag.Name, args, with(args, flag)})
			}
		}
	}
	return tries
}

// CheckFlags changes each flag of each command of a grammar, and expects the
// command's plan to change with it (cli.Planner), or an error that says that it
// has another value. base is as of Tries. It returns the flags of the commands that
// have no plan, as "devices list --limit": they need tests of their own.
func CheckFlags(t *testing.T, grammar func() any, base map[string][]string) (unplanned []string) {
	t.Helper()
	for _, try := range Tries(t, grammar(), base) {
		if _, ok := try.Command.Target.Addr().Interface().(cli.Planner); !ok {
			unplanned = append(unplanned, try.String())
			continue
		}
		if plan(t, grammar(), try.Args) == plan(t, grammar(), try.Changed) {
			t.Errorf("%s is accepted and not used", try)
		}
	}
	return unplanned
}

func parser(t *testing.T, grammar any) *kong.Kong {
	t.Helper()
	p, err := cli.NewParser(grammar, "test", "", io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// plan is a command's plan, and its error, as text.
func plan(t *testing.T, grammar any, args []string) string {
	t.Helper()
	parsed, err := parser(t, grammar).Parse(args)
	if err != nil {
		return "refused: " + err.Error()
	}
	made, err := parsed.Selected().Target.Addr().Interface().(cli.Planner).Plan()
	return Dump(made) + fmt.Sprint(err)
}

// with gives a flag another value than it has.
func with(args []string, flag *kong.Flag) []string {
	value := other(flag)
	if slices.Contains(args, "--"+flag.Name) {
		value = "false"
	}
	return append(slices.Clone(args), "--"+flag.Name+"="+value)
}

func other(flag *kong.Flag) string {
	kind := flag.Target.Type()
	for _, word := range flag.EnumSlice() {
		if word != "" && word != flag.Default {
			return word
		}
	}
	switch {
	case kind == reflect.TypeFor[time.Duration]():
		return (flag.Target.Interface().(time.Duration) + 2*time.Hour + time.Second).String()
	case kind.Kind() == reflect.Bool:
		return fmt.Sprint(flag.Default != "true")
	case kind.Kind() == reflect.Map:
		return "key=http://other"
	case kind.Kind() >= reflect.Int && kind.Kind() <= reflect.Float64:
		return "17"
	case flag.Name == "bridge-partition":
		return "2/3"
	case flag.Name == "only":
		return "mqtt"
	}
	return "other"
}

// Dump writes everything in a value, unexported fields too, without addresses.
func Dump(v any) string {
	var out strings.Builder
	dump(&out, reflect.ValueOf(v), 0)
	return out.String()
}

const deepest = 20

func dump(out *strings.Builder, v reflect.Value, depth int) {
	if depth > deepest || !v.IsValid() {
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			dump(out, v.Elem(), depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fmt.Fprintf(out, "%s{", v.Type().Field(i).Name)
			dump(out, v.Field(i), depth+1)
			out.WriteString("}")
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			dump(out, v.Index(i), depth+1)
			out.WriteString(";")
		}
	case reflect.Map:
		entries := map[string]reflect.Value{}
		for _, key := range v.MapKeys() {
			entries[fmt.Sprint(key)] = v.MapIndex(key)
		}
		for _, key := range slices.Sorted(maps.Keys(entries)) {
			out.WriteString(key + ":")
			dump(out, entries[key], depth+1)
		}
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
	default:
		fmt.Fprint(out, v)
	}
}
