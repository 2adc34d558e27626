package devicefsm

import (
	"encoding/json"
	"math"
	"strconv"
)

// maxExact is 2^53: beyond it a number does not hold every integer.
const maxExact = 1 << 53

// numberText is a number as JSON writes it: 1000000 and not 1e+06.
func numberText(f float64) string {
	raw, err := json.Marshal(f)
	if err != nil { // NaN or an infinity, which JSON cannot hold
		return oldNumberText(f)
	}
	return string(raw)
}

// oldNumberText is string(x) before the second edition: the %g of C.
func oldNumberText(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

func isFinite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// checked is the result of arithmetic: one that is not a finite number is an error
// since the second edition.
func (s *scope) checked(v any, st status) (any, status) {
	if n, ok := v.(float64); !ok || st != done || isFinite(n) {
		return v, st
	}
	if s.differs = true; s.before(EditionNow) {
		return v, st
	}
	return nil, failed
}
