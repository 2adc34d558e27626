// Package zonedata records zones from the database of time zones of this machine: that of the
// system, or, where there is none, the one in the program. What a zone says so may change from
// one machine to another, and from one day to the next: whoever has to compute the same again
// later keeps what was recorded.
package zonedata

import (
	"fmt"
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

// Record reads zones, as they are known now, for the years around a time. Names of fixed
// offsets are left out: see calendar.Zones. The error names the first zone that the database
// does not have.
func Record(names []string, at time.Time) (calendar.Zones, error) {
	zones := calendar.Zones{}
	for _, name := range names {
		if _, ok := calendar.FixedZone(name); ok {
			continue
		}
		location, err := time.LoadLocation(name)
		if err != nil {
			return nil, fmt.Errorf("record time zone %q: %w", name, err)
		}
		zones[name] = calendar.Of(location, at.Add(-Before).Truncate(time.Second), at.Add(After).Truncate(time.Second))
	}
	return zones, nil
}
