package dialect

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"devicetwin/internal/cli"
)

const plug = `dialect: plug
topics:
  - topic: t/{id}
    channel: telemetry
  - topic: t/{id}/lwt
    channel: status
    payload: text
time: {at: payload.ts, unit: s}
`

const plugSamples = `samples:
  - {topic: t/a, payload: '{"x":1}', gives: {device: a, channel: telemetry, data: {x: 1}}}
  - {topic: t/a, payload: '{"x":', outcome: bad_payload}
`

// files writes a dialect with its samples, and returns the path of the first.
func files(t *testing.T, text, samples string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "plug.yaml")
	for name, text := range map[string]string{path: text, filepath.Join(dir, "plug.samples.yaml"): samples} {
		if text == "" {
			continue
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// ran is what a command prints, or its error.
func ran(run func(cli.Streams) error) string {
	var out bytes.Buffer
	if err := run(cli.Streams{Out: &out, Err: &out}); err != nil {
		out.WriteString("error: " + err.Error())
	}
	return out.String()
}

// sendsLine is one about what is sent, of which dialects that come with devicetwin may get more.
var sendsLine = regexp.MustCompile(`(?m)^  .*\n`)

func TestCheck(t *testing.T) {
	path := files(t, plug, "")
	const own = "$aws/things/+/shadow/#, devices/#"
	want := "plug: ok\ntasmota: ok\na bridge with them subscribes to " + own + ", stat/+/RESULT, t/#, tele/#\n"
	got := ran((&checkCommand{names{[]string{path, "tasmota"}}}).Run)
	if got = sendsLine.ReplaceAllString(got, ""); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	bad := files(t, "dialect: plug\ntopics: [{topic: 'a/{id', channel: telemtry}]", "")
	got = ran((&checkCommand{names{[]string{bad, "tasmata"}}}).Run)
	for _, want := range []string{"one variable in a level", `did you mean "telemetry"?`, `did you mean "tasmota"?`} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing: %s", want, got)
		}
	}
}

// A bridge does not use the filters of a dialect as they are: next to others, a wildcard takes in everything.
func TestCheckPrintsTheFiltersOfBridges(t *testing.T) {
	const rest = "channel: telemetry}]\n"
	for text, want := range map[string]string{
		"topics: [{topic: '{id}/temp', " + rest:                           "a bridge with it subscribes to #, $aws/things/+/shadow/#\nnote: # is everything that the broker has, because of +/temp (plug): ",
		"topics: [{topic: '{id...}', " + rest:                             "because of # (plug): ",
		"subscribe: [+/temp, t/x]\ntopics: [{topic: '{id}/temp', " + rest: "because of # (plug): ",
		"subscribe: t/temp\ntopics: [{topic: '{id}/temp', " + rest:        "a bridge with it subscribes to $aws/things/+/shadow/#, devices/#, t/temp\n",
	} {
		got := ran((&checkCommand{names{[]string{files(t, "dialect: plug\n"+text, "")}}}).Run)
		if !strings.HasPrefix(got, "plug: ok\n") || !strings.Contains(got, want) {
			t.Errorf("%s: %s\nwant %s", text, got, want)
		}
		if strings.Contains(got, "note: ") != strings.Contains(got, "to #,") {
			t.Errorf("%s: a note without #, or the other way: %s", text, got)
		}
	}
}

