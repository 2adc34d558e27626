package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"go.temporal.io/api/workflowservice/v1"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/simulator"
)

// ReportVersion is the version of the report's shape; it increases when a name is
// removed or changes its meaning.
const ReportVersion = 1

// Report is the outcome of all cases.
type Report struct {
	Version  int       `json:"report_version"`
	Clean    bool      `json:"clean"` // there are cases, and all pass
	Outcomes []Outcome `json:"cases"`
}

// Outcome is the outcome of one case.
type Outcome struct {
	Fault  string             `json:"fault"`
	Broker process.BrokerKind `json:"broker"`
	Influx Influx             `json:"influx"`
	Ack    process.Ack        `json:"ack"`
	What   string             `json:"what"` // the fault in words
	Clean  bool               `json:"clean"`
	// LostByBroker is true if the only violations are lost messages, each of which
	// was acknowledged by a broker that was killed, and not seen after that. Such a
	// case has failed.
	LostByBroker bool `json:"lost_by_broker"`
	// Damaged is how many messages were in records of the bridge's log that were
	// overwritten before they were delivered, and DamagedLost how many of these were lost.
	Damaged     uint64 `json:"damaged,omitempty"`
	DamagedLost uint64 `json:"damaged_lost,omitempty"`
	// Error is why the case proves nothing, or its violations.
	Error          string  `json:"error,omitempty"`
	Seconds        float64 `json:"seconds"`
	ContinuedAsNew int64   `json:"continued_as_new"` // runs of workflows that were
	Logs           string  `json:"logs,omitempty"`   // folder, if they were kept
	// Refused is how often the broker refused what it has to: a wrong password, and topics of
	// another device, before and after the fault.
	Refused int `json:"refused,omitempty"`
	// Offline is how long bridges that went on running were without a connection to the broker,
	// each time, in nanoseconds.
	Offline []time.Duration `json:"offline,omitempty"`
	// Points is where the telemetry went.
	Points PointsReport `json:"points"`
	// Lost are the first messages that were lost, with where they were seen last.
	Lost []LostMessage `json:"lost,omitempty"`
	// Simulation is the simulator's report, nil if there is none; Entities is that of a case with Kafka.
	Simulation *simulator.Report       `json:"simulation"`
	Entities   *simulator.EntityReport `json:"entities,omitempty"`
	// Added are the records on partitions that were added.
	Added int64 `json:"added_partitions_records,omitempty"`

	damaged []simulator.LostMessage
}

// PointsReport compares the ledger with the points in InfluxDB.
type PointsReport struct {
	Due       uint64 `json:"due"`       // telemetry acknowledged by the broker
	Missing   uint64 `json:"missing"`   // of these, without a point; lost messages count as lost only
	Damaged   uint64 `json:"damaged"`   // further ones without a point, in records of the log that were overwritten
	Unseen    uint64 `json:"unseen"`    // of the missing ones, received by no bridge; only looked for if too many are missing
	Tolerated uint64 `json:"tolerated"` // how many may be missing after this fault
	Dropped   uint64 `json:"dropped"`   // what the bridges say that they have dropped, of all their points
	// First are the first messages without a point, if there are too many of them.
	First []simulator.LostMessage `json:"first,omitempty"`
}

// count counts the missing points of messages that are neither lost as a whole nor
// damaged, and returns those messages.
func (p *PointsReport) count(missing []simulator.LostMessage, lost []LostMessage, damaged []simulator.LostMessage) []simulator.LostMessage {
	without := slices.DeleteFunc(slices.Clone(missing), func(m simulator.LostMessage) bool {
		return slices.ContainsFunc(lost, func(l LostMessage) bool { return l.LostMessage == m })
	})
	all := len(without)
	without = slices.DeleteFunc(without, func(m simulator.LostMessage) bool { return slices.Contains(damaged, m) })
	p.Damaged, p.Missing = uint64(all-len(without)), uint64(len(without))
	return without
}

// lookFor looks for messages without a point in the logs of the bridges, if there are
// more of them than there may be. For the ledger, a repetition that need not be applied is
// not lost when it is lost with the broker.
func (p *PointsReport) lookFor(without []simulator.LostMessage, bridgeLogs []string) error {
	if p.Missing <= p.Tolerated {
		return nil
	}
	p.First = without[:min(len(without), 5)]
	received, err := receivedOf(bridgeLogs, without)
	p.Unseen = uint64(len(without) - len(received))
	return err
}

