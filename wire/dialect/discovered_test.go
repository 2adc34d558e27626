package dialect

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"devicetwin/device"
	"devicetwin/wire"
)

const learning = `
dialect: ha
id: "ha:{id}"
discovery: {prefix: disco/very}
subscribe: [disco/#, home/+, gw/#]
absent: [unknown, -1]
topics: [{topic: disco/status, channel: ignored}]
`

// announced is a switch d on home/d, with its availability on home/lwt.
const announced = `{"stat_t":"home/d","cmd_t":"home/set","avty_t":"home/lwt","dev":{"ids":["a b"]}}`

// announce makes a set learn from a config of a component and an object.
func announce(t testing.TB, s *Set, object, config string) {
	t.Helper()
	if got := said(s.Decode("disco/very/"+object+"/config", []byte(config), false, now)); got != wire.ErrNotInput.Error() {
		t.Fatalf("%s: %s", object, got)
	}
}

func TestWhatIsLearned(t *testing.T) {
	s := load(t, learning)
	var notes []string
	s.OnNote(func(note string) { notes = append(notes, note) })
	announce(t, s, "switch/d", announced)
	announce(t, s, "sensor/far", `{"stat_t":"home/far/away","dev":{"ids":["a b"]}}`)
	announce(t, s, "sensor/own", `{"stat_t":"devices/x/telemetry","avty_t":"bridge/b/status","dev":{"ids":["a b"]}}`)
	announce(t, s, "sensor/gw", `{"stat_t":"gw/state","json_attr_t":"gw/state","dev":{"ids":["a b"]}}`)
	announce(t, s, "event/device", `{"stat_t":"gw/e","dev":{"ids":["a b"]}}`)
	for _, c := range []struct{ topic, payload, want, why string }{
		{"home/d", "ON", "ha:a--20b telemetry {\"d\":true}\nha:a--20b twin update {\"state\":{\"reported\":{\"d\":true}}}", ""},
		{"home/lwt", "offline", `ha:a--20b status offline {"status":"offline"}`, ""},
		{"home/lwt", "online", `ha:a--20b status online {"status":"online"}`, ""},
		{"home/d", "unknown", wire.ErrUnmapped.Error(), "ha: says nothing"},
		{"home/d", "", wire.ErrNotInput.Error(), "ha: ignored, an empty payload"},
		{"home/d", "\xff", "bad_payload: not valid UTF-8", "bad_payload: not valid UTF-8"},
		{"home/other", "ON", wire.ErrUnmapped.Error(), "no dialect reads it"},
		{"home/far/away", "1", wire.ErrUnmapped.Error(), "no dialect reads it"},
		{"elsewhere", "1", wire.ErrUnmapped.Error(), "no dialect reads it"},
		{"gw/state", `{"ts":5,"a":null}`, `ha:a--20b telemetry {"gw":{"a":null,"ts":5},"gw_attributes":{"a":null,"ts":5}}`, ""},
		{"gw/state", `-1`, wire.ErrUnmapped.Error(), "ha: says nothing"},
		{"gw/e", `{"event_type":"click","seq":5}`, `ha:a--20b events device_ {"event_type":"click","seq_":5}`, ""},
		{"disco/very/sensor/x/config", "{", "bad_payload: discovery: expected a JSON object", "bad_payload: discovery: expected a JSON object"},
		{"disco/very/switch/d/config", announced, wire.ErrNotInput.Error(), "ha: discovery of d of device a b, a switch, on home/d"},
		{"disco/very/sensor/x/config", "", wire.ErrNotInput.Error(), "ha: discovery, removed"},
		{"disco/status", "online", wire.ErrNotInput.Error(), "ha: ignored"},
	} {
		received, err := s.Decode(c.topic, []byte(c.payload), false, now)
		if got := said(received, err); got != c.want {
			t.Errorf("%s %q: %s\nwant %s", c.topic, c.payload, got, c.want)
		}
		if err != nil {
			if why := s.Why(c.topic, []byte(c.payload), err); why != c.why {
				t.Errorf("%s %q: %s; want %s", c.topic, c.payload, why, c.why)
			}
		}
	}
	want := []string{
		"dialect ha: topic home/far/away of sensor far of device a b: no filter of subscribe brings it in, so it is not read",
		"dialect ha: topic devices/x/telemetry of sensor own of device a b: it is the service's own",
		"dialect ha: topic bridge/b/status of sensor own of device a b: it is the service's own",
	}
	if !slices.Equal(notes, want) {
		t.Errorf("%s\nwant %s", strings.Join(notes, "\n"), strings.Join(want, "\n"))
	}
}

