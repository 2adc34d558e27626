package simulator

import (
	"testing"
	"time"

	"devicetwin/device"
)

// everything turns on all that devices do with their clocks, numbers and types.
func everything(s *Scenario) *Scenario {
	changed := *s
	changed.Backlogs = Backlogs{PerMinute: 1, Down: Range{2 * time.Second, 6 * time.Second}}
	changed.Unnumbered, changed.Mixed = 0.3, 0.2
	changed.Clock.Wrong, changed.Clock.None = 0.2, 0.2
	changed.Churn.Restart = 0.3
	return &changed
}

func TestRunWithEverythingIsClean(t *testing.T) {
	for seed := range uint64(4) {
		r := play(t, sabotage{}, func(o *Options, _ *world) { o.Seed, o.Scenario = seed, everything(o.Scenario) })
		if !r.Clean || r.AppliedAgain > 0 {
			t.Errorf("seed %d: a run in a sound world has violations: %+v", seed, r)
		}
		if r.Recorded < 100 || r.Unnumbered < 1000 || r.Mixed < 500 || r.ReprovisionsDone < 20 {
			t.Errorf("seed %d: too little happened: %+v", seed, r)
		}
	}
}

// What a world gets wrong shows for devices without numbers as well.
func TestRunFindsFaultsWithoutNumbers(t *testing.T) {
	findsFaults(t, false, func(o *Options, _ *world) {
		changed := *o.Scenario
		changed.Unnumbered, changed.Churn.PerMinute = 1, 0
		o.Scenario = &changed
	})
}

// slowLoop is a sequence that takes longer than it may, and so quickly after an outage
// that the arrivals are together.
func slowLoop(s *Scenario) *Scenario {
	changed := *s
	changed.Faults = append([]FaultSequence{}, s.Faults...)
	gap := Range{3 * time.Second, 4 * time.Second}
	changed.Faults = append(changed.Faults, FaultSequence{Name: "slow", PerMinute: 2, Messages: []FaultMessage{
		{Channel: device.ChannelStatus, Data: map[string]any{"status": "boot"}, Times: 3, Gap: gap},
		{Channel: device.ChannelTelemetry, Data: map[string]any{"code": 117.0}, Times: 1, Gap: gap},
	}})
	changed.Expect.Within = 5 * time.Second
	changed.Backlogs = Backlogs{PerMinute: 2, Down: Range{8 * time.Second, 15 * time.Second}}
	return &changed
}

// The oracle goes by the time at which the devices recorded: a service that goes by
// arrivals makes a match of boots that were far apart, and is found out.
func TestOracleGoesByEventTime(t *testing.T) {
	run := func(byArrival bool) Report {
		return play(t, sabotage{}, func(o *Options, w *world) {
			o.Scenario, w.byArrival, w.within = slowLoop(o.Scenario), byArrival, 5*time.Second
		})
	}
	if r := run(false); !r.Clean || r.ReprovisionsDone < 10 {
		t.Errorf("by the devices' time: %+v", r)
	}
	if r := run(true); r.Clean || r.ReprovisionsSpurious == 0 {
		t.Errorf("by arrival: %+v", r)
	}
}

func TestEventClock(t *testing.T) {
	var c eventClock
	now := instant(0)
	for i, step := range []struct {
		ts      time.Time
		arrived time.Time
		want    time.Time
	}{
		{now.Add(-3 * time.Hour), now, now.Add(-3 * time.Hour)},
		{now.Add(-4 * time.Hour), now, now.Add(-3 * time.Hour)},                                // never back
		{time.Time{}, now, now},                                                                // none
		{now.Add(-2 * time.Hour), now.Add(time.Second), now.Add(-2 * time.Hour)},               // an arrival holds nothing back
		{now.Add(clockAhead), now.Add(2 * time.Second), now.Add(2 * time.Second)},              // not believed
		{now.Add(clockBehind), now.Add(3 * time.Second), now.Add(3 * time.Second)},             // not believed
		{now.Add(believableAhead), now, now.Add(believableAhead)},                              // just
		{now.Add(time.Minute), now.Add(time.Minute), now.Add(believableAhead)},                 // never back
		{now.Add(2 * believableAhead), now.Add(time.Minute * 6), now.Add(2 * believableAhead)}, // forward
	} {
		if got := c.of(step.ts, step.arrived); !got.Equal(step.want) {
			t.Errorf("step %d: %v, want %v", i, got.Sub(now), step.want.Sub(now))
		}
	}
}

