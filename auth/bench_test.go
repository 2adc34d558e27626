package auth

import (
	"testing"

	"devicetwin/auth/authtest"
)

// What a broker asks for each message: the first rule of a device allows it, and the
// last one does.
func BenchmarkMayPublish(b *testing.B) {
	d, err := New(DefaultConfig(), authtest.Passwords{}, nil)
	if err != nil {
		b.Fatal(err)
	}
	for name, topic := range map[string]string{"telemetry": "devices/pump-1/telemetry", "shadow": "devices/pump-1/twin/config/delete", "foreign": "devices/pump-2/telemetry"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if d.MayPublish(Client{Device: "pump-1"}, topic) == (name == "foreign") {
					b.Fatal(topic)
				}
			}
		})
	}
}
