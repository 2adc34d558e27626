package simulator

import (
	"fmt"
	"io"
)

// ReportVersion is the version of the report's shape; it rises when a name is
// taken away or changes its meaning.
const ReportVersion = 1

// Report is the outcome of a run, and as JSON the file that --report writes.
type Report struct {
	Version   int     `json:"report_version"`
	Scenario  string  `json:"scenario"`
	Model     string  `json:"model"`
	ModelHash string  `json:"model_hash"`
	Seed      uint64  `json:"seed"`
	Devices   int     `json:"devices"`
	Rate      float64 `json:"rate"`       // readings per second and device, as asked for
	DurationS float64 `json:"duration_s"` // from the first connection to the last planned message
	DrainS    float64 `json:"drain_s"`    // from there until everything was applied

	// The ledger. Only Sent counts messages of all kinds; the others count
	// relevant ones. Others may be applied as well.
	Sent           uint64 `json:"sent"`           // acknowledged by the broker, each once
	Relevant       uint64 `json:"relevant"`       // of these, those that have to be applied: the model says so
	Applied        uint64 `json:"applied"`        // of the relevant ones, those that were applied
	Lost           uint64 `json:"lost"`           // of the relevant ones, those that were not
	Duplicated     uint64 `json:"duplicated"`     // further applications of the same message
	Reordered      uint64 `json:"reordered"`      // applied after a later message of the device
	Unexpected     uint64 `json:"unexpected"`     // applied, but never sent
	AppliedAgain   uint64 `json:"applied_again"`  // further applications of messages without a number, which the service may not have been able to recognize
	Unacknowledged uint64 `json:"unacknowledged"` // published, but without PUBACK at the end

	// Repetitions without effect after the messages before them. They are not part
	// of Relevant; those that are applied have to be so once and in order.
	Optional  uint64 `json:"optional"`  // acknowledged by the broker, each once
	LeftOut   uint64 `json:"left_out"`  // of these, those that were not applied
	Crossings uint64 `json:"crossings"` // of Relevant, those that crossed the level of the scenario

	// LostMessages names the first of those that Lost counts.
	LostMessages []LostMessage `json:"lost_messages,omitempty"`

	DeadLetters      uint64 `json:"dead_letters"`       // seen on bridge/+/deadletter
	DeadLettersMeant uint64 `json:"dead_letters_meant"` // of these, what the scenario sent to be refused
	Recorded         uint64 `json:"recorded"`           // of Sent, those that were recorded offline and sent as a backlog
	Unnumbered       uint64 `json:"unnumbered"`         // of Sent, those without a number
	Mixed            uint64 `json:"mixed"`              // of Sent, readings of mixed types
	DuplicatesSent   uint64 `json:"duplicates_sent"`    // repetitions that the scenario asked for
	Reconnects       uint64 `json:"reconnects"`         // connections beyond the first of each device
	CommandsReceived uint64 `json:"commands_received"`  // distinct ids
	CommandsRepeated uint64 `json:"commands_repeated"`  // further deliveries of the same id
	DevicesUnsettled int    `json:"devices_unsettled"`  // not all applied, or an episode open, when the wait ended
	EndedEarly       string `json:"ended_early"`        // why; empty: the run lasted as long as planned

	SequencesCompleted    uint64 `json:"sequences_completed"`
	ReprovisionsExpected  uint64 `json:"reprovisions_expected"`
	ReprovisionsDone      uint64 `json:"reprovisions_done"`
	ReprovisionsMissing   uint64 `json:"reprovisions_missing"`
	ReprovisionsSpurious  uint64 `json:"reprovisions_spurious"`
	ReprovisionRetries    uint64 `json:"reprovision_retries"`
	ReprovisionsUncertain uint64 `json:"reprovisions_uncertain"` // left out of expected; see Verdict
	Quarantined           int    `json:"quarantined"`            // devices that used up their attempts

	// Of scenarios with gateways.
	GatewayCuts    int `json:"gateway_cuts"`    // gateways that were cut
	AlarmsExpected int `json:"alarms_expected"` // of these, those for which the scenario expects an alarm of the site
	AlarmsMissing  int `json:"alarms_missing"`  // of the alarms, those that were not raised, did not explain all devices behind the gateway, or did not end
	AlarmsSpurious int `json:"alarms_spurious"` // other alarms that the site had at the end of a cut
	// AlarmsExplained counts the devices whose silence an expected alarm explained, of those that are not
	// missing.
	AlarmsExplained int `json:"alarms_explained"`

	MessagesPerSecond float64 `json:"messages_per_second"`
	Signals           uint64  `json:"signals"`
	EventsPerSignal   float64 `json:"events_per_signal"`

	Latency Latencies `json:"latency_ms"`
	Clean   bool      `json:"clean"`
}

