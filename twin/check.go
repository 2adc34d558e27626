package twin

import (
	"encoding/json"
	"errors"
	"strconv"
)

var (
	errNesting = errors.New("nested deeper than the limit")
	errNull    = errors.New("null")
	errNumber  = errors.New("a number that a double cannot hold")
)

// nodeFault is an error in a state, and its place.
type nodeFault struct {
	path string // "a.b[2]"
	err  error
}

func (f *nodeFault) Error() string { return f.err.Error() + " at " + f.path }

func (f *nodeFault) Unwrap() error { return f.err }

func (f *nodeFault) below(parent string) *nodeFault {
	if len(f.path) < maxDetail {
		f.path = parent + f.path
	}
	return f
}

// maxDetail is about how long a path in a fault may get, in bytes.
const maxDetail = 256

// checker bounds the values of a state. Its level counts objects and arrays.
type checker struct {
	depth   int
	nulls   bool // null is allowed: it removes a key
	inArray bool
}

// checkStored refuses what no accepted request leaves in a section.
func checkStored(value object) error {
	if f := (checker{depth: maxDepth}).check(value, 1); f != nil {
		return f
	}
	return nil
}

// check returns the first fault, in the order of the keys.
func (c checker) check(v any, level int) *nodeFault {
	switch x := v.(type) {
	case nil:
		if !c.nulls || c.inArray {
			return &nodeFault{err: errNull}
		}
	case json.Number:
		if !goodNumber(x) {
			return &nodeFault{err: errNumber}
		}
	case []any:
		if level > c.depth {
			return &nodeFault{err: errNesting}
		}
		c.inArray = true
		for i, e := range x {
			if f := c.check(e, level+1); f != nil {
				return f.below("[" + strconv.Itoa(i) + "]")
			}
		}
	case object:
		if level > c.depth {
			return &nodeFault{err: errNesting}
		}
		for _, k := range sortedKeys(x) {
			if f := c.check(x[k], level+1); f != nil {
				return f.below("." + escapeKey(k[:min(len(k), maxDetail)]))
			}
		}
	}
	return nil
}
