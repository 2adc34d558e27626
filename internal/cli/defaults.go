package cli

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// takeDefaults makes the values that a grammar was made with the defaults of its
// flags: kong itself knows those in tags only, and would reset the values.
func takeDefaults(k *kong.Kong) error {
	return kong.Visit(k.Model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok && !flag.Target.IsZero() {
			flag.Default, flag.HasDefault = defaultText(flag.Target), true
		}
		return next(nil)
	})
}

// defaultText writes a value as kong reads it.
func defaultText(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case []string:
		escaped := make([]string, len(value))
		for i, s := range value {
			escaped[i] = strings.ReplaceAll(s, ",", `\,`)
		}
		return strings.Join(escaped, ",")
	case time.Duration:
		return value.String()
	}
	return fmt.Sprint(v.Interface())
}

// describe adds the default to the help of a flag whose placeholder hides it.
func describe(v *kong.Value) string {
	help := kong.DefaultHelpValueFormatter(v)
	if v.Flag == nil || v.Flag.PlaceHolder == "" || !v.HasDefault {
		return help
	}
	return strings.TrimSuffix(help, ".") + "; default " + v.Default + "."
}
