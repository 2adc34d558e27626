package expression

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/stdlib"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// timeParts are the functions of CEL that give a part of a timestamp or a duration.
var timeParts = []string{
	overloads.TimeGetFullYear, overloads.TimeGetMonth, overloads.TimeGetDayOfYear,
	overloads.TimeGetDayOfMonth, overloads.TimeGetDate, overloads.TimeGetDayOfWeek,
	overloads.TimeGetHours, overloads.TimeGetMinutes, overloads.TimeGetSeconds,
	overloads.TimeGetMilliseconds,
}

// timeOptions are the functions on timestamps and durations that take or give numbers.
func timeOptions() ([]cel.EnvOption, error) {
	number := cel.DoubleType
	one := func(id string, arg, result *cel.Type, f func(ref.Val) ref.Val) cel.FunctionOpt {
		return cel.Overload(id, []*cel.Type{arg}, result, cel.UnaryBinding(f))
	}
	opts := []cel.EnvOption{
		cel.Function(overloads.TypeConvertTimestamp, one("timestamp_of_number", number, cel.TimestampType, timestampOf)),
		cel.Function(overloads.TypeConvertDuration, one("duration_of_number", number, cel.DurationType, durationOfSeconds)),
		cel.Function(overloads.TypeConvertDouble,
			one("seconds_of_timestamp", cel.TimestampType, number, secondsOf), one("seconds_of_duration", cel.DurationType, number, secondsOf)),
		cel.Function(overloads.TypeConvertInt,
			one("whole_seconds_of_timestamp", cel.TimestampType, number, wholeSecondsOf), one("whole_seconds_of_duration", cel.DurationType, number, wholeSecondsOf)),
	}
	for _, f := range stdlib.Functions() {
		for _, name := range timeParts {
			if f.Name() != name {
				continue
			}
			part, err := withNumbers(f)
			if err != nil {
				return nil, err
			}
			opts = append(opts, part)
		}
	}
	return opts, nil
}

// zoneForm is a fixed offset from UTC. Names of zones are refused: what they mean changes
// with the time zone database of the machine, and a workflow must replay as it was.
var zoneForm = regexp.MustCompile(`^(UTC|[+-]?([01][0-9]|2[0-3]):[0-5][0-9])$`)

func zoneFault(zone string) string {
	if zoneForm.MatchString(zone) {
		return ""
	}
	return fmt.Sprintf("time zone %q: expected UTC or a fixed offset such as +01:00", zone)
}

// literalZoneFault is what is wrong with a zone that is written in a call.
func literalZoneFault(call ast.CallExpr) string {
	if !call.IsMemberFunction() || len(call.Args()) != 1 || !slices.Contains(timeParts, call.FunctionName()) {
		return ""
	}
	if zone, ok := StringLiteral(call.Args()[0]); ok {
		return zoneFault(zone)
	}
	return ""
}

// unsuitableZone looks at the second argument of a function that gives a part of a time.
func unsuitableZone(args []ref.Val) string {
	if len(args) < 2 {
		return ""
	}
	zone, _ := args[1].(types.String)
	return zoneFault(string(zone))
}

// Times since 1970 below these are in seconds, milliseconds and microseconds, as in the ts
// of a message; beyond, in nanoseconds.
const (
	belowSeconds = 1e11
	belowMillis  = 1e14
	belowMicros  = 1e17
)

// timestampOf is timestamp(x): the time since 1970, whose unit its size shows. It works
// on the digits, since half a nanosecond less would be another millisecond.
func timestampOf(v ref.Val) ref.Val {
	f := float64(v.(types.Double))
	places := 0 // of decimals, for seconds
	switch abs := math.Abs(f); {
	case abs < belowSeconds:
	case abs < belowMillis:
		places = 3
	case abs < belowMicros:
		places = 6
	case abs < 1e21:
		places = 9
	default:
		return types.NewErr("timestamp: %s is out of range", NumberText(f))
	}
	whole, fraction, _ := strings.Cut(strconv.FormatFloat(math.Abs(f), 'f', -1, 64), ".")
	whole = strings.Repeat("0", max(0, places+1-len(whole))) + whole
	fraction = (whole[len(whole)-places:] + fraction + "000000000")[:9]
	seconds, err := strconv.ParseInt(whole[:len(whole)-places], 10, 64)
	if err != nil {
		return types.NewErr("timestamp: %s is out of range", NumberText(f))
	}
	nanos, _ := strconv.ParseInt(fraction, 10, 64) // nine digits
	if f < 0 {
		seconds, nanos = -seconds, -nanos
	}
	t := time.Unix(seconds, nanos).UTC()
	if t.Year() < 1 || t.Year() > 9999 {
		return types.NewErr("timestamp: %s is out of range", NumberText(f))
	}
	return types.Timestamp{Time: t}
}

// durationOfSeconds is duration(x), to the nanosecond.
func durationOfSeconds(v ref.Val) ref.Val {
	ns := math.Round(float64(v.(types.Double)) * 1e9)
	if !(math.Abs(ns) < 1<<63) {
		return types.NewErr("duration: %s seconds are out of range", NumberText(float64(v.(types.Double))))
	}
	return types.Duration{Duration: time.Duration(ns)}
}

// secondsOf is double(x) of a duration, or of a timestamp since 1970.
func secondsOf(v ref.Val) ref.Val {
	switch x := v.(type) {
	case types.Duration:
		return types.Double(x.Seconds())
	case types.Timestamp:
		return types.Double(float64(x.Unix()) + float64(x.Nanosecond())/1e9)
	}
	return types.MaybeNoSuchOverloadErr(v)
}

// wholeSecondsOf is int(x) of a duration, towards zero, or of a timestamp since 1970.
func wholeSecondsOf(v ref.Val) ref.Val {
	switch x := v.(type) {
	case types.Duration:
		return types.Double(x.Duration / time.Second)
	case types.Timestamp:
		return types.Double(x.Unix())
	}
	return types.MaybeNoSuchOverloadErr(v)
}
