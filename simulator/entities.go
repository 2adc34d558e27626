package simulator

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"devicetwin/device"
	"devicetwin/wire"
)

// entityFleet is the entities of one run and what they share.
type entityFleet struct {
	options EntityOptions
	started time.Time
	writer  *kgo.Client
	outside *outside
	all     []*entity
	running sync.WaitGroup
	count   struct {
		sent, relevant, counted, copies, deletions, poison atomic.Uint64
	}
	waiting atomic.Int64 // entities that are not settled
	failed  chan error   // why the run fails
	troubles
}

// entity plays one entity. Its goroutine owns the plan.
type entity struct {
	id, name string
	fleet    *entityFleet
	start    time.Duration
	plan     *entityPlan

	mutex   sync.Mutex
	account account
	last    number
	count   int            // that the model has to have
	due     map[string]int // what somebody has to be notified of, and how often
}

// RunEntities plays the scenario and verifies the results. The error says why the run failed;
// a run that found something wrong with the service has a report with Clean false, and no
// error. It returns early, with the context's error, when the context ends.
func RunEntities(ctx context.Context, o EntityOptions) (EntityReport, error) {
	if err := o.Validate(); err != nil {
		return EntityReport{}, err
	}
	start := time.Now()
	o.setDefaults(start)
	f := &entityFleet{options: o, started: start, failed: make(chan error, 1), troubles: troubles{log: o.Log}}
	for i := range o.Entities {
		f.all = append(f.all, f.newEntity(i))
	}
	if err := checkTopics(ctx, o.Kafka, slices.Compact(slices.Sorted(slices.Values(append(o.Scenario.recordTopics(), o.Scenario.outsideTopics()...))))); err != nil {
		return EntityReport{}, err
	}
	var err error
	if f.outside, err = newOutside(o.Scenario, o.Kafka, f.all, f.unreachable); err != nil {
		return EntityReport{}, err
	}
	defer f.outside.client.Close()
	if f.writer, err = newRecordWriter(o.Kafka); err != nil {
		return EntityReport{}, err
	}
	defer f.writer.Close()
	return f.run(ctx)
}

// outsideTopics are those that the service writes to.
func (s *EntityScenario) outsideTopics() []string {
	if s.Expect.Notified.Topic == "" {
		return []string{s.Kafka.DeadLetters}
	}
	return []string{s.Kafka.DeadLetters, s.Expect.Notified.Topic}
}

func (f *entityFleet) newEntity(index int) *entity {
	o := f.options
	name := o.entityName(index)
	start := time.Duration(float64(index) / o.StartRate * float64(time.Second))
	return &entity{
		id: o.entityID(name), name: name, fleet: f, start: start,
		plan:    newEntityPlan(o.Scenario, name, o.Seed, index, o.Rate, f.ramp()+o.Duration-start),
		account: account{bare: newBareAccount()}, last: number{epoch: f.started.Unix()}, due: map[string]int{},
	}
}

// ramp is how long it takes until all entities have begun.
func (f *entityFleet) ramp() time.Duration {
	return time.Duration(float64(f.options.Entities) / f.options.StartRate * float64(time.Second))
}

func (f *entityFleet) run(ctx context.Context) (EntityReport, error) {
	playing, cancel := context.WithCancelCause(ctx)
	defer f.running.Wait()
	defer cancel(nil)
	f.running.Go(func() { f.outside.run(playing) })
	go func() {
		select {
		case err := <-f.failed:
			cancel(err)
		case <-playing.Done():
		}
	}()
	display := f.newDisplay()
	defer display.stop()
	display.start(playing)

	o := f.options
	report := EntityReport{
		Version: EntityReportVersion, Scenario: o.Scenario.Name, Kind: o.Kind.Word(), Model: o.Model.Name(), ModelHash: o.Model.Hash(),
		Seed: o.Seed, Entities: o.Entities, Rate: o.Rate,
	}
	if err := f.play(playing, &report); err != nil {
		return EntityReport{}, fmt.Errorf("write the records: %w", cmp.Or(context.Cause(playing), err))
	}
	finished := time.Now()
	display.enter(PhaseSettling)
	rests, err := f.settle(playing, finished.Add(o.Drain))
	if err != nil {
		return EntityReport{}, fmt.Errorf("wait for the workflows: %w", cmp.Or(context.Cause(playing), err))
	}
	report.DrainS = seconds(time.Since(finished))
	display.enter(PhaseVerifying)
	if err := f.outside.catchUp(playing); err != nil {
		return EntityReport{}, err
	}
	f.fill(&report, rests)
	return report, nil
}

