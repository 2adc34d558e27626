package ingest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"devicetwin/wire"
	"devicetwin/wire/dialect"
)

const (
	irrelevantReading = `{"epoch":1764000000,"seq":%d,"ts":1764000000123,"temperature":71.5,"pressure":3.2,"mode":"auto"}`
	relevantReading   = `{"epoch":1764000000,"seq":%d,"ts":1764000000123,"temperature":71.5,"pressure":3.2,"hot":true}`
)

// receiver receives one message after the other from 1000 devices.
type receiver struct {
	*bench
	topic   string
	payload string
	sent    int
}

func newReceiver(payload string) *receiver {
	r := &receiver{bench: newBench(DefaultConfig(), testModel{}), topic: "devices/%s/telemetry", payload: payload}
	r.out.silent = true
	return r
}

func (r *receiver) next(last bool) {
	device := fmt.Sprint("d", r.sent%1000)
	payload := []byte(r.payload)
	if strings.Contains(r.payload, "%d") {
		payload = fmt.Appendf(nil, r.payload, r.sent/1000+1)
	}
	r.receive(r.w, strings.Replace(r.topic, "%s", device, 1), Arrival{Payload: payload, At: r.now, Ack: func() {}})
	r.sent++
	for r.full(r.w) || last && !r.idle() {
		done := r.out.signals
		r.out.signals = nil
		for _, s := range done {
			r.accept(s.device)
		}
	}
	r.w.outbox = r.w.outbox[:0]
	r.out.points = r.out.points[:0]
}

// otherDialect has the same reading taken as it is, with the device's own number and time, and by
// its members, which are computed, or for which a function is called that only cel-go has.
const otherDialect = `
dialect: other
topics:
  - {topic: 'plain/{id}/state', channel: telemetry}
  - {topic: 'absent/{id}/state', channel: telemetry, absent: [null, unavailable]}
  - {topic: 'numbered/{id}/state', channel: telemetry, number: {seq: payload.n, epoch: payload.e}, time: {at: payload.t}}
  - {topic: 'members/{id}/state', channel: telemetry, data: {temperature: payload.temperature, pressure: payload.pressure, mode: payload.mode}}
  - {topic: 'computed/{id}/state', channel: telemetry, data: {temperature: payload.temperature / 10, pressure: payload.pressure, mode: payload.mode}}
  - {topic: 'called/{id}/state', channel: telemetry, data: {temperature: payload.temperature, pressure: payload.pressure, mode: payload.mode.upperAscii()}}
`

// BenchmarkReceiveDialects is one message that is left out through the whole path from its payload,
// as the standard dialect has it and as others do.
func BenchmarkReceiveDialects(b *testing.B) {
	other, err := dialect.Load("other.yaml", []byte(otherDialect))
	if err != nil {
		b.Fatal(err)
	}
	const reading = `"temperature":71.5,"pressure":3.2,"mode":"auto"}`
	for _, c := range []struct{ name, topic, payload string }{
		{"standard", "devices/%s/telemetry", "{" + reading},
		{"plain", "plain/%s/state", "{" + reading},
		{"absent", "absent/%s/state", "{" + reading},
		{"members", "members/%s/state", "{" + reading},
		{"computed", "computed/%s/state", "{" + reading},
		{"called", "called/%s/state", "{" + reading},
		{"standard_numbered", "devices/%s/telemetry", `{"epoch":1764000000,"seq":%d,"ts":1764000000123,` + reading},
		{"numbered", "numbered/%s/state", `{"e":1764000000,"n":%d,"t":1764000000123,` + reading},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := newReceiver(c.payload)
			topics := wire.DefaultConfig()
			topics.Lazy = true
			if r.dialect, err = dialect.NewSet(topics, other); err != nil {
				b.Fatal(err)
			}
			r.topic = c.topic
			for range 2000 { // each device is known by then
				r.next(false)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				r.next(i == b.N-1)
			}
			if len(r.out.signals) > 0 || r.counts.Unmapped.Load() > 0 {
				b.Fatalf("%d deliveries, %d unmapped", len(r.out.signals), r.counts.Unmapped.Load())
			}
		})
	}
}

// BenchmarkReceive is one numbered telemetry message through the core: left out
// as irrelevant, or signalled in batches.
func BenchmarkReceive(b *testing.B) {
	for name, payload := range map[string]string{"irrelevant": irrelevantReading, "relevant": relevantReading} {
		b.Run(name, func(b *testing.B) {
			r := newReceiver(payload)
			b.ReportAllocs()
			for i := range b.N {
				r.next(i == b.N-1)
			}
		})
	}
}

// A message that is left out is not decoded, so it costs a few allocations, with those
// of the test itself.
func TestALeftOutMessageCostsLittle(t *testing.T) {
	r := newReceiver(irrelevantReading)
	for range 2000 { // each device is known by then
		r.next(false)
	}
	if n := testing.AllocsPerRun(5000, func() { r.next(false) }); n > 10 {
		t.Errorf("%v allocations, want 10 at most", n)
	}
	if len(r.out.signals) > 0 {
		t.Errorf("%d deliveries", len(r.out.signals))
	}
}

// TestIdleDeviceIsSmall holds the bridge to less than 1 KiB for a device that
// it only remembers.
func TestIdleDeviceIsSmall(t *testing.T) {
	var readings []string
	for i := range keptDigests + 1 {
		readings = append(readings, fmt.Sprintf(`{"t":%d}`, 100+i))
	}
	for name, tt := range map[string]struct {
		channel, payload string
		most             uint64
	}{
		"seen once":                           {"status", `{"status":"boot","epoch":1,"seq":1}`, 500},
		"with all that was left out, at most": {"telemetry", "[" + strings.Join(readings, ",") + "]", 1024},
	} {
		t.Run(name, func(t *testing.T) {
			const devices = 5_000
			c := newBench(DefaultConfig(), modelOf(t, tank))
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			for i := range devices {
				device := fmt.Sprintf("plant-7:pump-%06d", i)
				c.deliver("devices/"+device+"/"+tt.channel, tt.payload, "", false)
				c.acceptAll()
				c.w.outbox, c.out.signals, c.out.points = nil, nil, nil
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			each := (after.HeapAlloc - before.HeapAlloc) / devices
			t.Logf("%d bytes for each idle device", each)
			if each > tt.most {
				t.Errorf("%d bytes for each idle device, expected at most %d", each, tt.most)
			}
			runtime.KeepAlive(c)
		})
	}
}
