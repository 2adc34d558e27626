package credentials

import (
	"fmt"
	"sync/atomic"
	"testing"

	"devicetwin/device"
	"devicetwin/internal/postgrestest"
)

// BenchmarkCheck is what a login costs in each kind of store, with 1,000 devices, and
// from memory while PostgreSQL is down. The server is on the same machine.
func BenchmarkCheck(b *testing.B) {
	const devices = 1000
	names, secrets := make([]string, devices), make([]string, devices)
	fill := func(s Store) {
		for i := range names {
			names[i] = fmt.Sprint("d", i)
			var err error
			if secrets[i], err = s.Issue(b.Context(), device.ID(names[i]), "c"); err != nil {
				b.Fatal(err)
			}
			if good, err := s.Check(b.Context(), names[i], secrets[i]); err != nil || !good {
				b.Fatal(good, err)
			}
		}
	}
	measure := func(b *testing.B, s Store) {
		var next atomic.Int64
		b.SetParallelism(8) // as many at once as the pool has connections
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				i := next.Add(1) % devices
				if good, err := s.Check(b.Context(), names[i], secrets[i]); err != nil || !good {
					b.Error(good, err)
					return
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logins/s")
	}
	for _, p := range places {
		b.Run(p.name, func(b *testing.B) {
			s := p.make(b)(b)
			fill(s)
			measure(b, s)
		})
	}
	b.Run("memory", func(b *testing.B) {
		server := postgrestest.Start(b)
		s := opened(b, server.URL("postgres"))
		fill(s)
		f := s.(*postgres).follower
		eventually(b, "all known", func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			return len(f.memory.devices) == devices
		})
		server.Stop()
		eventually(b, "down", f.down)
		measure(b, s)
	})
}
