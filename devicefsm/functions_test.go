package devicefsm

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/cel"
	"pgregory.net/rapid"

	"devicetwin/internal/expression"

	"devicetwin/device"
)

// TestFunctionsTakeAnyJSON: whatever a device sends, a function gives a JSON value or an
// error, the same each time, and never a fault of its own.
func TestFunctionsTakeAnyJSON(t *testing.T) {
	forms := callForms(t)
	if len(forms) < 80 {
		t.Fatalf("%d forms", len(forms))
	}
	values := 0
	rapid.Check(t, func(t *rapid.T) {
		form := rapid.SampledFrom(forms).Draw(t, "form")
		s := &scope{event: obj{}, clock: documentedClock(), edition: rapid.IntRange(EditionFirst, EditionNow).Draw(t, "edition")}
		for _, name := range []string{"a", "b", "c", "d"} {
			s.event[name] = randomJSON(t, 2)
		}
		e, faults := compileExpr(placeChart, form)
		if faults != nil {
			t.Fatal(form, faults)
		}
		v, err := e.eval(s)
		w, err2 := e.eval(s)
		if fmt.Sprint(v, err) != fmt.Sprint(w, err2) {
			t.Fatalf("%s of %v: %v, %v and then %v, %v", form, s.event, v, err, w, err2)
		}
		if err == nil {
			values++
			return
		}
		for _, bad := range []string{"internal error", "panic", "runtime error"} {
			if strings.Contains(err.Error(), bad) {
				t.Fatalf("%s of %v: %v", form, s.event, err)
			}
		}
	})
	if values < 5 {
		t.Errorf("only %d values", values)
	}
}

// callForms are calls of each overload of each function that can be written, with
// arguments of any type.
func callForms(t *testing.T) []string {
	envs, err := environments()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, name := range envs[placeChart].FunctionNames() {
		for _, o := range envs[placeChart].CEL().Functions()[name].OverloadDecls() {
			args := []string{"dyn(event.a)", "dyn(event.b)", "dyn(event.c)", "dyn(event.d)"}[:len(o.ArgTypes())]
			switch {
			case name == fnStateIn || name == fnInHours:
			case expression.IsZoned(name) && len(args) == 2:
				seen[name+"(timestamp(event.a), 'Europe/Berlin')"] = true
				seen[name+"(event.a, 'UTC')"] = true
			case o.IsMemberFunction() && (o.ArgTypes()[0].IsExactType(cel.TimestampType) || o.ArgTypes()[0].IsExactType(cel.DurationType)):
				seen["timestamp(event.a)."+name+"("+strings.Join(args[1:], ", ")+")"] = true
			case o.IsMemberFunction():
				seen[args[0]+"."+name+"("+strings.Join(args[1:], ", ")+")"] = true
			default:
				seen[name+"("+strings.Join(args, ", ")+")"] = true
			}
		}
	}
	for _, more := range []string{"math.greatest(event.a, event.b, event.c)", "math.least(event.a)", "duration(event.a).getHours()", "string(timestamp(event.a))", "double(timestamp(event.a))"} {
		seen[more] = true
	}
	return sortedKeys(seen)
}

func randomJSON(t *rapid.T, depth int) any {
	kinds := 6
	if depth == 0 {
		kinds = 4
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return rapid.SampledFrom([]float64{0, 1, 2, -1, 0.5, 3, 1e9, 1795953600123, -62135596801, 1e17, 1e300, 1 << 53, 64, -0.25}).Draw(t, "number")
	case 1:
		return rapid.SampledFrom([]string{"", "a", "a-b", "äöü€😀", "1.5", "2026-11-29T12:00:00Z", "+01:00", "UTC", "90s", "-", "Europe/Berlin", "[", "Infinity"}).Draw(t, "string")
	case 2:
		return rapid.Bool().Draw(t, "bool")
	case 3:
		return nil
	case 4:
		list := make([]any, rapid.IntRange(0, 4).Draw(t, "length"))
		for i := range list {
			list[i] = randomJSON(t, depth-1)
		}
		return list
	}
	return map[string]any{"k": randomJSON(t, depth-1), "a": 1.0}
}

