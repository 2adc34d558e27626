package apitest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/api"
	"devicetwin/device"
)

// Queries tests that a backend finds and counts what a query says, and nothing else:
// case, accents, spaces, quotation marks and what means something in SQL or in a
// pattern are ordinary characters. open returns a backend that has these devices,
// and no others.
func Queries(t *testing.T, open func(t *testing.T, devices []api.Summary) api.Backend) {
	fleet := queryFleet()
	s := &queries{backend: open(t, fleet), fleet: fleet}
	t.Run("logic", s.logic)
	t.Run("kinds", s.kinds)
	t.Run("values", s.values)
	t.Run("random", s.random)
	t.Run("pages", s.pages)
	t.Run("summaries", s.summaries)
}

// trickyValues are each of one device. They differ by what some database ignores, or
// contain what one takes for something else.
var trickyValues = []string{
	"Nord", "nord", "NORD", "nord ", " nord", "nor", "norden", "Köln", "köln", "KÖLN", "Koln", "Ko\u0308ln", "straße", "STRASSE", "strasse",
	"I", "i", "ı", "İ", "Ω", "Ω", "日本", "🏭", "hall 3/4", "hall-3", "hall_3", "hall.3", "a-b", "a_b", "aXb", "a b", "50%", "500", "50", "100!%", "!", "_", "%",
	`say "hi"`, `"`, `\`, `back\slash`, `back\\slash`, `a\'b`, `end\`, "it's", "'quoted'", "'", "''", "rock 'n'", "x' OR '1'='1", `x" OR "y`, `" : ("`,
	"what?", "?", "??", "a?b", "star*", "*", "(x)", "x)", "(", "NOT", "OR", "a;b", "--", "/* c */", "$1", ":v1", "{}", "[a]", "NULL", "null", "true", "123", "1.10", "1.1",
	"2026-03-01T12:00:00Z", "=", "a=b", "a,b", "a\u00a0b", "{\"a\":1}", "~", "`", "^", "|", "&&", "<b>", "\u200b", strings.Repeat("x", 128), strings.Repeat("ü", 64),
}

// queryFleet are a few devices that logic distinguishes, and one of each
// tricky value.
func queryFleet() []api.Summary {
	fleet := []api.Summary{
		{ID: "pump-1", Model: "pump", ModelHash: "aa01", State: "online", Connection: device.Online, Firmware: "1.4.2", Site: "north", Tags: map[string]string{"hall": "3", "owner:team": "ops"}},
		{ID: "pump-2", Model: "pump", ModelHash: "aa02", State: "online", Connection: device.Offline, Firmware: "1.5.0", Site: "south", Tags: map[string]string{"hall": "4"}},
		{ID: "pump-10", Model: "pump", ModelHash: "aa01", State: "quarantined", Connection: device.Offline, Firmware: "1.10.0", Properties: map[string]string{"reported.net.ip": "10.0.0.1"}},
		{ID: "Pump-1", Model: "Pump", ModelHash: "AA01", State: "Online", Connection: device.Online, Site: "North", Tags: map[string]string{"Hall": "3", "owner:team": "Ops"}},
		{ID: "pump_1", Model: "pump_v", ModelHash: "aa", State: "running.hot,door.open", Connection: device.Online, Properties: map[string]string{"reported.net.ip": "10.0.0.10", "desired.net.ip": "10.0.0.1"}},
		{ID: "truck:1", Model: "truck", ModelHash: "ff", State: "running.cold,door.shut", Connection: api.Unknown},
		{ID: "bare", Connection: api.Unknown, State: "online"},
		{ID: "customer/pump-1", Model: "loyalty", ModelHash: "cc", State: "online", Connection: api.Unknown, Tags: map[string]string{"hall": "3"}},
		{ID: "customer/Pump-10", Model: "loyalty", ModelHash: "cc", State: "gone", Connection: api.Unknown},
		{ID: "customers/pump-1", Model: "crowd", ModelHash: "cd", State: "online", Connection: api.Unknown},
	}
	for id, at := range map[device.ID]string{
		"pump-1": "2026-03-01T12:00:00Z", "pump-2": "2026-03-01T12:00:01Z", "pump-10": "2026-02-28T23:59:59Z", "Pump-1": "2026-03-01T00:00:00Z", "pump_1": "1999-12-31T23:59:59Z",
	} {
		i := slices.IndexFunc(fleet, func(d api.Summary) bool { return d.ID == id })
		seen, err := time.Parse(time.RFC3339, at)
		if err != nil {
			panic(err)
		}
		fleet[i].LastSeen = &seen
	}
	for i, faults := range []uint64{0, 1, 2, 10, 9_000_000} {
		fleet[i].ReportCount = faults
	}
	fleet[0].Processing, fleet[0].ProcessFailed = api.ProcessingHeld, 1
	fleet[1].Processing = api.ProcessingWaiting
	fleet[2].ProcessFailed = 20
	for i, value := range trickyValues {
		fleet = append(fleet, api.Summary{
			ID: device.ID(fmt.Sprintf("value-%03d", i)), Model: "values", ModelHash: "00", State: "idle", Connection: device.Online, Firmware: value, Site: value,
			Tags: map[string]string{"v": value}, Properties: map[string]string{"reported.v": value},
		})
	}
	return fleet
}

