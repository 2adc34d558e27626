package tap

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/internal/testfile"
	"devicetwin/wire/dialect"
)

// of are topics with a payload each: "topic payload".
func of(messages ...string) *topics {
	t := &topics{}
	for _, m := range messages {
		name, payload, _ := strings.Cut(m, " ")
		t.add(name, []byte(payload))
	}
	return t
}

// proposedSet reads a proposal as the command does.
func proposedSet(t *testing.T, proposal string) *dialect.Set {
	t.Helper()
	r, err := (&Command{Dialect: []string{testfile.Write(t, "mine.yaml", proposal)}, TopicPrefix: "devices"}).reader()
	if err != nil {
		t.Fatalf("%v\n%s", err, proposal)
	}
	return r.set
}

// plant is a plant in which names of machines occur in several lines.
func plant() (messages []string) {
	for _, machine := range []string{"north/l1/press-1", "north/l1/press-2", "south/l2/press-1"} {
		for _, measure := range []string{"temp 21.5", "temp n/a", "speed 7", "state ON"} {
			messages = append(messages, "plant/"+machine+"/"+measure)
		}
	}
	return append(messages, "plant/south/l2/press-1/vibration 0.2")
}

func TestProposals(t *testing.T) {
	for name, c := range map[string]struct {
		messages []string
		want     string
	}{
		"a plant": {plant(), `  # 10 topics, such as plant/north/l1/press-1/speed
  # l2: north, south; l3: l1, l2; l4: press-1, press-2; what: speed, state, temp, vibration
  - topic: "plant/{l2}/{l3}/{l4}/{what}"
    id: "{l2}:{l3}:{l4}"
    channel: telemetry
    payload: {format: text, numbers: true}
    absent: ["n/a"]
    data: "{topic.what: payload}"
`},
		"levels with names": {[]string{"x/sites/north/lines/7/temp 1", "x/sites/south/lines/8/temp 2"}, `  - topic: "x/sites/{site}/lines/{line}/temp"
    id: "{site}:{line}"
    channel: telemetry
    payload: number
    data: {"temp": payload}
`},
		"objects and words": {[]string{`tele/p1/SENSOR {"t":1}`, `tele/p2/SENSOR {"t":1}`, "tele/p1/LWT Online", "tele/p2/LWT Offline", "tele/p1/RSSI 5", "tele/p2/RSSI 6"}, `  # 2 topics, such as tele/p1/LWT
  # id: p1, p2
  - topic: "tele/{id}/LWT"
    channel: status
    payload: text
  # 2 topics, such as tele/p1/SENSOR
  # id: p1, p2
  - topic: "tele/{id}/SENSOR"
    channel: telemetry
  # 2 topics, such as tele/p1/RSSI
  # id: p1, p2
  - topic: "tele/{id}/RSSI"
    channel: telemetry
    payload: number
    data: {"RSSI": payload}
`},
		"one plug": {[]string{`tele/plug/SENSOR {"t":1}`, "tele/plug/LWT Online"}, `  # 1 topic, such as tele/plug/LWT
  # id: plug
  # Decide: these topics may be of one device, and do not show which level is the device. Move {id} there.
  - topic: "tele/{id}/LWT"
    channel: status
    payload: text
  # 1 topic, such as tele/plug/SENSOR
  # id: plug
  # Decide: these topics may be of one device, and do not show which level is the device. Move {id} there.
  - topic: "tele/{id}/SENSOR"
    channel: telemetry
`},
		"one plug, first":   {[]string{`plug1/tele/SENSOR {"t":1}`, "plug1/tele/LWT Online"}, "  - topic: \"{id}/tele/LWT\"\n"},
		"one plug, a name":  {[]string{`plug/tele/SENSOR {"t":1}`, "plug/tele/LWT Online"}, "  # id: plug\n  # Decide: these topics may be of one device, and do not show which level is the device. Move {id} there.\n  - topic: \"{id}/tele/LWT\"\n"},
		"only names":        {[]string{"h/kitchen/lamp 1", "h/hall/kettle 1"}, "  # Decide: the last level may be a device"},
		"places are names":  {[]string{"h/kitchen/temp 1", "h/hall/temp 1"}, "  # 2 topics, such as h/hall/temp\n  # id: hall, kitchen\n  - topic: \"h/{id}/temp\"\n    channel: telemetry\n    payload: number\n    data: {\"temp\": payload}\n"},
		"devices first":     {[]string{"shelly-a1/temp 1", "shelly-b2/temp 2", "shelly-b2/hum 2", "home/x 1"}, "  # id: shelly-a1, shelly-b2; what: hum, temp\n  - topic: \"{id}/{what}\"\n"},
		"prefixes first":    {[]string{"stat/plug1/POWER ON", "cmnd/plug1/POWER ON"}, "# Decide: \"cmnd/{id}/POWER\" and \"stat/{id}/POWER\" have ids in common: plug1. If"},
		"the measure first": {[]string{"s/temp/s1 1", "s/hum/s1 2", "s/temp/s2 1"}, "  - topic: \"s/{what}/{id}\"\n    channel: telemetry\n    payload: number\n    data: \"{topic.what: payload}\"\n"},
		"a place":           {[]string{"h/kitchen/lamp1 1", "h/kitchen/lamp2 2", "h/hall/lamp3 1"}, "  - topic: \"h/{l2}/{l3}\"\n    id: \"{l2}:{l3}\"\n    channel: telemetry\n    payload: number\n  "},
		"names":             {[]string{"home/lamp {}", "home/kettle {}"}, "  # id: kettle, lamp\n  # Decide: the last level may be a device, or what one device measures: then name it {what}, and another one {id}.\n  - topic: \"home/{id}\"\n"},
		"a gateway's lists": {[]string{`gw/hall/scan [{"mac":"A1"},{"mac":"B2"}]`, `gw/attic/scan {"mac":"A1"}`}, `  # Decide: if the elements are of several devices, say by which member: vars: {device: item.MEMBER}, and {device} in the id.
  - topic: "gw/{id}/scan"
    channel: telemetry
    each: payload
`},
		"lists of numbers":  {[]string{`gw/hall/scan [1,2]`, `gw/attic/scan []`}, "    channel: telemetry\n    data: {\"scan\": payload}\n"},
		"lists and objects": {[]string{`gw/hall/scan [{},1]`, `gw/hall/scan {}`}, "  - topic: \"gw/{id}/scan\"\n    channel: telemetry\n  "},
		"commands": {[]string{`hall/p1/set {"v":1}`, `hall/p2/set {"v":1}`, `hall/p2/state {"v":1}`}, `  # Decide: these may be commands to devices, which a dialect sends itself: see commands and desired.
  - topic: "hall/{id}/set"
    channel: ignored
`},
		"one topic":        {[]string{"weather/attic/temp 1"}, "Move {id} there.\n  - topic: \"weather/{id}/temp\"\n    channel: telemetry\n    payload: number\n    data: {\"temp\": payload}\n"},
		"something else":   {append(plant(), "plant/config/ui/desk/theme dark"), "  # 1 topic, such as plant/config/ui/desk/theme\n  # id: desk\n  # Decide: "},
		"JSON, not always": {[]string{"a/x1 1", "a/x1 null", `a/x2 "n/a"`, "a/x2 2"}, "    channel: telemetry\n    absent: [\"n/a\", null]\n"},
		"nan":              {[]string{"a/x1 1", "a/x1 nan"}, "    payload: number\n    absent: [null]\n"},
		"many words":       {[]string{"a/x1 1", "a/x1 a", "a/x1 b", "a/x1 c", "a/x1 d"}, "  # numbers come with many words, such as a: put"},
		"words of others":  {[]string{"a/x1 1", "a/x2 ON"}, "    payload: {format: text, numbers: true}\n  "},
		"not always JSON":  {[]string{"a/x1 {}", "a/x1 starting"}, "  # some payloads are not JSON, and would be refused\n  - topic: \"a/{id}\"\n    channel: telemetry\n"},
		"braces":           {[]string{"a/{id}/x 1", "a/b1/x 1"}, "# Left out, because a template cannot have all their characters, or their length: a/{id}/x\n"},
		"only braces":      {[]string{"a/{id}/x 1"}, "length: a/{id}/x\n"},
		"a line break":     {[]string{"a\nb/x1 1"}, "  # 1 topic, such as a\\nb/x1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got := of(c.messages...).suggestion()
			if !strings.Contains(got+"  ", c.want) {
				t.Errorf("%s\nwant\n%s", got, c.want)
			}
			if strings.Contains(got, "topics:") {
				proposedSet(t, got)
			}
		})
	}
}