// TestFunctionsAreBounded: what would take too much is refused before it is done, and what
// is done counts, also in a macro.
func TestFunctionsAreBounded(t *testing.T) {
	long, list := strings.Repeat("a", 150_000), make([]any, 100_000)
	for i := range list {
		list[i] = float64(len(list) - i)
	}
	s := scope{event: obj{"s": long, "list": list, "few": list[:2000], "words": []any{long, long}}}
	for _, source := range []string{
		"event.s.replace('', event.s)", "event.s.replace('a', event.s)", "event.words.join(event.s) + event.words.join(event.s)", "event.list.join()",
		"event.list.map(x, event.s).join()", "event.list.sort()", "event.list.distinct()", "event.few.sort().size() > 0 && event.few.distinct().size() > 0",
		"sum(event.list)", "max(event.list)", "event.s.split('')", "event.few.map(x, event.s.lowerAscii())", "event.few.map(x, event.s.indexOf('b')).size()",
		"event.s.indexOf(event.s.substring(1) + 'b')", "event.few.map(x, event.few.slice(0, 1000)).size()", "event.few.exists(x, event.s.trim() == 'a')",
		"event.few.map(x, sum(event.few)).size()", "event.few.map(x, [event.s].join('')).size()", "math.greatest(event.list)", "event.list.reverse()",
		"event.few.map(x, event.s.reverse()).size()", "event.few.map(x, event.s.charAt(1)).size()", "event.few.map(x, event.s.substring(5)).size()",
	} {
		for _, edition := range []int{EditionFirst, EditionNow} {
			begun := time.Now()
			e, faults := compileExpr(placeChart, source)
			if faults != nil {
				t.Fatal(source, faults)
			}
			s.edition = edition
			v, err := e.eval(&s)
			if took := time.Since(begun); err == nil || took > 5*time.Second {
				t.Errorf("%s took %v, and gives a %T, %v", source, took, v, err)
			}
		}
	}
	for source, want := range map[string]any{
		"sum(event.few)": 198_001_000.0, "event.few.slice(0, 500).sort()[0]": 99_501.0, "event.s.substring(0, 3).replace('a', 'bc')": "bcbcbc", "event.s.size()": 150_000.0,
	} {
		if got, err := documentedOf(source, s); err != nil || got != want {
			t.Errorf("%s = %v, %v; want %v", source, got, err, want)
		}
	}
}

func documentedOf(source string, s scope) (any, error) {
	e, faults := compileExpr(placeChart, source)
	if faults != nil {
		return nil, fmt.Errorf("%v", faults)
	}
	return e.eval(&s)
}

// TestTimestampOfNumbers: the unit shows by the size, and no digit is lost.
func TestTimestampOfNumbers(t *testing.T) {
	for number, want := range map[string]string{
		"0": "1970-01-01T00:00:00Z", "1795953600": "2026-11-29T12:00:00Z", "-1": "1969-12-31T23:59:59Z", "-0.5": "1969-12-31T23:59:59.5Z",
		"99999999999": "5138-11-16T09:46:39Z", "100000000000": "1973-03-03T09:46:40Z", "1795953600123": "2026-11-29T12:00:00.123Z",
		"1795953600.123": "2026-11-29T12:00:00.123Z", "1795953600123.456": "2026-11-29T12:00:00.123456Z", "1795953600123456": "2026-11-29T12:00:00.123456Z",
		"1e14": "1973-03-03T09:46:40Z", "1e17": "1973-03-03T09:46:40Z", "-1e17": "1966-10-31T14:13:20Z",
	} {
		got, err := documentedOf("string(timestamp("+number+"))", scope{})
		if err != nil || got != want {
			t.Errorf("timestamp(%s) is %v, %v; want %s", number, got, err, want)
		}
	}
	for _, number := range []string{"1e21", "1e300", "-1e20", "double('NaN')"} {
		if got, err := documentedOf("string(timestamp("+number+"))", scope{}); err == nil {
			t.Errorf("timestamp(%s) is %v", number, got)
		}
	}
}

