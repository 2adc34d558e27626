package devicefsm

import (
	"bytes"
	"encoding/hex"
	"math"
	"testing"

	"pgregory.net/rapid"

	"devicetwin/device"
)

// keptModel has a settled class, an event with none, and one that is never settled.
const keptModel = `
events:
  r: {channel: telemetry, when: "has(msg.x)"}
  q: {channel: telemetry, when: "has(msg.y)"}
initial: normal
states:
  normal: {on: {r: {guard: "event.x > 90", target: high}, q: {guard: "event.y > 5", target: high}}}
  high: {on: {r: {guard: "event.x < 80", target: normal}}}
`

func numberedReading(x float64, epoch int64, seq uint64) device.Message {
	return device.Message{Channel: device.ChannelTelemetry, Data: obj{"x": x}, Epoch: epoch, Seq: seq}
}

// readBack is what is read of a filter's encoding, between other bytes.
func readBack(t rapid.TB, writes, reads *Model, f Filter) Filter {
	t.Helper()
	b := writes.AppendFilter([]byte("before"), &f)
	if !bytes.HasPrefix(b, []byte("before")) || len(b) > len("before")+41 {
		t.Fatalf("%+v is appended as %x", f, b)
	}
	got, rest, err := reads.ReadFilter(append(b[len("before"):], "rest"...))
	if err != nil || string(rest) != "rest" {
		t.Fatalf("%x: %v, the rest is %q", b, err, rest)
	}
	return got
}

// TestFilterFromBytesDecidesTheSame: a filter that is written and read at random points
// of a device's life, the latter by another load of the same model, says of each message
// what one that lives on says.
func TestFilterFromBytesDecidesTheSame(t *testing.T) {
	held, left := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		m, src := loadAnyRandom(t)
		again, err := Load("again.yaml", []byte(src))
		if err != nil || again.Hash() != m.Hash() {
			t.Fatalf("the second load differs: %v", err)
		}
		var lives, kept Filter
		var epoch int64
		var seq uint64
		for _, x := range repetitive(t, m) {
			if x.msg == nil {
				continue
			}
			msg := *x.msg
			switch rapid.IntRange(0, 9).Draw(t, "number") {
			case 0:
				msg.Redelivered = true
			case 1:
				epoch, seq = epoch+rapid.SampledFrom([]int64{-1, 1, 1 << 40}).Draw(t, "epoch"), 1
				msg.Epoch, msg.Seq = epoch, seq
			case 2:
				msg.Epoch, msg.Seq = epoch, max(seq, 3)-2
			case 3:
				seq += 3
				msg.Epoch, msg.Seq = epoch, seq
			default:
				seq++
				msg.Epoch, msg.Seq = epoch, seq
			}
			if rapid.IntRange(0, 3).Draw(t, "is kept") == 0 {
				if kept.Holds() {
					held++
				}
				kept = readBack(t, m, again, kept)
			}
			a, b := m.Pass(&lives, msg), again.Pass(&kept, msg)
			if a != b || lives != kept {
				t.Fatalf("%+v: %v and %+v, after it was kept %v and %+v\n%s", msg, a, lives, b, kept, src)
			}
			if !a {
				left++
			}
		}
	})
	t.Logf("%d of the kept filters held a class, %d messages were left out", held, left)
	if held < 10 || left < 10 {
		t.Error("hardly anything was compared")
	}
}