type queries struct {
	backend api.Backend
	fleet   []api.Summary
	devices bool // queries are of devices only, as those of /v1/devices
}

func (s *queries) parse(text string) (api.Query, error) {
	query, err := api.ParseQuery(text)
	if err == nil && s.devices {
		query = api.OfKind(device.KindDevice, query)
	}
	return query, err
}

// kinds tests that queries distinguish entities of one name and several kinds, and that no kind is
// the beginning of another.
func (s *queries) kinds(t *testing.T) {
	is := func(kind device.Kind) func(api.Summary) bool {
		return func(d api.Summary) bool { return d.ID.Kind() == kind }
	}
	s.expect(t, "kind:customer", is("customer"))
	s.expect(t, "kind:device", is(device.KindDevice))
	s.expect(t, "kind:order", func(api.Summary) bool { return false })
	s.expect(t, "NOT kind:device", func(d api.Summary) bool { return d.ID.Kind() != device.KindDevice })
	s.expect(t, "id:pump-1", func(d api.Summary) bool { return d.ID == "pump-1" })
	s.expect(t, "id:customer/pump-1", func(d api.Summary) bool { return d.ID == "customer/pump-1" })
	s.expect(t, "id:customer/p* OR id:customers/*", func(d api.Summary) bool { return d.ID == "customer/pump-1" || d.ID == "customers/pump-1" })
	s.expect(t, "id:customer*", func(api.Summary) bool { return false })
	s.expect(t, "kind:customer NOT state:gone", func(d api.Summary) bool { return d.ID == "customer/pump-1" })
}

// expect finds and counts.
func (s *queries) expect(t *testing.T, text string, holds func(api.Summary) bool) {
	t.Helper()
	s.finds(t, text, holds)
	s.counts(t, text, holds)
}

// finds expects to find the devices for which a condition holds.
func (s *queries) finds(t *testing.T, text string, holds func(api.Summary) bool) {
	t.Helper()
	query, err := s.parse(text)
	if err != nil {
		t.Errorf("%s: %v", text, err)
		return
	}
	if got, want := s.find(t, query, len(s.fleet)+1), s.wanted(holds); !slices.Equal(got, want) {
		t.Errorf("%s: found %q, want %q", text, got, want)
	}
}

// counts expects to count them.
func (s *queries) counts(t *testing.T, text string, holds func(api.Summary) bool) {
	t.Helper()
	query, err := s.parse(text)
	if err != nil {
		t.Errorf("%s: %v", text, err)
		return
	}
	if n, err := s.backend.CountDevices(t.Context(), query); err != nil || n != len(s.wanted(holds)) {
		t.Errorf("%s: counted %d, %v; want %d", text, n, err, len(s.wanted(holds)))
	}
}

