package service

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"devicetwin/api"
	"devicetwin/device"
	twinclient "devicetwin/workflows/client"
	deviceworkflow "devicetwin/workflows/device"
)

// visibilityQuery is a query in Temporal's query language for a database; "" finds
// all. If it is not exact, it finds other devices as well, which the query itself
// has to leave out. No value of the query can be anything there but a value.
func visibilityQuery(q api.Query, database string) (text string, exact bool) {
	if q == nil {
		return "", true
	}
	c := dialectOf(database).condition(q, false)
	return c.text, c.exact
}

// dialect is what a database of Temporal's does with strings. Everything here was
// found with Temporal 1.32 (deploy/devstack/e2e, TestQueriesOnEveryDatabase).
type dialect struct {
	// mangled are the characters that arrive as others.
	mangled string
	// folds: the values of lists are found whatever their case.
	folds bool
	// ordered: strings are in the order of their bytes. There, what begins with a
	// string is a range; STARTS_WITH ignores case.
	ordered bool
	// vague: it is not known what is done, so any answer may hold too much.
	vague bool
}

func dialectOf(database string) dialect {
	switch database {
	case "sqlite":
		return dialect{mangled: `"\`, folds: true, ordered: true}
	case "postgres12", "postgres12_pgx":
		// Temporal takes a question mark for one of its own, even in a string.
		return dialect{mangled: `"\?`}
	case "elasticsearch":
		return dialect{}
	}
	return dialect{mangled: `"\?`, vague: true}
}

// condition is a part of a query. An empty text holds for every device.
type condition struct {
	text     string
	exact    bool
	compound bool // needs parentheses next to others
}

// noDevice is what a query that is not known finds.
var noDevice = condition{text: "WorkflowId = ''"}

// condition translates a query or its negation, which goes down to the terms: in SQL
// the negation of a comparison does not hold where there is no value.
func (d dialect) condition(q api.Query, negated bool) condition {
	switch q := q.(type) {
	case api.And:
		return d.join(q, negated, negated)
	case api.Or:
		return d.join(q, !negated, negated)
	case api.Not:
		return d.condition(q.Query, !negated)
	case api.Term:
		return d.term(q, negated)
	}
	return noDevice
}

// join connects parts by OR, or else by AND.
func (d dialect) join(parts []api.Query, or, negated bool) condition {
	var texts []string
	all := condition{exact: true}
	for _, part := range parts {
		c := d.condition(part, negated)
		if c.text == "" && or {
			return c
		}
		all.exact = all.exact && c.exact
		if c.text == "" {
			continue
		}
		if c.compound {
			c.text = "(" + c.text + ")"
		}
		texts = append(texts, c.text)
	}
	all.text, all.compound = strings.Join(texts, " AND "), len(texts) > 1
	if or {
		all.text = strings.Join(texts, " OR ")
	}
	return all
}

func (d dialect) term(t api.Term, negated bool) condition {
	switch t.Field {
	case api.FieldID:
		return d.word("WorkflowId", deviceworkflow.WorkflowID(device.ID(t.Value)), t.Op, negated)
	case api.FieldKind:
		kind, _ := device.ParseKind(t.Value) // the query was checked
		return d.prefix("WorkflowId", deviceworkflow.IDPrefix(kind), negated)
	case api.FieldState:
		return d.list(deviceworkflow.AttributeState.GetName(), t.Value, negated)
	case api.FieldModel:
		return d.word(deviceworkflow.AttributeModel.GetName(), t.Value, t.Op, negated)
	case api.FieldModelHash:
		return d.word(deviceworkflow.AttributeModelHash.GetName(), t.Value, t.Op, negated)
	case api.FieldConnection:
		name := deviceworkflow.AttributeConnection.GetName()
		if t.Value == api.Unknown {
			return condition{text: name + isNull(!negated), exact: true}
		}
		return d.word(name, t.Value, t.Op, negated)
	case api.FieldFirmware:
		return d.word(deviceworkflow.AttributeFirmware.GetName(), t.Value, t.Op, negated)
	case api.FieldSite:
		return d.word(deviceworkflow.AttributeSite.GetName(), t.Value, t.Op, negated)
	case api.FieldLastSeen:
		name, value := deviceworkflow.AttributeLastSeen.GetName(), twinclient.Quote(time.Unix(t.Number, 0).UTC().Format(time.RFC3339))
		return compared(name, t.Op, value, negated).orMissing(name, negated)
	case api.FieldFaults:
		return counted(deviceworkflow.AttributeFaults.GetName(), t, negated)
	case api.FieldProcessing:
		return d.word(deviceworkflow.AttributeProcessing.GetName(), t.Value, t.Op, negated)
	case api.FieldProcessFailed:
		return counted(deviceworkflow.AttributeProcessFailed.GetName(), t, negated)
	case api.FieldTag:
		return d.list(deviceworkflow.AttributeTags.GetName(), t.Key+"="+t.Value, negated)
	case api.FieldProperty:
		return d.list(deviceworkflow.AttributeProperties.GetName(), t.Key+"="+t.Value, negated)
	}
	return noDevice
}

func isNull(null bool) string {
	if null {
		return " IS NULL"
	}
	return " IS NOT NULL"
}

// list is a condition on an attribute with many values.
func (d dialect) list(name, value string, negated bool) condition {
	exact := !d.folds && !d.vague
	switch _, whole := d.literal(value); {
	case !whole || negated && !exact:
		return condition{}
	case negated:
		return condition{text: name + " != " + twinclient.Quote(value) + " OR " + name + isNull(true), exact: true, compound: true}
	}
	return condition{text: name + " = " + twinclient.Quote(value), exact: exact}
}

// word is a condition on an attribute with one value. Every workflow has an id; any
// other may be missing.
func (d dialect) word(name, value string, op api.Op, negated bool) condition {
	head, whole := d.literal(value)
	switch {
	case op == api.OpPrefix && value == "":
		return d.present(name, negated)
	case negated && (!whole || d.vague):
		return condition{}
	case op == api.OpPrefix || !whole:
		c := d.prefix(name, head, negated)
		c.exact = c.exact && whole
		return c.orMissing(name, negated)
	case negated:
		return condition{text: name + " != " + twinclient.Quote(value), exact: true}.orMissing(name, true)
	}
	return condition{text: name + " = " + twinclient.Quote(value), exact: !d.vague}
}

// compared is a condition on a number or a time, which does not hold where there is none.
func compared(name string, op api.Op, value string, negated bool) condition {
	switch {
	case op == api.OpEqual && negated:
		return condition{text: name + " < " + value + " OR " + name + " > " + value, exact: true, compound: true}
	case op == api.OpEqual:
		return condition{text: name + " = " + value, exact: true}
	case (op == api.OpLess) != negated:
		return condition{text: name + " < " + value, exact: true}
	}
	return condition{text: name + " >= " + value, exact: true}
}

// counted is a condition on a number, which is 0 where there is none.
func counted(name string, t api.Term, negated bool) condition {
	return compared(name, t.Op, strconv.FormatInt(t.Number, 10), negated).orMissing(name, t.Matches(api.Summary{}) != negated)
}

// present is whether an attribute has any value.
func (d dialect) present(name string, negated bool) condition {
	if negated {
		return condition{text: name + " = ''", exact: true}.orMissing(name, true)
	}
	return condition{text: name + isNull(false) + " AND " + name + " != ''", exact: true, compound: true}
}

// orMissing lets a negation hold where there is no value.
func (c condition) orMissing(name string, negated bool) condition {
	if negated && name != "WorkflowId" && c.text != "" {
		c.text, c.compound = c.text+" OR "+name+isNull(true), true
	}
	return c
}

// prefix is whether a value begins with a string.
func (d dialect) prefix(name, head string, negated bool) condition {
	if head == "" {
		return condition{}
	}
	if !d.ordered {
		operator := " STARTS_WITH "
		if negated {
			operator = " NOT STARTS_WITH "
		}
		return condition{text: name + operator + twinclient.Quote(head), exact: !d.vague}
	}
	next, ok := d.after(head)
	switch {
	case !ok && negated:
		return condition{}
	case !ok:
		return condition{text: name + " STARTS_WITH " + twinclient.Quote(head)}
	case negated:
		return condition{text: name + " < " + twinclient.Quote(head) + " OR " + name + " >= " + twinclient.Quote(next), exact: true, compound: true}
	}
	return condition{text: name + " >= " + twinclient.Quote(head) + " AND " + name + " < " + twinclient.Quote(next), exact: true, compound: true}
}

// after is the first string, in the order of bytes, after all that begin with head.
func (d dialect) after(head string) (next string, ok bool) {
	last, size := utf8.DecodeLastRuneInString(head)
	next = head[:len(head)-size]
	switch last {
	case utf8.MaxRune:
		return "", false
	case 0xD7FF: // what follows is not for characters
		next += "\uE000"
	default:
		next += string(last + 1)
	}
	_, ok = d.literal(next)
	return next, ok
}

// literal is the beginning of a string that arrives as it is, and whether that is
// all of it. Temporal takes the quotation marks of a literal away wherever they are
// at its ends, be they a part of the value.
func (d dialect) literal(s string) (head string, whole bool) {
	head = s
	if d.mangled != "" {
		if i := strings.IndexAny(s, d.mangled); i >= 0 {
			head = s[:i]
		}
	}
	if strings.HasPrefix(head, "'") {
		head = ""
	}
	head = strings.TrimRight(head, "'")
	return head, head == s
}
