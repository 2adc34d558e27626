package bench

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"devicetwin/deploy/devstack/process"
)

// ReportVersion is the version of the report's shape; it increases when a name is
// removed or changes its meaning.
const ReportVersion = 1

// Report is the outcome of a run.
type Report struct {
	Version int                `json:"report_version"`
	Clean   bool               `json:"clean"` // there are rows, and all pass
	At      time.Time          `json:"at"`
	CPUs    int                `json:"cpus"`
	Broker  process.BrokerKind `json:"broker"`
	Ack     process.Ack        `json:"ack"`     // of bridges with a log
	Seconds float64            `json:"seconds"` // each case, after its warm-up
	Rows    []Row              `json:"cases"`
	Logs    string             `json:"logs,omitempty"` // folder, if a case failed
}

// Row is one case, or one limit of the machine.
type Row struct {
	Case    string  `json:"case"`
	What    string  `json:"what"` // in words
	Devices int     `json:"devices,omitempty"`
	Value   float64 `json:"value"`
	Unit    string  `json:"unit"`
	// P50 and P99 are latencies in milliseconds: from when a message was due until
	// the new state was durable. Nil: not measured.
	P50 *float64 `json:"p50_ms,omitempty"`
	P99 *float64 `json:"p99_ms,omitempty"`
	// Signals to Temporal, and MQTT messages to the bridge, a second.
	Signals  float64 `json:"signals_per_second,omitempty"`
	Messages float64 `json:"messages_per_second,omitempty"`
	// Lowest is the lowest rate of MQTT messages over ten seconds of a disturbed fleet.
	Lowest float64 `json:"lowest_messages_per_second,omitempty"`
	// CPU is what each process used, in percent of one core.
	CPU     map[process.Part]float64 `json:"cpu_percent,omitempty"`
	Remark  string                   `json:"remark,omitempty"`
	Targets []Target                 `json:"targets,omitempty"`
	Clean   bool                     `json:"clean"`
	Faults  []string                 `json:"faults,omitempty"` // the first violations in the ledger
	Error   string                   `json:"error,omitempty"`  // why the case has no result
}

// Target is what a case should reach.
type Target struct {
	What string `json:"what"`
	// Reached is the part of the target that was reached: at least 1 meets it.
	Reached float64 `json:"reached"`
	Met     bool    `json:"met"`
}

func newReport(o Options) Report {
	return Report{
		Version: ReportVersion, At: time.Now().UTC().Truncate(time.Second), CPUs: runtime.NumCPU(),
		Broker: o.Broker, Ack: o.Ack, Seconds: o.Lasts.Seconds(),
	}
}

// keptFaults is how many faults of a case are reported.
const keptFaults = 10

// finish decides whether the case passes.
func (r *Row) finish() {
	r.Clean = r.Error == "" && len(r.Faults) == 0
	if extra := len(r.Faults) - keptFaults; extra > 0 {
		r.Faults = append(r.Faults[:keptFaults:keptFaults], fmt.Sprintf("and %d more", extra))
	}
}

// measured is the figure with its unit.
func (r *Row) measured() string {
	if r.Error != "" {
		return "-"
	}
	return number(r.Value) + " " + r.Unit
}

// complaint lists the violations, "" if there are none.
func (r *Row) complaint() string {
	switch {
	case r.Error != "":
		return "ERROR: " + r.Error
	case !r.Clean:
		return "; NOT CLEAN: " + strings.Join(r.Faults, "; ")
	}
	return ""
}

// number separates thousands, and has as many digits as make sense.
func number(n float64) string {
	if n < 100 {
		return fmt.Sprintf("%.1f", n)
	}
	digits := fmt.Sprintf("%.0f", n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func (r *Report) row(name string) *Row {
	i := slices.IndexFunc(r.Rows, func(row Row) bool { return row.Case == name })
	if i < 0 {
		return nil
	}
	return &r.Rows[i]
}

// value is that of a row that others can be compared with.
func (r *Report) value(name string) (float64, bool) {
	row := r.row(name)
	if row == nil || row.Error != "" || row.Value == 0 {
		return 0, false
	}
	return row.Value, true
}

// conclude sorts the rows and computes the targets.
func (r *Report) conclude() {
	slices.SortStableFunc(r.Rows, func(a, b Row) int {
		return slices.Index(caseOrder, a.Case) - slices.Index(caseOrder, b.Case)
	})
	r.Clean = len(r.Rows) > 0
	for i := range r.Rows {
		row := &r.Rows[i]
		r.Clean = r.Clean && row.Clean
		if row.Error == "" {
			row.Targets = r.targets(row)
		}
	}
}

// targets are those of a case, as far as the rows that they refer to are there.
func (r *Report) targets(row *Row) []Target {
	switch row.Case {
	case caseEvents:
		if naive, ok := r.value(caseNaive); ok {
			return []Target{atLeast("10 × naive", row.Value, 10*naive)}
		}
	case caseFleet, caseFleetLog:
		want, what := float64(row.Devices), "1/s a device"
		if alone, ok := r.value(caseBroker); ok && alone/2 < want {
			want, what = alone/2, "½ broker-alone"
		}
		// What is sent is not exact to the last message.
		return []Target{atLeast(what, row.Value, heldShare*want), atMost("p99 1 s", *row.P99, 1000)}
	case caseTelemetry, caseUnnumbered:
		if alone, ok := r.value(caseBroker); ok {
			return []Target{atLeast("½ broker-alone", row.Value, alone/2)}
		}
	case caseTelemetryLog:
		if without, ok := r.value(caseTelemetry); ok {
			return []Target{atLeast("0.8 × telemetry", row.Value, 0.8*without)}
		}
	case caseCold, caseRestart, caseReconnect:
		return []Target{atLeast("0.8/s a device in the first 10 s", row.Value, 0.8*float64(row.Devices)), row.neverHalf()}
	case caseOverload:
		return []Target{atLeast("0.9 points/s a device", row.Value, 0.9*float64(row.Devices)), row.neverHalf()}
	case caseOne:
		return []Target{atLeast("500/s", row.Value, 500)}
	case caseLatency:
		return []Target{atMost("p50 20 ms", *row.P50, 20), atMost("p99 100 ms", *row.P99, 100)}
	case caseTwin:
		return []Target{atLeast("100/s", row.Value, heldShare*twinRate), atMost("p99 500 ms", *row.P99, 500)}
	case caseBridge:
		return []Target{atMost("1 KiB", row.Value, 1024)}
	}
	return nil
}

// neverHalf is the target of a fleet in which only signals are slow.
func (r *Row) neverHalf() Target {
	return atLeast("0.5/s a device in any 10 s", r.Lowest, float64(r.Devices)/2)
}

func atLeast(what string, got, want float64) Target {
	return Target{What: "≥ " + what, Reached: got / want, Met: got >= want}
}

func atMost(what string, got, want float64) Target {
	return Target{What: "< " + what, Reached: want / got, Met: got < want}
}

// JSON is the report as an indented JSON object with a newline at its end.
func (r Report) JSON() ([]byte, error) { return process.JSON(r) }
