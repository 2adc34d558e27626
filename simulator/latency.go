package simulator

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// longestLatency is the greatest value of the histogram; longer latencies count
// as this.
const longestLatency = 2 * time.Hour

// latencies collects durations to three significant digits in constant memory.
// Its methods may be called from any goroutine.
type latencies struct {
	mutex     sync.Mutex
	histogram *hdrhistogram.Histogram // of microseconds
}

func newLatencies() *latencies {
	return &latencies{histogram: hdrhistogram.New(1, longestLatency.Microseconds(), 3)}
}

func (l *latencies) observe(d time.Duration) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	// The only error is a value out of range, which the bounds rule out.
	_ = l.histogram.RecordValue(min(max(d, 0), longestLatency).Microseconds())
}

// at is the duration that the given percentage does not exceed.
func (l *latencies) at(percent float64) time.Duration {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return time.Duration(l.histogram.ValueAtQuantile(percent)) * time.Microsecond
}

func (l *latencies) quantiles() Quantiles {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	l.mutex.Lock()
	count, greatest := l.histogram.TotalCount(), l.histogram.Max()
	l.mutex.Unlock()
	if count == 0 {
		return Quantiles{}
	}
	return Quantiles{
		Count: uint64(count), P50: ms(l.at(50)), P95: ms(l.at(95)), P99: ms(l.at(99)), P999: ms(l.at(99.9)),
		Max: float64(greatest) / 1000,
	}
}
