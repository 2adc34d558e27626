package twin

import (
	"encoding/json"
	"strconv"
	"strings"
)

// sameNumber compares by value, without rounding: 1 is 1.0 and 10e-1.
func sameNumber(a, b json.Number) bool {
	if a == b {
		return true
	}
	aNegative, aDigits, aExponent := decimal(string(a))
	bNegative, bDigits, bExponent := decimal(string(b))
	return aNegative == bNegative && aDigits == bDigits && aExponent == bExponent
}

// decimal is ±digits·10^exponent, with no zero at either end of digits. Zero has
// no digits, no sign and exponent 0. The number is one that goodNumber accepts.
func decimal(s string) (negative bool, digits string, exponent int) {
	s, negative = strings.CutPrefix(s, "-")
	mantissa := s
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa = s[:i]
		exponent, _ = strconv.Atoi(s[i+1:]) // it only overflows with a mantissa of zero
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	exponent -= len(fraction)
	digits = strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return false, "", 0
	}
	trimmed := strings.TrimRight(digits, "0")
	return negative, trimmed, exponent + len(digits) - len(trimmed)
}

// goodNumber refuses what is too large or too small for a double: expressions
// and most clients could not read it, and its exponent is not bounded.
func goodNumber(n json.Number) bool {
	f, err := n.Float64()
	if err != nil {
		return false
	}
	if f != 0 {
		return true
	}
	mantissa, _, _ := strings.Cut(strings.ToLower(string(n)), "e")
	return strings.Trim(mantissa, "-0.") == ""
}

// wholeNumber is the value of an integer of at least 0.
func wholeNumber(n json.Number) (int64, bool) {
	if !goodNumber(n) {
		return 0, false
	}
	negative, digits, exponent := decimal(string(n))
	if digits == "" {
		return 0, true
	}
	if negative || exponent < 0 || len(digits)+exponent > 18 {
		return 0, false
	}
	v, err := strconv.ParseInt(digits+strings.Repeat("0", exponent), 10, 64)
	return v, err == nil
}
