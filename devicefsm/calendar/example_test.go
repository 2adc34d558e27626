package calendar_test

import (
	"fmt"
	"log"
	"time"

	"devicetwin/devicefsm/calendar"
	"devicetwin/devicefsm/calendar/zonedata"
)

// What a cron expression means on the night on which clocks are put forward.
func Example() {
	begin := time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC)
	zones, err := zonedata.Record([]string{"Europe/Berlin"}, begin)
	if err != nil {
		log.Fatal(err)
	}
	zone, _ := zones.Zone("Europe/Berlin")
	cron, warnings, err := calendar.ParseCron("30 2 * * *")
	if err != nil {
		log.Fatal(err)
	}
	days := calendar.Panes{Unit: calendar.Day, Zone: zone}
	at := begin
	for range 2 {
		at, _ = cron.Next(zone, at)
		shown, _ := zone.Local(at)
		day := days.Pane(at.UnixMilli())
		length := time.Duration(days.Start(day+1)-days.Start(day)) * time.Millisecond
		fmt.Println(at.Format(time.RFC3339), "is", shown, "of a day of", length.Hours(), "hours")
	}
	fmt.Println(len(warnings), "warnings")
	// Output:
	// 2026-03-29T01:00:00Z is 2026-03-29T03:00:00 of a day of 23 hours
	// 2026-03-30T00:30:00Z is 2026-03-30T02:30:00 of a day of 24 hours
	// 0 warnings
}
