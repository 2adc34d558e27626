package points

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// InfluxDB gives a field one type in each of its shards, by the first value that is
// written there, and refuses points with another one. Readings cannot disagree, but
// a database may have fields of an earlier release, or of somebody else. A value for
// which a field has the wrong type is written under the field's name with its own
// type, such as humidity:number, and the rest of its point stays as it is.
//
// Which shard a point is in is not known; an hour is never in two.

// conflict is a field that the database has with another type than a value's.
type conflict struct {
	measurement, field string // as in line protocol
	end                string // of the name for the value's type
	hour               int64  // since 1970
}

// conflicts are those that are remembered, and until when, so that not every batch
// is refused for the same one.
type conflicts map[conflict]time.Time

const (
	keptConflicts   = 4096
	conflictsExpire = time.Hour
)

func (c conflicts) remember(found conflict, now time.Time) {
	if len(c) >= keptConflicts {
		clear(c)
	}
	c[found] = now.Add(conflictsExpire)
}

// applied is the batch with what is remembered, or found, in use.
func (c conflicts) applied(b batch, now time.Time) batch {
	if len(c) == 0 {
		return b
	}
	out := batch{end: b.end, since: b.since}
	for _, line := range b.lines {
		p := parseLine(line)
		out.add(p.renamed(func(f lineField) bool {
			key := conflict{p.measurement, f.name, f.end, p.hour}
			until, known := c[key]
			if known && now.After(until) {
				delete(c, key)
				return false
			}
			return known
		}))
	}
	return out
}

var conflictPattern = regexp.MustCompile(`(?s)input field "(.*)" on measurement "(.*)" is type \w+, already exists as type \w+`)

// conflicting returns the measurement and field that an error is about, as in line
// protocol.
func conflicting(message string) (measurement, field string, ok bool) {
	m := conflictPattern.FindStringSubmatch(message)
	if m == nil {
		return "", "", false
	}
	return string(appendName(nil, m[2], ", ")), string(appendName(nil, m[1], ",= ")), true
}

// resolve gives the values of a field that are refused another name. Where they are
// of several hours, it divides the head's first part, because not all need to be
// refused. It reports false if nothing is left to be done about them.
func (c *collector) resolve(message string) bool {
	measurement, field, ok := conflicting(message)
	if !ok {
		return false
	}
	now := time.Now()
	found := map[conflict]bool{}
	var hours []int64
	for _, line := range c.head.parts[0].lines {
		p := parseLine(line)
		if p.measurement != measurement {
			continue
		}
		for _, f := range p.fields() {
			if f.name == field && !hasTypeEnd([]byte(f.name)) {
				found[conflict{measurement, field, f.end, p.hour}] = true
				hours = append(hours, p.hour)
			}
		}
	}
	slices.Sort(hours)
	hours = slices.Compact(hours)
	switch {
	case len(hours) == 0:
		return false
	case len(hours) > 1 && c.head.splitAt(hours[len(hours)/2]):
		return true
	}
	for each := range found {
		c.conflicts.remember(each, now)
	}
	if c.attention.IsZero() || now.Sub(c.attention) >= conflictsExpire {
		c.attention = now
		c.w.log.Warn("InfluxDB has a field with another type; values are written under the name by their type", "measurement", measurement, "field", field)
	}
	old := c.head.parts[0]
	c.head.parts[0] = c.conflicts.applied(old, now)
	if !c.head.stored {
		c.account(0, c.head.parts[0].bytes-old.bytes)
	}
	return true
}

// splitAt puts the points before an hour, and the others, in the place of the first
// part. It reports false if that cannot be.
func (h *head) splitAt(hour int64) bool {
	if h.requests < 2 {
		return false
	}
	var before, after batch
	for _, line := range h.parts[0].lines {
		if parseLine(line).hour < hour {
			before.add(line)
		} else {
			after.add(line)
		}
	}
	if len(before.lines) == 0 || len(after.lines) == 0 {
		return false
	}
	h.requests -= 2
	h.parts = append([]batch{before, after}, h.parts[1:]...)
	return true
}

// parsedLine is a line of line protocol, as this package writes it.
type parsedLine struct {
	line        string
	measurement string
	tags        string // with the commas before them
	from, to    int    // the place of the fields
	time        time.Time
	hour        int64
}

// lineField is a field of a line.
type lineField struct {
	name    string
	nameEnd int    // the place behind the name
	end     string // of the name of a field of this value's type
}

func parseLine(line string) parsedLine {
	measurement := skipName(line, 0, ", ")
	from := skipName(line, measurement, " ")
	to := strings.LastIndexByte(line, ' ')
	p := parsedLine{line: line, measurement: line[:measurement], tags: line[measurement:from], from: from + 1, to: to}
	if at, err := strconv.ParseInt(line[to+1:], 10, 64); err == nil {
		p.time, p.hour = time.Unix(0, at).UTC(), at/int64(time.Hour)
	}
	return p
}

// skipName is the place of the first of the given characters that is not escaped.
func skipName(line string, at int, until string) int {
	for ; at < len(line); at++ {
		switch {
		case line[at] == '\\':
			at++
		case strings.IndexByte(until, line[at]) >= 0:
			return at
		}
	}
	return len(line)
}

func (p parsedLine) fields() (fields []lineField) {
	for at := p.from; at < p.to; at++ {
		nameEnd := skipName(p.line, at, "=")
		f := lineField{name: p.line[at:nameEnd], nameEnd: nameEnd, end: endNumber}
		if at = nameEnd + 1; at >= p.to {
			return fields
		}
		switch p.line[at] {
		case '"':
			f.end = endString
			at = skipName(p.line, at+1, `"`)
		case 't', 'f':
			f.end = endBool
		}
		at = skipName(p.line, at, ", ")
		fields = append(fields, f)
	}
	return fields
}

// renamed is the line with the type in the names of some of its fields.
func (p parsedLine) renamed(which func(lineField) bool) string {
	var b strings.Builder
	done := 0
	for _, f := range p.fields() {
		if which(f) {
			b.WriteString(p.line[done:f.nameEnd])
			b.WriteString(f.end)
			done = f.nameEnd
		}
	}
	if done == 0 {
		return p.line
	}
	b.WriteString(p.line[done:])
	return b.String()
}

// tag is the value of a tag, as in line protocol.
func (p parsedLine) tag(key string) string {
	for at := 0; at < len(p.tags); {
		end := skipName(p.tags, at+1, ",")
		if value, found := strings.CutPrefix(p.tags[at+1:end], key+"="); found {
			return value
		}
		at = end
	}
	return ""
}