// What is retained has to reach a dialect that may learn of it later.
func TestRetainedOfWhatIsLearned(t *testing.T) {
	s := load(t, learning)
	for topic, want := range map[string]bool{
		"disco/very/switch/d/config": true, "home/d": true, "home/x/y": false, "disco/status": false, "bridge/b/status": false, "devices/d/telemetry": false,
	} {
		if s.Retained(topic) != want {
			t.Errorf("%s: %v", topic, !want)
		}
	}
	if got := said(s.Decode("home/d", []byte("ON"), false, now)); got != wire.ErrUnmapped.Error() {
		t.Error(got)
	}
	received, err := s.Decode("disco/very/switch/d/config", []byte(announced), false, now)
	if got := said(received, err); got != `ha:a--20b twin update {"state":{"reported":{"d":true}}}` {
		t.Fatal(got)
	}
	if m := received[0].Message; !m.Stale || m.Alive() || !m.Time.Equal(now) {
		t.Errorf("what came before its config: %+v", m)
	}
}

// A template of another dialect reads its topics, also if discovery names them.
func TestTemplatesWinOverWhatIsLearned(t *testing.T) {
	s := loadWith(t, wire.DefaultConfig(), learning, "dialect: other\ntopics: [{topic: 'home/{id}', channel: telemetry, payload: text}, {topic: 'disco/#', channel: ignored}]")
	s.OnNote(func(note string) { t.Error(note) })
	announce(t, s, "switch/d", announced)
	if got := said(s.Decode("home/d", []byte("ON"), false, now)); got != `d telemetry {"value":"ON"}` {
		t.Error(got)
	}
	if s.Speaks("home/d") != "other" || s.Speaks("disco/very/switch/d/config") != "ha" || s.Retained("home/d") {
		t.Error("it is read by another dialect")
	}
}

