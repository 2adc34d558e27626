package ingest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

const (
	irrelevantReading = `{"epoch":1764000000,"seq":%d,"ts":1764000000123,"temperature":71.5,"pressure":3.2,"mode":"auto"}`
	relevantReading   = `{"epoch":1764000000,"seq":%d,"ts":1764000000123,"temperature":71.5,"pressure":3.2,"hot":true}`
)

// receiver receives one message after the other from 1000 devices.
type receiver struct {
	*bench
	payload string
	sent    int
}

func newReceiver(payload string) *receiver {
	r := &receiver{bench: newBench(DefaultConfig(), testModel{}), payload: payload}
	r.out.silent = true
	return r
}

func (r *receiver) next(last bool) {
	device := fmt.Sprint("d", r.sent%1000)
	r.receive(r.w, "devices/"+device+"/telemetry", Arrival{
		Payload: fmt.Appendf(nil, r.payload, r.sent/1000+1), At: r.now, Ack: func() {},
	})
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
