package discovery

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// sent is what a command becomes, in a line.
func sent(p Publication, err error) string {
	if err != nil {
		return err.Error()
	}
	line := p.Topic + " " + p.Payload
	if p.QoS > 0 || p.Retain {
		line += fmt.Sprintf(" (qos %d, retain %v)", p.QoS, p.Retain)
	}
	if p.Shows != nil {
		shows, _ := json.Marshal(p.Shows)
		line += " shows " + string(shows)
	}
	return line
}

// What each component is sent.
func TestCommands(t *testing.T) {
	const stated = `,"stat_t":"home/x"`
	for _, c := range []struct{ component, config, name, data, want string }{
		{"switch", stated, "x", `true`, `home/s ON shows {"x":true}`},
		{"switch", stated, "x", `"OFF"`, `home/s OFF shows {"x":false}`},
		{"switch", stated, "x", `{"value":false}`, `home/s OFF shows {"x":false}`},
		{"switch", stated, "x", `{"other":false}`, `expected a value, or an object with value`},
		{"switch", stated, "x", `5`, `expected one of on, off`},
		{"switch", stated, "x", `null`, `expected one of on, off`},
		{"switch", stated, "y", `true`, ErrUnknown.Error()},
		{"switch", ``, "x", `true`, `home/s ON`},
		{"switch", stated + `,"opt":true`, "x", `true`, `home/s ON`},
		{"switch", stated + `,"pl_on":1,"pl_off":"down","qos":2,"ret":true`, "x", `true`, `home/s 1 (qos 1, retain true) shows {"x":true}`},
		{"switch", stated + `,"cmd_tpl":"{{ {'ON': 'up'}.get(value, 'down') }}"`, "x", `false`, `home/s down shows {"x":false}`},
		{"button", ``, "x", `null`, `home/s PRESS`},
		{"button", `,"pl_prs":"GO"`, "x", `{}`, `home/s GO`},
		{"update", stated, "x", `"install"`, `expected one of `},
		{"update", stated + `,"pl_inst":"INSTALL"`, "x", `null`, `home/s INSTALL`},
		{"number", stated, "x", `21.50`, `home/s 21.5 shows {"x":21.5}`},
		{"number", stated + `,"cmd_tpl":"{{ (value * 10) | int }}"`, "x", `21.5`, `home/s 215 shows {"x":21.5}`},
		{"number", stated + `,"cmd_tpl":"{\"t\": {{ value }}}"`, "x", `21`, `home/s {"t": 21} shows {"x":21}`},
		{"number", stated, "x", `[1]`, `expected a string, a number, true or false`},
		{"select", stated, "x", `"5"`, `home/s 5 shows {"x":"5"}`},
		{"text", stated, "x", `"hello"`, `home/s hello shows {"x":"hello"}`},
		{"lock", stated, "x", `"lock"`, `home/s LOCK shows {"x":"locked"}`},
		{"lock", stated, "x", `"unlocked"`, `home/s UNLOCK shows {"x":"unlocked"}`},
		{"lock", stated, "x", `"open"`, `expected one of lock, unlock`},
		{"cover", stated, "x", `"closed"`, `home/s CLOSE shows {"x":"closed"}`},
		{"cover", stated, "x", `"stop"`, `home/s STOP`},
		{"cover", `,"pos_t":"home/p","set_pos_t":"home/p/set"`, "x_position", `40`, `home/p/set 40 shows {"x_position":40}`},
		{"vacuum", stated, "x", `"start"`, `home/s start`},
		{"alarm_control_panel", stated, "x", `"arm_away"`, `home/s ARM_AWAY shows {"x":"armed_away"}`},
		{"light", stated + `,"bri_stat_t":"home/b","bri_cmd_t":"home/b/set"`, "x_brightness", `100`, `home/b/set 100 shows {"x_brightness":100}`},
		{"light", stated + `,"schema":"json"`, "x", `true`, `home/s {"state":"ON"} shows {"x":true}`},
		{"light", stated + `,"schema":"json"`, "x", `{"state":"OFF"}`, `home/s {"state":"OFF"} shows {"x":false}`},
		{"light", stated + `,"schema":"json"`, "x_brightness", `7`, `home/s {"brightness":7,"state":"ON"} shows {"x":true,"x_brightness":7}`},
		{"light", stated + `,"schema":"json"`, "x", `{"state":5}`, `state: expected one of on, off`},
		{"climate", `,"pow_cmd_t":"home/p","mode_cmd_t":"home/m","mode_stat_t":"home/ms"`, "x_power", `true`, `home/p ON`},
		{"climate", `,"mode_cmd_t":"home/m","mode_stat_t":"home/ms","mode_cmd_tpl":"{{ value | upper }}"`, "x_mode", `"heat"`, `home/m HEAT shows {"x_mode":"heat"}`},
		{"fan", stated + `,"osc_cmd_t":"home/o","osc_stat_t":"home/os"`, "x_oscillation", `true`, `home/o oscillate_on shows {"x_oscillation":"oscillate_on"}`},
		{"fan", stated + `,"pct_cmd_t":"home/p","pct_stat_t":"home/ps"`, "x_percentage", `30`, `home/p 30 shows {"x_percentage":30}`},
	} {
		l, _ := started(defaultLimits())
		learn(t, l, c.component+"/x", `{"cmd_t":"home/s"`+c.config+`,"dev":{"ids":"d"}}`)
		var data any
		if err := json.Unmarshal([]byte(c.data), &data); err != nil {
			t.Fatal(err)
		}
		if got := sent(Encode(l.Commands("d"), c.name, data)); got != c.want {
			t.Errorf("%s %s: %s %s is %s\nwant %s", c.component, c.config, c.name, c.data, got, c.want)
		}
	}
}

