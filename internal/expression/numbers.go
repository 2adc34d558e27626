package expression

import (
	"encoding/json"
	"math"
	"math/big"
	"strconv"
)

// maxExact is 2^53: beyond it a number does not hold every integer.
const maxExact = 1 << 53

// NumberText is a number as JSON writes it: 1000000 and not 1e+06.
func NumberText(f float64) string {
	raw, err := json.Marshal(f)
	if err != nil { // NaN or an infinity, which JSON cannot hold
		return oldNumberText(f)
	}
	return string(raw)
}

// oldNumberText is string(x) before the second edition: the %g of C.
func oldNumberText(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// Finite reports whether JSON has the number.
func Finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// Rounded is what is wrong with an integer as a number; "" if nothing is.
func Rounded(i *big.Int) string {
	if new(big.Int).Abs(i).Cmp(big.NewInt(maxExact)) <= 0 {
		return ""
	}
	f, _ := new(big.Float).SetInt(i).Float64()
	if math.IsInf(f, 0) {
		return ""
	}
	near, _ := big.NewFloat(f).Int(nil)
	if near.Cmp(i) == 0 {
		return i.String() + " is beyond 2^53, where several integers count as the same number"
	}
	return i.String() + " is beyond 2^53 and counts as " + near.String()
}
