// Package zonedata records zones from the database of time zones of this machine: that of the
// system, or, where there is none, the one in the program. What a zone says so may change from
// one machine to another, and from one day to the next: whoever has to compute the same again
// later keeps what was recorded.
package zonedata

import (
	"fmt"
	"sync"
	"time"
	_ "time/tzdata" // where the system has none

	"devicetwin/devicefsm/calendar"
)

// How much of a zone is recorded, around the time at which it is: so that events that come
// late have their hour, and that 29 February of a leap year is in it.
const (
	Before = 2 * 366 * 24 * time.Hour
	After  = 10 * 366 * 24 * time.Hour
)

// Record reads zones, as they are known now, for the years around the day of a time. Names of
// fixed offsets are left out: see calendar.Zones. A process reads each zone once for each day.
// The error names the first zone that the database does not have.
func Record(names []string, at time.Time) (calendar.Zones, error) {
	zones := calendar.Zones{}
	for _, name := range names {
		if _, ok := calendar.FixedZone(name); ok {
			continue
		}
		z, err := recorded(name, at.UTC().Truncate(24*time.Hour))
		if err != nil {
			return nil, fmt.Errorf("record time zone %q: %w", name, err)
		}
		zones[name] = z
	}
	return zones, nil
}

// recent are zones that were read, by name and day: that takes about a millisecond each, and
// many devices of one zone begin on one day.
var recent = struct {
	sync.Mutex
	zones map[key]calendar.Zone
}{zones: map[key]calendar.Zone{}}

type key struct {
	name string
	day  time.Time
}

// maxRecent bounds recent, which then begins again.
const maxRecent = 1000

func recorded(name string, day time.Time) (calendar.Zone, error) {
	recent.Lock()
	defer recent.Unlock()
	if z, ok := recent.zones[key{name, day}]; ok {
		return z, nil
	}
	location, err := time.LoadLocation(name)
	if err != nil {
		return calendar.Zone{}, err
	}
	z := calendar.Of(location, day.Add(-Before), day.Add(After))
	if len(recent.zones) >= maxRecent {
		clear(recent.zones)
	}
	recent.zones[key{name, day}] = z
	return z, nil
}