func (s *queries) wanted(holds func(api.Summary) bool) []string {
	var ids []string
	for _, d := range s.fleet {
		if holds(d) {
			ids = append(ids, string(d.ID))
		}
	}
	return sorted(ids)
}

func sorted(ids []string) []string { return slices.Sorted(slices.Values(ids)) }

// find reads all pages.
func (s *queries) find(t *testing.T, query api.Query, limit int) []string {
	t.Helper()
	var found []string
	for cursor := []byte(nil); ; {
		page, next, err := s.backend.Devices(t.Context(), query, limit, cursor)
		if err != nil {
			t.Errorf("%+v: %v", query, err)
			return nil
		}
		if len(page) > limit {
			t.Errorf("%+v: a page has %d devices, more than %d", query, len(page), limit)
		}
		for _, d := range page {
			found = append(found, string(d.ID))
		}
		if cursor = next; cursor == nil {
			return sorted(found)
		}
	}
}

// logic has queries whose answers are written down.
func (s *queries) logic(t *testing.T) {
	s = &queries{backend: s.backend, fleet: s.fleet, devices: true}
	const values = "(all values)" // the devices of trickyValues
	for text, want := range map[string]string{
		"":                                   "pump-1 pump-2 pump-10 Pump-1 pump_1 truck:1 bare " + values,
		"id:*":                               "pump-1 pump-2 pump-10 Pump-1 pump_1 truck:1 bare " + values,
		"state:online":                       "pump-1 pump-2 bare",
		"state:online model:pump":            "pump-1 pump-2",
		"state:online AND connection:online": "pump-1",
		"state:online OR state:quarantined":  "pump-1 pump-2 pump-10 bare",
		"state:door.open":                    "pump_1",
		"state:running.hot state:door.open":  "pump_1",
		"state:running":                      "",
		"state:ONLINE":                       "",
		"NOT state:online NOT model:values":  "pump-10 Pump-1 pump_1 truck:1",
		"NOT (state:online OR model:values)": "pump-10 Pump-1 pump_1 truck:1",
		"model:pump NOT (state:online connection:offline)": "pump-1 pump-10",
		"NOT NOT model:pump":                         "pump-1 pump-2 pump-10",
		"site:north OR site:south connection:online": "pump-1",
		"(site:north OR site:south) state:online":    "pump-1 pump-2",
		"NOT site:north id:pump*":                    "pump-2 pump-10 pump_1",
		"id:pump-*":                                  "pump-1 pump-2 pump-10",
		"id:pump-1*":                                 "pump-1 pump-10",
		"id:pump_*":                                  "pump_1",
		"id:truck:*":                                 "truck:1",
		"NOT id:pump* NOT id:value*":                 "Pump-1 truck:1 bare",
		"id:Pump-1":                                  "Pump-1",
		"NOT id:bare NOT model:values":               "pump-1 pump-2 pump-10 Pump-1 pump_1 truck:1",
		"model:pump*":                                "pump-1 pump-2 pump-10 pump_1",
		"NOT model:pump* NOT model:values":           "Pump-1 truck:1 bare",
		"model_hash:aa0*":                            "pump-1 pump-2 pump-10",
		"model_hash:aa01":                            "pump-1 pump-10",
		"firmware:1.* model:pump":                    "pump-1 pump-2 pump-10",
		"firmware:1.1* model:pump":                   "pump-10",
		"firmware:* NOT model:values":                "pump-1 pump-2 pump-10",
		"NOT firmware:*":                             "Pump-1 pump_1 truck:1 bare",
		"site:* NOT model:values":                    "pump-1 pump-2 Pump-1",
		"NOT site:* model:pump*":                     "pump-10 pump_1",
		"connection:unknown":                         "truck:1 bare",
		"NOT connection:unknown NOT model:values":    "pump-1 pump-2 pump-10 Pump-1 pump_1",
		"NOT connection:online":                      "pump-2 pump-10 truck:1 bare",
		"NOT (connection:online OR state:online)":    "pump-10 truck:1",
		"tag.hall:3":                                 "pump-1",
		"tag.Hall:3":                                 "Pump-1",
		`tag."owner:team":ops`:                       "pump-1",
		"NOT tag.hall:3 NOT model:values":            "pump-2 pump-10 Pump-1 pump_1 truck:1 bare",
		"reported.net.ip:10.0.0.1":                   "pump-10",
		"desired.net.ip:10.0.0.1":                    "pump_1",
		"NOT reported.net.ip:10.0.0.1 model:pump":    "pump-1 pump-2",
		"model:pump (tag.hall:3 OR (tag.hall:4 connection:online) OR NOT site:*)": "pump-1 pump-10",
		"NOT (NOT (NOT (NOT (id:bare)))) id:b*":                                   "bare",
		"(((((((id:bare)))))))":                                                   "bare",
		"last_seen<2026-03-01T12:00:00Z":                                          "pump-10 Pump-1 pump_1",
		"last_seen<=2026-03-01T12:00:00Z":                                         "pump-1 pump-10 Pump-1 pump_1",
		"last_seen>2026-03-01T12:00:00Z":                                          "pump-2",
		"last_seen>=2026-03-01T12:00:00Z":                                         "pump-1 pump-2",
		"last_seen>=2026-03-01T12:00:00.000000001Z":                               "pump-2",
		"last_seen<2026-03-01T12:00:00.5Z":                                        "pump-1 pump-10 Pump-1 pump_1",
		"last_seen>2026-03-01T11:59:59.999Z":                                      "pump-1 pump-2",
		"last_seen<2026-03-01T13:00:00+01:00":                                     "pump-10 Pump-1 pump_1",
		"last_seen>=2026-03-01 last_seen<2026-03-02":                              "pump-1 pump-2 Pump-1",
		"NOT last_seen<2026-03-01 NOT model:values":                               "pump-1 pump-2 Pump-1 truck:1 bare",
		"NOT last_seen>=1970-01-01 NOT model:values":                              "truck:1 bare",
		"NOT (last_seen<=2026-03-01T12:00:00Z OR model:values)":                   "pump-2 truck:1 bare",
		"last_seen<now":                  "pump-1 pump-2 pump-10 Pump-1 pump_1",
		"last_seen>=now-1d":              "",
		"last_seen<2261-12-31T23:59:59Z": "pump-1 pump-2 pump-10 Pump-1 pump_1",
		"faults:0 NOT model:values":      "pump-1 truck:1 bare",
		"faults:2":                       "pump-10",
		"faults>=1":                      "pump-2 pump-10 Pump-1 pump_1",
		"faults>1 faults<=10":            "pump-10 Pump-1",
		"faults<2 NOT model:values":      "pump-1 pump-2 truck:1 bare",
		"faults>=9000000":                "pump_1",
		"faults>9000000":                 "",
		"faults>=0 NOT model:values":     "pump-1 pump-2 pump-10 Pump-1 pump_1 truck:1 bare",
		"faults<0":                       "",
		"NOT faults:0":                   "pump-2 pump-10 Pump-1 pump_1",
		"NOT faults:2 NOT model:values":  "pump-1 pump-2 Pump-1 pump_1 truck:1 bare",
		"NOT faults<2":                   "pump-10 Pump-1 pump_1",
		"NOT faults>=2 NOT model:values": "pump-1 pump-2 truck:1 bare",
		"NOT faults>=0":                  "",
		"processing:held":                "pump-1",
		"processing:waiting":             "pump-2",
		"NOT processing:held model:pump": "pump-2 pump-10",
		"NOT (processing:held OR processing:waiting) model:pump": "pump-10",
		"process_failed>=1":               "pump-1 pump-10",
		"process_failed:20":               "pump-10",
		"process_failed<20 model:pump":    "pump-1 pump-2",
		"NOT process_failed:0":            "pump-1 pump-10",
		"NOT process_failed>0 model:pump": "pump-2",
		"NOT (faults>=1 AND last_seen>=2026-03-01T00:00:00Z) NOT model:values":                                                                                                     "pump-1 pump-10 pump_1 truck:1 bare",
		"id:pump-1 OR id:pump-2 OR id:pump-10 OR id:Pump-1 OR id:pump_1 OR id:truck:1 OR id:bare OR id:x1 OR id:x2 OR id:x3 OR id:x4 OR id:x5 OR id:x6 OR id:x7 OR id:x8 OR id:x9": "pump-1 pump-2 pump-10 Pump-1 pump_1 truck:1 bare",
	} {
		names := strings.Fields(strings.ReplaceAll(want, values, ""))
		s.expect(t, text, func(d api.Summary) bool {
			return slices.Contains(names, string(d.ID)) || strings.Contains(want, values) && d.Model == "values"
		})
	}
}

