package simulator

import (
	"context"
	"fmt"
	"io"
	"time"
)

// EntityReportVersion is the version of the shape of EntityReport; it rises when a name is taken away or
// changes its meaning.
const EntityReportVersion = 1

// EntityReport is the outcome of RunEntities.
type EntityReport struct {
	Version   int     `json:"entity_report_version"`
	Scenario  string  `json:"scenario"`
	Kind      string  `json:"kind"`
	Model     string  `json:"model"`
	ModelHash string  `json:"model_hash"`
	Seed      uint64  `json:"seed"`
	Entities  int     `json:"entities"`
	Rate      float64 `json:"rate"`       // records per second of an entity with a pace of 1, as asked for
	DurationS float64 `json:"duration_s"` // from the first entity to the last acknowledgement
	DrainS    float64 `json:"drain_s"`    // from there until everything was applied, and all notifications were there

	// The ledger, as in Report: of the messages that records are. Copies and poison do not count.
	Sent       uint64 `json:"sent"`       // records that Kafka has acknowledged, with copies and poison
	Relevant   uint64 `json:"relevant"`   // messages of these that have to be applied: the model says so
	Applied    uint64 `json:"applied"`    // of the relevant ones, those that were
	Lost       uint64 `json:"lost"`       // of the relevant ones, those that were not
	Duplicated uint64 `json:"duplicated"` // further applications of the same message, or of a copy
	Reordered  uint64 `json:"reordered"`  // applied after a later message of the entity
	Unexpected uint64 `json:"unexpected"` // applied, but never sent

	// LostMessages names the first of those that Lost counts, by digest.
	LostMessages []LostMessage `json:"lost_messages,omitempty"`

	Counted     uint64 `json:"counted"`      // records that the scenario counts
	CountsWrong int    `json:"counts_wrong"` // entities whose model has another count than was written

	// What somebody outside was notified of, each time once.
	NotifiedExpected uint64 `json:"notified_expected"`
	NotifiedMissing  uint64 `json:"notified_missing"`
	NotifiedSpurious uint64 `json:"notified_spurious"` // without a reason, or once more

	Copies           uint64 `json:"copies"`             // records that were written twice, as the scenario asks for
	Deletions        uint64 `json:"deletions"`          // entities that were deleted, each time
	DeadLetters      uint64 `json:"dead_letters"`       // of the entities of the run
	DeadLettersMeant uint64 `json:"dead_letters_meant"` // records that were written to be refused
	WrittenAgain     uint64 `json:"written_again"`      // repetitions by the service, which a reader drops by their ids
	Unsettled        int    `json:"entities_unsettled"` // not all applied, or not all notified, when the wait ended

	RecordsPerSecond float64 `json:"records_per_second"`
	Signals          uint64  `json:"signals"`
	EventsPerSignal  float64 `json:"events_per_signal"`

	// RecordToState is from the moment in which a relevant record was given to the client until the workflow
	// task that applied it is stored, in milliseconds.
	RecordToState Quantiles `json:"record_to_state_ms"`
	Clean         bool      `json:"clean"`
}

// fill works out the figures of the report.
func (f *entityFleet) fill(r *EntityReport, rests []entityRest) {
	latency := newLatencies()
	events, shown := 0, 0
	for i, e := range f.all {
		rest := rests[i]
		missing, spurious := e.unnotified()
		e.mutex.Lock()
		t := e.account.compare(rest.log, latency.observe)
		wrong := rest.count != e.count
		for _, times := range e.due {
			r.NotifiedExpected += uint64(times)
		}
		e.mutex.Unlock()
		if suspect := !rest.settled || t.faulty() || t.AppliedAgain > 0 || wrong || missing+spurious > 0; suspect && shown < maxDevicesTold {
			shown++
			f.options.Log.Warn("entity has violations", "entity", e.id, "settled", rest.settled, "state", rest.log.State,
				"lost", t.Lost, "duplicated", t.Duplicated+t.AppliedAgain, "reordered", t.Reordered, "unexpected", t.Unexpected,
				"count", rest.count, "written", e.count, "unnotified", missing, "spurious", spurious)
		}
		for _, m := range t.Gone[:min(len(t.Gone), maxLostTold-len(r.LostMessages))] {
			r.LostMessages = append(r.LostMessages, e.lost(m.number))
		}
		if wrong {
			r.CountsWrong++
		}
		if !rest.settled {
			r.Unsettled++
		}
		r.Relevant += t.Relevant
		r.Applied += t.Applied
		r.Lost += t.Lost
		r.Duplicated += t.Duplicated + t.AppliedAgain // ids and places are known of all
		r.Reordered += t.Reordered
		r.Unexpected += t.Unexpected
		r.NotifiedMissing += uint64(missing)
		r.NotifiedSpurious += uint64(spurious)
		r.Signals += uint64(rest.log.Signals)
		events += len(rest.log.Entries)
	}
	r.Sent, r.Counted = f.count.sent.Load(), f.count.counted.Load()
	r.Copies, r.Deletions, r.DeadLettersMeant = f.count.copies.Load(), f.count.deletions.Load(), f.count.poison.Load()
	_, letters, again := f.outside.counts()
	r.DeadLetters, r.WrittenAgain = uint64(letters), uint64(again)
	if r.Signals > 0 {
		r.EventsPerSignal = rounded(float64(events) / float64(r.Signals))
	}
	r.RecordToState = latency.quantiles()
	r.verify()
}