// What is proposed for the plant distinguishes its machines, and what they measure.
func TestTheProposalOfAPlant(t *testing.T) {
	set := proposedSet(t, of(plant()...).suggestion())
	for message, want := range map[string]string{
		"plant/north/l1/press-1/temp 21.5":     `{device: north:l1:press-1, channel: telemetry, data: {"temp":21.5}}`,
		"plant/south/l2/press-1/vibration 0.2": `{device: south:l2:press-1, channel: telemetry, data: {"vibration":0.2}}`,
		"plant/south/l2/press-1/state ON":      `{device: south:l2:press-1, channel: telemetry, data: {"state":"ON"}}`,
	} {
		topic, payload, _ := strings.Cut(message, " ")
		received, err := set.Decode(topic, []byte(payload), false, time.Now())
		if err != nil || len(received) != 1 || dialect.Line(&received[0]) != want {
			t.Errorf("%s: %+v, %v; want %s", message, received, err, want)
		}
	}
	if received, err := set.Decode("plant/north/l1/press-1/temp", []byte("n/a"), false, time.Now()); err == nil {
		t.Errorf("n/a is %s", dialect.Line(&received[0]))
	}
}

func TestWhatIsLeftOutOfAProposal(t *testing.T) {
	all := &topics{}
	for i := range maxTopics + 3 {
		all.add(fmt.Sprintf("a/%d", i), []byte("1"))
	}
	if got := all.suggestion(); !strings.Contains(got, "# Left out: 3 messages on topics after the first 10000.") || all.messages != maxTopics+3 {
		t.Errorf("%.500s", got)
	}
	all = &topics{}
	for i := range maxProposed + 2 {
		all.add(fmt.Sprintf("x%c%c/a", 'a'+i/26, 'a'+i%26), []byte("1"))
	}
	if got := all.suggestion(); !strings.Contains(got, "# Left out: 2 more templates.") || strings.Count(got, "- topic: ") != maxProposed {
		t.Errorf("%.500s", got)
	}
}

