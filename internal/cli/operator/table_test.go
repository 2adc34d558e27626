package operator

import (
	"strings"
	"testing"
	"time"

	"devicetwin/api"
	"devicetwin/device"
)

// The faults of a device are one list. One that a run of an earlier release kept in
// addition is shown once, with its message if it has one. What devices sent can neither move the
// cursor nor fill the screen.
func TestFaultsOfADevice(t *testing.T) {
	long := "guard " + strings.Repeat("x", 300)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var reports []api.Fault
	for range 12 {
		reports = append(reports, api.Fault{At: at, Topic: "telemetry", Reason: device.FaultTime, Detail: "old"})
	}
	reports = append(reports,
		api.Fault{At: at, Topic: "events/\x1b[2J", Reason: device.FaultExpression, Detail: long[:250] + "…", Value: strings.Repeat("v", 100)},
		api.Fault{At: at, Reason: device.FaultExpression, Detail: "guard a", Count: 2},
	)
	var out strings.Builder
	deviceDetails(&out, api.Device{
		ID: "p", Faults: []string{"guard a", "guard b", long}, Reports: reports, ReportCount: 15,
	})
	text := out.String()
	for _, want := range []string{
		"-\t-\t-\t1\t-\tguard b\n", "faults\t16\n",
		"expression\tevents/?[2J\t2026-03-01 12:00:00Z\t1\t" + strings.Repeat("v", 39) + "…\t" + long[:250] + "…\n",
		"expression\t-\t2026-03-01 12:00:00Z\t2\t-\tguard a\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if n := strings.Count(text, "guard a\n") + strings.Count(text, "-\t-\t-\t1\t"); n != 2 {
		t.Errorf("%d lines of the faults a and b, want 2:\n%s", n, text)
	}
	if n := strings.Count(text, "time\ttelemetry"); n != 8 {
		t.Errorf("%d older ones, want 8 of 12, for there are ten lines:\n%s", n, text)
	}
}

func TestWindowsAreShown(t *testing.T) {
	at, mean := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), 21.5
	var out strings.Builder
	deviceDetails(&out, api.Device{ID: "p", Windows: []api.Window{
		{Name: "heat", Aggregate: "mean", Start: at, End: at.Add(time.Hour), Count: 3, Value: &mean, Late: 2},
		{Name: "peak", Aggregate: "max", Start: at, End: at.Add(time.Hour)},
	}})
	for _, want := range []string{
		"window heat\tmean 21.5 of 3 events, 2026-03-01 12:00:00Z to 2026-03-01 13:00:00Z, 2 late\n",
		"window peak\tmax - of 0 events, 2026-03-01 12:00:00Z to 2026-03-01 13:00:00Z\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestProcessingIsShown(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		p    api.Processing
		want string
	}{
		{api.Processing{Capacity: 100, Done: 7}, "0 of 100 waiting, 7 done, 0 failed"},
		{api.Processing{
			Waiting: 3, Capacity: 5, Done: 7, Failed: 2, Skipped: 1, Since: &at, Held: "no such account",
			First: &api.ProcessEvent{Event: "purchase", Number: 10},
		}, "3 of 5 waiting, 7 done, 2 failed, 1 skipped; purchase, number 10, since 2026-03-01 12:00:00Z; held: no such account"},
	} {
		var out strings.Builder
		if deviceDetails(&out, api.Device{ID: "p", Processing: &c.p}); !strings.Contains(out.String(), "processing\t"+c.want+"\n") {
			t.Errorf("no %q in\n%s", c.want, out.String())
		}
	}
}

// The alarms of a group are shown with what they are of, and counted.
func TestAlarmsAreShown(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var out strings.Builder
	deviceDetails(&out, api.Device{ID: "site/north",
		Alarms: []api.Alarm{{Name: "outage", Key: "gateway-1", Since: at, Explains: 199}, {Name: "flood", Since: at.Add(time.Hour)}},
		Counts: []api.AlarmCount{{Name: "outage", Raised: 1}, {Name: "silence", Waiting: 1, Explained: 199}},
	})
	for _, want := range []string{
		"alarm outage\t1 raised, 0 waiting, 0 explained\n", "alarm silence\t0 raised, 1 waiting, 199 explained\n",
		"ALARM\tOF\tSINCE\tEXPLAINS\noutage\tgateway-1\t2026-03-01 12:00:00Z\t199\nflood\t-\t2026-03-01 13:00:00Z\t0\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	out.Reset()
	if deviceDetails(&out, api.Device{ID: "p"}); strings.Contains(strings.ToLower(out.String()), "alarm") {
		t.Errorf("a device without alarms has some:\n%s", out.String())
	}
}

func TestTheGroupsOfADeviceAreShown(t *testing.T) {
	var out strings.Builder
	deviceDetails(&out, api.Device{ID: "p", Parent: "hub-1", Groups: []device.ID{"site/north", "line/l2"}})
	for _, want := range []string{"parent\thub-1\n", "groups\tsite/north line/l2\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	out.Reset()
	if deviceDetails(&out, api.Device{ID: "p"}); strings.Contains(out.String(), "parent") || strings.Contains(out.String(), "groups") {
		t.Errorf("of a device without groups:\n%s", out.String())
	}
}

func TestLateAnswersAreInTheTableOfCommands(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var out strings.Builder
	commandTable(&out, []api.Command{{
		ID: "c-1", Name: "reboot", Status: device.CommandExpired, Reason: "no answer in 1m", Deliveries: 3, MaxDeliveries: 10,
		Late: &api.LateAck{Status: device.CommandSucceeded, At: at, Reason: "done"},
	}})
	if want := "c-1\treboot\texpired\t3 of 10\t-\t-\tlate: succeeded at 2026-03-01 12:00:00Z; done; no answer in 1m\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

// The dialect of a device that speaks one is shown.
func TestTheDialectOfADevice(t *testing.T) {
	for dialect, want := range map[string]bool{"tasmota": true, "": false} {
		var out strings.Builder
		deviceDetails(&out, api.Device{ID: "p", Dialect: dialect})
		if got := strings.Contains(out.String(), "dialect\t"+dialect+"\n"); got != want {
			t.Errorf("dialect %q: %s", dialect, out.String())
		}
	}
}

// The schedules of a device are shown with their next times.
func TestTheSchedulesOfADevice(t *testing.T) {
	next := time.Date(2026, 3, 29, 6, 0, 0, 0, time.UTC)
	var out strings.Builder
	deviceDetails(&out, api.Device{ID: "p", Schedules: []api.Schedule{
		{Name: "daily", Rule: "at 08:00", Zone: "Europe/Berlin", Next: &next}, {Name: "pause", State: "day", Rule: "every 100m"},
	}})
	if want := "daily\t2026-03-29 06:00:00Z\tEurope/Berlin\t-\tat 08:00\npause\t-\t-\tday\tevery 100m\n"; !strings.Contains(out.String(), want) {
		t.Errorf("%q, want %q in it", out.String(), want)
	}
	out.Reset()
	if deviceDetails(&out, api.Device{ID: "p"}); strings.Contains(out.String(), "SCHEDULE") {
		t.Error("a device without schedules has a table of them")
	}
}
