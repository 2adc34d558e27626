package calendar_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"devicetwin/devicefsm/calendar"
	"devicetwin/devicefsm/calendar/zonedata"
)

var at2026 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// zonesOf are names of zones whose clocks change in different ways.
var zonesOf = []string{"UTC", "+05:45", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "America/Nuuk", "Africa/Casablanca", "Antarctica/Troll", "Africa/Cairo", "Asia/Kathmandu"}

// What a recorded zone says of a time is what the location says.
func TestARecordedZoneSaysWhatTheLocationSays(t *testing.T) {
	zones, err := zonedata.Record(zonesOf, at2026)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(zonesOf[2:]).Draw(t, "zone")
		z, _ := zones.Zone(name)
		location, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		from, until := z.Known()
		at := time.Unix(rapid.Int64Range(from.Unix(), until.Unix()-1).Draw(t, "at"), 0)
		got, ok := z.Local(at)
		if want := at.In(location).Format("2006-01-02T15:04:05"); !ok || got.String() != want {
			t.Fatalf("%s at %v: %v, %v; want %s", name, at, got, ok, want)
		}
		if _, ok := z.Local(until); ok {
			t.Fatalf("%s is known at %v, where its recording ends", name, until)
		}
	})
}

// The last day of a leap year is where Time.ZoneBounds of Go 1.26 gives an end that is over.
func TestAZoneIsRecordedOverTheEndOfALeapYear(t *testing.T) {
	z := recorded(t, "Europe/Berlin", time.Date(2028, 12, 31, 12, 0, 0, 0, time.UTC))
	if got, ok := z.Local(time.Date(2029, 7, 1, 0, 0, 0, 0, time.UTC)); !ok || got.String() != "2029-07-01T02:00:00" {
		t.Errorf("%v, %v", got, ok)
	}
}

// Of any expression, Next finds what a search minute by minute finds.
func TestCronFindsWhatASearchFinds(t *testing.T) {
	zones, err := zonedata.Record(zonesOf, at2026)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		z, _ := zones.Zone(rapid.SampledFrom(zonesOf).Draw(t, "zone"))
		minutes := rapid.SampledFrom([]string{"*", "*/15", "0", "30", "7,52"}).Draw(t, "minutes")
		hours := rapid.SampledFrom([]string{"*", "*/2", "0", "2", "1-3", "23"}).Draw(t, "hours")
		days := rapid.SampledFrom([]string{"*", "*", "1", "29-31", "L", "*/10"}).Draw(t, "days")
		weekdays := rapid.SampledFrom([]string{"*", "*", "1-5", "sun"}).Draw(t, "weekdays")
		text := strings.Join([]string{minutes, hours, days, "*", weekdays}, " ")
		cron, _, err := calendar.ParseCron(text)
		if err != nil {
			t.Fatal(err)
		}
		from := at2026.Add(time.Duration(rapid.Int64Range(0, 366*24*60).Draw(t, "minute")) * time.Minute)
		got, ok := cron.Next(z, from)
		if !ok || !got.After(from) {
			t.Fatalf("%s after %v: %v, %v", text, from, got, ok)
		}
		paced := hours == "*"
		for at := from.Add(time.Minute); at.Before(got); at = at.Add(time.Minute) {
			if shows(t, z, at, minutes, hours, days, weekdays, paced) {
				t.Fatalf("%s after %v: %v, but %v is before it", text, from, got, at)
			}
		}
		if l, _ := z.Local(got); !shows(t, z, got, minutes, hours, days, weekdays, paced) {
			// Then it is the moment of a change that leaves a time out.
			before, _ := z.Local(got.Add(-time.Minute))
			if paced || l == before+60 {
				t.Fatalf("%s after %v: %v, where the clock shows %v", text, from, got, l)
			}
		}
	})
}

