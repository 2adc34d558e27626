package simulator

import (
	"slices"
	"testing"
	"time"
)

// accountOf is an account of numbers 1 to issued, acknowledged up to the given
// one, of which those listed have to be applied and the others can do nothing.
func accountOf(issued, acknowledged uint64, relevant ...uint64) *account {
	return accountWith(issued, acknowledged, free, relevant...)
}

// accountWith is the same with others of another kind.
func accountWith(issued, acknowledged uint64, others duty, relevant ...uint64) *account {
	a := &account{}
	for seq := uint64(1); seq <= issued; seq++ {
		a.noteIssued(number{100, seq})
	}
	for seq := uint64(1); seq <= acknowledged; seq++ {
		is := others
		if slices.Contains(relevant, seq) {
			is = due
		}
		a.noteAcknowledged(number{100, seq}, is, instant(time.Duration(seq)*time.Second))
	}
	return a
}

func logOf(seqs ...uint64) AppliedLog {
	var log AppliedLog
	for _, seq := range seqs {
		log.Entries = append(log.Entries, Applied{Epoch: 100, Seq: seq, Durable: instant(time.Duration(seq)*time.Second + 40*time.Millisecond)})
	}
	return log
}

func TestAccountCompare(t *testing.T) {
	type figures struct{ relevant, applied, lost, duplicated, reordered, unexpected uint64 }
	later := accountOf(3, 3, 1, 3)
	later.noteIssued(number{101, 1})
	later.noteAcknowledged(number{101, 1}, due, instant(4*time.Second))
	laterLog := logOf(1, 3)
	laterLog.Entries = append(laterLog.Entries, Applied{Epoch: 101, Seq: 1})
	mixedLog := AppliedLog{Entries: []Applied{{Epoch: 100, Seq: 1}, {Epoch: 101, Seq: 1}, {Epoch: 100, Seq: 3}}}
	foreign := logOf(2, 5)
	foreign.Entries = append([]Applied{{Epoch: 99, Seq: 7}, {Epoch: 0, Seq: 0}}, foreign.Entries...)
	tests := []struct {
		name    string
		account *account
		log     AppliedLog
		want    figures
		covered bool
	}{
		{"all applied", accountOf(5, 5, 2, 3, 5), logOf(2, 3, 5), figures{relevant: 3, applied: 3}, true},
		{"nothing sent", accountOf(0, 0), logOf(), figures{}, true},
		{"irrelevant ones applied too", accountOf(5, 5, 2, 5), logOf(1, 2, 3, 5), figures{relevant: 2, applied: 2}, true},
		{"one lost", accountOf(5, 5, 2, 3, 5), logOf(2, 5), figures{relevant: 3, applied: 2, lost: 1}, false},
		{"all lost", accountOf(5, 5, 2, 3, 5), logOf(), figures{relevant: 3, lost: 3}, false},
		{"one twice", accountOf(5, 5, 2, 3, 5), logOf(2, 3, 3, 5), figures{relevant: 3, applied: 3, duplicated: 1}, true},
		{"one twice, later", accountOf(5, 5, 2, 3, 5), logOf(2, 3, 5, 2), figures{relevant: 3, applied: 3, duplicated: 1}, true},
		{"one three times", accountOf(5, 5, 2, 3, 5), logOf(2, 2, 2, 3, 5), figures{relevant: 3, applied: 3, duplicated: 2}, true},
		{"two changed places", accountOf(5, 5, 2, 3, 5), logOf(3, 2, 5), figures{relevant: 3, applied: 3, reordered: 1}, true},
		{"two after a higher one", accountOf(5, 5, 2, 3, 5), logOf(5, 2, 3), figures{relevant: 3, applied: 3, reordered: 2}, true},
		{"never sent", accountOf(5, 5, 2), logOf(2, 6), figures{relevant: 1, applied: 1, unexpected: 1}, true},
		{"without PUBACK, applied", accountOf(6, 5, 2), logOf(2, 6), figures{relevant: 1, applied: 1}, true},
		{"without PUBACK, not applied", accountOf(6, 5, 2, 6), logOf(2), figures{relevant: 1, applied: 1}, true},
		{"one instead of another", accountOf(5, 5, 2, 3), logOf(2, 4), figures{relevant: 2, applied: 1, lost: 1}, false},
		{"a new epoch", later, laterLog, figures{relevant: 3, applied: 3}, true},
		{"the old epoch after the new", later, mixedLog, figures{relevant: 3, applied: 3, reordered: 1}, true},
		{"earlier runs and unnumbered ones", accountOf(5, 5, 2, 5), foreign, figures{relevant: 2, applied: 2}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := tt.account.compare(tt.log, func(time.Duration) {})
			got := figures{c.Relevant, c.Applied, c.Lost, c.Duplicated, c.Reordered, c.Unexpected}
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if uint64(len(c.Gone)) != c.Lost {
				t.Errorf("%d messages are named of %d lost", len(c.Gone), c.Lost)
			}
			if covered := tt.account.covered(tt.log); covered != tt.covered {
				t.Errorf("covered %t, want %t", covered, tt.covered)
			}
		})
	}
}

