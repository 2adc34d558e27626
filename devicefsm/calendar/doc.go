// Package calendar computes with local times: when a clock on a wall somewhere shows eight
// in the morning, when a cron expression is due next, how long a day is that has 23 hours.
//
//	zone, ok := zones.Zone("Europe/Berlin")
//	cron, warnings, err := calendar.ParseCron("*/5 8-17 * * 1-5")
//	at, ok := cron.Next(zone, after)
//	days := calendar.Panes{Unit: calendar.Day, Zone: zone}
//	day := days.Pane(millis) // days.Start(day) <= millis < days.Start(day+1)
//
// # Pure
//
// Nothing here reads a clock or a database of time zones. A [Zone] is a value: the changes of
// a clock's offset from UTC over some years, small enough to be recorded wherever something
// has to be computed again with the same result. Package zonedata makes one of the database
// of this machine. Beyond the years that a zone knows, nothing is guessed: ok is false.
//
// # Changes of clocks
//
// A clock that is put forward leaves out local times: in Berlin, on the last Sunday of March,
// what would be 02:00 is 03:00. One that is put back shows some twice. What is to happen at
// such a time is defined so that each day has as many occurrences as any other:
//
//   - a local time that does not exist is the moment of the change, the first one after what
//     was left out; several that fall there are one occurrence;
//   - of a local time that comes twice, it is the first.
//
// A schedule for every hour of the day, such as "*/15 * * * *", means a pace and not times of
// day: it goes by what the clock shows. It leaves out what does not exist, and comes each time
// that its time does, so that the pace stays the same on the day of the change. A length of
// time, such as every 30 days, does not know of clocks at all.
//
// A day begins at the first moment of its 00:00, or, where that does not exist, with the
// change that leaves it out, and ends where the next one begins: so days, weeks, months and
// years follow each other without gaps, and days have 23, 24 or 25 hours, or whatever
// the zone does to them. The rules hold for any change, also for the half hour of Lord Howe Island
// and for the day that Samoa left out in 2011.
//
// All times are whole seconds; weeks begin on Monday (ISO 8601).
package calendar