// quoteValue writes a value in quotation marks.
func quoteValue(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}

// values looks for every tricky value in every field that can have it, as it is,
// negated and by its beginning.
func (s *queries) values(t *testing.T) {
	for _, value := range trickyValues {
		quoted := quoteValue(value)
		for name, of := range map[string]func(api.Summary) string{
			"site":       func(d api.Summary) string { return d.Site },
			"tag.v":      func(d api.Summary) string { return d.Tags["v"] },
			"reported.v": func(d api.Summary) string { return d.Properties["reported.v"] },
		} {
			s.finds(t, name+":"+quoted, func(d api.Summary) bool { return of(d) == value })
			s.counts(t, "NOT "+name+":"+quoted, func(d api.Summary) bool { return of(d) != value })
		}
		s.finds(t, "firmware:"+quoted+"*", func(d api.Summary) bool { return strings.HasPrefix(d.Firmware, value) })
		s.counts(t, "NOT firmware:"+quoted+"*", func(d api.Summary) bool { return !strings.HasPrefix(d.Firmware, value) })
		first := string([]rune(value)[:1])
		s.counts(t, "firmware:"+quoteValue(first)+"*", func(d api.Summary) bool { return strings.HasPrefix(d.Firmware, first) })
	}
}

// random has queries that nobody thought of.
func (s *queries) random(t *testing.T) {
	random := rand.New(rand.NewPCG(13, 17))
	for range 50 {
		text, holds := RandomQuery(random, s.fleet)
		s.finds(t, text, holds)
		text, holds = RandomQuery(random, s.fleet)
		s.counts(t, text, holds)
	}
}