// TestTimeZonesAreOffsets: names would mean something else with another database.
func TestTimeZonesAreOffsets(t *testing.T) {
	for zone, ok := range map[string]bool{
		"UTC": true, "+01:00": true, "-11:30": true, "05:45": true, "Europe/Berlin": false, "Local": false, "": false, "CET": false, "+1:00": false, "+24:00": false, "+01:60": false, "+01:00:00": false, "../etc": false,
	} {
		_, err := documentedOf("timestamp(0).getHours(event.zone)", scope{event: obj{"zone": zone}})
		if (err == nil) != ok {
			t.Errorf("zone %q: %v", zone, err)
		}
		_, faults := compileExpr(placeChart, fmt.Sprintf("timestamp(0).getHours(%q) > 1", zone))
		if (faults == nil) != ok {
			t.Errorf("literal zone %q: %v", zone, faults)
		}
	}
	_, err := Load("m.yaml", []byte("initial: a\nstates: {a: {on: {e: {guard: \"event.n > 1 && timestamp(event.at).getHours('Europe/Berlin') > 6\", target: a}}}}\n"))
	if want := `m.yaml:2:75: expression: time zone "Europe/Berlin": expected UTC or a fixed offset such as +01:00`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestUnknownFunctionsHaveAHint names the function that was meant.
func TestUnknownFunctionsHaveAHint(t *testing.T) {
	_, err := Load("m.yaml", []byte("initial: a\nstates: {a: {on: {e: {guard: \"event.s.lowerAscci() == 'x'\", target: a}}}}\n"))
	if err == nil || !strings.Contains(err.Error(), `did you mean "lowerAscii"?`) {
		t.Error(err)
	}
}

// TestHintsAreOfThePlace: what there is elsewhere is not suggested.
func TestHintsAreOfThePlace(t *testing.T) {
	for when, want := range map[string]string{
		"stateIn('a')": "available here: msg", "stateIm('a')": "available here: msg", "event.x > 1": "available here: msg", "mgs.x > 1": `did you mean "msg"?`,
	} {
		_, err := Load("m.yaml", []byte("events: {e: {channel: events, when: \""+when+"\"}}\ninitial: a\nstates: {a: {}}\n"))
		if err == nil || !strings.Contains(err.Error(), "("+want+")") {
			t.Errorf("%s: %v, want %s", when, err, want)
		}
	}
	_, err := Load("m.yaml", []byte("initial: a\nstates: {a: {on: {e: {guard: \"stateIm('a')\", target: a}}}}\n"))
	if err == nil || !strings.Contains(err.Error(), `did you mean "stateIn"?`) {
		t.Error(err)
	}
}

// TestFunctionsInGuardsAreSettled: a condition that calls functions divides the messages
// as any other does.
func TestFunctionsInGuardsAreSettled(t *testing.T) {
	m := load(t, `
events: {r: {channel: telemetry}}
initial: low
states:
  low: {on: {r: {guard: "max(event.values) > 5 && event.mode.lowerAscii() == 'on'", target: high}}}
  high: {on: {r: {guard: "mean(event.values) < 3 || math.bitAnd(event.flags, 4) != 0", target: low}}}
`)
	message := func(mode string, flags float64, values ...any) device.Message {
		return device.Message{Channel: device.ChannelTelemetry, Data: obj{"mode": mode, "flags": flags, "values": values}}
	}
	var f Filter
	for i, tc := range []struct {
		msg    device.Message
		passes bool
	}{
		{message("ON", 0, 4.0, 4.0), false}, {message("ON", 0, 4.0, 9.0), true}, {message("on", 8, 7.0, 9.0), false},
		{message("off", 4, 7.0, 9.0), true}, {message("Off", 5, 5.0, 5.0), false}, {message("ON", 0, 4.0, 9.0), true},
	} {
		if got := m.Pass(&f, tc.msg); got != tc.passes {
			t.Errorf("message %d: passes: %v", i, got)
		}
	}
}
