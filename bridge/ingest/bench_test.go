package ingest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// BenchmarkReceive is one numbered telemetry message through the core: left out
// as irrelevant, or signalled in batches.
func BenchmarkReceive(b *testing.B) {
	for name, payload := range map[string]string{
		"irrelevant": `{"epoch":1764000000,"seq":%d,"ts":1764000000123,"temperature":71.5,"pressure":3.2,"mode":"auto"}`,
		"relevant":   `{"epoch":1764000000,"seq":%d,"ts":1764000000123,"temperature":71.5,"pressure":3.2,"hot":true}`,
	} {
		b.Run(name, func(b *testing.B) {
			c := newBench(DefaultConfig(), testModel{})
			c.out.silent = true
			b.ReportAllocs()
			for i := range b.N {
				device := fmt.Sprint("d", i%1000)
				c.receive(c.w, "devices/"+device+"/telemetry", Arrival{
					Payload: fmt.Appendf(nil, payload, i/1000+1), At: c.now, Ack: func() {},
				})
				for c.full(c.w) || i == b.N-1 && !c.idle() {
					done := c.out.signals
					c.out.signals = nil
					for _, s := range done {
						c.accept(s.device)
					}
				}
				c.w.outbox = c.w.outbox[:0]
				c.out.points = c.out.points[:0]
			}
		})
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
