package simulator

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
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
func (r EntityReport) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the report: %w", err)
	}
	return append(b, '\n'), nil
}

// WriteText writes the report for people.
func (r EntityReport) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-22s %s\n", name, fmt.Sprintf(format, args...))
	}
	verdict := "CLEAN"
	if !r.Clean {
		verdict = "NOT CLEAN"
	}
	fmt.Fprintf(&b, "%s  scenario %s, model %s, seed %d\n", verdict, r.Scenario, r.Model, r.Seed)
	line("entities", "%d of kind %s for %.1f s, then %.1f s to settle", r.Entities, r.Kind, r.DurationS, r.DrainS)
	line("records", "%d written (%.1f/s), %d relevant, %d applied", r.Sent, r.RecordsPerSecond, r.Relevant, r.Applied)
	line("ledger", "%d lost, %d duplicated, %d reordered, %d unexpected", r.Lost, r.Duplicated, r.Reordered, r.Unexpected)
	line("counts", "%d records counted, exact for %d of %d entities", r.Counted, r.Entities-r.CountsWrong, r.Entities)
	line("notified", "%d expected, %d missing, %d spurious", r.NotifiedExpected, r.NotifiedMissing, r.NotifiedSpurious)
	line("signals", "%d, %.2f events each", r.Signals, r.EventsPerSignal)
	line("disturbances", "%d records written twice, %d deletions", r.Copies, r.Deletions)
	line("dead letters", "%d (%d expected)", r.DeadLetters, r.DeadLettersMeant)
	q := r.RecordToState
	fmt.Fprintf(&b, "  %-22s %8s %8s %8s %8s %8s\n", "latency in ms", "p50", "p95", "p99", "p99.9", "max")
	fmt.Fprintf(&b, "  %-22s %8.1f %8.1f %8.1f %8.1f %8.1f\n", "  record to state", q.P50, q.P95, q.P99, q.P999, q.Max)
	if r.WrittenAgain > 0 {
		line("written again", "%d records of the service, dropped by their ids", r.WrittenAgain)
	}
	if r.Unsettled > 0 {
		line("not settled", "%d of the entities, when the wait ended", r.Unsettled)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
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
	fleet  *entityFleet
	cancel context.CancelFunc
	done   sync.WaitGroup

	mutex  sync.Mutex
	phase  Phase
	states map[string]int
}

func (f *entityFleet) newDisplay() *entityDisplay {
	return &entityDisplay{fleet: f, phase: PhaseRunning, cancel: func() {}}
}

func (d *entityDisplay) start(ctx context.Context) {
	ctx, d.cancel = context.WithCancel(ctx)
	d.done.Go(func() { d.show(ctx) })
	d.done.Go(func() { d.askStates(ctx) })
}

func (d *entityDisplay) stop() {
	d.cancel()
	d.done.Wait()
}

func (d *entityDisplay) enter(p Phase) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.phase = p
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
		d.mutex.Lock()
		p.Phase, p.States = d.phase, d.states
		d.mutex.Unlock()
		last, sent, relevant = now, nowSent, nowRelevant
		f.options.Progress(p)
	}
}

// askStates keeps the latest count of entities by state. It is for the display only, so a failure just
// leaves the old one.
func (d *entityDisplay) askStates(ctx context.Context) {
	for pause(ctx, statesEvery) {
		asking, cancel := context.WithTimeout(ctx, askTimeout)
		states, err := d.fleet.options.Twins.States(asking)
		cancel()
		if err != nil {
			continue
		}
		d.mutex.Lock()
		d.states = states
		d.mutex.Unlock()
	}
}

// lines are the progress in a few short lines.
func (p EntityProgress) lines() []string {
	first := fmt.Sprintf("%-10s %s", p.Phase, clock(p.Elapsed))
	switch p.Phase {
	case PhaseRunning:
		first += " of " + clock(p.Planned)
	case PhaseSettling:
		first += fmt.Sprintf("  waiting for %d", p.Waiting)
	}
	first += fmt.Sprintf("  %d of kind %s", p.Entities, p.Kind)
	second := fmt.Sprintf("%.0f records/s  %.0f events/s  %d deletions  %d notified", p.RecordsPerSecond, p.EventsPerSecond, p.Deletions, p.Notified)
	if p.DeadLetters > 0 {
		second += fmt.Sprintf("  %d dead letters", p.DeadLetters)
	}
	lines := []string{first, second}
	if len(p.States) > 0 {
		lines = append(lines, statesLine(p.States))
	}
	if p.Trouble != "" {
		lines = append(lines, "! "+shortened(p.Trouble, 100))
	}
	return lines
}
