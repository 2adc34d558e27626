package api

import (
	"fmt"
	"slices"
	"strings"

	"devicetwin/device"
)

// Query is a condition on devices: a Term, Not, And or Or. A nil Query holds for
// every device.
type Query interface {
	// Matches reports whether it holds for a device. Strings are compared byte by
	// byte: case counts, and é as one character is not é as e with an accent.
	Matches(d Summary) bool
}

// And holds if all its queries do; an empty one always.
type And []Query

// Or holds if one of its queries does.
type Or []Query

// Not holds where its query doesn't: also for a device that lacks the field.
type Not struct{ Query }

// Term is a condition on one field.
type Term struct {
	Field Field
	Key   string // of a tag, or the path of a property: reported.net.ip
	Op    Op
	Value string // of a field with strings
	// Number is the value of the others: of last_seen in Unix seconds.
	Number int64
}

// Field is what a term is about.
type Field string

// The fields of a query. State, tag and property are lists: one device may have many
// states, and all its tags are in one list in Temporal.
const (
	FieldID         Field = "id"   // the whole id, such as customer/4711
	FieldKind       Field = "kind" // as people call it: device, customer
	FieldState      Field = "state"
	FieldModel      Field = "model"
	FieldModelHash  Field = "model_hash"
	FieldConnection Field = "connection"
	FieldFirmware   Field = "firmware"
	FieldSite       Field = "site"
	FieldTag        Field = "tag"      // tag.KEY:VALUE
	FieldProperty   Field = "property" // reported.PATH:VALUE, desired.PATH:VALUE

	FieldLastSeen Field = "last_seen" // a time, in whole seconds
	FieldFaults   Field = "faults"    // a number; 0 if there is none

	FieldProcessing    Field = "processing"     // held or waiting
	FieldProcessFailed Field = "process_failed" // a number; 0 if there is none
)

// Ordered reports whether the field is compared by Number.
func (f Field) Ordered() bool { return f == FieldLastSeen || f.Counts() }

// Counts reports whether the field is a number of events.
func (f Field) Counts() bool { return f == FieldFaults || f == FieldProcessFailed }

// List reports whether the field is a list, of which only whole values are found.
func (f Field) List() bool { return f == FieldState || f == FieldTag || f == FieldProperty }

// Op is how a term compares.
type Op string

// The comparisons.
const (
	OpEqual  Op = ""
	OpPrefix Op = "*" // Value is only the beginning; with an empty one, there has to be any

	// Of ordered fields. A device that was never seen has no time, for which neither holds.
	OpLess    Op = "<"
	OpAtLeast Op = ">="
)

// Matches implements Query.
func (q And) Matches(d Summary) bool {
	return !slices.ContainsFunc(q, func(part Query) bool { return !part.Matches(d) })
}

// Matches implements Query.
func (q Or) Matches(d Summary) bool {
	return slices.ContainsFunc(q, func(part Query) bool { return part.Matches(d) })
}

// Matches implements Query.
func (q Not) Matches(d Summary) bool { return !q.Query.Matches(d) }

// Matches implements Query.
func (t Term) Matches(d Summary) bool {
	switch t.Field {
	case FieldID:
		return device.ID(t.Value).Kind() == d.ID.Kind() && t.holds(string(d.ID))
	case FieldKind:
		return t.holds(d.ID.Kind().Word())
	case FieldState:
		return slices.ContainsFunc(strings.Split(d.State, ","), t.holds)
	case FieldModel:
		return t.holds(d.Model)
	case FieldModelHash:
		return t.holds(d.ModelHash)
	case FieldConnection:
		return t.holds(d.Connection)
	case FieldFirmware:
		return t.holds(d.Firmware)
	case FieldSite:
		return t.holds(d.Site)
	case FieldTag:
		return t.holds(d.Tags[t.Key])
	case FieldProperty:
		value, ok := d.Properties[t.Key]
		return ok && t.holds(value)
	case FieldLastSeen:
		return d.LastSeen != nil && t.orders(d.LastSeen.Unix())
	case FieldFaults:
		return t.orders(int64(d.ReportCount))
	case FieldProcessing:
		return t.holds(d.Processing)
	case FieldProcessFailed:
		return t.orders(int64(d.ProcessFailed))
	}
	return false
}

// orders compares a number.
func (t Term) orders(n int64) bool {
	switch t.Op {
	case OpLess:
		return n < t.Number
	case OpAtLeast:
		return n >= t.Number
	}
	return n == t.Number
}

// holds compares a string; an empty one is a field that the device lacks.
func (t Term) holds(value string) bool {
	if t.Op == OpPrefix {
		return value != "" && strings.HasPrefix(value, t.Value)
	}
	return value == t.Value
}

// Bounds of a query.
const (
	MaxQuery = 1024 // bytes
	MaxTerms = 16
	MaxDepth = 8   // of parentheses, and of NOT
	maxValue = 256 // bytes of a value, and of a key
)

// QueryFault is one error in a query.
type QueryFault struct {
	Column  int // of the wrong character, from 1
	Message string
}

func (f QueryFault) Error() string { return fmt.Sprintf("column %d: %s", f.Column, f.Message) }

// QueryError is every error in a query.
type QueryError []QueryFault

func (e QueryError) Error() string {
	texts := make([]string, len(e))
	for i, f := range e {
		texts[i] = f.Error()
	}
	return "query: " + strings.Join(texts, "; ")
}
