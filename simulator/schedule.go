package simulator

import (
	"fmt"
	"slices"
	"time"
)

// nextDue is when the device's own next action is due.
func (d *player) nextDue() (time.Time, bool) {
	var due time.Time
	if len(d.later) > 0 {
		due = d.later[0].due
	}
	if d.planned && len(d.outbox) < maxOutbox {
		if at := d.started.Add(d.next.At); due.IsZero() || at.Before(due) {
			due = at
		}
	}
	return due, !due.IsZero()
}

// takeDue moves what is due into the outbox.
func (d *player) takeDue(now time.Time) (parting, bool) {
	for len(d.later) > 0 && !d.later[0].due.After(now) {
		d.outbox = append(d.outbox, d.later[0].drafts...)
		d.later = d.later[1:]
	}
	if d.fleet.over() {
		d.planned = false
	}
	for {
		act, ok := d.takeAct(now)
		if !ok {
			return parting{}, false
		}
		switch act.Kind {
		case ActPoison:
			d.poison()
		case ActChurn:
			if act.Clean {
				d.outbox = append(d.outbox, d.birth("offline", ""), draft{kind: draftLeave, act: act})
				d.outbox[len(d.outbox)-2].kind = draftMessage
				continue
			}
			return d.depart(act, true), true
		case ActBacklog:
			return d.depart(act, true), true
		case ActCut:
			if d.identity.Profile == d.fleet.options.Scenario.Gateways.Profile {
				d.fleet.count.cuts.Add(1)
			}
			act.Down = max(0, d.started.Add(act.At+act.Down).Sub(now))
			return d.depart(act, true), true
		default:
			d.outbox = append(d.outbox, act.draft(now))
		}
	}
}

// takeAct takes the next act of the plan that is due, if there is room for it.
func (d *player) takeAct(now time.Time) (act Act, ok bool) {
	if !d.planned || len(d.outbox) >= maxOutbox || d.started.Add(d.next.At).After(now) {
		return Act{}, false
	}
	act = d.next
	d.next, d.planned = d.plan.Next()
	return act, true
}

// draft is the message of an act that the device made at a time.
func (a Act) draft(made time.Time) draft {
	return draft{
		kind: draftMessage, channel: a.Channel, name: a.Name, data: a.Data, made: made, mixed: a.Mixed,
		repeat: a.Repeat, after: a.RepeatAfter,
	}
}

func (d *player) poison() {
	d.poisons++
	d.outbox = append(d.outbox, draft{
		kind: draftCopy, said: d.voice.Noise(fmt.Sprintf("%s%s %d", poisonMark, d.id, d.poisons)),
	})
}

// delay puts drafts off until they are due.
func (d *player) delay(due time.Time, drafts ...draft) {
	i, _ := slices.BinarySearchFunc(d.later, due, func(l delayed, due time.Time) int {
		if l.due.After(due) {
			return 1
		}
		return -1
	})
	d.later = slices.Insert(d.later, i, delayed{due, drafts})
}
