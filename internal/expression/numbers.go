package expression

import (
	"math"
	"math/big"
	"strconv"
)

// maxExact is 2^53: beyond it a number does not hold every integer.
const maxExact = 1 << 53

// NumberText is a number as JSON writes it: 1000000 and not 1e+06.
func NumberText(f float64) string {
	if !Finite(f) { // which JSON cannot hold
		return oldNumberText(f)
	}
	return string(AppendNumber(nil, f))
}

// AppendNumber appends a finite number as JSON writes it.
func AppendNumber(to []byte, f float64) []byte {
	if size := math.Abs(f); size != 0 && (size < 1e-6 || size >= 1e21) {
		to = strconv.AppendFloat(to, f, 'e', -1, 64)
		if n := len(to); to[n-4] == 'e' && to[n-3] == '-' && to[n-2] == '0' { // e-09 is e-9
			to[n-2] = to[n-1]
			to = to[:n-1]
		}
		return to
	}
	return strconv.AppendFloat(to, f, 'f', -1, 64)
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