// LostMessage is a message that the broker acknowledged and that was not applied.
type LostMessage struct {
	Device string `json:"device"`
	Epoch  int64  `json:"epoch"`
	Seq    uint64 `json:"seq"`
	// Digest is that of a message without a number.
	Digest string `json:"digest,omitempty"`
}

// Latencies are the two that matter, in milliseconds.
type Latencies struct {
	// EventToState is from a device's PUBLISH of a relevant message until the
	// workflow task that applied it is stored.
	EventToState Quantiles `json:"event_to_state"`
	// SequenceToCommand is from the PUBLISH that completes a sequence until the
	// device has the command. Devices that went offline on purpose in between
	// are left out.
	SequenceToCommand Quantiles `json:"sequence_to_command"`
}

// Quantiles of a latency in milliseconds; zeros when Count is 0.
type Quantiles struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
}

// verify sets Clean: nothing lost, duplicated, out of order or made up, every
// reprovisioning and every alarm that was due and no other, nothing refused that should not
// have been, and something to show for it.
func (r *Report) verify() {
	r.Clean = r.Lost == 0 && r.Duplicated == 0 && r.Reordered == 0 && r.Unexpected == 0 &&
		r.ReprovisionsMissing == 0 && r.ReprovisionsSpurious == 0 &&
		r.AlarmsMissing == 0 && r.AlarmsSpurious == 0 &&
		r.DeadLetters == r.DeadLettersMeant &&
		r.DevicesUnsettled == 0 && r.Applied > 0
}

// JSON is the report as an indented JSON object with a newline at its end.
func (r Report) JSON() ([]byte, error) { return reportJSON(r) }

// WriteText writes the report for people.
func (r Report) WriteText(w io.Writer) error {
	var b reportText
	b.head(r.Clean, r.Scenario, r.Model, r.Seed)
	b.line("fleet", "%d devices for %.1f s, then %.1f s to settle", r.Devices, r.DurationS, r.DrainS)
	b.line("messages", "%d sent (%.1f/s), %d relevant, %d applied", r.Sent, r.MessagesPerSecond, r.Relevant, r.Applied)
	if r.Optional > 0 {
		b.line("repetitions", "%d that can do nothing, %d of them left out", r.Optional, r.LeftOut)
	}
	if r.Crossings > 0 {
		b.line("level", "crossed %d times", r.Crossings)
	}
	b.line("ledger", "%d lost, %d duplicated, %d reordered, %d unexpected", r.Lost, r.Duplicated, r.Reordered, r.Unexpected)
	if r.Recorded+r.Unnumbered+r.Mixed > 0 {
		b.line("of the messages", "%d from backlogs, %d without a number, %d of mixed types", r.Recorded, r.Unnumbered, r.Mixed)
	}
	if r.AppliedAgain > 0 {
		b.line("applied again", "%d messages without a number were applied again", r.AppliedAgain)
	}
	b.line("reprovisions", "%d of %d expected done, %d missing, %d spurious, %d retries",
		r.ReprovisionsDone, r.ReprovisionsExpected, r.ReprovisionsMissing, r.ReprovisionsSpurious, r.ReprovisionRetries)
	if r.GatewayCuts > 0 {
		b.line("gateways", "%d cut", r.GatewayCuts)
		explained := ""
		if r.AlarmsExplained > 0 {
			explained = fmt.Sprintf("; the silence of %d devices explained", r.AlarmsExplained)
		}
		b.line("alarms", "%d of %d expected raised, %d missing, %d spurious%s",
			r.AlarmsExpected-r.AlarmsMissing, r.AlarmsExpected, r.AlarmsMissing, r.AlarmsSpurious, explained)
	}
	b.line("signals", "%d, %.2f events each", r.Signals, r.EventsPerSignal)
	b.line("disturbances", "%d duplicates sent, %d reconnects, %d repeated commands", r.DuplicatesSent, r.Reconnects, r.CommandsRepeated)
	b.line("dead letters", "%d (%d expected)", r.DeadLetters, r.DeadLettersMeant)
	b.latencies(latency{"event to state", r.Latency.EventToState}, latency{"sequence to command", r.Latency.SequenceToCommand})
	if r.Quarantined > 0 {
		b.line("quarantined", "%d of the devices", r.Quarantined)
	}
	if r.ReprovisionsUncertain > 0 {
		b.line("uncertain", "%d sequences that could rightly go either way", r.ReprovisionsUncertain)
	}
	if r.Unacknowledged > 0 {
		b.line("unacknowledged", "%d messages", r.Unacknowledged)
	}
	if r.DevicesUnsettled > 0 {
		b.line("not settled", "%d of the devices, when the wait ended", r.DevicesUnsettled)
	}
	if r.EndedEarly != "" {
		b.line("ended early", "%s", r.EndedEarly)
	}
	return b.writeTo(w)
}
