package calendar

import (
	_ "embed"
	"maps"
	"slices"
	"strings"
	"sync"
)

//go:generate go run names_gen.go

// names are lines of a name and, if the zone's clock is set, the times of day that are left
// out and that come twice in the ten years that begin with 2026.
//
//go:embed names.txt
var namesFile string

var uneven = sync.OnceValue(func() map[string][2]string {
	zones := map[string][2]string{}
	for line := range strings.Lines(namesFile) {
		parts := append(strings.Fields(line), "", "")
		zones[parts[0]] = [2]string{strings.Trim(parts[1], "-"), strings.Trim(parts[2], "-")}
	}
	return zones
})

// Names are those of the zones of the IANA database, sorted. A name says nothing of whether
// the database of a machine has it.
func Names() []string { return slices.Sorted(maps.Keys(uneven())) }

// Named reports whether a zone of this name can be recorded, or needs no data.
func Named(name string) bool {
	if _, ok := FixedZone(name); ok {
		return true
	}
	_, ok := uneven()[name]
	return ok
}

// UnevenHours are the times of day that a zone's changes of clocks leave out, and those that
// they show twice, for people: "02:00-03:00". They are those of this program's database, of the ten
// years that begin with 2026.
func UnevenHours(zone string) (missing, twice string) {
	u := uneven()[zone]
	return u[0], u[1]
}