// What can do nothing after what came before it may be missing; if it is applied,
// then once and in its place. What has to be applied has to be.
func TestAccountOfRepetitions(t *testing.T) {
	type figures struct{ optional, leftOut, applied, lost, duplicated, reordered uint64 }
	twoEpochs := accountWith(4, 4, optional, 1, 4)
	twoEpochs.noteIssued(number{101, 1})
	twoEpochs.noteAcknowledged(number{101, 1}, optional, instant(5*time.Second))
	tests := []struct {
		name    string
		account *account
		log     AppliedLog
		want    figures
		covered bool
	}{
		{"all left out", accountWith(6, 6, optional, 1, 4), logOf(1, 4), figures{optional: 4, leftOut: 4, applied: 2}, true},
		{"none left out", accountWith(6, 6, optional, 1, 4), logOf(1, 2, 3, 4, 5, 6), figures{optional: 4, applied: 2}, true},
		{"some left out", accountWith(6, 6, optional, 1, 4), logOf(1, 3, 4), figures{optional: 4, leftOut: 3, applied: 2}, true},
		{"what changed the class is lost", accountWith(6, 6, optional, 1, 4), logOf(1, 2, 3, 5, 6), figures{optional: 4, applied: 1, lost: 1}, false},
		{"a repetition instead of it", accountWith(6, 6, optional, 1, 4), logOf(1, 5), figures{optional: 4, leftOut: 3, applied: 1, lost: 1}, false},
		{"a repetition twice", accountWith(6, 6, optional, 1, 4), logOf(1, 2, 2, 4), figures{optional: 4, leftOut: 3, applied: 2, duplicated: 1}, true},
		{"a repetition behind what ended its class", accountWith(6, 6, optional, 1, 4), logOf(1, 4, 3), figures{optional: 4, leftOut: 3, applied: 2, reordered: 1}, true},
		{"without PUBACK", accountWith(6, 4, optional, 1, 4), logOf(1, 4, 5), figures{optional: 2, leftOut: 2, applied: 2}, true},
		{"a new epoch", twoEpochs, logOf(1, 4), figures{optional: 3, leftOut: 3, applied: 2}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := tt.account.compare(tt.log, func(time.Duration) {})
			if got := (figures{c.Optional, c.LeftOut, c.Applied, c.Lost, c.Duplicated, c.Reordered}); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if covered := tt.account.covered(tt.log); covered != tt.covered {
				t.Errorf("covered %t, want %t", covered, tt.covered)
			}
		})
	}
	if a := accountWith(1000, 1000, optional, 1, 500); len(a.optional) != 2 {
		t.Errorf("%d entries for two rows of repetitions", len(a.optional))
	}
}

func TestAccountLatency(t *testing.T) {
	var got []time.Duration
	accountOf(3, 3, 1, 3).compare(logOf(1, 3), func(d time.Duration) { got = append(got, d) })
	if len(got) != 2 || got[0] != 40*time.Millisecond || got[1] != 40*time.Millisecond {
		t.Errorf("latencies %v, want twice 40ms", got)
	}
}

func TestAccountOpen(t *testing.T) {
	a := accountOf(7, 5)
	a.noteIssued(number{101, 1})
	if got := a.open(); got != 3 {
		t.Errorf("%d without PUBACK, want 3", got)
	}
}