// shows reports whether a clock shows a time of an expression, for the first time if it is not
// paced, by reading the fields another way than the package does.
func shows(t *rapid.T, z *calendar.Zone, at time.Time, minutes, hours, days, weekdays string, paced bool) bool {
	l, ok := z.Local(at)
	if !ok {
		t.Fatalf("unknown at %v", at)
	}
	hour, minute, second := l.Clock()
	d := l.Date()
	inMinutes := map[string]bool{"*": true, "*/15": minute%15 == 0, "0": minute == 0, "30": minute == 30, "7,52": minute == 7 || minute == 52}[minutes]
	inHours := map[string]bool{"*": true, "*/2": hour%2 == 0, "0": hour == 0, "2": hour == 2, "1-3": hour >= 1 && hour <= 3, "23": hour == 23}[hours]
	inDays := map[string]bool{"*": true, "1": d.Day == 1, "29-31": d.Day >= 29, "L": d.Add(1).Day == 1, "*/10": d.Day%10 == 1}[days]
	inWeek := map[string]bool{"*": true, "1-5": d.Weekday() >= 1 && d.Weekday() <= 5, "sun": d.Weekday() == 0}[weekdays]
	day := inDays && inWeek
	if days != "*" && weekdays != "*" {
		day = inDays || inWeek
	}
	if !(second == 0 && inMinutes && inHours && day) {
		return false
	}
	first, _ := z.Instant(l)
	return paced || first.Equal(at)
}

func TestRareDays(t *testing.T) {
	z := recorded(t, "Europe/Berlin", at2026)
	for text, want := range map[string]string{
		"0 12 29 2 *":       "2028-02-29T11:00:00Z",
		"0 8 31 * *":        "2026-01-31T07:00:00Z",
		"0 8 L 2 *":         "2026-02-28T07:00:00Z",
		"0 0 1 1 *":         "2026-12-31T23:00:00Z",
		"@weekly":           "2026-01-03T23:00:00Z",
		"0 9 1 3 MON":       "2026-03-01T08:00:00Z", // either: the 1st is a Sunday
		"0 9 * 3 7":         "2026-03-01T08:00:00Z",
		"0 9 ? 3 fri-sun":   "2026-03-01T08:00:00Z",
		"*/7 0-23/12 2 1 *": "2026-01-01T23:00:00Z",
	} {
		cron, _, err := calendar.ParseCron(text)
		if err != nil {
			t.Fatal(err)
		}
		if at, ok := cron.Next(z, at2026); !ok || at.Format(time.RFC3339) != want {
			t.Errorf("%s: %v, %v; want %s", text, at, ok, want)
		}
	}
	cron, _, _ := calendar.ParseCron("0 12 29 2 *")
	if at, ok := cron.Next(z, time.Date(2035, 6, 1, 0, 0, 0, 0, time.UTC)); ok {
		t.Errorf("%v is beyond what the zone knows", at)
	}
}

func TestFaultsOfCron(t *testing.T) {
	for text, want := range map[string]string{
		"":              "expected 5 fields",
		"* * * *":       "found 4",
		"0 0 8 * * *":   "there is none for seconds",
		"60 * * * *":    `minute "60": "60": expected a number from 0 to 59`,
		"* 24 * * *":    "from 0 to 23",
		"* * 0 * *":     "from 1 to 31",
		"* * * 13 *":    "or a name such as feb",
		"* * * * mo":    "or a name such as mon",
		"5-1 * * * *":   "the range ends before it begins",
		"*/0 * * * *":   `the step "0": expected a number from 1 to 59`,
		"*/x * * * *":   `the step "x"`,
		"+5 * * * *":    `"+5"`,
		"-1 * * * *":    `""`,
		",1 * * * *":    `""`,
		"0 0 31 2 *":    "never due: no month that it names has a day 31",
		"0 0 31 4,6 *":  "never due",
		"0 0 30 feb *":  "never due",
		"@fortnightly":  "expected 5 fields",
		"0 0 L-2 * *":   `"L"`,
		"61 25 32 13 8": "minute",
	} {
		if _, _, err := calendar.ParseCron(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q in it", text, err, want)
		}
	}
	if _, _, err := calendar.ParseCron("61 25 32 13 8"); strings.Count(err.Error(), "\n") != 4 {
		t.Errorf("not every fault at once: %v", err)
	}
}

