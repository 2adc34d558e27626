package bench

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"devicetwin/deploy/devstack/process"
)

//go:embed testdata/*.yaml
var files embed.FS

// Options configure Run.
type Options struct {
	Program process.Program // required
	Only    []string        // names of cases, as in path.Match; none: all
	Broker  process.BrokerKind
	Ack     process.Ack   // of bridges with a log; NoLog: none has one
	Lasts   time.Duration // of each case, after a warm-up; 30 s
	Long    bool          // one device for ten minutes
	Devices int           // of the large fleets; 10,000
	Known   int           // idle devices that the bridge knows; 100,000
	Dir     string        // for logs and data; default: the system's temporary folder
	Profile string        // folder for CPU profiles of bridge and worker; none by default
	Out     io.Writer     // progress
}

func (o *Options) complete() {
	if o.Ack == "" {
		o.Ack = process.Logged
	}
	if o.Lasts == 0 {
		o.Lasts = 30 * time.Second
	}
	if o.Devices == 0 {
		o.Devices = 10_000
	}
	if o.Known == 0 {
		o.Known = 100_000
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
}

// stage is a system and the cases that are measured on it.
type stage struct {
	name  string
	cases []string
	play  func(*run, context.Context) error
}

// stages are in the order in which they are played: the row that a target refers
// to comes before the case that has the target.
func stages() []stage {
	return []stage{
		{"broker", []string{caseBroker}, (*run).playBroker},
		{"naive", []string{caseNaive}, (*run).playNaive},
		{"events", []string{caseEvents}, (*run).playEvents},
		{"kafka-events", []string{caseKafkaEvents}, (*run).playKafkaEvents},
		{"telemetry", []string{caseTelemetry}, (*run).playTelemetry},
		{"kafka-telemetry", []string{caseKafkaTelemetry}, (*run).playKafkaTelemetry},
		{"telemetry-log", []string{caseTelemetryLog}, (*run).playTelemetryLog},
		{"telemetry-unnumbered", []string{caseUnnumbered}, (*run).playUnnumbered},
		{"fleet", []string{caseNew, caseFleet, caseFleetLog, caseWorker, caseTemporal}, (*run).playFleet},
		{"disturbed", []string{caseCold, caseRestart, caseReconnect, caseOverload}, (*run).playDisturbed},
		{"one-device", []string{caseOne}, (*run).playOne},
		{"stream", []string{caseStream}, (*run).playStream},
		{"latency", []string{caseLatency}, (*run).playLatency},
		{"twin-updates", []string{caseTwin}, (*run).playTwin},
		{"known-devices", []string{caseBridge}, (*run).playKnown},
	}
}

// Names of the cases, and of the two limits of the machine.
const (
	caseNaive        = "naive"
	caseEvents       = "events"
	caseFleet        = "fleet"
	caseFleetLog     = "fleet-log"
	caseTelemetry    = "telemetry"
	caseTelemetryLog = "telemetry-log"
	caseUnnumbered   = "telemetry-unnumbered"
	caseCold         = "cold"
	caseRestart      = "restart"
	caseReconnect    = "reconnect"
	caseOverload     = "overload"
	caseOne          = "one-device"
	caseStream       = "stream"
	caseLatency      = "latency"
	caseNew          = "new-devices"
	caseTwin         = "twin-updates"
	caseBridge       = "bridge-memory"
	caseWorker       = "worker-memory"
	caseBroker       = "broker-alone"

	caseKafkaEvents    = "kafka-events"
	caseKafkaTelemetry = "kafka-telemetry"

	caseTemporal = "temporal-alone"
)

// caseOrder is that of the rows in the table.
var caseOrder = []string{
	caseNaive, caseEvents, caseKafkaEvents, caseFleet, caseFleetLog, caseTelemetry, caseKafkaTelemetry, caseTelemetryLog, caseUnnumbered, caseCold, caseRestart, caseReconnect, caseOverload, caseOne, caseStream, caseLatency, caseTwin,
	caseNew, caseBridge, caseWorker, caseBroker, caseTemporal,
}

// Cases are the names of all cases, in the order of the table.
func Cases() []string { return slices.Clone(caseOrder) }

// CheckOnly refuses patterns that no case matches.
func CheckOnly(only []string) error {
	return process.CheckPatterns("case", only, caseOrder)
}

// run is a run over all cases.
type run struct {
	Options
	dir     string
	pool    *process.PortPool
	started time.Time // of the present stage
	report  Report
}

// Run measures, stage after stage, and writes its progress to Out. A case that
// failed is in the report; the error is about the whole run, for instance that the
// context has ended, and comes with the report so far.
func Run(ctx context.Context, o Options) (Report, error) {
	o.complete()
	if err := CheckOnly(o.Only); err != nil {
		return Report{}, err
	}
	dir, err := os.MkdirTemp(o.Dir, "devicetwin-bench-")
	if err != nil {
		return Report{}, fmt.Errorf("make a folder for the run: %w", err)
	}
	r := &run{Options: o, dir: dir, pool: process.NewPortPool(), report: newReport(o)}
	if len(o.Only) == 0 && !hasKafka() {
		fmt.Fprintf(r.Out, "without %v: Kafka is not installed (make servers ONLY=kafka)\n", kafkaCases)
	}
	for _, s := range stages() {
		if !slices.ContainsFunc(s.cases, r.wanted) {
			continue
		}
		if err := r.playStage(ctx, s); err != nil {
			return r.report, err
		}
	}
	r.report.conclude()
	if r.report.Clean {
		_ = os.RemoveAll(dir) // temporary
	} else {
		r.report.Logs = dir
	}
	return r.report, nil
}

// wanted reports whether a case was asked for.
func (r *run) wanted(name string) bool {
	if r.Ack == process.NoLog && (name == caseTelemetryLog || name == caseFleetLog) {
		return false
	}
	if len(r.Only) == 0 && slices.Contains(kafkaCases, name) && !hasKafka() {
		return false
	}
	return len(r.Only) == 0 || process.Match(r.Only, name)
}

func (r *run) playStage(ctx context.Context, s stage) error {
	r.started = time.Now()
	fmt.Fprintf(r.Out, "%s\n", s.name)
	err := s.play(r, ctx)
	if ctx.Err() != nil {
		return fmt.Errorf("measure %s: %w", s.name, errors.Join(context.Cause(ctx), err))
	}
	if err != nil {
		r.say("ERROR: %v", err)
		for _, name := range s.cases {
			if r.wanted(name) && r.report.row(name) == nil {
				r.add(Row{Case: name, Error: err.Error()})
			}
		}
	}
	return nil
}

// add puts a row into the report, if it was asked for.
func (r *run) add(row Row) {
	if !r.wanted(row.Case) {
		return
	}
	row.finish()
	r.report.Rows = append(r.report.Rows, row)
	r.say("%s: %s%s", row.Case, row.measured(), row.complaint())
}

// say reports the progress of a stage.
func (r *run) say(format string, args ...any) {
	fmt.Fprintf(r.Out, "  %5.1f s  %s\n", time.Since(r.started).Seconds(), fmt.Sprintf(format, args...))
}

// warmUp is how long a load plays before it is measured.
func (r *run) warmUp() time.Duration { return min(max(r.Lasts/3, time.Second), 10*time.Second) }