// play lets the entities carry out their plans, and waits until all that they wrote is acknowledged.
func (f *entityFleet) play(ctx context.Context, report *EntityReport) error {
	var entities sync.WaitGroup
	for _, e := range f.all {
		entities.Go(func() { e.run(ctx) })
	}
	entities.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := f.writer.Flush(ctx); err != nil {
		return err
	}
	took := time.Since(f.started).Seconds()
	report.DurationS, report.RecordsPerSecond = rounded(took), rounded(float64(f.count.sent.Load())/took)
	select {
	case err := <-f.failed: // by the last acknowledgements
		return err
	default:
		return nil
	}
}

// fail ends the run.
func (f *entityFleet) fail(err error) {
	select {
	case f.failed <- err:
	default: // it ends already
	}
}

// run writes the records of the entity.
func (e *entity) run(ctx context.Context) {
	for {
		act, more := e.plan.next()
		if !more {
			break
		}
		if !pauseUntil(ctx, e.fleet.started.Add(e.start+act.at)) {
			return
		}
		if err := e.write(ctx, act); err != nil {
			e.fleet.fail(fmt.Errorf("%s: %w", e.id, err))
			return
		}
	}
	if e.plan.err != nil {
		e.fleet.fail(e.plan.err)
	}
}

// pauseUntil is false if the context ends before.
func pauseUntil(ctx context.Context, at time.Time) bool {
	if wait := time.Until(at); wait > 0 {
		return pause(ctx, wait)
	}
	return ctx.Err() == nil
}

// entered is a message of a record in the ledger.
type entered struct {
	number number
	duty   duty
}

// write writes one record. While it may not wait for its turn any longer, it blocks.
func (e *entity) write(ctx context.Context, act entityAct) error {
	messages, err := e.enter(act)
	if err != nil {
		return err
	}
	written := time.Now()
	e.fleet.writer.Produce(ctx, &kgo.Record{Topic: act.topic, Key: []byte(e.name), Value: act.value}, func(_ *kgo.Record, err error) {
		if err != nil {
			if ctx.Err() == nil {
				e.fleet.fail(fmt.Errorf("%s: write to topic %s: %w", e.id, act.topic, err))
			}
			return
		}
		e.acknowledged(act, messages, written)
	})
	return nil
}