// TestFilterBytes pins what is on disks, and what of it is read as nothing.
func TestFilterBytes(t *testing.T) {
	m := load(t, keptModel)
	never := load(t, keptModel+"patterns: {p: {sequence: [{event: r, where: \"event.x > 3\"}, {event: q}], contiguity: strict, within: 1m}}\n")
	after := func(messages ...device.Message) (f Filter) {
		for _, msg := range messages {
			m.Pass(&f, msg)
		}
		f.current, f.failed = false, false
		return f
	}
	high := after(numberedReading(95, 1, 7))
	numbers := after(numberedReading(95, 1, 7), device.Message{Channel: device.ChannelStatus, Data: obj{}, Epoch: 1, Seq: 8})
	plain := after(numberedReading(70, 0, 0))
	if !high.Holds() || numbers.Holds() || !plain.Holds() {
		t.Fatal("the filters hold something else")
	}
	for name, tc := range map[string]struct {
		hex  string
		m    *Model
		want Filter
	}{
		"nothing":                  {"00", m, Filter{}},
		"numbers":                  {"03010208", m, numbers},
		"a class and numbers":      {"0901020715ae37800401", m, high},
		"a class":                  {"0901000015ae37800402", m, plain},
		"of another version":       {"0902020715ae37800401", m, Filter{}},
		"other classes":            {"0901020715ae37810401", m, Filter{}},
		"another model":            {"0901020715ae37800401", never, Filter{}},
		"an event of no number":    {"0901020715ae37800001", m, Filter{}},
		"an event that is not":     {"0901020715ae37807f01", m, Filter{}},
		"a class that is not":      {"0901020715ae37800404", m, Filter{}},
		"something behind it":      {"0a01020715ae3780040100", m, Filter{}},
		"half a number":            {"030102ff", m, Filter{}},
		"no number":                {"0101", m, Filter{}},
		"no class":                 {"0801020715ae378004", m, Filter{}},
		"half of what names them":  {"0601020715ae37", m, Filter{}},
		"a number beyond 64 bits":  {"0d0102ffffffffffffffffffff01", m, Filter{}},
		"a longer, later encoding": {"0403010203", m, Filter{}},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := hex.DecodeString(tc.hex)
			if err != nil {
				t.Fatal(err)
			}
			got, rest, err := tc.m.ReadFilter(append(bytes.Clone(b), "rest"...))
			if err != nil || string(rest) != "rest" || got != tc.want {
				t.Errorf("%+v, the rest is %q, %v; expected %+v", got, rest, err, tc.want)
			}
			if tc.want != (Filter{}) && !bytes.Equal(m.AppendFilter(nil, &tc.want), b) {
				t.Errorf("written as %x", m.AppendFilter(nil, &tc.want))
			}
			for n := range b { // cut
				if _, _, err := tc.m.ReadFilter(b[:n]); err == nil {
					t.Errorf("no error for the first %d bytes", n)
				}
			}
		})
	}
	for _, no := range []struct {
		m *Model
		f Filter
	}{
		{never, Filter{event: high.event, class: 1}}, // an event that has no settled class
		{m, Filter{event: high.event, class: 1 << 2}},
		{m, Filter{event: uint32(len(m.classes.events)) + 1}},
	} {
		if got := readBack(t, no.m, no.m, no.f); got != (Filter{}) {
			t.Errorf("%+v is read as %+v", no.f, got)
		}
	}
	largest := Filter{class: math.MaxUint64, epoch: math.MinInt64, seq: math.MaxUint64, event: math.MaxUint32}
	if n := len(m.AppendFilter(nil, &largest)); n != 41 {
		t.Errorf("the largest takes %d bytes", n)
	}
}

// TestClassesAreIdentified: where the bits of a class mean something else, the classes have
// another name.
func TestClassesAreIdentified(t *testing.T) {
	prints := map[uint32]string{}
	for name, on := range map[string]string{
		"one":                 `{r: {guard: "event.x > 90", target: b}}`,
		"another threshold":   `{r: {guard: "event.x > 91", target: b}}`,
		"another event":       `{s: {guard: "event.x > 90", target: b}}`,
		"two":                 `{r: [{guard: "event.x > 90", target: b}, {guard: "event.x < 80", target: b}]}`,
		"in the other order":  `{r: [{guard: "event.x < 80", target: b}, {guard: "event.x > 90", target: b}]}`,
		"parts":               `{r: {guard: "event.x > 90 && event.x < 80 && context.n > 0", target: b}}`,
		"one of two in parts": `{r: {guard: "event.x > 90 && context.n > 0", target: b}}`,
	} {
		src := "context: {n: 0}\nevents: {r: {channel: telemetry}}\ninitial: a\nstates: {a: {on: " + on + "}, b: {}}\n"
		print := load(t, src).classes.print()
		if same := load(t, src).classes.print(); same != print {
			t.Errorf("%s: loaded again, its classes have another name", name)
		}
		if other, ok := prints[print]; ok {
			t.Errorf("%s has the name of %s", name, other)
		}
		prints[print] = name
	}
}

// FuzzReadFilter: no bytes make a filter that a message cannot make.
func FuzzReadFilter(f *testing.F) {
	m, err := Load("fuzz.yaml", []byte(keptModel))
	if err != nil {
		f.Fatal(err)
	}
	var filter Filter
	f.Add(m.AppendFilter(nil, &filter))
	for i, x := range []float64{95, 85, 70} {
		m.Pass(&filter, numberedReading(x, int64(i-1)*1000, uint64(i+1)))
		f.Add(m.AppendFilter(nil, &filter))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, rest, err := m.ReadFilter(b)
		if err != nil {
			if got != (Filter{}) || rest != nil {
				t.Fatalf("%+v and %x with %v", got, rest, err)
			}
			return
		}
		if !bytes.HasSuffix(b, rest) || len(rest) >= len(b) {
			t.Fatalf("the rest of %x is %x", b, rest)
		}
		if !got.Holds() && got.class != 0 || got.Holds() && !m.classes.exists(uint64(got.event), got.class) {
			t.Fatalf("%x: there is no such class: %+v", b, got)
		}
		if again := readBack(t, m, m, got); again != got {
			t.Fatalf("%+v, then %+v", got, again)
		}
		m.Pass(&got, numberedReading(95, 1, 1))
	})
}
