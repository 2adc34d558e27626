package simulator

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"
)

// arrivals is a Poisson process.
type arrivals struct {
	next   time.Duration
	mean   time.Duration // time between arrivals; 0: none ever
	random *rand.Rand
}

func newArrivals(perMinute float64, random *rand.Rand) arrivals {
	a := arrivals{random: random, next: never}
	if perMinute > 0 {
		a.mean = time.Duration(min(float64(time.Minute)/perMinute, float64(longestWait)))
		a.next = 0
		a.advance(0)
	}
	return a
}

const (
	never = time.Duration(math.MaxInt64)
	// longestWait is beyond any run, and far from where durations overflow.
	longestWait = 10 * 365 * 24 * time.Hour
)

// advance draws the arrival after the given time.
func (a *arrivals) advance(after time.Duration) {
	if a.mean == 0 {
		return
	}
	wait := a.random.ExpFloat64() * float64(a.mean)
	a.next = after + time.Duration(min(wait, float64(longestWait)))
}

// stream is the random stream of one device for one purpose.
func stream(seed uint64, device int, purpose string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(purpose)) // a hash never fails
	return rand.New(rand.NewPCG(mix(seed^h.Sum64()), mix(uint64(device))))
}

// mix is the finalizer of SplitMix64. PCG streams of neighbouring seeds would
// otherwise begin alike.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// answers draws a device's answers, one for each command.
type answers struct {
	of      []Answer
	weights []float64
	random  *rand.Rand
}

func newAnswers(s *Scenario, seed uint64, device int) answers {
	a := answers{of: s.Answers, random: stream(seed, device, "answers")}
	for _, w := range s.Answers {
		a.weights = append(a.weights, w.Weight)
	}
	return a
}

// next is the answer to the next command, with its delay.
func (a answers) next() (Answer, time.Duration) {
	pick, u := weighted(a.weights, a.random.Float64()), a.random.Float64()
	answer := a.of[pick]
	return answer, answer.Delay.between(u)
}