// A numbering that begins again in its epoch is one of its own.
func TestAccountOfRestartedNumbering(t *testing.T) {
	a := accountWith(5, 5, optional, 1, 3)
	a.noteNumbering(100, 101, 100)
	for seq := uint64(1); seq <= 4; seq++ {
		a.noteIssued(number{101, seq})
		a.noteAcknowledged(number{101, seq}, due, instant(time.Duration(10+seq)*time.Second))
	}
	a.noteNumbering(101, 102, 101)
	a.noteIssued(number{102, 1})
	a.noteAcknowledged(number{102, 1}, due, instant(20*time.Second))
	log := logOf(1, 3, 1, 2, 3, 4)
	log.Entries = append(log.Entries, Applied{Epoch: 101, Seq: 1})
	if c := a.compare(log, func(time.Duration) {}); c.Lost+c.Duplicated+c.Reordered+c.Unexpected > 0 || c.Applied != 7 || !a.covered(log) {
		t.Errorf("all applied: %+v", c)
	}
	log = logOf(1, 3, 1, 2, 4)
	log.Entries = append(log.Entries, Applied{Epoch: 101, Seq: 1})
	c := a.compare(log, func(time.Duration) {})
	if c.Lost != 1 || c.Gone[0].number != (number{101, 3}) || a.onWire(101) != 100 || a.onWire(102) != 101 || a.covered(log) {
		t.Errorf("one of the second numbering is lost: %+v", c)
	}
	if c := a.compare(logOf(1, 3), func(time.Duration) {}); c.Lost != 5 {
		t.Errorf("the second numbering was taken for duplicates: %+v", c)
	}
}

