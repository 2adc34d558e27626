package twin

import (
	"errors"
	"fmt"
	"time"
)

// Limits bounds what clients may ask for. Start from DefaultLimits.
type Limits struct {
	// Document is the size of desired and reported after a merge, together, in
	// bytes of JSON without spaces. Metadata does not count.
	Document int
	// Request is the size of a request's payload, in bytes.
	Request int
	// Depth is how many levels of objects and arrays a section may have, itself
	// included.
	Depth int
	// Token is the length of a clientToken, in bytes.
	Token int
	// Tombstone is how long a deleted shadow's version is kept.
	Tombstone time.Duration
}

// DefaultLimits are the protocol's: 8,192 bytes a document, 6 levels of nesting,
// tokens of 64 bytes, 48 hours. A request may have 32 KiB, which is room for one
// that replaces a full document by another: each old key with a null, and spaces.
func DefaultLimits() Limits {
	return Limits{Document: 8192, Request: 32 << 10, Depth: 6, Token: 64, Tombstone: 48 * time.Hour}
}

// Validate reports every limit that is out of range, joined.
func (l Limits) Validate() error {
	var faults []error
	atLeast := func(name string, got, least int) {
		if got < least {
			faults = append(faults, fmt.Errorf("twin limits: %s is %d; must be at least %d", name, got, least))
		}
	}
	atLeast("document", l.Document, 2)
	atLeast("request", l.Request, l.Document)
	atLeast("depth", l.Depth, 1)
	atLeast("token", l.Token, 1)
	if l.Depth > maxDepth {
		faults = append(faults, fmt.Errorf("twin limits: depth is %d; must be at most %d", l.Depth, maxDepth))
	}
	if l.Tombstone < 0 {
		faults = append(faults, fmt.Errorf("twin limits: tombstone is %s; must not be negative", l.Tombstone))
	}
	return errors.Join(faults...)
}

// maxDepth bounds recursion, whatever the limits say.
const maxDepth = 64

const (
	maxThingName  = 128
	maxShadowName = 64
)

// ValidThingName reports whether a name may be a thing's: 1 to 128 of
// [a-zA-Z0-9:_-].
func ValidThingName(name string) bool { return validName(name, maxThingName) }

// ValidShadowName reports whether a name may be a named shadow's: 1 to 64 of
// [a-zA-Z0-9:_-].
func ValidShadowName(name string) bool { return validName(name, maxShadowName) }

func validName(name string, most int) bool {
	if name == "" || len(name) > most {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == ':', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