// Each of several bridges learns everything, and has the messages of its devices.
func TestPartitionsLearnAll(t *testing.T) {
	c := wire.DefaultConfig()
	var sets []*Set
	for _, mine := range []string{"ha:one", "ha:two"} {
		c.Mine = func(name string) bool { return name == mine }
		s := loadWith(t, c, learning)
		announce(t, s, "sensor/one", `{"stat_t":"home/d","dev":{"ids":["one"]}}`)
		announce(t, s, "sensor/two", `{"stat_t":"home/d","dev":{"ids":["two"]}}`)
		sets = append(sets, s)
	}
	for i, want := range []string{`ha:one telemetry {"one":5}`, `ha:two telemetry {"two":5}`} {
		if got := said(sets[i].Decode("home/d", []byte("5"), false, now)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if got := said(sets[i].Decode("disco/very/sensor/x/config", []byte("{"), false, now)); got != wire.ErrForeign.Error() {
			t.Errorf("a config that cannot be read, at a bridge that does not have its topic: %s", got)
		}
	}
}

// Who sends has not learned: what it needs is in the address that messages have. It checks again where it may send.
func TestCommandsOfWhatIsLearned(t *testing.T) {
	s := load(t, learning)
	announce(t, s, "switch/d", announced)
	received, err := s.Decode("home/d", []byte("ON"), false, now)
	if err != nil || len(received) != 2 || received[0].Message.From == nil || len(received[0].Message.From.Vars) > 0 {
		t.Fatalf("%+v, %v", received, err)
	}
	id, to := received[1].ID, received[1].Message.From
	worker := loadWith(t, wire.DefaultConfig(), learning, "dialect: other\ntopics: [{topic: 'home/taken/{id}', channel: telemetry}]")
	for _, c := range []struct {
		name string
		data any
		want string
	}{
		{"d", true, "home/set ON qos 0\nshows {\"d\":true}"},
		{"d", map[string]any{"value": "off"}, "home/set OFF qos 0\nshows {\"d\":false}"},
		{"d", "dim", "bad_payload: command d: expected one of on, off"},
		{"e", true, "dialect ha: command e: " + wire.ErrNoWords.Error()},
	} {
		if got := encoding(worker.Encode(id, to, wire.Command{ID: "1", Name: c.name, Data: c.data})); got != c.want {
			t.Errorf("%s %v: %s\nwant %s", c.name, c.data, got, c.want)
		}
	}
	all, err := worker.EncodeDesired(id, to, []byte(`{"d":false,"other":1}`))
	if err != nil || len(all) != 1 || all[0].Topic != "home/set" || string(all[0].Payload) != "OFF" {
		t.Errorf("%+v, %v", all, err)
	}
	for topic, want := range map[string]string{
		"devices/d/commands/go":      "it is the service's own",
		"disco/very/sensor/x/config": "it is one of discovery messages",
		"cellar/x":                   "no filter of subscribe has it, so nothing is sent to it",
		"home/taken/x":               "dialect other would read it as a message of a device",
		"home/+":                     "without wildcards",
	} {
		other := device.Address{Dialect: "ha", Vars: map[string]string{"d": fmt.Sprintf(`{"c":"switch","t":%q}`, topic)}}
		if _, err := worker.Encode(id, &other, wire.Command{Name: "d", Data: true}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", topic, err, want)
		}
	}
	if vars := (device.Address{Dialect: "ha", Vars: map[string]string{"d": "{"}}); encoding(worker.Encode(id, &vars, wire.Command{Name: "d"})) == "" {
		t.Error("an address that cannot be read")
	}
}

// A gateway's topic is not a sign of life of the devices behind it.
func TestRelayedAvailability(t *testing.T) {
	s := load(t, learning)
	for _, id := range []string{"a", "b"} {
		announce(t, s, "sensor/"+id, `{"stat_t":"home/`+id+`","avty_t":"gw/state","dev":{"ids":"`+id+`"}}`)
	}
	received, err := s.Decode("gw/state", []byte("online"), false, now)
	if err != nil || len(received) != 2 {
		t.Fatalf("%+v, %v", received, err)
	}
	for _, r := range received {
		if m := r.Message; m.Alive() || m.Says() != device.Online {
			t.Errorf("%+v", m)
		}
	}
}

func TestFaultsOfDiscovery(t *testing.T) {
	const topics = "\ntopics: [{topic: x, channel: ignored}]"
	for text, want := range map[string]string{
		"dialect: d\ndiscovery: {}\nsubscribe: 'h/#'":                                 "prefix",
		"dialect: d\ndiscovery: {prefix: h}":                                          "expected subscribe with it",
		"dialect: d\ndiscovery: {prefix: h}\nsubscribe: 'x/#'":                        "no filter of subscribe brings in h/sensor/x/config",
		"dialect: d\ndiscovery: {prefix: h/+}\nsubscribe: 'h/#'":                      "expected topic levels without wildcards",
		"dialect: d\ndiscovery: {prefix: h/}\nsubscribe: 'h/#'":                       "expected topic levels without wildcards",
		"dialect: d\ndiscovery: {prefix: h}\nsubscribe: 'h/#'\nid: '{site}:{id}'":     "expected an id of the variable {id}",
		"dialect: d\ndiscovery: {prefix: h, also: 1}\nsubscribe: 'h/#'\nid: 'x:{id}'": `unknown key "also"`,
	} {
		if _, err := Load("d.yaml", []byte(text+topics)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	loaded := func(name, prefix string) *Dialect {
		d, err := Load("d.yaml", []byte("dialect: "+name+"\ndiscovery: {prefix: "+prefix+"}\nsubscribe: '#'\n"+strings.Replace(topics, "x", name, 1)))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for want, pair := range map[string][]*Dialect{
		"dialect b: dialect a also learns from the topics below h":       {loaded("a", "h"), loaded("b", "h")},
		"dialect a: the topics below devices are the standard dialect's": {loaded("a", "devices")},
	} {
		if _, err := NewSet(wire.DefaultConfig(), pair...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A bridge decodes one message after the other; others may ask it meanwhile.
func TestLearningFromManyGoroutines(t *testing.T) {
	s := load(t, learning)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 50 {
				config := fmt.Sprintf(`{"stat_t":"home/%d","dev":{"ids":["d%d"]}}`, n%5, n%7)
				_, _ = s.Decode(fmt.Sprintf("disco/very/sensor/s%d/config", (i+n)%9), []byte(config), false, now)
				_, _ = s.Decode(fmt.Sprintf("home/%d", n%5), []byte("5"), false, now)
				s.Retained("home/1")
				s.Speaks("home/1")
			}
		})
	}
	all.Wait()
}

// FuzzDiscovery holds what is made of configs and states to what a bridge relies on.
func FuzzDiscovery(f *testing.F) {
	c := wire.DefaultConfig()
	c.MaxPayload, c.MaxDepth, c.Lazy = 4096, 32, true
	f.Add("switch/d", announced, "ON")
	f.Add("light/d", `{"schema":"json","stat_t":"home/d","avty":[{"t":"home/d","val_tpl":"{{ value_json.s }}"}],"dev":{"cns":[["mac","\u0000<>"]]}}`, `{"s":"online","state":"ON","ts":{"a":[1e400,"\ud800"]}}`)
	f.Add("event/d", `{"stat_t":"home/d","dev":{"ids":["x"]}}`, `{"event_type":"x","epoch":[]}`)
	text, err := os.ReadFile("../../dialects/home-assistant/samples.yaml")
	if err != nil {
		f.Fatal(err)
	}
	samples, err := LoadSamples("samples.yaml", text)
	if err != nil {
		f.Fatal(err)
	}
	for i := range samples[1:] {
		_, place, _ := strings.Cut(samples[i].Topic, "/")
		f.Add(strings.TrimSuffix(place, "/config"), strings.ReplaceAll(string(samples[i].Payload), samples[i+1].Topic, "home/d"), string(samples[i+1].Payload))
	}
	d, err := Load("d.yaml", []byte(learning))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, place, config, payload string) {
		s, err := NewSet(c, d)
		if err != nil {
			t.Fatal(err)
		}
		topic := "disco/very/" + place + "/config"
		check := func(topic, payload string) {
			received, err := s.Decode(topic, []byte(payload), false, now)
			if err != nil {
				checkRefusal(t, err)
				return
			}
			for i := range received {
				checkReceived(t, &received[i], false)
			}
			checkHistory(t, topic, []byte(payload), received)
		}
		if s.Knows(topic) {
			return
		}
		check("home/d", payload)
		check(topic, config)
		check("home/d", payload)
	})
}

// BenchmarkDecodeLearned is a message on a topic that was learned, as one of BenchmarkDecode.
func BenchmarkDecodeLearned(b *testing.B) {
	c := wire.DefaultConfig()
	c.Lazy = true
	s := loadWith(b, c, learning)
	announce(b, s, "sensor/t", `{"stat_t":"home/t","unit_of_meas":"W","dev":{"ids":["d"]}}`)
	for _, name := range []string{"temperature", "pressure", "mode"} {
		announce(b, s, "sensor/"+name, `{"stat_t":"home/all","val_tpl":"{{ value_json.`+name+` }}","dev":{"ids":["d"]}}`)
	}
	for name, m := range map[string][2]string{"a_number": {"home/t", "71.5"}, "three_members": {"home/all", reading}} {
		b.Run(name, func(b *testing.B) {
			payload := []byte(m[1])
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Decode(m[0], payload, false, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