func (p PointsReport) String() string {
	text := fmt.Sprintf("%d of %d missing in InfluxDB", p.Missing, p.Due)
	if p.Dropped > 0 {
		text += fmt.Sprintf(", %d dropped by the bridge", p.Dropped)
	}
	if p.Damaged > 0 {
		text += fmt.Sprintf(", and %d in damaged records", p.Damaged)
	}
	for i, m := range p.First {
		text += fmt.Sprintf("%s %s %d/%d%s", [...]string{";", ","}[min(i, 1)], m.Device, m.Epoch, m.Seq, m.Digest)
	}
	return text
}

// readReport reads the fleet's report.
func (o *Outcome) readReport(file string, fleet *process.Process) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("the fleet left no report (%w); it said:\n%s", fleet.Fate(), fleet.LastWords())
	}
	if o.Broker == process.Kafka {
		o.Entities = new(simulator.EntityReport)
		if err := json.Unmarshal(raw, o.Entities); err != nil {
			o.Entities = nil
			return fmt.Errorf("read the fleet's report: %w", err)
		}
		return nil
	}
	o.Simulation = new(simulator.Report)
	if err := json.Unmarshal(raw, o.Simulation); err != nil {
		o.Simulation = nil
		return fmt.Errorf("read the fleet's report: %w", err)
	}
	return nil
}

// ask asks Temporal how often workflows were continued as new, and how far each
// lost message came.
func (o *Outcome) ask(ctx context.Context, s *system, bridgeLogs []string) error {
	c, err := s.DialTemporal(ctx, stack.Namespace)
	if err != nil {
		return err
	}
	defer c.Close()
	answer, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Namespace: stack.Namespace, Query: "ExecutionStatus = 'ContinuedAsNew'",
	})
	if err != nil {
		return fmt.Errorf("count runs of workflows: %w", err)
	}
	if o.ContinuedAsNew = answer.GetCount(); o.Broker == process.Kafka {
		return nil
	}
	o.Lost, err = trace(ctx, c, bridgeLogs, o.Simulation.LostMessages)
	return err
}

// conclude decides whether the case passes; err is why it proves nothing.
func (o *Outcome) conclude(err error) {
	if err == nil {
		o.Damaged, o.DamagedLost = uint64(len(o.damaged)), o.damagedLost()
		err = o.proved()
	}
	if err == nil {
		err = o.violations()
	}
	o.Clean = err == nil
	o.LostByBroker = !o.Clean && o.brokerLost()
	if err != nil {
		o.Error = err.Error()
	}
}

// proved is an error if there was too little in the case for it to prove anything.
func (o *Outcome) proved() error {
	if o.Broker == process.Kafka {
		return o.provedEntities()
	}
	s := o.Simulation
	switch {
	case s == nil:
		return errors.New("there is no report of the fleet")
	case s.EndedEarly != "":
		return fmt.Errorf("the fleet ended early: %s", s.EndedEarly)
	case s.Applied == 0 || s.ReprovisionsDone == 0:
		return fmt.Errorf("%d messages applied and %d devices reprovisioned: nothing was proved", s.Applied, s.ReprovisionsDone)
	case s.Crossings == 0:
		return errors.New("no reading crossed the level: nothing was proved")
	case s.LeftOut == 0:
		return fmt.Errorf("none of %d repetitions was left out: the bridge filtered nothing", s.Optional)
	case s.Recorded == 0 || s.Unnumbered == 0 || s.Mixed == 0:
		return fmt.Errorf("%d messages of backlogs, %d without a number, %d of mixed types: nothing was proved", s.Recorded, s.Unnumbered, s.Mixed)
	case o.ContinuedAsNew == 0:
		return errors.New("no workflow was continued as new")
	case o.Points.Due == 0:
		return errors.New("the ledger has no telemetry")
	case o.Refused < 2*refusals:
		return fmt.Errorf("the broker refused %d times what it has to, and not %d times", o.Refused, 2*refusals)
	}
	if o.Damaged > 0 && o.Ack == process.Logged && o.DamagedLost+o.Points.Damaged == 0 {
		return fmt.Errorf("nothing is missing of %d messages that were overwritten: they were delivered before", o.Damaged)
	}
	return nil
}

