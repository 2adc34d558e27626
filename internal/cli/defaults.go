package cli

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"devicetwin/source"
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

// readDuration reads a flag's duration as models have it, with days; kong knows none.
func readDuration(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("duration", &text); err != nil {
		return err
	}
	d, err := source.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("expected a duration such as 90s, 5m, 48h or 30d but got %q", text)
	}
	target.SetInt(int64(d))
	return nil
}