func TestWarningsOfCron(t *testing.T) {
	for text, want := range map[string]string{
		"0 8 */30 * *":     "it is the days 1, 31; a schedule with every: 30d",
		"*/45 * * * *":     "*/45 in the field of the minute begins again at 0",
		"0 */5 * * *":      "*/5 in the field of the hour",
		"0 8 31 * *":       "never due in months without a day 31 (feb, apr, jun, sep, nov)",
		"0 8 29 * *":       "feb except in leap years",
		"0 8 29 2 *":       "feb except in leap years",
		"0 8 1,31 * *":     "not due on day 31 in months without one",
		"0 8 13 * 5":       "either is enough",
		"*/15 * * * *":     "",
		"0 8 25-31 * *":    "",
		"0 8 31 1,3 *":     "",
		"*/5 8-17 * * 1-5": "",
		"0 8 L * *":        "",
		"0 */6 * */3 *":    "",
	} {
		_, warnings, err := calendar.ParseCron(text)
		if got := strings.Join(warnings, "; "); err != nil || !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestTimesOfDay(t *testing.T) {
	z := recorded(t, "Europe/Berlin", at2026)
	days, err := calendar.ParseDays("fri-mon")
	if err != nil || days.String() != "mon,fri-sun" {
		t.Fatalf("%v, %v", days, err)
	}
	s := calendar.Times{Days: days, Clocks: []time.Duration{2*time.Hour + 30*time.Minute, 20 * time.Hour}}
	var got []string
	at, ok := time.Date(2026, 3, 27, 0, 0, 0, 0, time.UTC), true
	for range 7 {
		if at, ok = s.Next(z, at); !ok {
			t.Fatal("none")
		}
		l, _ := z.Local(at)
		got = append(got, l.Weekday().String()[:3]+" "+l.String()[11:16])
	}
	if want := "Fri 02:30, Fri 20:00, Sat 02:30, Sat 20:00, Sun 03:00, Sun 20:00, Mon 02:30"; strings.Join(got, ", ") != want {
		t.Errorf("%v; want %s", got, want)
	}
	for set := calendar.Days(1); set <= calendar.AllDays; set++ {
		if again, err := calendar.ParseDays(set.String()); err != nil || again != set {
			t.Errorf("%07b is %q, which is %07b, %v", set, set, again, err)
		}
	}
	if text := calendar.AllDays.String(); text != "mon-sun" {
		t.Errorf("all days are %q", text)
	}
	for _, text := range []string{"", "mo", "mon-", "-fri", "mon--fri", "1-5"} {
		if _, err := calendar.ParseDays(text); err == nil {
			t.Errorf("days %q are taken", text)
		}
	}
	for _, text := range []string{"", "8:00", "08:60", "25:00", "08:00:00", "24:01", "8"} {
		if _, err := calendar.ParseClock(text); err == nil {
			t.Errorf("time of day %q is taken", text)
		}
	}
}

func TestEvery(t *testing.T) {
	e := calendar.Every{From: at2026, Length: 30 * 24 * time.Hour}
	for _, c := range []struct{ after, want time.Duration }{{-time.Hour, e.Length}, {-90 * 24 * time.Hour, e.Length}, {0, e.Length}, {e.Length - 1, e.Length}, {e.Length, 2 * e.Length}, {100 * e.Length, 101 * e.Length}} {
		if at, ok := e.Next(at2026.Add(c.after)); !ok || !at.Equal(at2026.Add(c.want)) {
			t.Errorf("after %v: %v", c.after, at)
		}
	}
	if _, ok := (calendar.Every{From: at2026}).Next(at2026); ok {
		t.Error("a length of 0 is due")
	}
}

// Opening hours are moments: over the changes of a clock they go on, and close an hour later
// where the closing time comes twice.
func TestHours(t *testing.T) {
	z := recorded(t, "Europe/Berlin", at2026)
	var h calendar.Hours
	monToFri, _ := calendar.ParseDays("mon-fri")
	sat, _ := calendar.ParseDays("sat")
	if err := h.Add(monToFri, "08:00-12:00, 12:00-17:00"); err != nil {
		t.Fatal(err)
	}
	if err := h.Add(sat, "22:00-02:30"); err != nil {
		t.Fatal(err)
	}
	var got []string
	at := time.Date(2026, 3, 27, 0, 0, 0, 0, time.UTC)
	for range 5 {
		next, opens, ok := h.Next(z, at)
		if !ok {
			t.Fatal("none")
		}
		if open, ok := h.Open(z, next); !ok || open != opens {
			t.Errorf("at %v it is open: %v", next, open)
		}
		l, _ := z.Local(next)
		got = append(got, map[bool]string{true: "opens ", false: "closes "}[opens]+l.Weekday().String()[:3]+l.String()[10:16])
		at = next
	}
	if want := "opens FriT08:00, closes FriT17:00, opens SatT22:00, closes SunT03:00, opens MonT08:00"; strings.Join(got, ", ") != want {
		t.Errorf("%v; want %s", got, want)
	}
	at, opens, ok := h.Next(z, time.Date(2026, 10, 24, 21, 0, 0, 0, time.UTC))
	if want := time.Date(2026, 10, 25, 1, 30, 0, 0, time.UTC); !ok || opens || !at.Equal(want) {
		t.Errorf("a closing time that comes twice: %v, %v; want the second one, %v", at, opens, want)
	}
	for _, text := range []string{"", "08:00", "08:00-08:00", "24:00-02:00", "08:00-17", "x-y"} {
		if err := h.Add(sat, text); err == nil {
			t.Errorf("hours %q are taken", text)
		}
	}
	var always calendar.Hours
	if err := always.Add(calendar.AllDays, "00:00-24:00"); err != nil {
		t.Fatal(err)
	}
	if at, _, ok := always.Next(z, at2026); ok {
		t.Errorf("what is always open opens or closes at %v", at)
	}
}

// Next of hours is where Open changes, and nowhere before.
func TestHoursChangeWhereTheySay(t *testing.T) {
	zones, err := zonedata.Record(zonesOf, at2026)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		z, _ := zones.Zone(rapid.SampledFrom(zonesOf).Draw(t, "zone"))
		var h calendar.Hours
		for range rapid.IntRange(1, 3).Draw(t, "spans") {
			days := calendar.Days(rapid.IntRange(1, 127).Draw(t, "days"))
			text := rapid.SampledFrom([]string{"08:00-17:00", "00:00-24:00", "22:00-06:00", "01:30-02:30", "23:30-00:30", "12:00-12:30"}).Draw(t, "hours")
			if err := h.Add(days, text); err != nil {
				t.Fatal(err)
			}
		}
		from := at2026.Add(time.Duration(rapid.Int64Range(0, 366*24*60).Draw(t, "minute")) * time.Minute)
		open, ok := h.Open(z, from)
		if !ok {
			t.Fatal("unknown")
		}
		next, opens, ok := h.Next(z, from)
		end := from.Add(8 * 24 * time.Hour)
		if ok {
			end = next
			if now, _ := h.Open(z, next); now != opens || opens == open {
				t.Fatalf("open %v at %v, %v at %v, where it opens: %v", open, from, now, next, opens)
			}
		}
		for at := from; at.Before(end); at = at.Add(time.Minute) {
			if now, _ := h.Open(z, at); now != open {
				t.Fatalf("open %v at %v, and at %v %v; next is %v", open, from, at, now, next)
			}
		}
	})
}

