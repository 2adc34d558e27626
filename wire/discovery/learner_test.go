package discovery

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// started is a learner that reads what is below home/ and homeassistant/, with its notes.
func started(l limits) (*Learner, *[]string) {
	var notes []string
	return newLearner(Options{
		Prefix: "homeassistant", Depth: 32,
		Reads: func(topic string) (bool, string) {
			if strings.HasPrefix(topic, "other/") {
				return false, ""
			}
			return strings.HasPrefix(topic, "home"), "no filter"
		},
		Absent: func(text string) bool { return text == "unknown" },
		Note:   func(note string) { notes = append(notes, note) },
	}, l), &notes
}

// learn learns from a config, and returns what came before it.
func learn(t *testing.T, l *Learner, topic, config string) []Message {
	t.Helper()
	said, err := l.Learn("homeassistant/"+topic+"/config", []byte(config))
	if err != nil {
		t.Fatalf("%s: %v", topic, err)
	}
	return said
}

// lines are messages, one in a line.
func lines(said []Message) string {
	var b strings.Builder
	for _, m := range said {
		fmt.Fprintf(&b, "%s %s", m.Device, [...]string{"status", "values", "reported", "event"}[m.Kind])
		if m.Kind == Status {
			fmt.Fprintf(&b, " %v", m.Online)
		}
		if m.Name != "" {
			b.WriteString(" " + m.Name)
		}
		if m.Data != nil {
			fmt.Fprintf(&b, " %v", m.Data)
		}
		if m.Relayed {
			b.WriteString(" relayed")
		}
		if m.Kept {
			b.WriteString(" kept")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func expect(t *testing.T, said []Message, want ...string) {
	t.Helper()
	if len(want) > 0 {
		want = append(want, "")
	}
	if got := lines(said); got != strings.Join(want, "\n") {
		t.Errorf("%swant\n%s", got, strings.Join(want, "\n"))
	}
}

func publish(l *Learner, topic, payload string) []Message { return l.Read(topic, []byte(payload)) }

func TestTopicsOfConfigs(t *testing.T) {
	l, _ := started(defaultLimits())
	for topic, want := range map[string]bool{
		"homeassistant/sensor/x/config": true, "homeassistant/sensor/n-1/x_2/config": true, "homeassistant/device/x/config": true,
		"homeassistant/sensor/config": false, "homeassistant/sensor/a/b/c/config": false, "homeassistant/toaster/x/config": false,
		"homeassistant/sensor/x y/config": false, "homeassistant/sensor//x/config": false, "homeassistant/sensor/x/state": false, "other/sensor/x/config": false,
	} {
		if l.IsConfig(topic) != want {
			t.Errorf("%s: %v", topic, !want)
		}
	}
}

// What the values of each component are.
func TestValues(t *testing.T) {
	for _, c := range []struct{ component, config, payload, want string }{
		{"sensor", ``, "21.50", "x:21.50"},
		{"sensor", ``, "warm", "x:warm"},
		{"sensor", ``, "007", "x:007"},
		{"sensor", ``, `{"a":1}`, "x:map[a:1]"},
		{"sensor", `,"unit_of_meas":"W"`, "warm", ""},
		{"sensor", `,"stat_cla":"measurement"`, "12345678901234567890", "x:12345678901234567890"},
		{"sensor", `,"dev_cla":"enum"`, "1", "x:1"},
		{"sensor", ``, "unknown", ""},
		{"sensor", ``, "None", ""},
		{"sensor", `,"val_tpl":"{{ value_json.a }}"`, `{"a":1}`, "x:1"},
		{"sensor", `,"val_tpl":"{{ value_json.a }}"`, `{"b":1}`, ""},
		{"sensor", `,"val_tpl":"{{ value_json.a }}"`, `a`, ""},
		{"binary_sensor", ``, "ON", "x:true"},
		{"binary_sensor", ``, "on", ""},
		{"binary_sensor", `,"val_tpl":"{{ value_json.n > 5 }}","pl_on":"True","pl_off":"False"`, `{"n":7}`, "x:true"},
		{"binary_sensor", `,"pl_on":true,"pl_off":false,"val_tpl":"{{ value_json.on }}"`, `{"on":false}`, "x:false"},
		{"switch", `,"pl_on":"1","pl_off":"0"`, "0", "x:false"},
		{"switch", `,"pl_on":"1","stat_on":"up"`, "up", "x:true"},
		{"number", ``, "5", "x:5"},
		{"number", ``, "five", ""},
		{"select", ``, "5", "x:5"},
		{"text", ``, "12", "x:12"},
		{"lock", ``, "LOCKED", "x:locked"},
		{"lock", `,"stat_locked":"shut"`, "shut", "x:locked"},
		{"cover", ``, "opening", "x:opening"},
		{"cover", `,"pos_t":"home/x","stat_t":""`, "40", "x_position:40"},
		{"device_tracker", `,"pl_home":"here"`, "here", "x:home"},
		{"light", `,"bri_stat_t":"home/x","stat_t":"home/y"`, "100", "x_brightness:100"},
		{"light", `,"schema":"json"`, `{"state":"OFF","brightness":5,"color":{"h":1}}`, "x:false x_brightness:5 x_color:map[h:1]"},
		{"light", `,"schema":"json"`, `{"state":null}`, ""},
		{"fan", `,"pct_stat_t":"home/x","pct_val_tpl":"{{ value|int * 10 }}","stat_t":"home/y"`, "5", "x_percentage:50"},
		{"update", ``, `{"installed_version":"1.0","latest_version":"1.1"}`, "x_installed_version:1.0 x_latest_version:1.1"},
		{"update", ``, `1.0`, "x:1.0"},
		{"update", `,"stat_t":"home/y","l_ver_t":"home/x","l_ver_tpl":"{{ value_json.v }}"`, `{"v":"1.2"}`, "x_latest_version:1.2"},
		{"vacuum", ``, `{"state":"docked","battery_level":61}`, "x:docked x_battery_level:61"},
		{"lawn_mower", `,"act_stat_t":"home/x","stat_t":"home/y"`, "mowing", "x:mowing"},
		{"climate", `,"curr_temp_t":"home/x","val_tpl":"{{ value_json.t }}","stat_t":""`, `{"t":20.5}`, "x_current_temperature:20.5"},
		{"climate", `,"mode_stat_t":"home/x","mode_stat_tpl":"{{ {'0':'off','1':'heat'}[value] }}","stat_t":""`, `1`, "x_mode:heat"},
		{"humidifier", `,"hum_stat_t":"home/x","stat_t":"home/y"`, "40", "x_target_humidity:40"},
		{"alarm_control_panel", ``, "armed_away", "x:armed_away"},
		{"lock", `,"pl_rst":"gone"`, "gone", ""},
		{"camera", `,"t":"home/x"`, "x", ""},
		{"sensor", `,"e":""`, "x", ""},
		{"sensor", `,"json_attr_t":"home/x","stat_t":"home/y"`, `{"a":1}`, "x_attributes:map[a:1]"},
		{"sensor", `,"json_attr_t":"home/x","stat_t":"home/y"`, `[1]`, ""},
		{"button", `,"cmd_t":"home/x","stat_t":""`, "PRESS", ""},
	} {
		l, _ := started(defaultLimits())
		config := `{"stat_t":"home/x"` + c.config + `,"dev":{"ids":"d"}}`
		learn(t, l, c.component+"/x", config)
		got := ""
		for _, m := range publish(l, "home/x", c.payload) {
			if m.Kind == Values {
				got = strings.TrimSuffix(strings.TrimPrefix(fmt.Sprint(m.Data), "map["), "]")
			}
		}
		if got != c.want {
			t.Errorf("%s %s: %s is %q, want %q", c.component, config, c.payload, got, c.want)
		}
	}
}

// What is reported is what can be commanded.
func TestReported(t *testing.T) {
	l, _ := started(defaultLimits())
	learn(t, l, "switch/a", `{"stat_t":"home/x","val_tpl":"{{ value_json.a }}","cmd_t":"home/x/set","dev":{"ids":"d"}}`)
	learn(t, l, "sensor/b", `{"stat_t":"home/x","val_tpl":"{{ value_json.b }}","dev":{"ids":"d"}}`)
	learn(t, l, "sensor/c", `{"stat_t":"home/x","val_tpl":"{{ value_json.c }}","dev":{"ids":"c"}}`)
	expect(t, publish(l, "home/x", `{"a":"ON","b":2,"c":3}`), "c values map[c:3]", "d values map[a:true b:2]", "d reported map[a:true]")
	expect(t, publish(l, "home/x/set", `ON`))
}

// A device is all entities with a common identifier, whatever the order of their configs.
func TestDevicesAreJoined(t *testing.T) {
	configs := map[string]string{
		"sensor/a": `{"stat_t":"home/a","dev":{"ids":["one"],"cns":[["mac","AA"]]}}`,
		"sensor/b": `{"stat_t":"home/b","dev":{"ids":["two","three"]}}`,
		"sensor/c": `{"stat_t":"home/c","dev":{"ids":["three"],"cns":[["mac","aa"]]}}`,
		"sensor/d": `{"stat_t":"home/d","dev":{"ids":["four"]}}`,
	}
	orders := [][]string{{"a", "b", "c", "d"}, {"c", "d", "b", "a"}, {"b", "a", "d", "c"}}
	for _, order := range orders {
		l, _ := started(defaultLimits())
		for _, name := range order {
			learn(t, l, "sensor/"+name, configs["sensor/"+name])
		}
		for name, want := range map[string]string{"a": "one", "b": "one", "c": "one", "d": "four"} {
			expect(t, publish(l, "home/"+name, "1"), fmt.Sprintf("%s values map[%s:1]", want, name))
		}
		learn(t, l, "sensor/a", "")
		expect(t, publish(l, "home/a", "1"))
		expect(t, publish(l, "home/b", "1"), "three values map[b:1]")
	}
}

// Entities of one device with one name get others, whatever the order of their configs.
func TestNamesAreDistinct(t *testing.T) {
	configs := [][2]string{
		{"sensor/n1/door", `{"stat_t":"home/1","dev":{"ids":"d"}}`}, {"sensor/n2/door", `{"stat_t":"home/2","dev":{"ids":"d"}}`},
		{"lock/n1/door", `{"stat_t":"home/3","dev":{"ids":"d"}}`}, {"sensor/other", `{"stat_t":"home/4","dev":{"ids":"d"}}`},
	}
	for range 2 {
		l, _ := started(defaultLimits())
		for _, c := range configs {
			learn(t, l, c[0], c[1])
		}
		for i, name := range []string{"sensor_n1_door", "sensor_n2_door", "lock_door", "other"} {
			expect(t, publish(l, fmt.Sprint("home/", i+1), "1"), "d values map["+name+":1]")
		}
		learn(t, l, "sensor/n2/door", "")
		learn(t, l, "lock/n1/door", "")
		expect(t, publish(l, "home/1", "1"), "d values map[door:1]")
		slices.Reverse(configs)
	}
}

// While an entity moves to a config for its device, both name it.
func TestOneEntityInTwoConfigs(t *testing.T) {
	l, _ := started(defaultLimits())
	learn(t, l, "sensor/d/door", `{"stat_t":"home/d","uniq_id":"u1","dev":{"ids":"d"}}`)
	learn(t, l, "device/d", `{"dev":{"ids":"d"},"o":{"name":"o"},"cmps":{"door":{"p":"sensor","stat_t":"home/d","uniq_id":"u1"}}}`)
	expect(t, publish(l, "home/d", "1"), "d values map[door:1]")
	learn(t, l, "sensor/d/door", `{"migrate_discovery":true}`)
	expect(t, publish(l, "home/d", "1"), "d values map[door:1]")
	learn(t, l, "device/d", "")
	expect(t, publish(l, "home/d", "1"))
}

func TestConfigsReplaceEachOther(t *testing.T) {
	l, _ := started(defaultLimits())
	learn(t, l, "sensor/a", `{"stat_t":"home/1","dev":{"ids":"d"}}`)
	learn(t, l, "sensor/a", `{"stat_t":"home/2","dev":{"ids":"e"}}`)
	expect(t, publish(l, "home/1", "1"))
	expect(t, publish(l, "home/2", "1"), "e values map[a:1]")
	for _, bad := range []string{`{"stat_t":`, `[]`, `{"stat_t":"home/3","dev":{}}`, `{"stat_t":"home/3","dev":{"ids":["` + strings.Repeat("x", maxKey+1) + `"]}}`} {
		if _, err := l.Learn("homeassistant/sensor/a/config", []byte(bad)); err == nil {
			t.Errorf("%.60s: learned", bad)
		}
		expect(t, publish(l, "home/2", "1"), "e values map[a:1]")
	}
}

func TestAvailability(t *testing.T) {
	const two = `,"avty":[{"t":"home/1"},{"t":"home/2","pl_avail":"up","pl_not_avail":"down","val_tpl":"{{ value_json.s }}"}],"dev":{"ids":"d"}}`
	for _, c := range []struct {
		mode string
		said []string // topic and payload, and what follows
	}{
		{"latest", []string{"1 online true", "2 {\"s\":\"down\"} false", "1 online true", "1 other -", "2 up -"}},
		{"all", []string{"1 online true", "2 {\"s\":\"down\"} false", "1 online false", "2 {\"s\":\"up\"} true", "1 offline false"}},
		{"any", []string{"1 offline false", "2 {\"s\":\"up\"} true", "1 offline true", "2 {\"s\":\"down\"} false"}},
	} {
		l, _ := started(defaultLimits())
		for _, name := range []string{"a", "b"} {
			learn(t, l, "sensor/"+name, `{"stat_t":"home/x","avty_mode":"`+c.mode+`"`+two)
		}
		for _, said := range c.said {
			f := strings.Fields(said)
			want := []string{"d status " + f[2]}
			if f[2] == "-" {
				want = nil
			}
			expect(t, publish(l, "home/"+f[0], f[1]), want...)
		}
	}
}

// What a gateway says of all of its devices is not a sign of life of each.
func TestAvailabilityOfSeveralDevices(t *testing.T) {
	l, _ := started(defaultLimits())
	for _, id := range []string{"a", "b", "c"} {
		learn(t, l, "sensor/"+id, `{"stat_t":"home/x","avty_mode":"all","avty":[{"t":"home/gateway"},{"t":"home/`+id+`"}],"dev":{"ids":"`+id+`"}}`)
	}
	expect(t, publish(l, "home/b", "offline"), "b status false")
	expect(t, publish(l, "home/gateway", "online"), "a status true relayed", "b status false relayed", "c status true relayed")
	expect(t, publish(l, "home/b", "online"), "b status true")
}

// What is in configs cannot control a terminal.
func TestNotesArePrintable(t *testing.T) {
	l, notes := started(defaultLimits())
	learn(t, l, "sensor/a", `{"stat_t":"elsewhere/\u001b[2J\n","dev":{"ids":"d\u0007"}}`)
	if text := strings.Join(*notes, "") + l.Describe("homeassistant/sensor/a/config"); strings.ContainsAny(text, "\x1b\n\a") || len(*notes) != 1 {
		t.Errorf("%q", text)
	}
}

// A device is connected as long as one of its entities is available. What was said before a config counts.
func TestAvailabilityOfEntities(t *testing.T) {
	l, _ := started(defaultLimits())
	publish(l, "home/2", "online")
	for _, nr := range []string{"1", "2"} {
		learn(t, l, "sensor/"+nr, `{"stat_t":"home/x","avty_t":"home/`+nr+`","dev":{"ids":"d"}}`)
	}
	expect(t, publish(l, "home/1", "offline"), "d status true")
	expect(t, publish(l, "home/2", "offline"), "d status false")
	learn(t, l, "sensor/2", "")
	expect(t, publish(l, "home/2", "online"))
	expect(t, publish(l, "home/1", "online"), "d status true")
}

// States that came before their config are what the state was: no readings, and no events.
func TestStatesBeforeTheirConfig(t *testing.T) {
	l, _ := started(defaultLimits())
	expect(t, publish(l, "home/a", "ON"))
	publish(l, "home/b", "5")
	publish(l, "home/c", `{"event_type":"click"}`)
	expect(t, learn(t, l, "switch/a", `{"stat_t":"home/a","cmd_t":"home/s","dev":{"ids":"d"}}`), "d reported map[a:true] kept")
	expect(t, learn(t, l, "switch/a", `{"stat_t":"home/a","cmd_t":"home/s","dev":{"ids":"d"}}`)) // the same again
	expect(t, learn(t, l, "sensor/b", `{"stat_t":"home/b","dev":{"ids":"d"}}`))
	expect(t, learn(t, l, "event/c", `{"stat_t":"home/c","cmd_t":"home/s","dev":{"ids":"d"}}`))
	publish(l, "home/a", "OFF")
	expect(t, learn(t, l, "switch/second", `{"stat_t":"home/a","cmd_t":"home/s","dev":{"ids":"d"}}`), "d reported map[second:false] kept")
	publish(l, "home/a", "") // cleared
	expect(t, learn(t, l, "switch/third", `{"stat_t":"home/a","cmd_t":"home/s","dev":{"ids":"d"}}`))
}

// What is named and not read is noted once.
func TestNotes(t *testing.T) {
	l, notes := started(defaultLimits())
	for range 2 {
		learn(t, l, "sensor/a", `{"stat_t":"elsewhere/x","dev":{"ids":"d"}}`)
		learn(t, l, "sensor/b", `{"stat_t":"elsewhere/x","dev":{"ids":"d"}}`)
		learn(t, l, "sensor/c", `{"stat_t":"other/x","dev":{"ids":"d"}}`)
		learn(t, l, "sensor/d", `{"stat_t":"home/x","val_tpl":"{{ now() }}","dev":{"ids":"d"}}`)
		learn(t, l, "sensor/e", `{"stat_t":"home/#","avty":[{"t":"home/y","val_tpl":"{{ states('x') }}"}],"dev":{"ids":"d"}}`)
		learn(t, l, "light/f", `{"schema":"template","stat_t":"home/x","dev":{"ids":"d"}}`)
		learn(t, l, "sensor/g", `{"avty":[{"t":""},{"val_tpl":"{{ value }}"}],"dev":{"ids":"d"}}`)
	}
	want := []string{
		"topic elsewhere/x of sensor a of device d: no filter",
		`sensor d of device d: value_template "{{ now() }}" is not understood, and home/x is not read for it: at 3: now is not supported`,
		`sensor e of device d: state_topic "home/#": expected a topic without wildcards, of at most 1024 bytes`,
		`sensor e of device d: availability template "{{ states('x') }}" is not understood, and home/y is not read for it: at 3: states is not supported`,
		"light f of device d: schema template is not supported",
		"sensor g of device d: availability: an entry has no topic",
	}
	if !reflect.DeepEqual(*notes, want) {
		t.Errorf("%s\nwant %s", strings.Join(*notes, "\n"), strings.Join(want, "\n"))
	}
	if l.Knows("elsewhere/x") || l.Knows("other/x") || l.Knows("home/x") || l.Knows("home/y") {
		t.Error("it reads what it says it does not")
	}
	if got := l.Describe("homeassistant/sensor/c/config"); got != "c of device d, a sensor, on other/x" {
		t.Errorf("%s", got)
	}
}

// Whatever configs and states come, what is kept of them is bounded.
func TestLimits(t *testing.T) {
	const config = `{"stat_t":"home/x","dev":{"ids":"%s"}}`
	bounds := defaultLimits()
	bounds.configs, bounds.ofDevice, bounds.onTopic, bounds.notes = 6, 3, 5, 2
	bounds.kept = keptLimits{topics: 3, bytes: 60, payload: 20}
	l, notes := started(bounds)
	for i := range 4 { // three fit into the device
		learn(t, l, fmt.Sprint("sensor/s", i), fmt.Sprintf(config, "d"))
	}
	learn(t, l, "sensor/t4", fmt.Sprintf(config, "e"))
	learn(t, l, "sensor/t5", fmt.Sprintf(config, "f"))
	if _, err := l.Learn("homeassistant/sensor/more/config", []byte(fmt.Sprintf(config, "g"))); err == nil {
		t.Error("there are more configs than the limit")
	}
	learn(t, l, "sensor/t5", `{"stat_t":"home/x","avty_t":"home/x","dev":{"ids":"f"}}`) // one in place of another
	if n := len(l.topics["home/x"].reads) + len(l.topics["home/x"].available); n != 5 {
		t.Errorf("%d readers of a topic", n)
	}
	if len(*notes) != 3 || (*notes)[2] != "there is more that is not read; no further notes follow" {
		t.Errorf("%d notes: %s", len(*notes), strings.Join(*notes, "\n"))
	}
	for i := range 10 {
		publish(l, fmt.Sprint("home/k", i), strings.Repeat("x", 11))
		publish(l, fmt.Sprint("home/long", i), strings.Repeat("x", 21))
	}
	if len(l.kept.all) != 3 || l.kept.order.Len() != 3 || l.kept.bytes != 3*(7+11) || l.kept.get("home/k9") == nil {
		t.Errorf("%d topics are kept, with %d bytes", len(l.kept.all), l.kept.bytes)
	}
	publish(l, "home/k0", strings.Repeat("x", 20)) // 27 bytes: two others stay
	publish(l, "home/k1", strings.Repeat("x", 20))
	if len(l.kept.all) != 2 || l.kept.bytes != 54 {
		t.Errorf("%d topics are kept, with %d bytes", len(l.kept.all), l.kept.bytes)
	}
}

// A config that there is no room for leaves the earlier one on its topic as it was.
func TestAConfigThatIsRefused(t *testing.T) {
	bounds := defaultLimits()
	bounds.configBytes = 200
	l, notes := started(bounds)
	learn(t, l, "sensor/a", `{"stat_t":"home/a","dev":{"ids":"d"}}`)
	learn(t, l, "sensor/b", `{"stat_t":"home/b","dev":{"ids":"d"}}`)
	if _, err := l.Learn("homeassistant/sensor/a/config", []byte(`{"stat_t":"home/z","name":"`+strings.Repeat("x", 150)+`","dev":{"ids":"d"}}`)); err == nil {
		t.Fatal("there are more bytes than the limit")
	}
	expect(t, publish(l, "home/a", "1"), "d values map[a:1]")
	learn(t, l, "sensor/a", `{"stat_t":"home/c","name":"`+strings.Repeat("x", 100)+`","dev":{"ids":"d"}}`) // fits in place of the earlier one
	if l.Knows("home/a") || l.Knows("home/z") || !l.Knows("home/c") {
		t.Errorf("it reads %v", l.topics)
	}
	if len(*notes) != 1 || !strings.Contains((*notes)[0], "config homeassistant/sensor/a/config is left out: there are 1 others with ") {
		t.Errorf("noted %q", *notes)
	}
}

// What is removed leaves nothing behind.
func TestNothingIsLeft(t *testing.T) {
	l, _ := started(defaultLimits())
	configs := []string{
		`{"stat_t":"home/1","avty":[{"t":"home/2"},{"t":"home/3"}],"dev":{"ids":["a","b"],"cns":[["mac","x"]]}}`, `{"stat_t":"home/1","avty":[{"t":"home/2"},{"t":"home/3"}],"dev":{"ids":["b"]}}`,
		`{"stat_t":"home/1","json_attr_t":"home/4","dev":{"ids":["c"]}}`, `{"stat_t":"home/1","avty_t":"home/2","dev":{"ids":["c","b"]}}`, `{"stat_t":"home/1"}`,
	}
	for _, last := range []string{"", `{"migrate_discovery":true}`} {
		for i, c := range configs {
			learn(t, l, fmt.Sprint("sensor/s", i), c)
		}
		if len(l.devices) != 5 || len(l.topics) != 4 {
			t.Errorf("%d keys of devices, %d topics", len(l.devices), len(l.topics))
		}
		for i := range configs {
			learn(t, l, fmt.Sprint("sensor/s", i), last)
		}
		if len(l.devices)+len(l.topics) > 0 {
			t.Errorf("%d keys of devices, %d topics", len(l.devices), len(l.topics))
		}
	}
	for i := range configs {
		learn(t, l, fmt.Sprint("sensor/s", i), "")
	}
	if len(l.configs)+l.bytes > 0 {
		t.Errorf("%d configs, %d bytes", len(l.configs), l.bytes)
	}
}

// FuzzLearn looks for configs and states that break what was learned.
func FuzzLearn(f *testing.F) {
	f.Add("sensor/x", `{"~":"home","stat_t":"~/x","val_tpl":"{{ value_json.a }}","avty":{"t":"home/x"},"dev":{"ids":[1,"x"],"cns":[["mac","y"]]}}`, `{"a":1}`)
	f.Add("device/x", `{"cmps":{"a":{"p":"light","schema":"json","stat_t":"home/x","cmd_t":"home/s"},"b":{"p":"device_automation","t":"home/x"}},"dev":{"ids":"x"}}`, `{"state":"ON"}`)
	f.Add("climate/x", `{"curr_temp_t":"home/x","mode_stat_t":"home/x","json_attr_t":"home/x"}`, `21`)
	f.Fuzz(func(t *testing.T, place, config, payload string) {
		l, _ := started(defaultLimits())
		topic := "homeassistant/" + place + "/config"
		if !l.IsConfig(topic) {
			return
		}
		publish(l, "home/x", payload)
		if _, err := l.Learn(topic, []byte(config)); err != nil {
			return
		}
		first := lines(publish(l, "home/x", payload))
		if again := lines(publish(l, "home/x", payload)); again != first {
			t.Fatalf("%s\n%s", first, again)
		}
		l.Describe(topic)
		if _, err := l.Learn(topic, nil); err != nil || len(l.configs)+len(l.devices)+len(l.topics)+l.bytes > 0 {
			t.Fatalf("%v, %d configs, %d keys, %d topics", err, len(l.configs), len(l.devices), len(l.topics))
		}
	})
}
