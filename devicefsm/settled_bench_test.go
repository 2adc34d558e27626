package devicefsm

import (
	"testing"

	"devicetwin/device"
)

// BenchmarkPass is the work of the bridge on each decoded message.
func BenchmarkPass(b *testing.B) {
	m := load(b, `
events:
  boot:    {channel: status, when: "msg.status == 'boot'"}
  fault:   {channel: telemetry, when: "has(msg.code) && msg.code >= 100"}
  reading: {channel: telemetry, when: "has(msg.temperature)"}
initial: normal
states:
  normal: {on: {reading: {guard: "event.temperature > 90", target: high}, fault: broken}}
  high: {on: {reading: {guard: "event.temperature < 80", target: normal}, fault: broken}}
  broken: {on: {boot: normal}}
`)
	message := func(temperature float64) device.Message {
		return device.Message{Channel: device.ChannelTelemetry, Data: obj{"temperature": temperature, "pressure": 3.1, "rpm": 1400.0}}
	}
	for name, messages := range map[string][]device.Message{
		"irrelevant": {message(85)},
		"repetition": {message(95)},
		"crossing":   {message(95), message(70)},
		"unsettled":  {{Channel: device.ChannelTelemetry, Data: obj{"code": 117.0}}},
	} {
		b.Run(name, func(b *testing.B) {
			var f Filter
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m.Pass(&f, messages[i%len(messages)])
			}
		})
	}
}

// BenchmarkExplore is the analysis of a chart of 1,250 configurations, which is
// made when its first message comes.
func BenchmarkExplore(b *testing.B) {
	m := load(b, manyRegions(4))
	for b.Loop() {
		if x := explore(m, freeSources); x.err != nil {
			b.Fatal(x.err)
		}
	}
}