// violations are what a case fails for.
func (o *Outcome) violations() error {
	if o.Broker == process.Kafka {
		return o.entityViolations()
	}
	s, excused, late := o.Simulation, o.DamagedLost, o.damagedLate()
	switch {
	case !s.Clean && (excused+late == 0 || s.Lost != excused):
		return errors.New("the ledger has violations")
	case excused > 0 && o.Ack != process.Logged:
		return fmt.Errorf("%d damaged messages are lost, although the broker had them", excused)
	// Clean is the simulator's conclusion; these are the figures.
	case s.Lost-excused+s.Duplicated+s.Reordered-late+s.Unexpected+s.ReprovisionsMissing+s.ReprovisionsSpurious != 0,
		uint64(s.DevicesUnsettled) > excused, s.Applied+excused != s.Relevant, s.DeadLetters != s.DeadLettersMeant:
		return errors.New("the figures of the ledger show violations")
	case s.AppliedAgain > 0 && !o.mayRepeat():
		return fmt.Errorf("%d messages without a number were applied twice", s.AppliedAgain)
	case o.Points.Missing > o.Points.Tolerated:
		return fmt.Errorf("points: %s, of which %d could be excused", o.Points, o.Points.Tolerated)
	}
	return nil
}

// damagedLate is how many messages may have been applied after later ones: those that were
// overwritten before the broker had the acknowledgement, so that it delivers them again when
// later ones have come from the log.
func (o *Outcome) damagedLate() uint64 {
	return min(o.Simulation.Reordered, uint64(len(o.damaged))-o.DamagedLost)
}

// damagedLost is how many messages are lost, if all of them were in records that were
// overwritten; else 0.
func (o *Outcome) damagedLost() uint64 {
	for _, m := range o.Lost {
		if !slices.Contains(o.damaged, m.LostMessage) {
			return 0
		}
	}
	return uint64(len(o.Lost))
}

// mayRepeat reports whether the broker can have delivered a message again without
// saying so: it was killed, and had not stored that it had delivered it. Nor can a bridge
// that was killed before its acknowledgements had left, and whose log lost those records,
// know what it has delivered.
func (o *Outcome) mayRepeat() bool {
	if o.Ack == process.Accepted && o.Fault == string(Lose) || o.Fault == string(DamageRead) {
		return true
	}
	return o.brokerKilled()
}

// brokerKilled reports whether the fault was that the broker was killed, or a node of it.
func (o *Outcome) brokerKilled() bool {
	return o.Fault == (Fault{Kind: Kill, Part: Broker}).name() || o.Fault == (Fault{Kind: Kill, Nodes: 1}).name()
}

// brokerLost reports whether the only violations are messages that were lost with
// the broker when it was killed.
func (o *Outcome) brokerLost() bool {
	s := o.Simulation
	if !o.brokerKilled() || s == nil || s.EndedEarly != "" || o.ContinuedAsNew == 0 {
		return false
	}
	elsewhere := func(m LostMessage) bool { return m.LastSeen != Published }
	others := s.Duplicated + s.Reordered + s.Unexpected + s.ReprovisionsMissing + s.ReprovisionsSpurious
	return s.Lost+o.Points.Unseen > 0 && o.Points.Missing-o.Points.Unseen <= o.Points.Tolerated && uint64(len(o.Lost)) == s.Lost && !slices.ContainsFunc(o.Lost, elsewhere) &&
		others == 0 && s.DeadLetters == s.DeadLettersMeant && uint64(s.DevicesUnsettled) <= s.Lost && s.Applied+s.Lost == s.Relevant
}

// Excused reports whether all cases pass, except for messages that were lost with a
// broker when it was killed.
func (r Report) Excused() bool {
	return len(r.Outcomes) > 0 && !slices.ContainsFunc(r.Outcomes, func(o Outcome) bool { return !o.Clean && !o.LostByBroker })
}

// conclude decides whether the run passes.
func (r *Report) conclude() {
	r.Clean = len(r.Outcomes) > 0
	for _, o := range r.Outcomes {
		r.Clean = r.Clean && o.Clean
	}
}