// lost names a message for the report.
func (e *entity) lost(n number) LostMessage {
	m := LostMessage{Device: e.id}
	for _, sent := range e.account.bare.sent {
		if sent.number == n {
			m.Digest = digestText(sent.digest)
		}
	}
	return m
}

// verify sets Clean: nothing lost, duplicated, out of order or made up, every count exact, every notification
// there once, nothing refused that should not have been, and something to show for it.
func (r *EntityReport) verify() {
	r.Clean = r.Lost == 0 && r.Duplicated == 0 && r.Reordered == 0 && r.Unexpected == 0 &&
		r.CountsWrong == 0 && r.NotifiedMissing == 0 && r.NotifiedSpurious == 0 &&
		r.DeadLetters == r.DeadLettersMeant && r.Unsettled == 0 && r.Applied > 0
}

// JSON is the report as an indented JSON object with a newline at its end.
func (r EntityReport) JSON() ([]byte, error) { return reportJSON(r) }

// WriteText writes the report for people.
func (r EntityReport) WriteText(w io.Writer) error {
	var b reportText
	b.head(r.Clean, r.Scenario, r.Model, r.Seed)
	b.line("entities", "%d of kind %s for %.1f s, then %.1f s to settle", r.Entities, r.Kind, r.DurationS, r.DrainS)
	b.line("records", "%d written (%.1f/s), %d relevant, %d applied", r.Sent, r.RecordsPerSecond, r.Relevant, r.Applied)
	b.line("ledger", "%d lost, %d duplicated, %d reordered, %d unexpected", r.Lost, r.Duplicated, r.Reordered, r.Unexpected)
	b.line("counts", "%d records counted, exact for %d of %d entities", r.Counted, r.Entities-r.CountsWrong, r.Entities)
	b.line("notified", "%d expected, %d missing, %d spurious", r.NotifiedExpected, r.NotifiedMissing, r.NotifiedSpurious)
	b.line("signals", "%d, %.2f events each", r.Signals, r.EventsPerSignal)
	b.line("disturbances", "%d records written twice, %d deletions", r.Copies, r.Deletions)
	b.line("dead letters", "%d (%d expected)", r.DeadLetters, r.DeadLettersMeant)
	b.latencies(latency{"record to state", r.RecordToState})
	if r.WrittenAgain > 0 {
		b.line("written again", "%d records of the service, dropped by their ids", r.WrittenAgain)
	}
	if r.Unsettled > 0 {
		b.line("not settled", "%d of the entities, when the wait ended", r.Unsettled)
	}
	return b.writeTo(w)
}

// EntityProgress is a look at a run, about once a second. Its phases are those of Progress, without
// PhaseConnecting.
type EntityProgress struct {
	Phase            Phase
	Elapsed, Planned time.Duration // Planned is without the wait at the end
	Kind             string
	Entities         int
	Waiting          int // entities that are not settled yet, from PhaseSettling on

	Sent             uint64  // records acknowledged by Kafka
	RecordsPerSecond float64 // over the last second or so
	EventsPerSecond  float64 // of these, the relevant ones
	Deletions        uint64
	Notified         int
	DeadLetters      int
	States           map[string]int
	Trouble          string // latest thing that went wrong; empty if nothing has for a while
}

// entityDisplay makes an EntityProgress every second.
type entityDisplay struct {
	watching
	fleet *entityFleet
}

func (f *entityFleet) newDisplay() *entityDisplay {
	return &entityDisplay{fleet: f, watching: watching{phase: PhaseRunning, cancel: func() {}}}
}

func (d *entityDisplay) start(ctx context.Context) {
	d.watching.start(ctx, d.fleet.options.Twins, d.show)
}

func (d *entityDisplay) show(ctx context.Context) {
	f := d.fleet
	last, sent, relevant := f.started, uint64(0), uint64(0)
	for pause(ctx, showEvery) {
		now := time.Now()
		took := now.Sub(last).Seconds()
		nowSent, nowRelevant := f.count.sent.Load(), f.count.relevant.Load()
		notified, letters, _ := f.outside.counts()
		p := EntityProgress{
			Elapsed: now.Sub(f.started), Planned: f.ramp() + f.options.Duration, Kind: f.options.Kind.Word(), Entities: f.options.Entities,
			Waiting: int(f.waiting.Load()), Sent: nowSent,
			RecordsPerSecond: float64(nowSent-sent) / took, EventsPerSecond: float64(nowRelevant-relevant) / took,
			Deletions: f.count.deletions.Load(), Notified: notified, DeadLetters: letters, Trouble: f.trouble(),
		}
		p.Phase, p.States = d.now()
		last, sent, relevant = now, nowSent, nowRelevant
		f.options.Progress(p)
	}
}

// lines are the progress in a few short lines.
func (p EntityProgress) lines() []string {
	first := phaseText(p.Phase, p.Elapsed, p.Planned, p.Waiting) + fmt.Sprintf("  %d of kind %s", p.Entities, p.Kind)
	second := fmt.Sprintf("%.0f records/s  %.0f events/s  %d deletions  %d notified", p.RecordsPerSecond, p.EventsPerSecond, p.Deletions, p.Notified)
	if p.DeadLetters > 0 {
		second += fmt.Sprintf("  %d dead letters", p.DeadLetters)
	}
	return withStates([]string{first, second}, p.States, p.Trouble)
}