// pages reads long lists in small pages.
func (s *queries) pages(t *testing.T) {
	for _, text := range []string{"", "model:values", "NOT tag.v:Nord", `site:"say \"hi\""`, `NOT site:"\\"`} {
		query, err := api.ParseQuery(text)
		if err != nil {
			t.Fatal(err)
		}
		if all, parts := s.find(t, query, len(s.fleet)+1), s.find(t, query, 7); !slices.Equal(all, parts) {
			t.Errorf("%s: pages of 7 have %q, one page %q", text, parts, all)
		}
	}
}

// summaries are what was shown of each device.
func (s *queries) summaries(t *testing.T) {
	found, _, err := s.backend.Devices(t.Context(), nil, len(s.fleet)+1, nil)
	if err != nil || len(found) != len(s.fleet) {
		t.Fatalf("%d devices, %v; want %d", len(found), err, len(s.fleet))
	}
	for _, want := range s.fleet {
		got := found[slices.IndexFunc(found, func(d api.Summary) bool { return d.ID == want.ID })]
		same := got.Model == want.Model && got.ModelHash == want.ModelHash && got.State == want.State && got.Connection == want.Connection &&
			got.Firmware == want.Firmware && got.Site == want.Site && maps.Equal(got.Tags, want.Tags) && maps.Equal(got.Properties, want.Properties) &&
			got.ReportCount == want.ReportCount && got.Processing == want.Processing && got.ProcessFailed == want.ProcessFailed && (got.LastSeen == nil) == (want.LastSeen == nil)
		if !same || want.LastSeen != nil && !got.LastSeen.Equal(*want.LastSeen) {
			t.Errorf("%+v (last seen %v), want %+v (%v)", got, got.LastSeen, want, want.LastSeen)
		}
	}
}
