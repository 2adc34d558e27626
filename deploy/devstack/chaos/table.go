package chaos

import (
	"fmt"
	"io"
	"slices"
	"time"

	"devicetwin/deploy/devstack/process"
)

// JSON is the report as an indented JSON object with a newline at its end.
func (r Report) JSON() ([]byte, error) { return process.JSON(r) }

// verdict is the outcome in a word: "error" is a case that has no violations in its
// ledger, and yet did not pass: it proves too little.
func (o Outcome) verdict() string {
	switch {
	case o.Clean:
		return "yes"
	case o.LostByBroker:
		return "broker"
	case o.Broker == process.Kafka:
		if o.Entities == nil || o.Entities.Clean {
			return "error"
		}
		return "no"
	case o.Simulation == nil || o.Simulation.Clean && o.Points.Missing <= o.Points.Tolerated:
		return "error"
	}
	return "no"
}

// summarize writes how a case ended.
func (o Outcome) summarize(w io.Writer) {
	if o.Entities != nil {
		o.summarizeEntities(w)
		return
	}
	switch o.verdict() {
	case "yes":
		fmt.Fprintf(w, "CLEAN: %d messages applied, %d repetitions left out; points: %s\n", o.Simulation.Applied, o.Simulation.LeftOut, o.Points)
	case "error":
		fmt.Fprintf(w, "ERROR: %s\n", o.Error)
	default:
		fmt.Fprintf(w, "NOT CLEAN: %s\n", o.Error)
		_ = o.Simulation.WriteText(w) // progress is a courtesy
		for _, m := range o.Lost {
			name := fmt.Sprintf("message %d of epoch %d", m.Seq, m.Epoch)
			if m.Digest != "" {
				name = "the message with digest " + m.Digest
			}
			fmt.Fprintf(w, "  lost: %s of device %s, last seen %s\n", name, m.Device, m.LastSeen)
		}
	}
	if o.Logs != "" {
		fmt.Fprintf(w, "  logs are in %s\n", o.Logs)
	}
}

// WriteTable writes the report for people: a line for each case.
func (r Report) WriteTable(w io.Writer) error {
	t := process.Table(w)
	fmt.Fprintln(t, "fault\tbroker\tack\tsent\tapplied\tleft out\tlost\tduplicated\treordered\tmissing\tspurious\tpoints missing\tclean\tseconds\t")
	clean, refused, lost, damaged, gone := 0, 0, uint64(0), uint64(0), uint64(0)
	for _, o := range r.Outcomes {
		if o.Clean {
			clean++
		}
		refused += o.Refused
		if e := o.Entities; e != nil {
			fmt.Fprintf(t, "%s\t%s\t-\t%d\t%d\t-\t%d\t%d\t%d\t%d\t%d\t-\t%s\t%.1f\t\n", o.Fault, o.Broker, e.Sent, e.Applied,
				e.Lost, e.Duplicated, e.Reordered, e.NotifiedMissing, e.NotifiedSpurious, o.verdict(), o.Seconds)
			continue
		}
		s := o.Simulation
		if s == nil {
			fmt.Fprintf(t, "%s\t%s\t%s\t-\t-\t-\t-\t-\t-\t-\t-\t-\t%s\t%.1f\t\n", o.Fault, o.Broker, o.Ack, o.verdict(), o.Seconds)
			continue
		}
		if o.LostByBroker {
			lost += s.Lost + o.Points.Unseen
		}
		damaged, gone = damaged+o.Damaged, gone+o.DamagedLost+o.Points.Damaged
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%.1f\t\n", o.Fault, o.Broker, o.Ack, s.Sent, s.Applied, s.LeftOut,
			s.Lost, s.Duplicated, s.Reordered, s.ReprovisionsMissing, s.ReprovisionsSpurious, o.Points.Missing, o.verdict(), o.Seconds)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	if lost > 0 {
		fmt.Fprintf(w, "broker: %d messages were acknowledged by a broker that was then killed, and seen by nobody after that\n", lost)
	}
	if damaged > 0 {
		fmt.Fprintf(w, "damaged: %d messages were in records of a log that were overwritten, and %d of these are missing\n", damaged, gone)
	}
	if refused > 0 {
		fmt.Fprintf(w, "refused: %d times a wrong password, or a topic of another device\n", refused)
	}
	if offline := r.offline(); offline != nil {
		fmt.Fprintf(w, "offline: bridges were without the broker %d times, for %v to %v, half of the times for %v at most\n",
			len(offline), offline[0], offline[len(offline)-1], offline[(len(offline)-1)/2])
	}
	_, err := fmt.Fprintf(w, "%d of %d clean\n", clean, len(r.Outcomes))
	return err
}

// offline are the times that bridges were without the broker, sorted.
func (r Report) offline() (all []time.Duration) {
	for _, o := range r.Outcomes {
		all = append(all, o.Offline...)
	}
	slices.Sort(all)
	return all
}
