package bench

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/deploy/devstack/process"
)

func ms(n float64) *float64 { return &n }

func concluded(rows ...Row) Report {
	r := Report{CPUs: 2, Broker: process.NATS, Seconds: 30}
	for _, row := range rows {
		row.finish()
		r.Rows = append(r.Rows, row)
	}
	r.conclude()
	return r
}

func TestTargets(t *testing.T) {
	tests := []struct {
		name string
		rows []Row // the case is the first
		want []Target
	}{
		{"events against naive", []Row{{Case: caseEvents, Value: 5000}, {Case: caseNaive, Value: 400}},
			[]Target{{"≥ 10 × naive", 1.25, true}}},
		{"missed", []Row{{Case: caseEvents, Value: 2000}, {Case: caseNaive, Value: 400}},
			[]Target{{"≥ 10 × naive", 0.5, false}}},
		{"without what it is compared with", []Row{{Case: caseEvents, Value: 5000}}, nil},
		{"compared with what failed", []Row{{Case: caseEvents, Value: 5000}, {Case: caseNaive, Value: 400, Error: "no"}}, nil},
		{"a fleet on a fast broker", []Row{{Case: caseFleet, Devices: 10_000, Value: 9900, P99: ms(500)}, {Case: caseBroker, Value: 50_000}},
			[]Target{{"≥ 1/s a device", 1, true}, {"< p99 1 s", 2, true}}},
		{"a fleet on a slow broker", []Row{{Case: caseFleet, Devices: 10_000, Value: 5940, P99: ms(2000)}, {Case: caseBroker, Value: 12_000}},
			[]Target{{"≥ ½ broker-alone", 1, true}, {"< p99 1 s", 0.5, false}}},
		{"telemetry", []Row{{Case: caseTelemetry, Value: 30_000}, {Case: caseBroker, Value: 60_000}}, []Target{{"≥ ½ broker-alone", 1, true}}},
		{"unnumbered telemetry", []Row{{Case: caseUnnumbered, Value: 15_000}, {Case: caseBroker, Value: 60_000}},
			[]Target{{"≥ ½ broker-alone", 0.5, false}}},
		{"telemetry through the log", []Row{{Case: caseTelemetryLog, Value: 24_000}, {Case: caseTelemetry, Value: 24_000}, {Case: caseBroker, Value: 60_000}},
			[]Target{{"≥ 0.8 × telemetry", 1.25, true}}},
		{"telemetry through the log, too slow", []Row{{Case: caseTelemetryLog, Value: 12_000}, {Case: caseTelemetry, Value: 24_000}},
			[]Target{{"≥ 0.8 × telemetry", 0.625, false}}},
		{"a fleet with a log", []Row{{Case: caseFleetLog, Devices: 10_000, Value: 9900, P99: ms(500)}},
			[]Target{{"≥ 1/s a device", 1, true}, {"< p99 1 s", 2, true}}},
		{"after a restart", []Row{{Case: caseRestart, Devices: 10_000, Value: 4000, Lowest: 5000}},
			[]Target{{"≥ 0.8/s a device in the first 10 s", 0.5, false}, {"≥ 0.5/s a device in any 10 s", 1, true}}},
		{"cold", []Row{{Case: caseCold, Devices: 10_000, Value: 8000, Lowest: 4000}},
			[]Target{{"≥ 0.8/s a device in the first 10 s", 1, true}, {"≥ 0.5/s a device in any 10 s", 0.8, false}}},
		{"overload", []Row{{Case: caseOverload, Devices: 10_000, Value: 4500, Lowest: 10_000}},
			[]Target{{"≥ 0.9 points/s a device", 0.5, false}, {"≥ 0.5/s a device in any 10 s", 2, true}}},
		{"telemetry without the broker", []Row{{Case: caseTelemetry, Value: 30_000}}, nil},
		{"one device", []Row{{Case: caseOne, Value: 250}}, []Target{{"≥ 500/s", 0.5, false}}},
		{"latency", []Row{{Case: caseLatency, P50: ms(10), P99: ms(200)}},
			[]Target{{"< p50 20 ms", 2, true}, {"< p99 100 ms", 0.5, false}}},
		{"twins", []Row{{Case: caseTwin, Value: 99, P99: ms(1000)}}, []Target{{"≥ 100/s", 1, true}, {"< p99 500 ms", 0.5, false}}},
		{"memory", []Row{{Case: caseBridge, Value: 256}}, []Target{{"< 1 KiB", 4, true}}},
		{"a case that failed", []Row{{Case: caseOne, Error: "no broker"}}, nil},
	}
	for _, test := range tests {
		r := concluded(test.rows...)
		if got := r.row(test.rows[0].Case).Targets; !slices.Equal(got, test.want) {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

// One row with violations, or no row at all, makes the run fail.
func TestClean(t *testing.T) {
	clean := Row{Case: caseOne, Value: 1}
	for name, test := range map[string]struct {
		rows []Row
		want bool
	}{
		"nothing":  {nil, false},
		"clean":    {[]Row{clean, {Case: caseStream}}, true},
		"a fault":  {[]Row{clean, {Case: caseStream, Faults: []string{"message 7 is lost"}}}, false},
		"an error": {[]Row{{Case: caseStream, Error: "no broker"}, clean}, false},
	} {
		if got := concluded(test.rows...).Clean; got != test.want {
			t.Errorf("%s: clean is %t", name, got)
		}
	}
}

func TestTable(t *testing.T) {
	many := slices.Repeat([]string{"message 7 is lost"}, keptFaults+5)
	r := concluded(
		Row{Case: caseBroker, Value: 55_738.4, Unit: "messages/s", Devices: 1000},
		Row{Case: caseLatency, Value: 50, Unit: "events/s", Devices: 50, P50: ms(7.66), P99: ms(130), CPU: map[process.Part]float64{process.Bridge: 7.4}},
		Row{Case: caseStream, Error: "no Temporal"},
		Row{Case: caseOne, Value: 20_000, Unit: "events/s", Devices: 1, Faults: many, Remark: "500 events a signal"},
	)
	var text strings.Builder
	if err := r.WriteTable(&text); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(text.String(), "\n")
	for i, want := range []string{
		"case devices measured p50 ms p99 ms messages/s signals/s load % broker % bridge % temporal % worker % influxdb % clean target ratio met",
		"one-device 1 20,000 events/s NO ≥ 500/s 40.00 yes",
		"stream - error",
		"latency 50 50.0 events/s 7.7 130 7 yes < p50 20 ms, < p99 100 ms 2.61, 0.77 yes, NO",
		"broker-alone 1,000 55,738 messages/s yes",
		"2 cores, broker nats, 30 s a case after its warm-up, load generator on the same machine.",
		"A ratio of 1 meets the target; % is of one core; a latency ends when the new state is durable.",
		"one-device: 500 events a signal",
		"one-device: NOT CLEAN: " + strings.Repeat("message 7 is lost; ", keptFaults) + "and 5 more",
		"stream: ERROR: no Temporal",
	} {
		if got := strings.Join(strings.Fields(lines[i]), " "); got != want {
			t.Errorf("line %d:\n%s\nwant\n%s", i+1, got, want)
		}
	}
	raw, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var read Report
	if err := json.Unmarshal(raw, &read); err != nil || len(read.Rows) != 4 || *read.row(caseLatency).P99 != 130 {
		t.Errorf("read back %+v, %v", read, err)
	}
}

// Every case belongs to one stage, and has its place in the table.
func TestCases(t *testing.T) {
	var played []string
	for _, s := range stages() {
		played = append(played, s.cases...)
	}
	slices.Sort(played)
	if named := slices.Sorted(slices.Values(Cases())); !slices.Equal(played, named) {
		t.Errorf("the stages play %v, and the table has %v", played, named)
	}
	if err := CheckOnly([]string{"*-memory", caseNaive}); err != nil {
		t.Error(err)
	}
	if err := CheckOnly([]string{"nothing"}); err == nil || !strings.Contains(err.Error(), caseTemporal) {
		t.Errorf("an unknown case: %v", err)
	}
}

// The answers to shadow updates have to be all there, once, and in order.
func TestAnswers(t *testing.T) {
	answer := func(n int) string { return fmt.Sprintf(`{"version":%d,"clientToken":"%[1]d"}`, n) }
	for name, test := range map[string]struct {
		heard  []int
		faults bool
	}{
		"all":       {[]int{1, 2, 3}, false},
		"a gap":     {[]int{1, 3}, true},
		"the end":   {[]int{1, 2}, true},
		"twice":     {[]int{1, 2, 2, 3}, true},
		"disorder":  {[]int{2, 1, 3}, true},
		"too many":  {[]int{1, 2, 3, 4}, true},
		"no answer": {nil, true},
	} {
		a := newAccounts("dev", 1, "")[0]
		for range 3 {
			a.due = append(a.due, time.Now().UnixNano())
		}
		w := &answers{at: map[string][]time.Time{}}
		for _, n := range test.heard {
			w.look([]byte("$aws/things/dev-1/shadow/update/accepted"), []byte(answer(n)))
		}
		var row Row
		w.into(&row, []*account{a}, span{seconds: 1})
		if got := len(row.Faults) > 0; got != test.faults {
			t.Errorf("%s: faults %q", name, row.Faults)
		}
	}
}
