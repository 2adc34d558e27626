package main

import (
	"fmt"
	"strings"
)

// query is one InfluxQL query of a panel.
type query struct {
	text  string
	alias string
	table bool
}

func (q query) as(alias string) query {
	q.alias = alias
	return q
}

// rows asks for the result as a table.
func (q query) rows() query {
	q.table = true
	return q
}

func quoted(name string) string { return `"` + name + `"` }

// matches is the condition that a tag is among what a variable of the same name
// stands for.
func matches(tags ...string) []string {
	var conditions []string
	for _, tag := range tags {
		conditions = append(conditions, fmt.Sprintf(`"%s" =~ /^$%s$/`, tag, tag))
	}
	return conditions
}

// from is a measurement, or a query in its place, with what narrows it down.
type from struct {
	source string
	where  []string
}

func of(measurement string, conditions ...string) from {
	return from{quoted(measurement), append([]string{"$timeFilter"}, conditions...)}
}

// within takes another query's result; its conditions hold inside.
func within(q query) from { return from{"(" + q.text + ")", []string{"$timeFilter"}} }

func (f from) query(expression string, groups ...string) query {
	text := "SELECT " + expression + " FROM " + f.source + " WHERE " + strings.Join(f.where, " AND ")
	if len(groups) > 0 {
		text += " GROUP BY " + strings.Join(groups, ", ")
	}
	return query{text: text}
}

// overTime gives a value for each interval, and for each value of the tags.
func (f from) overTime(expression string, tags ...string) query {
	q := f.query(expression, append([]string{"time($__interval)"}, quotedAll(tags)...)...)
	q.text += " fill(none)"
	return q
}

// inAll gives one value for the whole time range, and for each value of the tags.
func (f from) inAll(expression string, tags ...string) query {
	return f.query(expression, quotedAll(tags)...)
}

func quotedAll(names []string) []string {
	var all []string
	for _, n := range names {
		all = append(all, quoted(n))
	}
	return all
}

func call(function, field, as string) string {
	return fmt.Sprintf(`%s("%s") AS "%s"`, function, field, as)
}

// perSecond is the rate of a counter, which begins at 0 again with its process.
func perSecond(counter, as string) string {
	return fmt.Sprintf(`non_negative_derivative(max("%s"), 1s) AS "%s"`, counter, as)
}

// rateOf adds the rates of a counter over all values of a tag.
func rateOf(f from, counter, tag string) query {
	return within(f.overTime(perSecond(counter, "rate"), tag)).overTime(call("sum", "rate", "rate"))
}

// sumOfLast adds the latest values of a gauge over all values of a tag.
func sumOfLast(f from, gauge, tag string) query {
	return within(f.overTime(call("last", gauge, "value"), tag)).overTime(call("sum", "value", "value"))
}

// latest is a list of rows, newest first.
func (f from) latest(limit int, columns ...string) query {
	q := f.query(strings.Join(quotedAll(columns), ", "))
	q.text += fmt.Sprintf(" ORDER BY time DESC LIMIT %d", limit)
	return q.rows()
}

// top is the values of a tag with the largest sums of a field.
func (f from) top(limit int, field, tag, as string) query {
	sums := f.inAll(call("sum", field, as), tag)
	return query{
		text:  fmt.Sprintf(`SELECT top("%s", "%s", %d) AS "%s" FROM (%s)`, as, tag, limit, as, sums.text),
		table: true,
	}
}

// tagValues finds the values of a variable.
func tagValues(tag string, measurements ...string) string {
	return fmt.Sprintf(`SHOW TAG VALUES FROM %s WITH KEY = "%s"`, strings.Join(quotedAll(measurements), ", "), tag)
}