func TestSamplesAreCompared(t *testing.T) {
	for name, c := range map[string]struct{ samples, want string }{
		"as expected": {plugSamples, "no sample has the topic t/{id}/lwt\nplug: ok, 2 samples\n"},
		"other data": {"samples:\n  - {topic: t/a, payload: '1', gives: {device: a, channel: telemetry, data: {x: 1}}}",
			"sample at line 2, topic t/a: message 1 is\n  {device: a, channel: telemetry, data: {\"value\":1}}\nexpected\n  {device: a, channel: telemetry, data: {\"x\":1}}"},
		"another outcome": {"samples: [{topic: t/a, payload: '1', outcome: ignored}]", "1 messages; expected ignored"},
		"a fault":         {"samples: [{topic: t/a, payload: '1'}]", "expected gives, or outcome"},
		"no file":         {"", "has no samples: expected "},
		"no sample":       {"samples: []", "plug: no samples\nerror: dialects without samples: 1"},
		"a wildcard":      {"samples: [{topic: t/+, payload: '1', outcome: unmapped}]", `topic "t/+": expected 1 to 65535 bytes of UTF-8 without wildcards`},
		"a time that is not believed": {"samples: [{topic: t/s, payload: '{\"ts\":1}', gives: {device: s, channel: telemetry, sent: '1970-01-01T00:00:01Z', data: {ts_: 1}}}]",
			"message 1, received 2026-01-01T12:00:00Z, is\n  {device: s, channel: telemetry, data: {\"ts_\":1}} # ts: more than 8760h0m0s behind the arrival"},
	} {
		if got := ran((&testCommand{names{[]string{files(t, plug, c.samples)}}}).Run); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s\nwant %s", name, got, c.want)
		}
	}
}

func TestTry(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	path := files(t, plug, "")
	for _, c := range []struct{ dialect, topic, payload, want string }{
		{path, "t/a", `{"x":1}`, "{device: a, channel: telemetry, data: {\"x\":1}}\n"},
		{path + ",tasmota", "tele/b/LWT", "Offline", "{device: b, channel: status, connection: offline, data: {\"status\":\"Offline\"}}\n"},
		{path, "t/a", "{", "error: topic t/a: bad_payload: json: line 1, column 1: unexpected end of JSON input"},
		{path, "x", "1", "error: topic x: no dialect reads it"},
		{path, "t/a", "{}", "{device: a, channel: telemetry, data: {}}\n"},
		{path, "t/a", "", "error: topic t/a: plug: ignored, an empty payload"},
		{"home-assistant", "homeassistant/sensor/t/config", `{"stat_t":"cellar/t","dev":{"ids":"c1"}}`, "note: dialect home-assistant: topic cellar/t of sensor t of device c1: no filter of subscribe brings it in, so it is not read\n" +
			"error: topic homeassistant/sensor/t/config: home-assistant: discovery of t of device c1, a sensor, on cellar/t"},
		{"tasmota", "tele/b/UPTIME", "{}", "error: topic tele/b/UPTIME: tasmota: ignored"},
		{path, "t/+", "{}", `error: topic "t/+": expected 1 to 65535 bytes of UTF-8 without wildcards`},
		{path, "devices/d/telemetry", `{"ts":1}`, "{device: d, channel: telemetry, data: {}} # ts: more than 8760h0m0s behind the arrival\n"},
	} {
		if got := ran((&tryCommand{c.dialect, c.topic, c.payload, at, sent{}}).Run); got != c.want {
			t.Errorf("%s %s: %s\nwant %s", c.topic, c.payload, got, c.want)
		}
	}
}

func TestListAndShow(t *testing.T) {
	if got := ran((&listCommand{}).Run); !strings.Contains(got, "tasmota          Tasmota 9 and later") {
		t.Errorf("%s", got)
	}
	if got := ran((&listCommand{}).Run); !strings.Contains(got, "standard         What devices made for devicetwin speak; built in and always on") {
		t.Errorf("%s", got)
	}
	for _, run := range []func(cli.Streams) error{(&checkCommand{names{[]string{"standard"}}}).Run, (&testCommand{names{[]string{"standard", "tasmota"}}}).Run} {
		if got := ran(run); got != "error: dialect standard: it is built in and always on: leave it out; a copy needs a name and topics of its own" {
			t.Errorf("%s", got)
		}
	}
	if got := ran((&showCommand{"standard"}).Run); !strings.Contains(got, "topic: devices/{id}/telemetry\n") {
		t.Errorf("%s", got)
	}
	if got := ran((&showCommand{"tasmota"}).Run); !strings.Contains(got, "dialect: tasmota\n") {
		t.Errorf("%s", got)
	}
}
