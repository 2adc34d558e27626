package dialect

import (
	"math"
	"strings"
	"testing"

	"devicetwin/wire"
)

const (
	readings = `"temperature":71.5,"pressure":3.2,"mode":"auto","vibration":{"x":0.1,"y":0.02,"z":9.81},"code":117,"on":true}`
	reading  = "{" + readings
	numbered = `{"epoch":1764000000,"seq":17,"ts":1795953599123,` + readings
)

// benchmarked are ways to read the same: the topic, the payload and the dialect.
var benchmarked = []struct{ name, dialect, topic, payload string }{
	{"standard", "", "devices/d1/telemetry", reading},
	{"as it is", asItIs, "s/d1", reading},
	{"as it is, sent to", asItIs + "\ncommands: [{topic: 'c/{id}/{command}'}]\nask: [{at: birth, topic: 'c/{id}'}]\nawake: 10s", "s/d1", reading},
	{"as it is, remembered", one("s/{room}/{id}", "") + "\ncommands: [{topic: 'c/{room}/{id}'}]", "s/hall/d1", reading},
	{"as it is, absent", one("s/{id}", "absent: [null, unavailable]"), "s/d1", reading},
	{"standard, numbered", "", "devices/d1/telemetry", numbered},
	{"as it is, numbered", one("s/{id}", "number: {seq: payload.n, epoch: payload.e}\n    time: {at: payload.t}"), "s/d1",
		strings.NewReplacer(`"epoch"`, `"e"`, `"seq"`, `"n"`, `"ts"`, `"t"`).Replace(numbered)},
	{"a condition", one("s/{id}", "when: payload.mode == 'auto'"), "s/d1", reading},
	{"members", one("s/{id}", "data: {t: payload.temperature, p: payload.pressure, m: payload.mode, x: payload.vibration.x}"), "s/d1", reading},
	{"computed members", one("s/{id}", "data: {t: payload.temperature * 2 + 32, p: payload.pressure / 10, m: payload.mode}"), "s/d1", reading},
	{"a number in text", one("s/{id}/{what}", "payload: {format: text, numbers: true}\n    data: '{topic.what: payload}'"), "s/d1/t", "71.5"},
	{"each of ten", one("s/{gw}", "each: payload.l\n    vars: {m: item.mac}\n    id: '{gw}:{m}'"), "s/d1", `{"l":[` + strings.Repeat(`{"mac":"AABBCC","rssi":-60},`, 9) + `{"mac":"AABBCC","rssi":-60}]}`},
}

// BenchmarkDecode is one message, of which nothing but what Lazy leaves out is missing.
func BenchmarkDecode(b *testing.B) {
	for _, c := range benchmarked {
		b.Run(strings.ReplaceAll(c.name, " ", "_"), func(b *testing.B) {
			s, payload := benchmarkedSet(b, c.dialect), []byte(c.payload)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Decode(c.topic, payload, false, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchmarkedSet(tb testing.TB, dialect string) *Set {
	c := wire.DefaultConfig()
	c.Lazy = true
	if dialect == "" {
		return loadWith(tb, c)
	}
	// Other rules must not cost much.
	other := "dialect: other\ntopics:\n"
	for _, topic := range []string{"x/{id}/a", "x/{id}/b", "y/{id}", "s/{id}/a/b/c", "s/{id}/a/b/d", "tele/{id}/STATE", "{site}/{a}/{b}/{c}/{id}"} {
		other += "  - {topic: '" + topic + "', channel: telemetry}\n"
	}
	return loadWith(tb, c, dialect, other)
}

// What is taken as it is, only read, or computed of numbers and words, costs no more allocations than a message of the standard
// dialect: that of the messages themselves, and of data that is not part of the payload.
func TestTakenAsItIsCostsLittle(t *testing.T) {
	allocations := map[string]float64{}
	for _, c := range benchmarked {
		s, payload := benchmarkedSet(t, c.dialect), []byte(c.payload)
		allocations[c.name] = allocationsOf(func() {
			if _, err := s.Decode(c.topic, payload, false, now); err != nil {
				t.Fatal(err)
			}
		})
	}
	for name, more := range map[string]float64{"as it is": 0, "as it is, sent to": 0, "as it is, remembered": 3, "as it is, absent": 0, "as it is, numbered": 0, "members": 1, "computed members": 1, "a condition": 0} {
		if got, most := allocations[name], allocations["standard"]+more; got > most {
			t.Errorf("%s: %v allocations, want %v at most", name, got, most)
		}
	}
}

// raced says that the race detector runs: then a sync.Pool loses a quarter of what is put into it, at random.
var raced bool

// allocationsOf is how many allocations a call takes, on average; under the race detector, how many one takes for
// which the pool has lost nothing.
func allocationsOf(call func()) float64 {
	if !raced {
		return testing.AllocsPerRun(1000, call)
	}
	least := math.Inf(1)
	for range 50 {
		least = min(least, testing.AllocsPerRun(1, call))
	}
	return least
}