func TestDesired(t *testing.T) {
	l, _ := started(defaultLimits())
	learn(t, l, "switch/a", `{"cmd_t":"home/a/set","stat_t":"home/a","dev":{"ids":"d"}}`)
	learn(t, l, "light/l", `{"cmd_t":"home/l/set","stat_t":"home/l","schema":"json","dev":{"ids":"d"}}`)
	learn(t, l, "number/n", `{"cmd_t":"home/n/set","stat_t":"home/n","dev":{"ids":"d"}}`)
	all, err := EncodeDesired(l.Commands("d"), map[string]any{"a": true, "l_brightness": 5.0, "l": false, "n": []any{}, "other": 1.0})
	var lines []string
	for _, p := range all {
		lines = append(lines, sent(p, nil))
	}
	want := `home/a/set ON shows {"a":true}` + "\n" + `home/l/set {"brightness":5,"state":"OFF"} shows {"l":false,"l_brightness":5}`
	if got := strings.Join(lines, "\n"); got != want || err == nil || err.Error() != "n: expected a string, a number, true or false" {
		t.Errorf("%s\n%v\nwant %s", got, err, want)
	}
}

// What is not sent is noted, and what is known of the rest goes with messages that are seldom.
func TestWhatIsNotSent(t *testing.T) {
	l, notes := started(defaultLimits())
	l.options.Sends = func(topic string) string {
		if strings.HasPrefix(topic, "cellar/") {
			return "no filter"
		}
		return ""
	}
	learn(t, l, "switch/same", `{"cmd_t":"home/x","stat_t":"home/x","dev":{"ids":"d"}}`)
	learn(t, l, "switch/far", `{"cmd_t":"cellar/x","stat_t":"home/x","dev":{"ids":"d"}}`)
	learn(t, l, "switch/odd", `{"cmd_t":"home/+","stat_t":"home/x","dev":{"ids":"d"}}`)
	learn(t, l, "switch/now", `{"cmd_t":"home/n","cmd_tpl":"{{ now() }}","stat_t":"home/x","dev":{"ids":"d"}}`)
	learn(t, l, "button/b", `{"cmd_t":"home/b","dev":{"ids":"d"}}`)
	learn(t, l, "sensor/s", `{"stat_t":"home/x","dev":{"ids":"d"}}`)
	for _, m := range publish(l, "home/x", "ON") {
		if has := m.Commands != nil; has != (m.Kind == Reported) || has && fmt.Sprint(m.Commands) != `map[b:{"c":"button","t":"home/b"}]` {
			t.Errorf("%v has the commands %v", m.Kind, m.Commands)
		}
	}
	for _, want := range []string{
		"same of device d cannot be commanded: topic home/x: its state is on the same, so what is sent would be read as what it says",
		"far of device d cannot be commanded: topic cellar/x: no filter",
		`switch odd of device d: command_topic "home/+": expected a topic without wildcards, of at most 1024 bytes`,
		`switch now of device d: command_template "{{ now() }}" is not understood, and nothing is sent to home/n: at 3: now is not supported`,
	} {
		if !strings.Contains(strings.Join(*notes, "\n"), want) {
			t.Errorf("%q is missing in\n%s", want, strings.Join(*notes, "\n"))
		}
	}
	alone, _ := started(defaultLimits()) // a device with readings only
	learn(t, alone, "button/b", `{"cmd_t":"home/b","dev":{"ids":"d"}}`)
	learn(t, alone, "sensor/s", `{"stat_t":"home/x","dev":{"ids":"d"}}`)
	if said := publish(alone, "home/x", "1"); len(said) != 1 || len(said[0].Commands) != 1 {
		t.Errorf("%+v", said)
	}
}

// Whoever sends keeps what is known of commands, so it is bounded.
func TestCommandsAreBounded(t *testing.T) {
	l, notes := started(defaultLimits())
	for i := range 100 {
		learn(t, l, fmt.Sprintf("switch/s%03d", i), fmt.Sprintf(`{"cmd_t":"home/set/%s","stat_t":"home/x","dev":{"ids":"d"}}`, strings.Repeat("x", 100)))
	}
	size := 0
	for name, c := range l.Commands("d") {
		size += len(name) + len(c)
	}
	if size > maxCommands || size < maxCommands/2 || len(*notes) != 1 {
		t.Errorf("%d bytes, notes %q", size, *notes)
	}
}

// FuzzEncode looks for commands that cannot be written, and are.
func FuzzEncode(f *testing.F) {
	f.Add(`{"c":"light","t":"home/x","j":true,"s":true}`, "x_brightness", `5`)
	f.Add(`{"c":"lock","t":"home/x","w":{"lock":"L"},"m":"{{ value }}"}`, "x", `"lock"`)
	f.Fuzz(func(t *testing.T, encoded, name, data string) {
		var v any
		if json.Unmarshal([]byte(data), &v) != nil {
			return
		}
		p, err := Encode(map[string]string{"x": encoded}, name, v)
		if err != nil {
			return
		}
		if _, err := json.Marshal(p.Shows); err != nil {
			t.Fatalf("%+v: %v", p, err)
		}
		if again, err := Encode(map[string]string{"x": encoded}, name, v); err != nil || again.Payload != p.Payload {
			t.Fatalf("%+v and %+v, %v", p, again, err)
		}
		_, _ = EncodeDesired(map[string]string{"x": encoded}, map[string]any{name: v})
	})
}
