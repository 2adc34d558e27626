package apitest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"devicetwin/api"
)

// RandomQuery writes a query, most often about values that some of the devices
// have, and returns what it means: by Go's operators, not by api.Query.
func RandomQuery(random *rand.Rand, fleet []api.Summary) (text string, holds func(api.Summary) bool) {
	w := queryWriter{random: random, fleet: fleet, terms: 2 + random.IntN(api.MaxTerms-1)}
	for {
		text, holds = w.either(api.MaxDepth)
		if len(text) <= api.MaxQuery {
			return text, holds
		}
		w.terms = 2
	}
}

// queryWriter writes random queries.
type queryWriter struct {
	random *rand.Rand
	fleet  []api.Summary
	terms  int // that it may still write
}

func (w *queryWriter) one(in int) bool { return w.random.IntN(in) == 0 }

func (w *queryWriter) space() string { return []string{" ", " ", "  ", "\t"}[w.random.IntN(4)] }

// either writes parts with OR between them.
func (w *queryWriter) either(depth int) (string, func(api.Summary) bool) {
	text, holds := w.both(depth)
	for w.terms > 0 && w.one(2) {
		left := holds
		more, right := w.both(depth)
		text += w.space() + "OR" + w.space() + more
		holds = func(d api.Summary) bool { return left(d) || right(d) }
	}
	return text, holds
}

// both writes parts that must all hold.
func (w *queryWriter) both(depth int) (string, func(api.Summary) bool) {
	text, holds := w.factor(depth)
	for w.terms > 0 && w.one(2) {
		left := holds
		more, right := w.factor(depth)
		and := w.space()
		if w.one(3) {
			and += "AND" + w.space()
		}
		text += and + more
		holds = func(d api.Summary) bool { return left(d) && right(d) }
	}
	return text, holds
}

func (w *queryWriter) factor(depth int) (string, func(api.Summary) bool) {
	switch {
	case depth > 0 && w.one(3):
		text, holds := w.factor(depth - 1)
		return "NOT" + w.space() + text, func(d api.Summary) bool { return !holds(d) }
	case depth > 0 && w.one(3):
		text, holds := w.either(depth - 1)
		return "(" + text + ")", holds
	}
	return w.term()
}

// term writes a condition on a value that a device has, or that differs a little.
func (w *queryWriter) term() (string, func(api.Summary) bool) {
	w.terms--
	if w.one(5) {
		return w.number()
	}
	fields := []queryField{
		{name: "id", of: func(d api.Summary) []string { return []string{string(d.ID)} }},
		{name: "model", of: func(d api.Summary) []string { return []string{d.Model} }},
		{name: "model_hash", of: func(d api.Summary) []string { return []string{d.ModelHash} }},
		{name: "firmware", of: func(d api.Summary) []string { return []string{d.Firmware} }},
		{name: "site", of: func(d api.Summary) []string { return []string{d.Site} }},
		{name: "connection", whole: true, of: func(d api.Summary) []string { return []string{d.Connection} }},
		{name: "state", whole: true, of: func(d api.Summary) []string { return strings.Split(d.State, ",") }},
		{name: "tag.hall", whole: true, of: func(d api.Summary) []string { return []string{d.Tags["hall"]} }},
		{name: `tag."owner:team"`, whole: true, of: func(d api.Summary) []string { return []string{d.Tags["owner:team"]} }},
		{name: "tag.v", whole: true, of: func(d api.Summary) []string { return []string{d.Tags["v"]} }},
		{name: "reported.v", whole: true, of: func(d api.Summary) []string { return []string{d.Properties["reported.v"]} }},
		{name: "reported.net.ip", whole: true, of: func(d api.Summary) []string { return []string{d.Properties["reported.net.ip"]} }},
	}
	field := fields[w.random.IntN(len(fields))]
	value := w.value(field)
	text := field.name + ":" + w.written(value)
	if field.whole || w.one(2) {
		return text, func(d api.Summary) bool { return slices.Contains(field.of(d), value) }
	}
	return text + "*", func(d api.Summary) bool {
		return slices.ContainsFunc(field.of(d), func(have string) bool { return have != "" && strings.HasPrefix(have, value) })
	}
}

// number compares a time or a count with that of a device, or with a little more.
func (w *queryWriter) number() (string, func(api.Summary) bool) {
	d := w.fleet[w.random.IntN(len(w.fleet))]
	compare := map[string]func(a, b int64) bool{
		"<": func(a, b int64) bool { return a < b }, "<=": func(a, b int64) bool { return a <= b },
		">": func(a, b int64) bool { return a > b }, ">=": func(a, b int64) bool { return a >= b },
	}
	sign := []string{"<", "<=", ">", ">="}[w.random.IntN(4)]
	more := int64(w.random.IntN(3))
	if w.one(4) {
		n := int64(d.ProcessFailed) + more
		return fmt.Sprintf("process_failed%s%d", sign, n), func(d api.Summary) bool { return compare[sign](int64(d.ProcessFailed), n) }
	}
	if d.LastSeen == nil {
		n := int64(d.ReportCount) + more
		return fmt.Sprintf("faults%s%d", sign, n), func(d api.Summary) bool { return compare[sign](int64(d.ReportCount), n) }
	}
	at := d.LastSeen.Add(time.Duration(more) * 500 * time.Millisecond)
	return "last_seen" + sign + at.Format(time.RFC3339Nano), func(d api.Summary) bool {
		return d.LastSeen != nil && compare[sign](d.LastSeen.UnixNano(), at.UnixNano())
	}
}

// queryField is a field as RandomQuery knows it.
type queryField struct {
	name  string
	whole bool // has no prefixes
	of    func(api.Summary) []string
}

// value chooses a value of the field.
func (w *queryWriter) value(field queryField) string {
	for {
		values := field.of(w.fleet[w.random.IntN(len(w.fleet))])
		value := values[w.random.IntN(len(values))]
		if runes := []rune(value); !field.whole && len(runes) > 1 && w.one(3) {
			value = string(runes[:1+w.random.IntN(len(runes)-1)])
		}
		if field.name != "connection" && w.one(8) {
			value = strings.ToUpper(value)
		}
		if value != "" {
			return value
		}
	}
}

// written is a value with quotation marks, or without where it needs none.
func (w *queryWriter) written(value string) string {
	if w.one(2) && !strings.ContainsAny(value, "\"*\\() \t\u00a0") && strings.ToValidUTF8(value, "") == value {
		return value
	}
	return quoteValue(value)
}