// A zone is written and read without a change, and damage is refused.
func TestZonesAsJSON(t *testing.T) {
	zones, err := zonedata.Record(zonesOf, at2026)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(zones)
	if err != nil {
		t.Fatal(err)
	}
	if size := len(raw) / len(zones); size > 700 {
		t.Errorf("a recorded zone has %d bytes", size)
	}
	var read calendar.Zones
	if err := json.Unmarshal(raw, &read); err != nil || !read.Equal(zones) {
		t.Errorf("%v: %v", err, read)
	}
	if _, ok := zones["UTC"]; ok {
		t.Error("a fixed offset is recorded")
	}
	for _, text := range []string{
		`{"offset":90000}`, `{"offset":0,"changes":[1,2]}`, `{"from":1,"until":9,"offset":0,"changes":[1,2]}`, `{"from":1,"until":9,"offset":0,"changes":[3,0,2,0]}`,
		`{"from":1,"until":9,"offset":0,"changes":[3]}`, `{"from":9,"until":1,"offset":0}`, `{"from":1,"until":9,"offset":0,"changes":[9,0]}`,
		`{"from":0,"until":900000000000,"offset":0}`, `[]`, `{"from":1,"until":9,"offset":0,"changes":[3,90000]}`,
	} {
		var z calendar.Zone
		if err := json.Unmarshal([]byte(text), &z); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

func TestFixedZones(t *testing.T) {
	var none calendar.Zones
	for name, want := range map[string]string{"UTC": "2026-01-01T00:00:00", "+05:45": "2026-01-01T05:45:00", "-03:30": "2025-12-31T20:30:00"} {
		z, ok := none.Zone(name)
		if l, known := z.Local(at2026); !ok || !known || l.String() != want {
			t.Errorf("%s: %v, %v", name, l, ok)
		}
	}
	for _, name := range []string{"", "utc", "+1:00", "+24:00", "05:45", "+05:60", "Europe/Berlin"} {
		if _, ok := none.Zone(name); ok {
			t.Errorf("%q is a fixed zone", name)
		}
	}
}

// Every name that models may give is in the database.
func TestNamesAreInTheDatabase(t *testing.T) {
	if len(calendar.Names()) < 500 {
		t.Fatalf("%d names", len(calendar.Names()))
	}
	for _, name := range calendar.Names() {
		if _, err := time.LoadLocation(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if missing, twice := calendar.UnevenHours("Europe/Berlin"); missing != "02:00-03:00" || twice != "02:00-03:00" {
		t.Errorf("Berlin: %q, %q", missing, twice)
	}
	if _, err := zonedata.Record([]string{"Europe/Berln"}, at2026); err == nil {
		t.Error("a zone that there is not is recorded")
	}
}

func FuzzParseCron(f *testing.F) {
	for _, text := range []string{"*/5 8-17 * * 1-5", "@daily", "0 0 L 2 ?", "0 0 31 4 *", "1,2-3/4 * * jan sun"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cron, _, err := calendar.ParseCron(text)
		if err != nil {
			return
		}
		if at, ok := cron.Next(&calendar.UTC, at2026); !ok || !at.After(at2026) {
			t.Errorf("%q is taken, and is due at %v, %v", text, at, ok)
		}
	})
}

// A recording is the same for all times of a day, and costs little the second time.
func TestRecordsOfOneDay(t *testing.T) {
	for i := range 1100 { // more than are kept
		at := at2026.AddDate(0, 0, i)
		a, err := zonedata.Record([]string{"Europe/Berlin"}, at)
		if err != nil {
			t.Fatal(err)
		}
		b, err := zonedata.Record([]string{"Europe/Berlin"}, at.Add(23*time.Hour))
		if err != nil || !a.Equal(b) {
			t.Fatalf("on %v: %v", at, err)
		}
		if next, _ := zonedata.Record([]string{"Europe/Berlin"}, at.Add(24*time.Hour)); a.Equal(next) {
			t.Fatalf("the same on %v and the day after", at)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	day := 0
	for b.Loop() {
		if _, err := zonedata.Record([]string{"Europe/Berlin"}, at2026.AddDate(0, 0, day%300_000)); err != nil {
			b.Fatal(err)
		}
		day++
	}
}

func BenchmarkCronNext(b *testing.B) {
	zones, err := zonedata.Record([]string{"Europe/Berlin"}, at2026)
	if err != nil {
		b.Fatal(err)
	}
	z, _ := zones.Zone("Europe/Berlin")
	for _, text := range []string{"*/5 8-17 * * 1-5", "0 8 * * *", "0 12 29 2 *"} {
		cron, _, err := calendar.ParseCron(text)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			at := at2026
			for b.Loop() {
				next, ok := cron.Next(z, at)
				if !ok || next.Year() > 2030 {
					next = at2026
				}
				at = next
			}
		})
	}
}
