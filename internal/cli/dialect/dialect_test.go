package dialect

import (
	"bytes"
	"os"
	"path/filepath"
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

func TestCheck(t *testing.T) {
	path := files(t, plug, "")
	if got := ran((&checkCommand{names{[]string{path, "tasmota"}}}).Run); got != "plug: ok, subscribes to t/#\ntasmota: ok, subscribes to stat/+/RESULT, tele/#\n" {
		t.Errorf("%s", got)
	}
	bad := files(t, "dialect: plug\ntopics: [{topic: 'a/{id', channel: telemtry}]", "")
	got := ran((&checkCommand{names{[]string{bad, "tasmata"}}}).Run)
	for _, want := range []string{"one variable in a level", `did you mean "telemetry"?`, `did you mean "tasmota"?`} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing: %s", want, got)
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
		{path, "x", "1", "error: topic x: a message that no dialect maps to a device"},
		{path, "devices/d/telemetry", `{"ts":1}`, "{device: d, channel: telemetry, data: {}} # ts: more than 8760h0m0s behind the arrival\n"},
	} {
		if got := ran((&tryCommand{c.dialect, c.topic, c.payload, at}).Run); got != c.want {
			t.Errorf("%s %s: %s\nwant %s", c.topic, c.payload, got, c.want)
		}
	}
}

func TestListAndShow(t *testing.T) {
	if got := ran((&listCommand{}).Run); !strings.Contains(got, "tasmota          Tasmota 9 and later") {
		t.Errorf("%s", got)
	}
	if got := ran((&showCommand{"tasmota"}).Run); !strings.Contains(got, "dialect: tasmota\n") {
		t.Errorf("%s", got)
	}
}
