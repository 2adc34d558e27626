package api_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"devicetwin/api"
	"devicetwin/api/apitest"
	"devicetwin/device"
)

// The fleet in memory answers the suite that Temporal answers on every database.
func TestQueries(t *testing.T) {
	apitest.Queries(t, func(_ *testing.T, devices []api.Summary) api.Backend {
		fleet := apitest.New()
		for _, d := range devices {
			fleet.Put(api.Device{
				ID: d.ID, Model: d.Model, ModelHash: d.ModelHash, State: d.State, Connection: d.Connection, Firmware: d.Firmware, Site: d.Site, Tags: d.Tags,
				Twin: apitest.TwinOf(d.Properties), LastSeen: d.LastSeen, ReportCount: d.ReportCount,
				Processing: apitest.ProcessingOf(d),
			})
		}
		return fleet
	})
}

// A query means what its operators say, however it is written.
func TestQueryMatchesAsItsOperatorsSay(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	words := []string{"a", "b", "ab", "A", "a b", `"`, `\`, "*", "(a)", "ü", "NOT"}
	some := func() string { return words[random.IntN(len(words))] }
	var fleet []api.Summary
	seen := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i := range 40 {
		var at *time.Time
		if i%3 > 0 {
			at = new(time.Time)
			*at = seen.Add(time.Duration(i) * time.Second)
		}
		fleet = append(fleet, api.Summary{
			ID: device.ID(string(rune('a'+i%26)) + "-1"), Model: some(), ModelHash: some(), State: some() + "," + some(), Connection: device.Online, Firmware: some(), Site: some(),
			Tags:       map[string]string{"hall": some(), "owner:team": some(), "v": some()},
			Properties: map[string]string{"reported.v": some(), "reported.net.ip": some()},
			LastSeen:   at, ReportCount: uint64(i % 5), Processing: []string{"", api.ProcessingHeld, api.ProcessingWaiting}[i%3], ProcessFailed: uint64(i % 4),
		})
	}
	found := 0
	for range 5000 {
		text, holds := apitest.RandomQuery(random, fleet)
		query, err := api.ParseQuery(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		for _, d := range fleet {
			if holds(d) {
				found++
			}
			if query.Matches(d) != holds(d) {
				t.Fatalf("%s: %t for %+v, want %t: read as %+v", text, query.Matches(d), d, holds(d), query)
			}
		}
	}
	if found < 1000 || found > 5000*len(fleet)-1000 {
		t.Errorf("%d of %d hold: the queries say nothing", found, 5000*len(fleet))
	}
}