// enter enters what a record says in the ledger, before it is written: acknowledgements come in
// the same order. A copy says nothing new, and poison nothing at all.
func (e *entity) enter(act entityAct) (messages []entered, err error) {
	o := e.fleet.options
	var received []wire.Received
	switch act.kind {
	case actCopy, actPoison:
		return nil, nil
	case actDeletion:
		received = deletion(device.ID(e.id))
	default:
		if received, err = o.meaning(act.topic, e.name, act.value); err != nil {
			return nil, err
		}
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	for _, r := range received {
		digest, err := readDigest(r.Message)
		if err != nil {
			return nil, err
		}
		m := entered{duty: free}
		if o.Model.Relevant(r.Message) {
			m.duty = due
		}
		e.last.seq++
		m.number = e.last
		e.account.noteIssued(m.number)
		e.account.bare.note(digest, m.number)
		messages = append(messages, m)
	}
	e.expect(act)
	return messages, nil
}

// deletion is what a record without a value says: see docs/kafka.md.
func deletion(id device.ID) []wire.Received {
	r := wire.Received{ID: id, Object: []byte("{}"), Message: device.Message{Channel: device.ChannelEvents, Name: "deleted", Data: map[string]any{}}}
	r.Identify()
	return []wire.Received{r}
}

// expect is the oracle.
func (e *entity) expect(act entityAct) {
	expect := e.fleet.options.Scenario.Expect
	switch {
	case act.kind == actDeletion:
		e.count = 0
	case act.kind == actRecord && act.record == expect.Count.Record:
		e.count++
		for _, t := range expect.Notified.At {
			if t.Count == e.count {
				e.due[t.Says]++
			}
		}
	}
}

func (e *entity) acknowledged(act entityAct, messages []entered, written time.Time) {
	count := &e.fleet.count
	count.sent.Add(1)
	switch act.kind {
	case actCopy:
		count.copies.Add(1)
	case actPoison:
		count.poison.Add(1)
	case actDeletion:
		count.deletions.Add(1)
	case actRecord:
		if act.record == e.fleet.options.Scenario.Expect.Count.Record {
			count.counted.Add(1)
		}
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	for _, m := range messages {
		if m.duty == due {
			count.relevant.Add(1)
		}
		e.account.noteAcknowledged(m.number, m.duty, written)
	}
}

// entityRest is how far one entity has come in the waiting.
type entityRest struct {
	log     AppliedLog
	count   int  // that its model has
	known   bool // it was asked with success
	err     error
	settled bool
	askAt   time.Time
	wait    time.Duration
}

// settle waits until every workflow has applied what was written, and all notifications are there; or until
// the deadline. The error is that of the context, or of a workflow that does not answer.
func (f *entityFleet) settle(ctx context.Context, deadline time.Time) ([]entityRest, error) {
	rests := make([]entityRest, len(f.all))
	f.waiting.Store(int64(len(f.all)))
	for {
		now := time.Now()
		var ask errgroup.Group
		ask.SetLimit(askAtOnce)
		for i, e := range f.all {
			if r := &rests[i]; !r.settled && !now.Before(r.askAt) {
				ask.Go(func() error { e.ask(ctx, r); return nil })
			}
		}
		_ = ask.Wait() // what goes wrong is kept with the entity
		var unanswered error
		for i := range rests {
			if !rests[i].known {
				unanswered = cmp.Or(unanswered, rests[i].err)
			}
		}
		_, letters, _ := f.outside.counts()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case f.waiting.Load() == 0 && uint64(letters) >= f.count.poison.Load():
			return rests, nil
		case time.Now().After(deadline):
			return rests, unanswered
		}
		if !pause(ctx, settleEvery) {
			return nil, ctx.Err()
		}
	}
}

func (e *entity) ask(ctx context.Context, r *entityRest) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	twins := e.fleet.options.Twins
	log, err := twins.Applied(ctx, e.id)
	var values map[string]any
	if err == nil {
		values, err = twins.Context(ctx, e.id)
	}
	if err != nil {
		r.err = fmt.Errorf("ask the twin of %s: %w", e.id, err)
	} else {
		r.log, r.known, r.err = log, true, nil
		r.count = numberIn(values, e.fleet.options.Scenario.Expect.Count.In)
		missing, _ := e.unnotified()
		e.mutex.Lock()
		r.settled = e.account.covered(log) && r.count == e.count && missing == 0
		e.mutex.Unlock()
		if r.settled {
			e.fleet.waiting.Add(-1)
		}
	}
	r.wait = min(max(2*r.wait, askFirst), askSlowest)
	r.askAt = time.Now().Add(r.wait)
}

// numberIn is a count in the context of a model: 0 if there is none, and -1 if it is not a count.
func numberIn(values map[string]any, name string) int {
	switch v := values[name].(type) {
	case nil:
		return 0
	case float64:
		if n := int(v); float64(n) == v {
			return n
		}
	case int64:
		return int(v)
	case int:
		return v
	}
	return -1
}

// unnotified is how many notifications about the entity are missing, and how many there are in
// addition. The order does not count: notifications may overtake one another.
func (e *entity) unnotified() (missing, spurious int) {
	said := map[string]int{}
	for _, what := range e.fleet.outside.of(e.id) {
		said[what]++
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	for what, times := range e.due {
		missing += max(0, times-said[what])
	}
	for what, times := range said {
		spurious += max(0, times-e.due[what])
	}
	return missing, spurious
}
