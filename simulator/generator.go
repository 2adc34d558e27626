package simulator

import (
	"math"
	"math/rand/v2"
	"time"
)

// Generator describes how the values of a telemetry field come about. It is
// shared by all devices; what differs between them is in the series it starts.
type Generator interface {
	// series starts the values of one device.
	series(random *rand.Rand) series
}

// series gives a device's values one after another; at is the time since the
// device's start. A value is a float64, a string or a bool.
type series func(at time.Duration, random *rand.Rand) any

// Constant is always the same.
type Constant struct{ Value any }

func (c Constant) series(*rand.Rand) series {
	return func(time.Duration, *rand.Rand) any { return c.Value }
}

// RandomWalk moves by up to ±Step from one value to the next and turns back at
// Min and Max. Each device begins within ±Spread of Start.
type RandomWalk struct{ Start, Spread, Step, Min, Max float64 }

func (w RandomWalk) series(random *rand.Rand) series {
	value := w.Start + w.Spread*(2*random.Float64()-1)
	return func(_ time.Duration, random *rand.Rand) any {
		value += w.Step * (2*random.Float64() - 1)
		if value > w.Max {
			value = 2*w.Max - value
		}
		value = min(max(value, w.Min), w.Max)
		return rounded(value)
	}
}

// Sine swings by Amplitude around Mean once in Period, with noise of up to
// ±Noise on top. Each device has its own phase.
type Sine struct {
	Mean, Amplitude, Noise float64
	Period                 time.Duration
}

func (s Sine) series(random *rand.Rand) series {
	phase := random.Float64()
	return func(at time.Duration, random *rand.Rand) any {
		turn := at.Seconds()/s.Period.Seconds() + phase
		return rounded(s.Mean + s.Amplitude*math.Sin(2*math.Pi*turn) + s.Noise*(2*random.Float64()-1))
	}
}

// Enumerated takes one of Values, each as likely as its weight says, and keeps
// it with probability Stay from one message to the next.
type Enumerated struct {
	Values  []any
	Weights []float64 // as many as Values
	Stay    float64
}

func (e Enumerated) series(*rand.Rand) series {
	last := -1
	return func(_ time.Duration, random *rand.Rand) any {
		keep, pick := random.Float64(), weighted(e.Weights, random.Float64())
		if last < 0 || keep >= e.Stay {
			last = pick
		}
		return e.Values[last]
	}
}

// rounded keeps three decimals, as a sensor would.
func rounded(v float64) float64 { return math.Round(v*1000) / 1000 }

// weighted is the index that u, from [0, 1), falls on.
func weighted(weights []float64, u float64) int {
	total := 0.0
	for _, w := range weights {
		total += w
	}
	u *= total
	for i, w := range weights {
		if u < w {
			return i
		}
		u -= w
	}
	// Rounding can leave u just beyond the end.
	for i := len(weights) - 1; i > 0; i-- {
		if weights[i] > 0 {
			return i
		}
	}
	return 0
}

// between is the duration at u, from [0, 1), of the range.
func (r Range) between(u float64) time.Duration {
	return r.Min + time.Duration(u*float64(r.Max-r.Min))
}
