package figures

import (
	"maps"
	"math"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// histogram is how many observations were not above each bound.
type histogram map[float64]uint64

// readHistogram sums a histogram over its label sets.
func readHistogram(f *dto.MetricFamily) histogram {
	h := histogram{}
	for _, m := range f.GetMetric() {
		for _, b := range m.GetHistogram().GetBucket() {
			if !math.IsInf(b.GetUpperBound(), 1) { // which is not always among them
				h[b.GetUpperBound()] += b.GetCumulativeCount()
			}
		}
		h[math.Inf(1)] += m.GetHistogram().GetSampleCount()
	}
	return h
}

// since is what was observed after an earlier reading.
func (h histogram) since(before histogram) histogram {
	d := make(histogram, len(h))
	for bound, n := range h {
		d[bound] = n - min(before[bound], n)
	}
	return d
}

// quantile estimates the value that the share q of the observations does not
// exceed; ok is false without observations. Beyond the last bound it is that
// bound.
func (h histogram) quantile(q float64) (value float64, ok bool) {
	all := h[math.Inf(1)]
	if all == 0 {
		return 0, false
	}
	rank := q * float64(all)
	low, below := 0.0, uint64(0)
	for _, bound := range slices.Sorted(maps.Keys(h)) {
		n := h[bound]
		if float64(n) >= rank && n > below {
			if math.IsInf(bound, 1) {
				return low, true
			}
			return low + (bound-low)*(rank-float64(below))/float64(n-below), true
		}
		low, below = bound, n
	}
	return low, true
}

// observations is how many there were.
func observations(h prometheus.Histogram) float64 {
	var m dto.Metric
	if err := h.Write(&m); err != nil {
		return 0
	}
	return float64(m.GetHistogram().GetSampleCount())
}
