package main

import (
	"fmt"
	"strings"

	m "devicetwin/internal/measure"
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
	tag    string // of measurements of processes, which names the process
	time   string
	where  []string
}

var processTags = map[string]string{m.Bridge: m.TagBridge, m.Process: m.TagProcess, m.Worker: m.TagProcess, m.Simulator: m.TagRun}

// shown is the time range of the dashboard. What is now, is so whatever that is: tiles
// look at the last minute, in which each process writes six points.
const shown = "$timeFilter"

func of(measurement string, conditions ...string) from {
	return from{quoted(measurement), processTags[measurement], shown, conditions}
}

func (f from) at(time string) from {
	f.time = time
	return f
}

// last is the same in the newest points only, such as 1m.
func (f from) last(duration string) from { return f.at("time > now() - " + duration) }

// ever is the same at any time.
func (f from) ever() from { return f.at("") }

// in takes another query's result at the same time.
func (f from) in(q query) from { return from{"(" + q.text + ")", f.tag, f.time, nil} }

func (f from) query(expression string, groups ...string) query {
	text := "SELECT " + expression + " FROM " + f.source
	conditions := f.where
	if f.time != "" {
		conditions = append([]string{f.time}, f.where...)
	}
	if len(conditions) > 0 {
		text += " WHERE " + strings.Join(conditions, " AND ")
	}
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

// sum adds a field of what is counted in each point, as a column of the same name.
func sum(field string) string { return call("sum", field, field) }

// grown is the growth of a counter from each point to the next, which is right
// however long a bucket is; the counter begins at 0 again with its process.
func (f from) grown(expression, counter, as string) from {
	return f.in(f.inAll(fmt.Sprintf(`%s AS "%s"`, fmt.Sprintf(expression, quoted(counter)), as), f.tag))
}

func (f from) rates(counter string) from {
	return f.grown("non_negative_derivative(%s, 1s)", counter, "rate")
}

// rate is that of a counter, a second, of each process.
func (f from) rate(counter string) query {
	return f.rates(counter).overTime(call("mean", "rate", "rate"), f.tag)
}

// rateOfAll adds the rates of a counter over all processes.
func (f from) rateOfAll(counter string) query { return f.in(f.rate(counter)).overTime(sum("rate")) }

// rateNow is rateOfAll of the last minute.
func (f from) rateNow(counter string) query {
	now := f.last("1m")
	return now.in(now.rates(counter).inAll(call("mean", "rate", "rate"), f.tag)).inAll(sum("rate"))
}

// news is by how much a counter grew, of each process.
func (f from) news(counter string) from {
	return f.grown("non_negative_difference(%s)", counter, "n")
}

// sumNow adds the latest values of an expression over all processes.
func (f from) sumNow(expression string) query {
	now := f.last("1m")
	return now.in(now.inAll(expression+` AS "value"`, f.tag)).inAll(sum("value"))
}

// now is the latest value of each process, worst the highest of the last minute, and
// worstOverTime that of each bucket: a mean or a last value hides a peak.
func (f from) now(field string) query { return f.last("1m").inAll(call("last", field, "value"), f.tag) }

func (f from) worst(field string) query {
	return f.last("1m").inAll(call("max", field, "value"), f.tag)
}

func (f from) worstOverTime(field string) query {
	return f.overTime(call("max", field, "value"), f.tag)
}

// newestOf is the newest values of fields, of all points that have the same tags: within a
// duration until now, and in each interval.
func (f from) newestOf(within string, tags []string, fields ...string) (now, overTime from) {
	var all []string
	for _, field := range fields {
		all = append(all, call("last", field, field))
	}
	expression := strings.Join(all, ", ")
	now = f.last(within)
	return now.in(now.inAll(expression, tags...)), f.in(f.overTime(expression, tags...))
}

// peaks is for each value of a tag the row with the highest value of a field.
func (f from) peaks(limit int, field, tag string, columns ...string) query {
	q := f.query(fmt.Sprintf(`top("%s", "%s", %d) AS "%s", %s`, field, tag, limit, field, strings.Join(quotedAll(columns), ", ")))
	return q.rows()
}

// latest is a list of rows, newest first.
func (f from) latest(limit int, columns ...string) query {
	return f.newest(limit, strings.Join(quotedAll(columns), ", "))
}

func (f from) newest(limit int, expression string) query {
	q := f.query(expression)
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
