package expression

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
)

func TestAppendNumber(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	numbers := []float64{0, math.Copysign(0, -1), 1, -1.5, 1e-6, 9.99e-7, 1e-7, 1.5e-10, 1e-100, 1e20, 1e21, -1e21, 1.7976931348623157e308, 5e-324, 0.1 + 0.2}
	for range 20_000 {
		numbers = append(numbers, math.Float64frombits(r.Uint64()), float64(r.IntN(2000)-1000)/16, float64(r.Int64()))
	}
	for _, f := range numbers {
		if !Finite(f) {
			continue
		}
		want, err := json.Marshal(f)
		if got := AppendNumber([]byte("x"), f); err != nil || string(got) != "x"+string(want) {
			t.Errorf("%v: %s, want %s (%v)", f, got, want, err)
		}
	}
}

// What has something in it that only cel-go evaluates is not direct: it would be another language.
func TestWhatIsDirect(t *testing.T) {
	env, err := NewEnv("payload")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"payload.a / 10": true, "payload.a['b'] > 1 && has(payload.c)": true, "-payload.a": true, "payload.on ? 'ON' : 'OFF'": true, "round(payload.a * 10) / 10": true,
		"double(payload.a)": true, "payload.a.size() > 1": false, "payload[0]": false, "payload.l.map(payload, payload.x)": false, "{'a': payload.a}": false, "[1]": false,
		"payload.a in [1, 2]": false, "string(payload.a)": false, "timestamp(payload.a) == null": false, "payload.a.startsWith('x')": false, "math.least(payload.a, 1)": false, "has(payload.l[0].x)": false,
	} {
		c, faults := env.Check(text)
		if faults != nil {
			t.Errorf("%s: %v", text, faults)
		} else if got := c.Direct() != nil; got != want {
			t.Errorf("%s: direct %v, want %v", text, got, want)
		}
	}
}
