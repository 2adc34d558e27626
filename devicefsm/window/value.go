package window

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
)

// MaxNumber is the largest absolute value that is added up: so no sum of any number of
// events is beyond what a double holds.
const MaxNumber = 1e290

// Value is what an event brings to a window.
type Value struct {
	number float64
	hash   uint64
}

// Value is that of an event for the window, of plain JSON: a number, or for Distinct
// anything. Count needs none, and for Rate it is how many events this one stands for: 1
// without a value.
func (w *Window) Value(v any) (Value, error) {
	if w.aggregate == Distinct {
		return hashed(v)
	}
	number, ok := v.(float64)
	switch {
	case !ok:
		return Value{}, fmt.Errorf("expected a number")
	case !(math.Abs(number) <= MaxNumber):
		return Value{}, fmt.Errorf("expected a number between -%g and %g", MaxNumber, MaxNumber)
	}
	return Value{number: number}, nil
}

// hashed is the hash of a value: that of its JSON, in which keys are sorted.
func hashed(v any) (Value, error) {
	if v == 0.0 {
		v = 0.0 // and not -0
	}
	text, err := json.Marshal(v)
	if err != nil {
		return Value{}, fmt.Errorf("expected a JSON value: %w", err)
	}
	sum := sha256.Sum256(text)
	return Value{hash: binary.BigEndian.Uint64(sum[:])}, nil
}
