package devicefsm

import "devicetwin/internal/expression"

// checked is the result of arithmetic: one that is not a finite number is an error
// since the second edition.
func (s *scope) checked(v any, st status) (any, status) {
	if n, ok := v.(float64); !ok || st != done || expression.Finite(n) {
		return v, st
	}
	if s.differs = true; s.before(EditionNow) {
		return v, st
	}
	return nil, failed
}
