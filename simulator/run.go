package simulator

import (
	"context"
	"fmt"
	"time"
)

// Run plays the scenario and verifies the results. The error says why the run failed; a run
// that found something wrong with the service has a Report with Clean false,
// and no error. Run returns early, with the context's error, when the context
// ends.
func Run(ctx context.Context, o Options) (Report, error) {
	if err := o.Validate(); err != nil {
		return Report{}, err
	}
	start := time.Now()
	o.setDefaults(start)
	dial, err := pahoDialer(o.Brokers, o.TLS)
	if err != nil {
		return Report{}, err
	}
	return run(ctx, o, dial, pahoWatcher(o), start)
}

func run(ctx context.Context, o Options, dial dialer, watch watcher, start time.Time) (Report, error) {
	f := newFleet(o, dial, start)
	stop, err := watch(ctx, deadLetterFilter, f.letters.receive)
	if err != nil {
		return Report{}, err
	}
	defer stop()

	devices, cancel := context.WithCancel(ctx)
	defer f.running.Wait()
	defer cancel()
	f.launch(devices)
	defer f.watching.Wait()
	f.watchCuts(devices)
	display := newDisplay(f)
	defer display.stop()
	display.start(ctx)

	report := Report{
		Version: ReportVersion, Scenario: o.Scenario.Name, Model: o.Model.Name(), ModelHash: o.Model.Hash(),
		Seed: o.Seed, Devices: o.Devices, Rate: o.Rate,
	}
	if err := f.play(ctx, display, &report); err != nil {
		return Report{}, fmt.Errorf("run the fleet: %w", err)
	}
	finished := time.Now()
	f.watching.Wait()
	s := newSettling(f)
	display.waitFor(s)
	if err := s.wait(ctx, finished.Add(o.Drain)); err != nil {
		return Report{}, fmt.Errorf("wait for the workflows: %w", err)
	}
	report.DrainS = seconds(time.Since(finished))
	display.enter(PhaseVerifying)
	report.DevicesUnsettled = s.waitingFor()
	if err := s.lastWord(ctx); err != nil {
		return Report{}, err
	}
	f.fill(&report, s)
	display.stop() // nothing is shown or written after the verdict
	f.writePoint(report.verdictFields(), time.Now())
	return report, nil
}

// play lets the devices carry out their plans.
func (f *fleet) play(ctx context.Context, display *display, report *Report) error {
	until := func(at time.Duration) (bool, error) {
		t := time.NewTimer(time.Until(f.started.Add(at)))
		defer t.Stop()
		select {
		case <-t.C:
			return true, nil
		case report.EndedEarly = <-f.early:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	display.enter(PhaseConnecting)
	inTime, err := until(f.ramp())
	if err != nil {
		return err
	}
	from, before := time.Now(), f.count.sent.Load()
	if inTime {
		display.enter(PhaseRunning)
		if _, err := until(f.ramp() + f.options.Duration); err != nil {
			return err
		}
	}
	if took := time.Since(from).Seconds(); took > 0 {
		report.MessagesPerSecond = rounded(float64(f.count.sent.Load()-before) / took)
	}
	report.DurationS = seconds(time.Since(f.started))
	f.finish()
	return nil
}

// maxDevicesTold is how many devices with violations are logged one by one.
const maxDevicesTold = 10

// maxLostTold is how many lost messages are named in the report.
const maxLostTold = 100

func seconds(d time.Duration) float64 { return rounded(d.Seconds()) }

// fill works out the figures of the report.
func (f *fleet) fill(r *Report, s *settling) {
	eventToState, sequenceToCommand := newLatencies(), newLatencies()
	events, told := uint64(0), 0
	for i, d := range f.devices {
		d.mutex.Lock()
		log := s.rests[i].log
		t := d.account.compare(log, eventToState.observe)
		v := decide(f.options.Scenario.Expect, evidence{
			facts: d.facts, unacknowledged: d.account.unacknowledged, now: time.Now(),
			durable: func(n number) (time.Time, bool) { at, ok := t.Durable[n]; return at, ok },
			skew:    d.identity.believedSkew(), blurred: d.account.blurred() || t.AppliedAgain > 0,
		})
		r.Unacknowledged += d.account.open()
		d.mutex.Unlock()

		if suspect := !s.rests[i].settled || t.faulty() || v.Missing+v.Spurious > 0; suspect && told < maxDevicesTold {
			told++
			f.options.Log.Warn("device has violations", "device", d.id, "settled", s.rests[i].settled, "state", log.State,
				"lost", t.Lost, "duplicated", t.Duplicated, "reordered", t.Reordered, "unexpected", t.Unexpected,
				"missing", v.Missing, "spurious", v.Spurious, "behind", t.Behind, "after", t.After)
		}
		for _, m := range t.Gone[:min(len(t.Gone), maxLostTold-len(r.LostMessages))] {
			r.LostMessages = append(r.LostMessages, d.lost(m.number))
		}
		r.Relevant += t.Relevant
		r.Applied += t.Applied
		r.Lost += t.Lost
		r.Duplicated += t.Duplicated
		r.AppliedAgain += t.AppliedAgain
		r.Reordered += t.Reordered
		r.Unexpected += t.Unexpected
		r.Optional += t.Optional
		r.LeftOut += t.LeftOut
		r.Signals += uint64(log.Signals)
		events += uint64(len(log.Entries))
		r.SequencesCompleted += uint64(v.Completed)
		r.ReprovisionsExpected += uint64(v.Expected)
		r.ReprovisionsDone += uint64(v.Done)
		r.ReprovisionsMissing += uint64(v.Missing)
		r.ReprovisionsSpurious += uint64(v.Spurious)
		r.ReprovisionRetries += uint64(v.Retries)
		r.ReprovisionsUncertain += uint64(v.Uncertain)
		if v.Quarantined {
			r.Quarantined++
		}
		for _, l := range v.Latencies {
			sequenceToCommand.observe(l)
		}
	}
	r.Sent = f.count.sent.Load()
	r.Crossings = f.count.crossings.Load()
	r.Recorded, r.Unnumbered, r.Mixed = f.count.recorded.Load(), f.count.bare.Load(), f.count.mixed.Load()
	r.DuplicatesSent = f.count.repeated.Load()
	r.Reconnects = f.count.reconnects.Load()
	r.CommandsReceived = f.count.commands.Load()
	r.CommandsRepeated = f.count.commandsRepeated.Load()
	r.DeadLetters, r.DeadLettersMeant = f.letters.counts()
	f.fillCuts(r)
	if r.Signals > 0 {
		r.EventsPerSignal = rounded(float64(events) / float64(r.Signals))
	}
	r.Latency.EventToState = eventToState.quantiles()
	r.Latency.SequenceToCommand = sequenceToCommand.quantiles()
	r.verify()
}
