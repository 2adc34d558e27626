package calendar

import (
	"regexp"
	"slices"
	"sort"
	"time"
)

// Zone is what a local clock shows, in the years for which that is known. The zero value is
// UTC, for all times. A Zone is a value: nobody changes it.
type Zone struct {
	// from and until bound the times for which the zone is known, in seconds since 1970:
	// from <= t < until. Both are 0 for a fixed offset, which is known for all times.
	from, until int64
	offset      int64    // of local time to UTC in seconds, up to the first change
	changes     []change // in the order of their times
}

// change is a moment at which a clock is set.
type change struct {
	at     int64 // seconds since 1970
	offset int64 // from then on
}

// UTC is the zone without changes.
var UTC = Zone{}

var fixedForm = regexp.MustCompile(`^([+-])([01][0-9]|2[0-3]):([0-5][0-9])$`)

// FixedZone is the zone that needs no data: "UTC", or an offset such as "+05:45".
func FixedZone(name string) (Zone, bool) {
	if name == "UTC" {
		return UTC, true
	}
	m := fixedForm.FindStringSubmatch(name)
	if m == nil {
		return Zone{}, false
	}
	offset := int64(10*(m[2][0]-'0')+m[2][1]-'0')*3600 + int64(10*(m[3][0]-'0')+m[3][1]-'0')*60
	if m[1] == "-" {
		offset = -offset
	}
	return Zone{offset: offset}, true
}

// sampled is how often Of looks at a clock. No clock is set and set back within it.
const sampled = 6 * 3600

// Of records what a location says of the times from <= t < until: what a clock
// shows there is afterwards known without the location.
func Of(location *time.Location, from, until time.Time) Zone {
	// Not by Time.ZoneBounds, which on the last day of a leap year gives an end that is over.
	at := func(u int64) int64 {
		_, offset := time.Unix(u, 0).In(location).Zone()
		return int64(offset)
	}
	z := Zone{from: from.Unix(), until: until.Unix()}
	z.offset = at(z.from)
	for u, offset := z.from, z.offset; u < z.until; {
		next := min(u+sampled, z.until-1)
		if now := at(next); now != offset {
			n := sort.Search(int(next-u), func(i int) bool { return at(u+int64(i)) != offset })
			offset = now
			z.changes = append(z.changes, change{u + int64(n), offset})
		}
		if u = next; u == z.until-1 {
			break
		}
	}
	return z
}

// IsFixed reports whether the zone is known for all times.
func (z *Zone) IsFixed() bool { return z.from == 0 && z.until == 0 }

// Known is for which times the zone is known, from <= t < until; both are zero if for all.
func (z *Zone) Known() (from, until time.Time) {
	if z.IsFixed() {
		return time.Time{}, time.Time{}
	}
	return time.Unix(z.from, 0).UTC(), time.Unix(z.until, 0).UTC()
}

// Equal reports whether two zones say the same.
func (z *Zone) Equal(other *Zone) bool {
	return z.from == other.from && z.until == other.until && z.offset == other.offset && slices.Equal(z.changes, other.changes)
}

func (z *Zone) knows(t int64) bool { return z.IsFixed() || z.from <= t && t < z.until }

// Local is what the clock shows at a time. It reports false for times of which the zone does
// not know.
func (z *Zone) Local(t time.Time) (Local, bool) {
	u := t.Unix()
	return Local(u + z.at(u)), z.knows(u)
}

// Offset is how far the clock is before UTC at a time.
func (z *Zone) Offset(t time.Time) (time.Duration, bool) {
	u := t.Unix()
	return time.Duration(z.at(u)) * time.Second, z.knows(u)
}

// at is the offset at a time.
func (z *Zone) at(u int64) int64 {
	i := sort.Search(len(z.changes), func(i int) bool { return z.changes[i].at > u })
	if i == 0 {
		return z.offset
	}
	return z.changes[i-1].offset
}

// Instants are the first and the last moment at which the clock shows a local time. They
// are the same unless it comes twice. Where it does not exist, both are the moment of the
// change that leaves it out, and exists is false. Ok is false outside of what the zone knows.
func (z *Zone) Instants(l Local) (first, last time.Time, exists, ok bool) {
	f, t, exists, ok := z.instants(int64(l))
	return time.Unix(f, 0).UTC(), time.Unix(t, 0).UTC(), exists, ok
}

// Instant is the moment that a local time means: the first one at which the clock shows it,
// or that of the change that leaves it out.
func (z *Zone) Instant(l Local) (time.Time, bool) {
	first, _, _, ok := z.instants(int64(l))
	return time.Unix(first, 0).UTC(), ok
}

// maxOffset is more than any offset from UTC, and than any change of one.
const maxOffset = 26 * 3600

func (z *Zone) instants(l int64) (first, last int64, exists, ok bool) {
	// What is decided more than maxOffset before l, or after it, does not matter.
	i := sort.Search(len(z.changes), func(i int) bool { return z.changes[i].at > l-maxOffset })
	offset := z.offset
	if i > 0 {
		offset = z.changes[i-1].offset
	}
	for ; ; i++ {
		ends := i < len(z.changes)
		u := l - offset
		began := i == 0 || u >= z.changes[i-1].at
		switch {
		case !began && !exists: // the clock went past it at the change before
			u = z.changes[i-1].at
			return u, u, false, z.knows(u)
		case !began:
			return first, last, true, z.knows(first)
		case !ends || u < z.changes[i].at:
			if !exists {
				first = u
			}
			last, exists = u, true
		}
		if !ends || z.changes[i].at > l+maxOffset {
			return first, last, exists, z.knows(first)
		}
		offset = z.changes[i].offset
	}
}
