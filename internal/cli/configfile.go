package cli

import (
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"devicetwin/source"
)

// configFile gives the settings of a YAML file to kong. A key is a flag's name;
// groups may be nested: mqtt-url, mqtt: {url: …}; and _ is as good as -.
type configFile struct {
	file   *source.File
	values map[string]source.Node // by flag name
	keys   []string               // in document order
}

// loadConfigFile reads the file and compares it with the flags. It must be done
// here, before kong takes a value: kong knows no places, and stops at one fault.
func loadConfigFile(r io.Reader, app *kong.Application) (kong.Resolver, error) {
	name := "configuration"
	if f, ok := r.(*os.File); ok {
		name = f.Name()
	}
	src, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	c := &configFile{file: source.Parse(name, src), values: map[string]source.Node{}}
	flags := Flags(app)
	if root := c.file.Root(); root.Exists() {
		c.collect("", root, flags)
	}
	if err := c.check(flags); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *configFile) collect(prefix string, n source.Node, flags map[string]*kong.Flag) {
	for _, e := range n.Entries() {
		name := prefix + strings.ReplaceAll(e.Key, "_", "-")
		flag := flags[name]
		if e.Value.IsMap() && (flag == nil || !flag.IsMap()) {
			c.collect(name+"-", e.Value, flags)
			continue
		}
		c.values[name] = e.Value
		c.keys = append(c.keys, name)
	}
}

// Validate implements kong.Resolver; check has been here before.
func (c *configFile) Validate(*kong.Application) error { return nil }

// check reports every key that is not a flag of any command, because one file serves
// them all, and every value that has not its type.
func (c *configFile) check(flags map[string]*kong.Flag) error {
	names := slices.Sorted(maps.Keys(flags))
	for _, key := range c.keys {
		value := c.values[key]
		flag, ok := flags[key]
		if !ok {
			value.FaultHint(source.DidYouMean(key, names), "unknown setting %q; devicetwin COMMAND --help lists them all", key)
			continue
		}
		checkSetting(value, flag)
	}
	return c.file.Err()
}

// Flags are the flags of all commands, by name. Of several of one name it is the one that is also
// a setting, with a variable: "model replay --model" is not what a process runs with.
func Flags(app *kong.Application) map[string]*kong.Flag {
	flags := map[string]*kong.Flag{}
	_ = kong.Visit(app, func(node kong.Visitable, next kong.Next) error {
		if f, ok := node.(*kong.Flag); ok && f.Name != "help" && f.Name != "config" {
			if flags[f.Name] == nil || len(f.Envs) > 0 {
				flags[f.Name] = f
			}
		}
		return next(nil)
	})
	return flags
}

func checkSetting(value source.Node, flag *kong.Flag) {
	if flag.IsMap() {
		for _, e := range value.Entries() {
			e.Value.Scalar()
		}
		return
	}
	values := []source.Node{value}
	kind := flag.Target.Type()
	if kind.Kind() == reflect.Slice {
		values, kind = value.OneOrList(), kind.Elem()
	}
	for _, v := range values {
		switch {
		case kind == reflect.TypeFor[time.Duration]():
			v.Duration()
		case kind.Kind() == reflect.Bool:
			v.Bool()
		case kind.Kind() == reflect.Float64:
			v.Float()
		case kind.Kind() >= reflect.Int && kind.Kind() <= reflect.Uint64:
			v.Int(-1<<62, 1<<62)
		default:
			text := v.Scalar()
			if allowed := flag.EnumSlice(); flag.Enum != "" && !slices.Contains(allowed, text) {
				v.FaultHint(source.DidYouMean(text, allowed), "expected one of %s, found %q", strings.Join(allowed, ", "), text)
			}
		}
	}
}

func inEnvironment(flag *kong.Flag) bool {
	return slices.ContainsFunc(flag.Envs, func(name string) bool {
		_, set := os.LookupEnv(name)
		return set
	})
}

// Resolve implements kong.Resolver.
func (c *configFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	value, ok := c.values[flag.Name]
	if !ok || inEnvironment(flag) { // which kong has taken already
		return nil, nil
	}
	if flag.IsSlice() {
		var list []any
		for _, v := range value.OneOrList() {
			list = append(list, v.Scalar())
		}
		return list, nil
	}
	if flag.IsMap() {
		var pairs []string
		for _, e := range value.Entries() {
			pairs = append(pairs, e.Key+"="+e.Value.Scalar())
		}
		return strings.Join(pairs, ";"), nil
	}
	return value.Scalar(), nil
}

// FlagsOf is the names of the flags of one command, in order.
func FlagsOf(app *kong.Application, command string) []string {
	names := map[string]bool{}
	for _, node := range app.Children {
		if node.Name == command {
			for _, flag := range slices.Concat(node.AllFlags(false)...) {
				names[flag.Name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}
