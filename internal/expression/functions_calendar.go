package expression

import (
	"slices"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// Functions of what a clock on the wall shows. What the name of a zone means changes with the
// database of time zones, so that only some hosts have them: those that record zones.

// ZonesName is the name by which an evaluation asks its Activation for Zones.
const ZonesName = "@zones"

// Zones are the zones of a host.
type Zones interface {
	// Local is what the clock of a zone shows at a time, as if it were a time in UTC; the zone
	// "" is the host's. The error says why that is not known.
	Local(zone string, at time.Time) (time.Time, error)
}

// zoned are the functions, each of a timestamp, or of a timestamp and the name of a zone.
var zoned = map[string]struct {
	gives *cel.Type
	of    func(local time.Time) ref.Val
}{
	"hour":    {cel.DoubleType, func(l time.Time) ref.Val { return types.Double(l.Hour()) }},
	"weekday": {cel.DoubleType, func(l time.Time) ref.Val { return types.Double((l.Weekday()+6)%7 + 1) }},
	"date":    {cel.StringType, func(l time.Time) ref.Val { return types.String(l.Format("2006-01-02")) }},
	"clock":   {cel.StringType, func(l time.Time) ref.Val { return types.String(l.Format("15:04")) }},
}

// ZonedValue is what one of the functions gives of what a clock shows, as JSON: a number or
// a string.
func ZonedValue(function string, local time.Time) any {
	switch v := zoned[function].of(local).(type) {
	case types.Double:
		return float64(v)
	case types.String:
		return string(v)
	}
	return nil
}

// IsZoned reports whether a function goes by a zone.
func IsZoned(function string) bool {
	_, ok := zoned[function]
	return ok
}

// zonedOptions declare them.
func zonedOptions() []cel.EnvOption {
	var opts []cel.EnvOption
	for _, name := range []string{"clock", "date", "hour", "weekday"} {
		unbound := cel.FunctionBinding(func(...ref.Val) ref.Val { return types.NewErr("%s was not resolved", name) })
		opts = append(opts, cel.Function(name,
			cel.Overload(name+"_time", []*cel.Type{cel.TimestampType}, zoned[name].gives, unbound),
			cel.Overload(name+"_time_zone", []*cel.Type{cel.TimestampType, cel.StringType}, zoned[name].gives, unbound)))
	}
	return opts
}

// noteZone notes the zone of a call that goes by one, or gives what is wrong with it.
func (c *Checked) noteZone(call ast.CallExpr) (text string, at int64) {
	if !c.env.zoned || !IsZoned(call.FunctionName()) || call.IsMemberFunction() || len(call.Args()) == 0 {
		return "", 0
	}
	zone := ""
	if len(call.Args()) > 1 {
		name, ok := StringLiteral(call.Args()[1])
		if !ok {
			return call.FunctionName() + " takes the name of a time zone as a string literal, such as 'Europe/Berlin'", call.Args()[1].ID()
		}
		if text := c.env.zoneFault(name); text != "" {
			return text, call.Args()[1].ID()
		}
		zone = name
	}
	if !slices.Contains(c.Zones, zone) {
		c.Zones = append(c.Zones, zone)
	}
	return "", 0
}

// zonedCall is a call of one of the functions.
type zonedCall struct {
	call interpreter.InterpretableCall
}

func (c zonedCall) ID() int64 { return c.call.ID() }

func (c zonedCall) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	name, zone := c.call.Function(), ""
	v := c.call.Args()[0].Exec(frame)
	if types.IsUnknownOrError(v) {
		return v
	}
	at, ok := v.(types.Timestamp)
	if !ok {
		return types.NewErrWithNodeID(c.ID(), "%s: expected a timestamp such as now or timestamp(event.ts), found a %s", name, v.Type().TypeName())
	}
	if args := c.call.Args(); len(args) > 1 {
		text, _ := args[1].Exec(frame).(types.String) // a literal
		zone = string(text)
	}
	found, _ := frame.ResolveName(ZonesName)
	zones, ok := found.(Zones)
	if !ok {
		return types.NewErrWithNodeID(c.ID(), "%s: no time zones are known", name)
	}
	local, err := zones.Local(zone, at.Time)
	if err != nil {
		return types.NewErrWithNodeID(c.ID(), "%s: %v", name, err)
	}
	return zoned[name].of(local)
}

func (c zonedCall) Eval(vars interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(vars, c.Exec)
}