// Equal messages, and those that are equal to the last will, are known by what was applied
// before and after them.
func TestAccountOfEqualMessages(t *testing.T) {
	const online, offline = 1, 2
	a := &account{bare: newBareAccount()}
	for seq, digest := range []uint64{online, 11, online, 12, offline, online, 13, offline} {
		n, is := number{100, uint64(seq + 1)}, due
		if seq == 2 {
			is = free // the second one may be left out
		}
		a.noteIssued(n)
		a.noteAcknowledged(n, is, instant(time.Second))
		a.bare.note(digest, n)
	}
	a.bare.wills[offline] = true
	a.bare.noteAgain(online, false)
	type figures struct{ lost, appliedAgain, reordered, unexpected uint64 }
	for name, tt := range map[string]struct {
		log  []uint64
		want figures
	}{
		"all":                           {[]uint64{online, 11, online, 12, offline, online, 13, offline}, figures{}},
		"one left out":                  {[]uint64{online, 11, 12, offline, online, 13, offline}, figures{}},
		"a will between":                {[]uint64{online, 11, offline, online, 12, offline, online, 13, offline}, figures{}},
		"a will late":                   {[]uint64{online, 11, online, 12, offline, online, 13, offline, offline}, figures{}},
		"wills before the first":        {[]uint64{offline, offline, online, 11, online, 12, offline, online, 13, offline}, figures{}},
		"a will and a birth at the end": {[]uint64{online, 11, online, 12, offline, offline, online, 13, offline}, figures{}},
		"sent again":                    {[]uint64{online, online, 11, online, 12, offline, online, 13, offline}, figures{}},
		"once too often":                {[]uint64{online, online, online, 11, online, 12, offline, online, 13, offline}, figures{appliedAgain: 1}},
		"out of order":                  {[]uint64{online, 11, online, online, 12, offline, 13, offline}, figures{lost: 1}},
		"two equal ones out of order":   {[]uint64{online, 11, online, 12, 13, offline, online, offline}, figures{lost: 2}}, // one may be a will, and one a repetition
		"a goodbye missing":             {[]uint64{online, 11, online, 12, online, 13, offline}, figures{lost: 1}},
		"a will instead of a goodbye":   {[]uint64{online, 11, offline, online, 12, online, 13, offline}, figures{lost: 1}},
		"the first birth missing":       {[]uint64{11, online, 12, offline, online, 13, offline}, figures{lost: 1}},
		"never sent, and one equal":     {[]uint64{online, 11, 99, online, 12, offline, online, 13, offline}, figures{unexpected: 1}},
		"of an earlier run, and equal":  {[]uint64{98, 99, online, 11, online, 12, offline, online, 13, offline}, figures{}},
	} {
		var log AppliedLog
		for _, d := range tt.log {
			log.Entries = append(log.Entries, Applied{Digest: d})
		}
		c := a.compare(log, func(time.Duration) {})
		if got := (figures{c.Lost, c.AppliedAgain, c.Reordered, c.Unexpected}); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

// What was published once more may be applied once more, and makes a sequence
// uncertain if it counts in it.
func TestAccountOfUnnumberedMessages(t *testing.T) {
	a := &account{bare: newBareAccount()}
	for seq, digest := range []uint64{7, 8, 7, 9} { // the first and the third are equal
		n := number{100, uint64(seq + 1)}
		a.noteIssued(n)
		a.noteAcknowledged(n, due, instant(time.Second))
		a.bare.note(digest, n)
	}
	a.bare.wills[5] = true
	a.bare.noteAgain(8, false)
	log := func(digests ...uint64) (l AppliedLog) {
		for _, d := range digests {
			l.Entries = append(l.Entries, Applied{Digest: d})
		}
		return l
	}
	type figures struct{ lost, appliedAgain, reordered, unexpected uint64 }
	for name, tt := range map[string]struct {
		log  AppliedLog
		want figures
	}{
		"all":                   {log(7, 8, 7, 9), figures{}},
		"with wills":            {log(7, 5, 8, 7, 9, 5), figures{}},
		"an equal one missing":  {log(7, 8, 9), figures{lost: 1}},
		"the one sent again":    {log(7, 8, 8, 7, 9), figures{}},
		"once too often":        {log(7, 8, 8, 8, 7, 9), figures{appliedAgain: 1}},
		"another one twice":     {log(7, 8, 7, 9, 9), figures{appliedAgain: 1}},
		"out of order":          {log(8, 7, 7, 9), figures{reordered: 1}},
		"of an earlier run":     {log(1, 2, 7, 8, 7, 9), figures{}},
		"never sent":            {log(7, 8, 1, 7, 9), figures{unexpected: 1}},
		"numbers are not these": {AppliedLog{Entries: []Applied{{Epoch: 100, Seq: 9}}}, figures{lost: 4, unexpected: 1}},
	} {
		c := a.compare(tt.log, func(time.Duration) {})
		if got := (figures{c.Lost, c.AppliedAgain, c.Reordered, c.Unexpected}); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
		if a.covered(tt.log) != (tt.want.lost == 0) {
			t.Errorf("%s: covered is %t", name, a.covered(tt.log))
		}
	}
	if a.blurred() {
		t.Error("blurred by a message that does not count")
	}
	if a.bare.noteAgain(7, true); !a.blurred() {
		t.Error("not blurred by one that counts")
	}
}

// A blurred device is asked for nothing that its messages do not show for certain.
func TestOracleOnBlurred(t *testing.T) {
	for text, want := range map[string]string{
		"match":            "completed 1, expected 0, uncertain 1",
		"match c1 born:c1": "completed 1, expected 1, done 1",
		"c1 born:c1":       "completed 0, expected 0, uncertain 1",
	} {
		v := decide(crashLoop, evidence{
			facts: story(t, text), now: instant(time.Minute), blurred: true,
			unacknowledged: func(number) bool { return false },
			durable:        func(number) (time.Time, bool) { return time.Time{}, false },
		})
		if got := verdictWords(v); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}
