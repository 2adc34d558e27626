package dialect

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/wire"
)

var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func load(t testing.TB, text string) *Set { t.Helper(); return loadWith(t, wire.DefaultConfig(), text) }

func loadWith(t testing.TB, c wire.Config, texts ...string) *Set {
	t.Helper()
	var dialects []*Dialect
	for _, text := range texts {
		d, err := Load("d.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		dialects = append(dialects, d)
	}
	s, err := NewSet(c, dialects...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// said is what a message became, a line for each device.
func said(received []wire.Received, err error) string {
	refused := (*wire.Refused)(nil)
	switch {
	case errors.As(err, &refused):
		return refused.Error()
	case err != nil:
		return err.Error()
	}
	var lines []string
	for _, r := range received {
		r.Complete()
		m := r.Message
		line := fmt.Sprint(r.ID, " ", m.Channel)
		for _, word := range []string{m.Name, m.Connection} {
			if word != "" {
				line += " " + word
			}
		}
		if m.Seq > 0 {
			line += fmt.Sprint(" ", m.Epoch, "/", m.Seq)
		}
		if r.Named != "" || m.SenderID != "" {
			line += fmt.Sprintf(" id %q", r.Named)
		}
		if r.Dated {
			line += " " + r.PointTime.Format("15:04:05.999999999")
		}
		for _, f := range m.Faults {
			line += " " + f.Detail + " " + f.Value
		}
		data, _ := json.Marshal(m.Data)
		if m.Twin != nil {
			data = m.Twin.Payload
		}
		lines = append(lines, line+" "+string(data))
	}
	return strings.Join(lines, "\n")
}

const tasmotaLike = `
dialect: plugs
topics:
  - topic: tele/{id}/SENSOR
    channel: telemetry
  - topic: tele/{id}/LWT
    channel: status
    payload: text
    status: {online: Online, offline: Offline}
  - topic: stat/{id}/#
    channel: ignored
`

const several = `
dialect: several
topics:
  - topic: z/{id}
    messages:
      - {channel: telemetry, data: {t: payload.t}}
      - {channel: events, when: payload.action != "", vars: {action: payload.action}, name: "{action}"}
      - {channel: reported, data: {on: payload.on}}
`

func TestDecode(t *testing.T) {
	for name, c := range map[string]struct{ dialect, topic, payload, want string }{
		"an object as it is":           {tasmotaLike, "tele/plug/SENSOR", `{"ENERGY":{"Power":12}}`, `plug telemetry {"ENERGY":{"Power":12}}`},
		"members of ours keep a name":  {tasmotaLike, "tele/plug/SENSOR", `{"ts":5,"x":1}`, `plug telemetry {"ts_":5,"x":1}`},
		"a scalar":                     {tasmotaLike, "tele/plug/SENSOR", `23.5`, `plug telemetry {"value":23.5}`},
		"an array":                     {tasmotaLike, "tele/plug/SENSOR", `[1,2]`, `plug telemetry {"value":[1,2]}`},
		"not JSON":                     {tasmotaLike, "tele/plug/SENSOR", `{"a":`, `bad_payload: json: line 1, column 5: unexpected end of JSON input`},
		"the last will":                {tasmotaLike, "tele/plug/LWT", `Offline`, `plug status offline {"status":"Offline"}`},
		"the birth":                    {tasmotaLike, "tele/plug/LWT", `Online`, `plug status online {"status":"Online"}`},
		"another word":                 {tasmotaLike, "tele/plug/LWT", `boot`, `plug status unknown {"status":"boot"}`},
		"an ignored topic":             {tasmotaLike, "stat/plug/RESULT", `{}`, wire.ErrNotInput.Error()},
		"an unknown topic":             {tasmotaLike, "tele/plug/X", `{}`, wire.ErrUnmapped.Error()},
		"an id with other characters":  {tasmotaLike, "tele/a b/SENSOR", `{}`, `a--20b telemetry {}`},
		"an id that is empty":          {tasmotaLike, "tele//SENSOR", `{}`, `bad_device_id: device id {id}: id is empty`},
		"an id over several levels":    {one("zigbee2mqtt/{name...}", "id: '{name}'"), "zigbee2mqtt/hall/lamp", `{}`, `hall--2flamp telemetry {}`},
		"an id of two levels":          {one("{site}/x/{m}", "id: '{site}:{m}'"), "a/x/b", `{}`, `a:b telemetry {}`},
		"an id in the payload":         {one("app/+/up", "vars: {eui: payload.dev.eui}\n    id: '{eui}'"), "app/1/up", `{"dev":{"eui":"0A"}}`, `0A telemetry {"dev":{"eui":"0A"}}`},
		"an id that is not there":      {one("app/+/up", "vars: {eui: payload.dev.eui}\n    id: '{eui}'"), "app/1/up", `{}`, `bad_device_id: device id {eui}: eui is empty`},
		"the level as a name":          {one("s/{id}/{what}", "payload: {format: text, numbers: true}\n    data: '{topic.what: payload}'"), "s/a/temp", `23.5`, `a telemetry {"temp":23.5}`},
		"members":                      {one("s/{id}", "data: {t: payload.a.t, h: payload.a.h}"), "s/a", `{"a":{"t":1}}`, `a telemetry {"t":1}`},
		"no member is there":           {one("s/{id}", "data: {t: payload.a.t}"), "s/a", `{"a":{}}`, wire.ErrUnmapped.Error()},
		"absent":                       {one("s/{id}", "absent: [null, unavailable]"), "s/a", `{"t":null,"h":"unavailable","x":1}`, `a telemetry {"x":1}`},
		"one expression for all":       {one("s/{id}", "data: payload.report"), "s/a", `{"other":1}`, wire.ErrUnmapped.Error()},
		"null for all":                 {one("s/{id}", "data: payload.report"), "s/a", `{"report":null}`, `a telemetry {"value":null}`},
		"one that reads two members":   {one("s/{id}", "data: \"{'v': payload.v, 'w': payload.w}\""), "s/a", `{"v":1}`, wire.ErrUnmapped.Error()},
		"a status that is not there":   {"dialect: d\ntopics: [{topic: 's/{id}', channel: status, data: payload.status}]", "s/a", `{}`, wire.ErrUnmapped.Error()},
		"a status that is true":        {statusOf("", "[true, 1]", "[false, 0]"), "s/a", `true`, `a status online {"status":true}`},
		"a status in an object":        {statusOf("", "'TRUE'", "[false, 0]"), "s/a", `{"status":true}`, `a status online {"status":true}`},
		"a status that is a number":    {statusOf("number", "1.0", "0"), "s/a", `1`, `a status online {"status":1}`},
		"a status that is a string":    {statusOf("text", "'1'", "'0'"), "s/a", `0`, `a status offline {"status":"0"}`},
		"a status that is null":        {statusOf("", "'null'", "0"), "s/a", `null`, `a status unknown {"status":null}`},
		"a status without its words":   {statusOf("text", "up", ""), "s/a", `offline`, `a status unknown {"status":"offline"}`},
		"an absent word, not of JSON":  {one("s/{id}", "absent: n/a"), "s/a", ` n/a`, `bad_payload: json: line 1, column 3: invalid character '/' in literal null (expecting 'u') (the word is absent, but not of this format: expected {format: text, numbers: true})`},
		"another type":                 {one("s/{id}", "data: {t: \"payload.ok ? 1 : 2\"}"), "s/a", `{"ok":"yes"}`, `bad_payload: data: t: a value is of another type than the expression needs (no such overload)`},
		"one in place of a list":       {one("s/{id}", "each: payload.l"), "s/a", `{"l":{"t":1}}`, `a telemetry {"t":1}`},
		"a payload in place of a list": {one("s/{id}", "each: payload\n    number: {seq: item.n}"), "s/a", `{"n":4,"t":1}`, `a telemetry 0/4 {"n":4,"t":1}`},
		"a number in place of a list":  {one("s/{id}", "each: payload"), "s/a", `5`, `bad_payload: each: expected a list or an object, found a number`},
		"a number and nothing else":    {one("s/{id}", "number: {seq: payload.n}\n    omit: n"), "s/a", `{"n":4}`, `a telemetry 0/4 {}`},
		"a number that is not there":   {one("s/{id}", "number: {seq: payload.n}\n    only: t"), "s/a", `{"n":4}`, wire.ErrUnmapped.Error()},
		"a list in place of an object": {one("s/{id}", "data: {t: payload.t / 2}"), "s/a", `[1]`, `bad_payload: data: t: unsupported index type 'string' in list (payload is a list)`},
		"an element that is a list":    {one("s/{id}", "each: payload\n    data: {t: item.t}"), "s/a", `[[1]]`, `bad_payload: data: t: unsupported index type 'string' in list (item is a list) (element 0)`},
		"all absent":                   {one("s/{id}", "absent: [null, unavailable]"), "s/a", `{"t":null}`, wire.ErrUnmapped.Error()},
		"an absent scalar":             {one("s/{id}", "absent: unavailable\n    payload: text"), "s/a", `unavailable`, wire.ErrUnmapped.Error()},
		"only some members":            {one("s/{id}", "only: [a, 'state_*']"), "s/a", `{"a":1,"ab":2,"state_l1":3,"state":4}`, `a telemetry {"a":1,"state_l1":3}`},
		"some members not":             {one("s/{id}", "omit: [a, 'state_*', ts]"), "s/a", `{"a":1,"ab":2,"state_l1":3,"ts":4}`, `a telemetry {"ab":2}`},
		"some of some members":         {one("s/{id}", "only: 'state*'\n    omit: state_l1"), "s/a", `{"state":1,"state_l1":2,"x":3}`, `a telemetry {"state":1}`},
		"no member is left":            {one("s/{id}", "omit: 'a*'"), "s/a", `{"a":1,"ab":2}`, wire.ErrUnmapped.Error()},
		"no member to leave out":       {one("s/{id}", "omit: a"), "s/a", `{}`, `a telemetry {}`},
		"only some of no members":      {one("s/{id}", "only: a"), "s/a", `{}`, wire.ErrUnmapped.Error()},
		"not a member":                 {one("s/{id}", "only: a"), "s/a", `1`, wire.ErrUnmapped.Error()},
		"some members of data":         {one("s/{id}", "data: payload.p\n    omit: ts"), "s/a", `{"p":{"ts":1,"x":2}}`, `a telemetry {"x":2}`},
		"absent in an object":          {one("s/{id}", "absent: [null, unavailable]"), "s/a", `{"in":{"t":null,"h":1,"deep":{"x":"unavailable"},"empty":{}},"l":[null,{"t":null}]}`, `a telemetry {"in":{"empty":{},"h":1},"l":[null,{"t":null}]}`},
		"all absent in an object":      {one("s/{id}", "absent: [null, unavailable]"), "s/a", `{"in":{"t":null}}`, wire.ErrUnmapped.Error()},
		"absent in one of two":         {"dialect: d\ntopics: [{topic: 's/{id}', messages: [{channel: reported, absent: null}, {channel: telemetry}]}]", "s/a", `{"in":{"t":null,"h":1}}`, "a twin update {\"state\":{\"reported\":{\"in\":{\"h\":1}}}}\na telemetry {\"in\":{\"h\":1,\"t\":null}}"},
		"a condition":                  {one("s/{id}", "when: payload.kind == 'x'"), "s/a", `{"kind":"y"}`, wire.ErrUnmapped.Error()},
		"a condition that holds":       {one("s/{id}", "when: payload.kind == 'x'"), "s/a", `{"kind":"x"}`, `a telemetry {"kind":"x"}`},
		"a condition on nothing":       {one("s/{id}", "when: payload.kind == 'x'"), "s/a", `{}`, wire.ErrUnmapped.Error()},
		"each of a list":               {one("gw", "each: payload.l\n    vars: {n: item.n}\n    id: '{n}'"), "gw", `{"l":[{"n":"a","t":1},{"n":"b","t":2}]}`, "a telemetry {\"n\":\"a\",\"t\":1}\nb telemetry {\"n\":\"b\",\"t\":2}"},
		"each of a mapping":            {one("gw", "each: \"payload.map(k, {'n': k, 't': payload[k]})\"\n    vars: {n: item.n}\n    id: '{n}'\n    data: {t: item.t}"), "gw", `{"a":1,"b":2}`, "a telemetry {\"t\":1}\nb telemetry {\"t\":2}"},
		"none of a list":               {one("gw", "each: payload.l\n    vars: {n: item.n}\n    id: '{n}'"), "gw", `{}`, wire.ErrUnmapped.Error()},
		"not a list":                   {one("gw", "each: payload.l\n    vars: {n: item.n}\n    id: '{n}'"), "gw", `{"l":1}`, `bad_payload: each: expected a list or an object, found a number`},
		"one of a list is bad":         {one("gw", "each: payload.l\n    vars: {n: item.n}\n    id: '{n}'"), "gw", `{"l":[{"n":"a"},{}]}`, `bad_device_id: device id {n}: n is empty (element 1)`},
		"numbered":                     {one("s/{id}", "number: {seq: payload.f + 1}"), "s/a", `{"f":0}`, `a telemetry 0/1 {"f":0}`},
		"numbered with an epoch":       {one("s/{id}", "number: {seq: payload.f, epoch: payload.e}"), "s/a", `{"f":3,"e":2}`, `a telemetry 2/3 {"e":2,"f":3}`},
		"without its number":           {one("s/{id}", "number: {seq: payload.f}"), "s/a", `{}`, `a telemetry {}`},
		"with an id":                   {one("s/{id}", "number: {id: payload.f}"), "s/a", `{"f":"x 1"}`, `a telemetry id "x 1" {"f":"x 1"}`},
		"with an id that is a number":  {one("s/{id}", "number: {id: payload.f}"), "s/a", `{"f":7}`, `a telemetry id "7" {"f":7}`},
		"with an id of two parts":      {one("s/{id}", "number: {id: 'payload.f + topic.id'}"), "s/a", `{"f":"7"}`, `a telemetry id "7a" {"f":"7"}`},
		"without its id":               {one("s/{id}", "number: {id: payload.f}"), "s/a", `{"g":1}`, `a telemetry {"g":1}`},
		"with an empty id":             {one("s/{id}", "number: {id: payload.f}"), "s/a", `{"f":""}`, `a telemetry {"f":""}`},
		"a bad id":                     {one("s/{id}", "number: {id: payload.f}"), "s/a", `{"f":{}}`, `bad_payload: id of the message: expected a string, a number, true or false, found an object`},
		"an id and nothing else":       {one("s/{id}", "number: {id: payload.f}\n    omit: f"), "s/a", `{"f":"x"}`, wire.ErrUnmapped.Error()},
		"a bad number":                 {one("s/{id}", "number: {seq: payload.f}"), "s/a", `{"f":1.5}`, `bad_payload: seq: expected an integer from 1 to 2^53`},
		"a time in seconds":            {one("s/{id}", "time: {at: payload.T}"), "s/a", `{"T":1795953599}`, `a telemetry 11:59:59 {"T":1795953599}`},
		"a time in a unit":             {one("s/{id}", "time: {at: payload.T, unit: ms}"), "s/a", `{"T":1795953599250}`, `a telemetry 11:59:59.25 {"T":1795953599250}`},
		"a time with an offset":        {one("s/{id}", "time: {at: payload.T}"), "s/a", `{"T":"2026-11-29T12:59:59+01:00"}`, `a telemetry 11:59:59 {"T":"2026-11-29T12:59:59+01:00"}`},
		"a time without a zone":        {one("s/{id}", "time: {at: payload.T}"), "s/a", `{"T":"2026-11-29T12:59:59"}`, `a telemetry ts: it has no offset, and the dialect names no zone "2026-11-29T12:59:59" {"T":"2026-11-29T12:59:59"}`},
		"a time of a zone":             {one("s/{id}", "time: {at: payload.T, zone: Europe/Berlin}"), "s/a", `{"T":"2026-11-29 12:59:59"}`, `a telemetry 11:59:59 {"T":"2026-11-29 12:59:59"}`},
		"a time before a clock is set": {one("s/{id}", "time: {at: payload.T, zone: UTC}"), "s/a", `{"T":"1970-01-01T00:00:07"}`, `a telemetry ts: more than 8760h0m0s behind the arrival "1970-01-01T00:00:07" {"T":"1970-01-01T00:00:07"}`},
		"no time":                      {one("s/{id}", "time: {at: payload.T, zone: UTC}"), "s/a", `{"x":1}`, `a telemetry {"x":1}`},
		"reported":                     {"dialect: d\ntopics: [{topic: 's/{id}', channel: reported, data: {on: payload.state == 'ON'}}]", "s/a", `{"state":"ON"}`, `a twin update {"state":{"reported":{"on":true}}}`},
		"an event":                     {"dialect: d\ntopics: [{topic: 's/{id}/{b}', channel: events, name: 'button-{b}'}]", "s/a/7", `{"n":2}`, `a events button-7 {"n":2}`},
		"an event of a bad name":       {"dialect: d\ntopics: [{topic: 's/{id}/{b}', channel: events, name: '{b}'}]", "s/a/x y", `{}`, `bad_topic: event name "x y": expected 1 to 64 letters, digits, _, - and .`},
		"an event of a bad word":       {"dialect: d\ntopics: [{topic: 's/{id}', channel: events, vars: {b: payload}, name: '{b}'}]", "s/a", `"x y"`, `bad_payload: event name "x y": expected 1 to 64 letters, digits, _, - and .`},
		"an event of ours":             {"dialect: d\ntopics: [{topic: 's/{id}/{b}', channel: events, name: '{b}'}]", "s/a/device.silent", `{}`, `bad_topic: event name "device.silent" is reserved for the service`},
		"the most exact topic":         {"dialect: d\ntopics: [{topic: 's/#', channel: ignored}, {topic: 's/{id}/x', channel: telemetry}]", "s/a/x", `{}`, `a telemetry {}`},
		"two templates, one device":    {"dialect: d\ntopics: [{topic: ['s/{id}/x', 'new/{id}'], channel: telemetry}]", "new/a", `{}`, `a telemetry {}`},
		"several of one":               {several, "z/lamp", `{"t":1,"action":"single","on":true}`, "lamp telemetry {\"t\":1}\nlamp events single {\"action\":\"single\",\"on\":true,\"t\":1}\nlamp twin update {\"state\":{\"reported\":{\"on\":true}}}"},
		"one of several":               {several, "z/lamp", `{"t":1,"on":true}`, "lamp telemetry {\"t\":1}\nlamp twin update {\"state\":{\"reported\":{\"on\":true}}}"},
		"too long":                     {tasmotaLike, "tele/plug/SENSOR", `"` + strings.Repeat("x", 200_000) + `"`, `too_large: 200002 bytes, the limit is 131072`},
	} {
		if got := said(load(t, c.dialect).Decode(c.topic, []byte(c.payload), false, now)); got != c.want {
			t.Errorf("%s: topic %s, payload %.80s:\n%s\nwant\n%s", name, c.topic, c.payload, got, c.want)
		}
	}
}

// statusOf is a dialect with one topic of status, and words.
func statusOf(format, online, offline string) string {
	words := "online: " + online
	if offline != "" {
		words += ", offline: " + offline
	}
	if format != "" {
		format = "payload: " + format + ", "
	}
	return fmt.Sprintf("dialect: d\ntopics: [{topic: 's/{id}', channel: status, %sstatus: {%s}}]", format, words)
}

// one is a dialect with one topic of telemetry.
func one(topic, more string) string {
	return fmt.Sprintf("dialect: d\ntopics:\n  - topic: '%s'\n    channel: telemetry\n    %s\n", topic, more)
}

// The hour that comes twice is that which is nearer to the arrival.
func TestTheHourThatComesTwice(t *testing.T) {
	d := load(t, one("s/{id}", "time: {at: payload.T, zone: Europe/Berlin}"))
	payload := []byte(`{"T":"2026-10-25T02:30:00"}`)
	for _, at := range []string{"2026-10-25T00:30:05Z", "2026-10-25T01:30:05Z"} {
		arrival, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		received, err := d.Decode("s/a", payload, false, arrival)
		if err != nil || arrival.Sub(received[0].PointTime) != 5*time.Second {
			t.Errorf("received at %s: %v, %v", at, received, err)
		}
	}
}

func TestOnlyMine(t *testing.T) {
	c := wire.DefaultConfig()
	c.Mine = func(name string) bool { return name == "a" }
	d := loadWith(t, c, one("gw", "each: payload.l\n    vars: {n: item}\n    id: '{n}'\n    data: {x: item}"))
	for payload, want := range map[string]string{
		`{"l":["a","b"]}`: `a telemetry {"x":"a"}`,
		`{"l":["b"]}`:     wire.ErrForeign.Error(),
	} {
		if got := said(d.Decode("gw", []byte(payload), false, now)); got != want {
			t.Errorf("%s: %s, want %s", payload, got, want)
		}
	}
}

func TestFilters(t *testing.T) {
	d := load(t, tasmotaLike)
	if got := d.Filters(); !slices.Equal(got, []string{"$aws/things/+/shadow/#", "devices/#", "tele/#"}) || !d.WholeDevices(got) || d.WholeDevices(got[1:]) {
		t.Errorf("%q", got)
	}
	if d.Retained("tele/a/SENSOR") || d.Retained("x") {
		t.Error("a retained reading counts")
	}
	d = load(t, "dialect: d\nsubscribe: [a/+, b/+]\ntopics: [{topic: 'a/{id}', channel: reported}]")
	if got := d.Filters(); !slices.Equal(got, []string{"$aws/things/+/shadow/#", "a/+", "b/+", "devices/#"}) || !d.Retained("a/x") {
		t.Errorf("%q", got)
	}
}

func TestSets(t *testing.T) {
	s := loadWith(t, wire.DefaultConfig(), tasmotaLike, "dialect: plant\ntopics: [{topic: '{site}/{m}/t', channel: telemetry, id: '{site}:{m}'}]")
	for topic, want := range map[string]string{
		"devices/d/telemetry": `d telemetry {"x":1}`,
		"tele/d/SENSOR":       `d telemetry {"x":1}`,
		"north/m1/t":          `north:m1 telemetry {"x":1}`,
		"tele/m1/t":           `tele:m1 telemetry {"x":1}`,
		"bridge/b/status":     wire.ErrNotInput.Error(),
		"else":                wire.ErrUnmapped.Error(),
		"devices/d/t":         "bad_topic: expected {id}/telemetry, {id}/status, {id}/events/{name} or {id}/commands/{name}/ack",
	} {
		if got := said(s.Decode(topic, []byte(`{"x":1}`), false, now)); got != want {
			t.Errorf("%s: %s, want %s", topic, got, want)
		}
	}
	if got := s.Filters(); !slices.Equal(got, []string{"#", "$aws/things/+/shadow/#"}) {
		t.Errorf("filters %q", got)
	}
	alone := loadWith(t, wire.DefaultConfig())
	if !alone.WholeDevices([]string{"devices/#"}) || alone.WholeDevices([]string{"devices/+/telemetry"}) {
		t.Error("a set of the standard dialect alone is not like it")
	}
}

// What the service itself publishes is of no device, whichever template takes it in.
func TestOwnTopics(t *testing.T) {
	s := load(t, "dialect: wide\ntopics: [{topic: '{id...}/status', channel: status, payload: text}, {topic: 'x/{y...}', channel: telemetry, id: '{y}'}]")
	for topic, want := range map[string]string{
		"bridge/b1/status":      wire.ErrNotInput.Error(),
		"bridge/b1/deadletter":  wire.ErrNotInput.Error(),
		"bridge/b1/lamp/status": `bridge--2fb1--2flamp status online {"status":"online"}`,
		"hall/lamp/status":      `hall--2flamp status online {"status":"online"}`,
	} {
		if got := said(s.Decode(topic, []byte("online"), false, now)); got != want {
			t.Errorf("%s: %s, want %s", topic, got, want)
		}
	}
}

// Two dialects may ignore the same topics, such as those of a third one.
func TestIgnoredByTwo(t *testing.T) {
	ignores := func(name string) string {
		return "dialect: " + name + "\ntopics: [{topic: '" + name + "/{id}', channel: telemetry}, {topic: 'homeassistant/#', channel: ignored}]"
	}
	s := loadWith(t, wire.DefaultConfig(), ignores("a"), ignores("b"))
	if _, err := s.Decode("homeassistant/status", []byte("online"), false, now); err != wire.ErrNotInput {
		t.Error(err)
	}
}

func TestSetsThatCannotBe(t *testing.T) {
	a, err := Load("a.yaml", []byte("dialect: a\ntopics: [{topic: 'x/{id}', channel: telemetry}, {topic: 'devices/{id}/y', channel: telemetry}]"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Load("b.yaml", []byte("dialect: b\ntopics: [{topic: 'x/{name}', channel: status, id: '{name}'}]"))
	if err != nil {
		t.Fatal(err)
	}
	want := `dialect a: topic "devices/{id}/y": it takes in topics of the standard dialect, devices/#
topic "x/{id}" of dialect a and "x/{name}" of b: nothing decides between them for topics that are of both`
	if _, err := NewSet(wire.DefaultConfig(), a, b); err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
	again, err := Load("again.yaml", []byte("dialect: b\ntopics: [{topic: 'y/{id}', channel: telemetry}]"))
	if err != nil {
		t.Fatal(err)
	}
	want = `dialect b: there is another one with this name`
	if _, err := NewSet(wire.DefaultConfig(), b, again); err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

// Whose message is refused is known where the topic says it.
func TestRefusalsNameTheirDevice(t *testing.T) {
	s := load(t, tasmotaLike)
	for topic, want := range map[string]wire.Refused{
		"tele/d/SENSOR": {ID: "d", Topic: "tele/d/SENSOR", Alive: true},
		"tele/d/LWT":    {ID: "d", Topic: "tele/d/LWT"},
	} {
		_, err := s.Decode(topic, []byte("\xff{"), false, now)
		refused := (*wire.Refused)(nil)
		if !errors.As(err, &refused) || refused.ID != want.ID || refused.Topic != want.Topic || refused.Alive != want.Alive {
			t.Errorf("%s: %+v, want %+v", topic, refused, want)
		}
	}
}

// All faults of a file are reported at once, each with its place.
func TestFaults(t *testing.T) {
	text := `dialect: Plug
id: "{a}{b}"
time: {at: payload.T, unit: m, zone: Nowhere}
absent: [[1]]
status: {online: up, offline: up}
subscribe: ["a/#/b", "$share/g/x"]
extra: 1
topics:
  - topic: "tele/{id"
    channel: telemetry
  - topic: "tele/{id}/x"
    channel: telemtry
    data: {x: payload.x}
    name: x
  - topic: "a/{x}"
    channel: telemetry
    id: "{y}"
    vars: {x: payload.y}
    data: {ts: 1}
    when: payload.(
    payload: {format: jsn}
  - topic: "a/{z}"
    channel: telemetry
    id: "{z}"
    name: door
    data: paylod.x
  - topic: "e/{id}"
    channel: events
  - topic: "i/{id}"
    channel: ignored
    when: "true"
  - topic: "m/{id}"
    channel: telemetry
    only: "*"
    omit: [a*b, ""]
  - topic: "bridge/{id}/status"
    channel: status
  - topic: "n/{gw}/{mac}"
    channel: telemetry
    id: "{gw}-{mac}"
    status: {online: [true, 1, "", [2]], offline: [null, on]}
  - {topic: "o/{b}", channel: events, id: "{b}", name: my name}
  - {topic: "p/{b}", channel: events, id: "{b}", name: device.silent}
  - {topic: "q/{b}", channel: status, id: "{b}", omit: stat*}
  - {topic: "r/{b}", channel: status, id: "{b}", only: firmware}
  - {topic: "s/{b}", channel: status, id: "{b}", data: {firmware: payload.fw}, status: {online: up}}
  - {topic: "t/{b}", channel: telemetry, id: "{b}", data: {t: item.x, l: "payload.l.map(item, item.x)", "{b}": 1, "": 1, "a{": 1}}
  - {topic: "u/{b}", channel: telemetry, id: "{b}", each: item.l, when: "false"}
  - {topic: "v/{b}", channel: telemetry, id: "{b}", each: "{}", data: {t: item.x}}
  - {topic: "w/{b}", channel: telemetry, id: "{b}", payload: {format: csv, header: true}, time: {at: payload.time}}
  - {topic: "x/{b}", channel: telemetry, id: "{b}", payload: text, data: {t: payload.t, u: "payload.endsWith('x')"}}
  - {topic: "y/{b}", channel: telemetry, id: "{b}", data: {t: payload.t, u: payload.u}, only: temp}
  - {topic: "z/{b}", channel: telemetry, id: "{b}", data: {t: payload.t, u: payload.u}, omit: [t, u*]}
  - {topic: "aa/{b}", messages: []}
  - {topic: "ab/{b}", channel: telemetry, id: "{b}", each: payload.l, number: {seq: payload.n}}
  - topic: "ac/{b}"
    messages:
      - {channel: telemetry, id: "{b}", number: {seq: payload.n}}
      - {channel: events, id: "{b}", name: e, number: {seq: payload.n}}
  - {topic: "$share/g/{b}", channel: telemetry, id: "{b}"}
  - {topic: "ad/<site>/{b}", channel: telemetry, id: "{b}"}
  - {topic: "%topic%/tele/{b}", channel: telemetry, id: "{b}"}
  - {topic: "ae/{b}", channel: state, id: "{b}", time: {at: payload.t}, status: {online: up}}
  - {topic: "af/{b}", channel: telemetry, id: "{b}", payload: number, absent: [n/a, null], time: payload.t}
`
	want := []string{
		`d.yaml:1:10: name "Plug": expected ^[a-z][a-z0-9-]{0,31}$`,
		`d.yaml:2:5: device id "{a}{b}": {a}{b}: expected a : or _ between two variables`,
		`d.yaml:3:29: unit "m": expected s, ms, us or ns`,
		`d.yaml:3:38: time zone "Nowhere": expected one such as UTC or Europe/Berlin`,
		`d.yaml:4:10: absent: expected a string, a number, true, false or null, found a list`,
		`d.yaml:5:9: status word "up": it means both online and offline`,
		`d.yaml:6:13: topic filter "a/#/b": level "#": + stands alone in a level, # alone in the last one`,
		`d.yaml:6:22: topic filter "$share/g/x": expected one that is not shared`,
		`d.yaml:7:1: unknown key "extra"; expected one of dialect, description, discovery, subscribe, kind, id, payload, time, absent, status, awake, topics, commands, desired, ask`,
		`d.yaml:9:12: topic "tele/{id": level "{id": expected one variable in a level, as in a-{id}`,
		`d.yaml:12:14: channel "telemtry": expected one of telemetry, events, status, reported, answers, ignored (did you mean "telemetry"?)`,
		`d.yaml:15:5: variable "x": it is in the topic "a/{x}", too`,
		`d.yaml:15:5: device id "{y}": {y} is neither in the topic "a/{x}" nor in vars (did you mean "x"?)`,
		`d.yaml:19:12: member "ts": expected another name, because this one is the service's own`,
		`d.yaml:20:19: expression: no viable alternative at input '.('`,
		`d.yaml:21:14: payload: format: expected json, text, number, keyvalue, csv, cbor, msgpack, protobuf or bytes, found "jsn"`,
		`d.yaml:22:12: topic "a/{x}" and "a/{z}": nothing decides between them for topics that are of both`,
		`d.yaml:25:11: name: only what is on the channels events and answers has one`,
		`d.yaml:26:11: expression: undeclared reference to 'paylod' (did you mean "payload"?)`,
		`d.yaml:27:5: key "name" is missing: of events, each has one`,
		`d.yaml:31:11: when: expected nothing else of what is ignored`,
		`d.yaml:34:11: member "*": expected a name, or the beginning of names and then *`,
		`d.yaml:35:12: member "a*b": expected a name, or the beginning of names and then *`,
		`d.yaml:35:17: member "": expected a name, or the beginning of names and then *`,
		`d.yaml:36:12: topic "bridge/{id}/status": it takes in bridge/x/status, which is the service's own`,
		`d.yaml:40:9: device id "{gw}-{mac}": text "-" after {gw}: expected one that begins with :, _ or a letter after f`,
		`d.yaml:41:13: status word "": expected 1 to 64 bytes without spaces around them`,
		`d.yaml:41:13: status: only what is on the channel status has words`,
		`d.yaml:41:36: status: expected a word, a number, true or false; found a list`,
		`d.yaml:41:52: status: expected a word, a number, true or false; found null`,
		`d.yaml:42:56: name "my name": expected 1 to 64 letters, digits, _, - and ., and variables`,
		`d.yaml:43:56: name "device.silent": it is reserved for the service`,
		`d.yaml:44:56: omit: it leaves out status, whose words say whether the device is connected`,
		`d.yaml:45:56: only: it leaves out status, whose words say whether the device is connected`,
		`d.yaml:46:88: status: data has no member status, whose words say whether the device is connected`,
		`d.yaml:47:63: item: expected each, a list of which it is an element`,
		`d.yaml:47:105: member "{b}": names are taken literally; expected one without braces (for the value of a variable, data: "{topic.b: payload}")`,
		`d.yaml:47:115: data: expected a name of a member`,
		`d.yaml:47:122: member "a{": names are taken literally; expected one without braces`,
		`d.yaml:48:59: item: expected each, a list of which it is an element`,
		`d.yaml:48:73: when: it never holds`,
		`d.yaml:49:59: each: expected a list`,
		`d.yaml:50:102: payload.time: the payload is a list, of the lines of csv (each: payload, and then item.time)`,
		`d.yaml:51:78: payload.t: the payload is a string, without members`,
		`d.yaml:52:95: nothing is taken of the members that data makes: t, u`,
		`d.yaml:53:95: nothing is taken of the members that data makes: t, u`,
		`d.yaml:54:33: messages: expected at least one`,
		`d.yaml:55:79: number: all elements of each have the same one: expected item in it, in the id, or in when`,
		`d.yaml:59:9: number: another message of the topic has the same one (give it to one of them, or when to each)`,
		`d.yaml:60:13: topic "$share/g/{b}": expected a topic as devices publish on it, without $share and a group`,
		`d.yaml:61:13: topic "ad/<site>/{b}": level "<site>": a variable is written {site}`,
		`d.yaml:62:13: topic "%topic%/tele/{b}": level "%topic%": a variable is written {topic}`,
		`d.yaml:64:80: absent: the format number refuses the word "n/a" (payload: {format: text, numbers: true})`,
		`d.yaml:64:98: expected a mapping, found a string`,
		`d.yaml:63:32: channel "state": expected one of telemetry, events, status, reported, answers, ignored (did you mean "status"?)`,
	}
	_, err := Load("d.yaml", []byte(text))
	if err == nil {
		t.Fatal("no faults")
	}
	got := strings.Split(err.Error(), "\n")
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("missing: %s", w)
		}
	}
	for _, g := range got {
		if !slices.Contains(want, g) {
			t.Errorf("unexpected: %s", g)
		}
	}
}
