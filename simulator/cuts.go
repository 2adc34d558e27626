package simulator

import (
	"context"
	"fmt"
	"time"
)

// Groups answers for the groups that devices are members of.
type Groups interface {
	// Alarms counts, by alarm, what has begun and not ended in the group of a kind with a name. A group
	// that has no workflow has none, and no error.
	Alarms(ctx context.Context, kind, name string) (map[string]AlarmCount, error)
}

// AlarmCount is how many are raised of an alarm, and how many are explained by another one.
type AlarmCount struct{ Raised, Explained int }

// Pace of the questions about the alarms of a group.
const (
	askAlarms = 500 * time.Millisecond
	// cutLooks is how long before the end of a cut its alarms are looked at for the first time. What is
	// raised wrongly stays until then: it is over only when the devices are back.
	cutLooks = 5 * time.Second
)

// cutWatch compares the alarms of a site with those that a cut of its gateway has to cause. What was raised
// before, as for devices of an earlier run, is not counted.
type cutWatch struct {
	fleet  *fleet
	cut    Cut
	behind int // devices behind the gateway
	before map[string]AlarmCount

	judged   bool   // the run lasted until the cut was over
	missing  string // what of the expected alarm is missing; "": nothing
	spurious int    // alarms that the cut should not have raised
}

// watchCuts begins to watch the cuts.
func (f *fleet) watchCuts(ctx context.Context) {
	g := f.options.Scenario.Gateways
	if g.Expect.Group == "" {
		return
	}
	for _, c := range g.Cuts {
		w := &cutWatch{fleet: f, cut: c}
		for _, d := range f.devices {
			if d.identity.Gateway > 0 && d.identity.Site == c.Site {
				w.behind++
			}
		}
		f.cuts = append(f.cuts, w)
		f.watching.Go(func() { w.watch(ctx) })
	}
}

// watch looks at the alarms before the cut, at its end, and after it.
func (w *cutWatch) watch(ctx context.Context) {
	at := w.fleet.started.Add(w.fleet.ramp())
	begins, ends := at.Add(w.cut.At), at.Add(w.cut.over())
	if !w.fleet.pauseUntil(ctx, begins.Add(-cutLooks)) {
		return
	}
	if trouble := w.look(ctx, begins, func(now map[string]AlarmCount) string { w.before = now; return "" }); trouble != "" {
		w.missing = trouble // of a group that does not answer nothing more can be said
	}
	if !w.fleet.pauseUntil(ctx, ends.Add(-cutLooks)) {
		return
	}
	if w.missing == "" {
		w.missing = w.look(ctx, ends, w.during)
	}
	// Until the run ends: whatever is raised then is of the goodbyes.
	over := at.Add(w.fleet.options.Duration)
	if !w.fleet.pauseUntil(ctx, ends) {
		return
	}
	w.judged = true
	if w.missing == "" {
		w.missing = w.look(ctx, over, w.after)
	}
	if w.missing != "" || w.spurious > 0 {
		w.fleet.options.Log.Warn("alarms of a cut are not as expected", "site", w.cut.Site, "at", w.cut.At, "devices", w.behind,
			"missing", w.missing, "spurious", w.spurious)
	}
}

// look asks for the alarms again and again until they are right, at most until a time; the answer is
// what is wrong with them then.
func (w *cutWatch) look(ctx context.Context, until time.Time, wrong func(now map[string]AlarmCount) string) (trouble string) {
	for {
		now, err := w.fleet.alarmsOf(ctx, w.cut.Site)
		if err != nil {
			trouble = err.Error()
		} else if trouble = wrong(now); trouble == "" {
			return ""
		}
		if time.Now().Add(askAlarms).After(until) || !w.fleet.pauseUntil(ctx, time.Now().Add(askAlarms)) {
			return trouble
		}
	}
}

// during is what is wrong with the alarms while the gateway is cut.
func (w *cutWatch) during(now map[string]AlarmCount) string {
	e := w.fleet.options.Scenario.Gateways.Expect
	w.spurious = 0
	for name, count := range now {
		more := count.Raised - w.before[name].Raised
		if name == e.Alarm {
			more--
		}
		w.spurious += max(0, more)
	}
	raised := now[e.Alarm].Raised - w.before[e.Alarm].Raised
	explained := now[e.Explained].Explained - w.before[e.Explained].Explained
	switch {
	case raised < 1:
		return fmt.Sprintf("alarm %s is not raised", e.Alarm)
	case e.Explained != "" && explained < w.behind:
		return fmt.Sprintf("%d of %d devices are explained in alarm %s", max(0, explained), w.behind, e.Explained)
	}
	return ""
}

// after is what is wrong with them when the gateway is back.
func (w *cutWatch) after(now map[string]AlarmCount) string {
	for name, count := range now {
		before := w.before[name]
		if count.Raised > before.Raised || count.Explained > before.Explained {
			return fmt.Sprintf("alarm %s has not ended: %d raised, %d explained more than before the cut", name, count.Raised-before.Raised, count.Explained-before.Explained)
		}
	}
	return ""
}

func (f *fleet) alarmsOf(ctx context.Context, site string) (map[string]AlarmCount, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	group := f.options.Scenario.Gateways.Expect.Group
	alarms, err := f.options.Groups.Alarms(ctx, group, site)
	if err != nil {
		return nil, fmt.Errorf("ask for the alarms of %s %s: %w", group, site, err)
	}
	return alarms, nil
}

// cutNow are the sites whose gateways are cut, in the order of the scenario.
func (f *fleet) cutNow(now time.Time) (sites []string) {
	at := now.Sub(f.started.Add(f.ramp()))
	for _, c := range f.options.Scenario.Gateways.Cuts {
		if at >= c.At && at < c.over() {
			sites = append(sites, c.Site)
		}
	}
	return sites
}

// pauseUntil waits, and reports whether the run goes on.
func (f *fleet) pauseUntil(ctx context.Context, until time.Time) bool {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-f.finished:
	case <-ctx.Done():
	}
	return false
}

// fillCuts enters the cuts in the report.
func (f *fleet) fillCuts(r *Report) {
	r.GatewayCuts = int(f.count.cuts.Load())
	for _, w := range f.cuts {
		if !w.judged {
			continue
		}
		r.AlarmsExpected++
		switch {
		case w.missing != "":
			r.AlarmsMissing++
		case f.options.Scenario.Gateways.Expect.Explained != "":
			r.AlarmsExplained += w.behind
		}
		r.AlarmsSpurious += w.spurious
	}
}
