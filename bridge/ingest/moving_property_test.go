package ingest

import (
	"strings"
	"testing"
	"time"

	"devicetwin/devicefsm"
)

// otherPlant is another version of the first plant: what is too hot or too wet is different.
func otherPlant() string {
	return strings.NewReplacer("> 90", "> 70", "< 80", "< 60", "> 50", "> 40", "< 40", "< 36").Replace(plants[0])
}

// movedLives is a device that is moved between two versions of its model, again and again, while
// the bridge hears of that only now and then.
type movedLives struct {
	*lives
	there, back *devicefsm.Migration

	announced time.Time // when the migration under way was announced; zero: there is none
	moved     bool      // it has moved the device
	until     time.Time // when the last one was over
	moves     int
}

func newMovedLives(t *testing.T, seed uint64, movesFor time.Duration) *movedLives {
	t.Helper()
	one, two := modelOf(t, plants[0]), modelOf(t, otherPlant())
	migration := func(from, to *devicefsm.Model) *devicefsm.Migration {
		p := devicefsm.Plan{From: from.Hash(), To: to.Hash(), States: map[string][]string{}}
		for _, s := range from.States() {
			p.States[s] = []string{s}
		}
		m, faults := devicefsm.NewMigration(from, to, p)
		if len(faults) > 0 {
			t.Fatalf("%+v", faults)
		}
		return m
	}
	l := &movedLives{lives: newLives(t, []*devicefsm.Model{one, two}, seed), there: migration(one, two), back: migration(two, one)}
	l.bench.cfg.MovesFor = movesFor
	return l
}

const movesKnown = 2 * time.Minute

// protocol is what happens to migrations in a step.
func (l *movedLives) protocol() {
	now := l.bench.now
	switch n := l.random.IntN(12); {
	case l.announced.IsZero() && n == 0:
		l.note("a migration is announced")
		l.announced = now
	case l.announced.IsZero():
	case !l.moved && now.Sub(l.announced) > movesKnown && n < 4:
		l.move()
	case l.moved && n < 3:
		l.note("the migration is over")
		l.announced, l.moved, l.until = time.Time{}, false, now
	}
	if l.random.IntN(3) == 0 { // the bridge hears of it
		heard := Moving{Model: "plant", Open: !l.announced.IsZero(), Until: l.until}
		if l.seed%2 == 1 { // it is moved alone
			heard = Moving{Model: "plant", Devices: []MovingDevice{{ID: "d", Open: heard.Open, Until: heard.Until}}}
		}
		l.bench.core.moves(now, []Moving{heard})
	}
}

// move moves the workflow, if nothing is on its way: what is belongs to the new model.
func (l *movedLives) move() {
	if l.workflow == nil || l.inFlight() || l.differs() {
		return
	}
	for _, m := range []*machine{l.workflow, l.whole} {
		by, to := l.there, l.models[1]
		if m.model == l.models[1] {
			by, to = l.back, l.models[0]
		}
		moved, err := by.Apply(m.snapshot, devicefsm.MigrationInput{At: l.bench.now})
		if err != nil {
			l.fail(err.Error())
		}
		m.model, m.snapshot = to, moved.Snapshot
	}
	l.run++ // it is continued as new
	l.note("the device is moved to %.6s", l.workflow.model.Hash())
	l.moved = true
	l.moves++
}

// differs reports whether the workflow is not where it would be with every message.
func (l *movedLives) differs() bool {
	if l.workflow == nil || l.inFlight() {
		return false
	}
	for ; l.fed < len(l.sent); l.fed++ {
		l.whole.take(l.sent[l.fed])
	}
	return l.workflow.String() != l.whole.String()
}

// live plays so many steps; false: the workflow missed something.
func (l *movedLives) live(steps int) bool {
	for range steps {
		l.bench.advance(time.Duration(1+l.random.IntN(3000)) * time.Millisecond)
		switch n := l.random.IntN(16); {
		case n < 8:
			l.send()
		case n < 13:
			l.answer(l.random.IntN(8)) // it is accepted
		case n == 13:
			l.bench.advance(time.Duration(l.random.IntN(90)) * time.Second)
		default:
			l.drain()
		}
		l.protocol()
		if l.differs() {
			return false
		}
	}
	l.drain()
	return !l.differs()
}

// A device that is moved between versions of its model does what it would do if its workflow were
// given every message, whenever the bridge hears of it. Without that, it does not.
func TestNothingIsMissedByADeviceThatIsMoved(t *testing.T) {
	leftOut, moves, missed := 0, 0, 0
	for seed := range uint64(300) {
		l := newMovedLives(t, seed, movesKnown)
		if !l.live(250) {
			l.fail("the workflow is in\n" + l.workflow.String() + "\nwith every message it would be in\n" + l.whole.String())
		}
		leftOut += len(l.sent) - int(l.bench.counts.Relevant.Load())
		moves += l.moves
		if without := newMovedLives(t, seed, 0); !without.live(250) {
			missed++
		}
	}
	t.Logf("%d messages left out, %d migrations; without hearing of them, %d devices missed something", leftOut, moves, missed)
	if leftOut < 3000 || moves < 300 || missed < 20 {
		t.Errorf("%d messages left out, %d migrations, %d devices missed something without: that shows little", leftOut, moves, missed)
	}
}
