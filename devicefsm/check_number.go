package devicefsm

import (
	"math"
	"math/big"
	"strings"

	"devicetwin/source"
)

// roundedHint is what to do about an integer that a number does not hold.
const roundedHint = "a number holds the integers up to 2^53; send and compare longer ones as strings"

// roundedNumbers finds integers beyond 2^53, in expressions and in values: they count as
// the nearest number that there is.
func (c *checker) roundedNumbers() {
	for _, r := range c.refs {
		for _, f := range r.expr.rounded {
			r.node.FaultInside(offsetOf(r.expr.source, f), roundedHint, "%s", f.message)
		}
	}
	c.roundedValues(c.root)
}

func (c *checker) roundedValues(n source.Node) {
	switch {
	case n.IsList():
		for _, e := range n.List() {
			c.roundedValues(e)
		}
	case n.IsMap():
		for _, e := range n.Entries() {
			if e.Key != "meta" {
				c.roundedValues(e.Value)
			}
		}
	case n.Kind() == "a number":
		if i, ok := new(big.Int).SetString(strings.ReplaceAll(n.Scalar(), "_", ""), 0); ok {
			if text := roundedText(i); text != "" {
				n.FaultHint(roundedHint, "%s", text)
			}
		}
	}
}

// roundedText is what is wrong with an integer as a number; "" if nothing is.
func roundedText(i *big.Int) string {
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
