package devicefsm

import (
	"math/big"
	"strings"

	"devicetwin/internal/expression"
	"devicetwin/source"
)

// roundedHint is what to do about an integer that a number does not hold.
const roundedHint = "a number holds the integers up to 2^53; send and compare longer ones as strings"

// roundedNumbers finds integers beyond 2^53, in expressions and in values: they count as
// the nearest number that there is.
func (c *checker) roundedNumbers() {
	for _, r := range c.refs {
		for _, f := range r.expr.checked.Rounded {
			r.node.FaultInside(f.Offset(r.expr.source), roundedHint, "%s", f.Message)
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
			if text := expression.Rounded(i); text != "" {
				n.FaultHint(roundedHint, "%s", text)
			}
		}
	}
}