// Whatever topics there are: what is proposed is a dialect; it reads each topic that is not left out; and no two
// topics with numbers are one member of one device, unless a comment says that ids are in common.
func TestProposalsReadAllTopics(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	levels := []string{"a", "b", "temp", "hum", "north", "south", "p1", "p2", "p3", "l1", "x y", "", "ts", "é", `"`, "$x", "sites", "id", "what"}
	for range 300 {
		all, n := &topics{}, 1+random.IntN(5)
		for range 1 + random.IntN(12) {
			var topic []string
			for range max(1, n-random.IntN(2)) {
				topic = append(topic, levels[random.IntN(2+random.IntN(len(levels)-1))])
			}
			if topic[0] = strings.TrimPrefix(topic[0], "$"); strings.Join(topic, "/") != "" {
				all.add(strings.Join(topic, "/"), []byte("1"))
			}
		}
		if len(all.seen) == 0 {
			continue
		}
		proposal := all.suggestion()
		set := proposedSet(t, proposal)
		said := map[string]string{}
		for _, topic := range slices.Sorted(maps.Keys(all.seen)) {
			if set.Speaks(topic) != "mine" {
				t.Fatalf("%s is not read by\n%s", topic, proposal)
			}
			received, err := set.Decode(topic, []byte("1"), false, time.Now())
			if err != nil { // an empty level is not an id
				continue
			}
			line := dialect.Line(&received[0])
			if other := said[line]; other != "" && !strings.Contains(proposal, "in common") {
				t.Fatalf("%q and %q are both %s by\n%s", other, topic, line, proposal)
			}
			said[line] = topic
		}
	}
}

// Any payloads make a dialect.
func TestFormatsOfProposals(t *testing.T) {
	payloads := []string{"", "1", "-5.5", "nan", "{}", "[1]", `"x"`, "null", "[{}]", "true", "ON", "a=b", "\xff", "a,b", strings.Repeat("w", 100), "online", "n/a\n"}
	for i := range payloads {
		for j := range payloads {
			all := &topics{}
			all.add("a/x1", []byte(payloads[i]))
			all.add("a/x1", []byte(payloads[j]))
			proposedSet(t, all.suggestion())
		}
	}
}
