package simulator

import (
	"fmt"
	"time"
)

// factKind is a kind of fact.
type factKind uint8

const (
	factCompleted factKind = iota // the device published the last message of the sequence
	factCommand                   // it received the expected command, for the first time with this id
	factBirth                     // it published a birth with the credential of a command
	factRefusal                   // it published the refusal of a command
	factOffline                   // it went offline on purpose
)

// fact is one thing that the oracle needs to know about a device. A device
// notes its facts in the order in which it experienced them.
type fact struct {
	kind   factKind
	at     time.Time
	number number    // of the message, except of commands
	id     string    // of the command that was received, obeyed or refused
	issued time.Time // when the service says that it made the command; zero: it does not say
}

// number is a device's own numbering of a message.
type number struct {
	epoch int64
	seq   uint64
}

func (n number) String() string { return fmt.Sprintf("%d/%d", n.epoch, n.seq) }

func (n number) before(m number) bool {
	return n.epoch < m.epoch || n.epoch == m.epoch && n.seq < m.seq
}

// Verdict is what the oracle says about the reprovisionings of one device.
//
// Some sequences can rightly end either way: the last message was published but
// never acknowledged; a message without a number came twice; or the answer to the last attempt reached the workflow so
// late that it may have given the device up before. Those count as expected only
// if a command came, and are otherwise Uncertain.
type Verdict struct {
	Completed   int // sequences, including those during an open episode
	Expected    int // episodes
	Done        int // of these, with at least one command
	Missing     int // of these, without
	Spurious    int // commands that nothing asked for
	Retries     int // further commands of an episode, after a refusal or a timeout
	Uncertain   int
	Quarantined bool // the last attempt was refused or ran out of time
	// Open is true while an episode waits for a command or an answer.
	Open bool
	// Latencies are from the completion to the first command, of the episodes in
	// which the device stayed connected in between.
	Latencies []time.Duration
}

// slack is how far the clocks of the service may differ, and how long the way
// from a decision to the time stamp of its command may be.
const slack = time.Second

// evidence is what the oracle has to go by for one device.
type evidence struct {
	facts []fact
	// unacknowledged reports whether a message is without PUBACK.
	unacknowledged func(number) bool
	// durable is when Temporal had accepted a message, false if it has not, as
	// far as is known.
	durable func(number) (time.Time, bool)
	now     time.Time
	// skew is how far the device's clock is off. A timer of the service that is due
	// by the device's clock may fire that much earlier or later by the other one.
	skew time.Duration
	// blurred says that the service may rightly have counted a message of the
	// sequence twice: it had no number, and was published again, or delivered again.
	blurred bool
}

// slack is how exactly the times of the service can be known.
func (e evidence) slack() time.Duration { return slack + e.skew.Abs() }

// episode is one reprovisioning, from the completion of the sequence.
type episode struct {
	completed fact
	commands  []fact
	offline   bool // on purpose, before the first command
	// since is the earliest time at which the latest command may have been made.
	since   time.Time
	refused bool      // the latest command was
	weak    bool      // might rightly not have begun
	gaveUp  time.Time // when the device said so
	answer  fact      // the birth that closed it
	// used is the greatest number of attempts that the workflow may have counted:
	// more than there are commands where the first of them may have been one more
	// for the episode before.
	used int
}

func (e *episode) latest() (fact, bool) {
	if len(e.commands) == 0 {
		return fact{}, false
	}
	return e.commands[len(e.commands)-1], true
}

// expired reports whether the latest command of an episode may have run out of time at
// the given moment.
func (o *oracle) expired(e *episode, at time.Time) bool {
	return len(e.commands) > 0 && !at.Before(e.since.Add(o.expect.Timeout-o.slack()))
}

// surelyExpired is the same of one that must have.
func (o *oracle) surelyExpired(e *episode, at time.Time) bool {
	c, ok := e.latest()
	return ok && !at.Before(c.made().Add(o.expect.Timeout-o.slack()))
}

// made is when a command was made, or else received, which is later.
func (f fact) made() time.Time {
	if f.issued.IsZero() {
		return f.at
	}
	return f.issued
}

// earliest is when the next command of an episode may have been made at the earliest. Where
// it does not say that: the first one when the sequence was complete, and a further one when
// the attempt before was refused, or ran out of time.
func (o *oracle) earliest(e *episode, c fact) time.Time {
	switch {
	case !c.issued.IsZero():
		return c.issued
	case len(e.commands) == 0:
		return e.completed.at
	case e.refused:
		return e.gaveUp
	}
	return e.since.Add(o.expect.Timeout)
}

