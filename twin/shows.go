package twin

// Shows reports whether the reported state has all of a JSON object: its members with the
// same values, in objects within objects too. Numbers are compared by value, a list as a
// whole, and what is null must not be there. Nothing but a JSON object is shown.
func (d Document) Shows(want []byte) bool {
	v, err := decode(want)
	if err != nil {
		return false
	}
	o, ok := v.(object)
	return ok && contains(d.reported.value, o)
}

func contains(have, want object) bool {
	for _, k := range sortedKeys(want) {
		v, ok := have[k]
		switch w := want[k].(type) {
		case nil:
			if ok {
				return false
			}
		case object:
			if part, is := v.(object); !is || !contains(part, w) {
				return false
			}
		default:
			if !ok || !equal(v, w) {
				return false
			}
		}
	}
	return true
}