// oracle goes through the facts of one device.
type oracle struct {
	expect Expect
	evidence
	open     *episode
	last     *episode // the one that a birth closed last
	all      []*episode
	gone     bool // quarantined
	doubtful bool // may have been quarantined: the answer to the last attempt came late
	verdict  Verdict
}

// decide works out which reprovisionings were due.
func decide(expect Expect, e evidence) Verdict {
	o := &oracle{expect: expect, evidence: e}
	for _, f := range e.facts {
		switch f.kind {
		case factCompleted:
			o.completed(f)
		case factCommand:
			o.command(f)
		case factBirth:
			o.birth(f)
		case factRefusal:
			o.refusal(f)
		case factOffline:
			if o.open != nil && len(o.open.commands) == 0 {
				o.open.offline = true
			}
		}
	}
	o.conclude()
	return o.verdict
}

// completed opens an episode, unless one is open: a device that is being
// reprovisioned is not reprovisioned for the same thing again.
func (o *oracle) completed(f fact) {
	o.verdict.Completed++
	weak := o.doubtful || o.blurred || o.unacknowledged(f.number)
	replace := o.open != nil && o.open.weak && len(o.open.commands) == 0
	if o.gone || o.open != nil && !replace {
		return
	}
	o.open = &episode{completed: f, weak: weak}
	o.all = append(o.all, o.open)
}

func (o *oracle) command(f fact) {
	e := o.open
	if e == nil && o.last != nil && o.answeredLate(o.last) {
		// The workflow had given the attempt up before the birth reached it, so
		// for the workflow that episode was still open.
		e, o.open = o.last, o.last
	}
	switch {
	case e == nil || len(e.commands) >= o.expect.Attempts:
		o.spurious()
		return
	case len(e.commands) > 0:
		e.used++
		if !e.refused && !o.expired(e, f.made()) {
			o.spurious() // the attempt before had neither failed nor run out of time
		} else {
			o.verdict.Retries++
		}
	default:
		e.used = 1
		if o.last != nil && o.answeredLate(o.last) {
			e.used += o.last.used
		}
		if !e.offline {
			o.verdict.Latencies = append(o.verdict.Latencies, max(0, f.at.Sub(e.completed.at)))
		}
	}
	// Also a command that nothing asked for is the latest one from here on.
	e.since = o.earliest(e, f)
	e.commands = append(e.commands, f)
	e.refused = false
	o.doubtful = false
}

// spurious counts a command that nothing asked for.
func (o *oracle) spurious() {
	if o.blurred {
		o.verdict.Uncertain++
		return
	}
	o.verdict.Spurious++
}

// answeredLate reports whether the birth that closed the episode reached the
// workflow only after the attempt had run out of time.
func (o *oracle) answeredLate(e *episode) bool {
	at, ok := o.durable(e.answer.number)
	return !ok || o.expired(e, at)
}

func (o *oracle) birth(f fact) {
	if o.open == nil {
		return
	}
	if c, ok := o.open.latest(); !ok || c.id != f.id {
		return
	}
	o.open.answer = f
	o.last, o.open = o.open, nil
	o.doubtful = o.last.used >= o.expect.Attempts && o.answeredLate(o.last)
}

func (o *oracle) refusal(f fact) {
	if o.open == nil {
		return
	}
	if c, ok := o.open.latest(); !ok || c.id != f.id {
		return
	}
	o.open.refused, o.open.gaveUp = true, f.at
	if len(o.open.commands) >= o.expect.Attempts {
		o.gone, o.open, o.last = true, nil, nil
	}
}

// conclude counts the episodes.
func (o *oracle) conclude() {
	v := &o.verdict
	for _, e := range o.all {
		switch {
		case len(e.commands) > 0:
			v.Expected++
			v.Done++
		case e.weak:
			v.Uncertain++
		default:
			v.Expected++
			v.Missing++
		}
	}
	v.Quarantined = o.gone
	e := o.open
	if e == nil || e.weak && len(e.commands) == 0 {
		return
	}
	c, ok := e.latest()
	// A command that was ignored is followed by another one, or by the end of
	// the device, one timeout later; twice that is enough for it to have come.
	over := ok && o.now.After(c.at.Add(2*o.expect.Timeout))
	if len(e.commands) >= o.expect.Attempts && o.surelyExpired(e, o.now.Add(-2*o.slack())) {
		over, v.Quarantined = true, true
	}
	v.Open = !over
}
