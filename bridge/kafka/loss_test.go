package kafka

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// bothWays runs a test with a source that stops where records are gone, and one that goes on.
func bothWays(t *testing.T, f func(t *testing.T, goOn bool)) {
	for _, goOn := range []bool{false, true} {
		t.Run(fmt.Sprintf("goes on %v", goOn), func(t *testing.T) { f(t, goOn) })
	}
}

// afterTwo starts a source that has read and committed two records of a.
func afterTwo(w *world, goOn bool) *running {
	w.t.Helper()
	w.change = func(c *Config) { c.GoOn = goOn }
	w.produce("purchases", `a={"n":0}`, `a={"n":1}`)
	s := w.start("a")
	w.eventually("committed", func() bool { return w.committed("purchases") == "0:2" })
	return s
}

// stopped waits until a partition of a source is stopped, and its readiness says why.
func (r *running) stopped(why string) {
	r.world.t.Helper()
	r.world.eventually("stopped, because "+why, func() bool {
		err := r.Ready()
		return err != nil && strings.Contains(err.Error(), why)
	})
}

// forget removes the records of a topic up to an offset, as retention does.
func (w *world) forget(topic string, to int64) {
	w.t.Helper()
	var o kadm.Offsets
	o.Add(kadm.Offset{Topic: topic, Partition: 0, At: to})
	if r, err := w.admin.DeleteRecords(w.t.Context(), o); err != nil || r.Error() != nil {
		w.t.Fatal(err, r.Error())
	}
}

func TestRecordsThatTheTopicKeepsNoLonger(t *testing.T) {
	bothWays(t, func(t *testing.T, goOn bool) { keepNoLonger(newWorld(t, 1), goOn) })
}

func keepNoLonger(w *world, goOn bool) {
	w.t.Helper()
	s := afterTwo(w, goOn)
	s.end()
	w.produce("purchases", `a={"n":2}`, `a={"n":3}`, `a={"n":4}`)
	w.forget("purchases", 4)
	s = w.start("a")
	if !goOn {
		s.stopped("partition purchases/0 is stopped: the topic no longer keeps what comes after offset 2")
		w.produce("orders", `{"customer":"b","n":9}`)
		w.eventually("others are read", func() bool { return w.twins.of("b") == "9" })
		s.end() // which commits what is to be
		if got := w.twins.of("a"); got != "0 1" || w.committed("purchases") != "0:2" {
			w.t.Errorf("applied %s, committed %s", got, w.committed("purchases"))
		}
	} else {
		w.eventually("applied", func() bool { return w.twins.of("a") == "0 1 4" })
		w.eventually("ready", func() bool { return s.Ready() == nil })
	}
	if n := s.Metric("kafka_records_lost_total"); n != 2 {
		w.t.Errorf("%v are counted as lost, want 2", n)
	}
}

// remake deletes a topic and makes it again.
func (w *world) remake(topic string) {
	w.t.Helper()
	if _, err := w.admin.DeleteTopic(w.t.Context(), topic); err != nil {
		w.t.Fatal(err)
	}
	w.create(topic, 1, 1)
	w.client.PurgeTopicsFromClient(topic)
}

// A topic of the same name is another one, whatever its offsets are: those of its records are not
// below the positions of the one before.
func TestATopicThatWasMadeAgainWhileNobodyReadIt(t *testing.T) {
	bothWays(t, func(t *testing.T, goOn bool) { remadeUnread(newWorld(t, 1), goOn) })
}

func remadeUnread(w *world, goOn bool) {
	w.t.Helper()
	s := afterTwo(w, goOn)
	s.end()
	w.remake("purchases")
	commits := kadm.Offsets{} // Kafka keeps what a group has committed of a name for a while
	id := s.seenOf("purchases")
	commits.Add(kadm.Offset{Topic: "purchases", Partition: 0, At: 9, LeaderEpoch: -1, Metadata: id})
	w.eventually("the commit is there", func() bool {
		done, err := w.admin.CommitOffsets(w.t.Context(), w.group, commits)
		return err == nil && done.Error() == nil
	})
	w.produce("purchases", `a={"n":5}`, `a={"n":6}`, `a={"n":7}`)
	s = w.start("a")
	if !goOn {
		s.stopped("partition purchases/0 is stopped: its topic was deleted and made again")
		return
	}
	w.eventually("applied", func() bool { return w.twins.of("a") == "0 1 5 6 7" })
	w.eventually("committed", func() bool { return w.committed("purchases") == "0:3" })
	w.eventually("ready", func() bool { return s.Ready() == nil })
}

// seenOf is the id of a topic that a source has read.
func (s *Source) seenOf(topic string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for log := range s.seen {
		if id, _, ok := strings.Cut(log, ":"); ok && s.seen[log] > 0 {
			return id
		}
	}
	return ""
}

func TestATopicThatIsMadeAgainWhileItIsRead(t *testing.T) {
	bothWays(t, func(t *testing.T, goOn bool) { remadeRead(newWorld(t, 1), goOn) })
}

func remadeRead(w *world, goOn bool) {
	w.t.Helper()
	s := afterTwo(w, goOn)
	w.remake("purchases")
	w.produce("purchases", `a={"n":5}`, `a={"n":6}`, `a={"n":7}`)
	if !goOn {
		s.stopped("its topic was deleted")
		return
	}
	w.eventually("applied", func() bool { return w.twins.of("a") == "0 1 5 6 7" })
}

// What is known of a partition says where it is read from, and what is gone.
func TestWhereAPartitionBegins(t *testing.T) {
	id := topicID{1}
	for _, test := range []struct {
		b    beginning
		from int64
		lost string
		n    int64
	}{
		{beginning{committed: -1, start: 3, end: 9}, 3, "", 0},
		{beginning{committed: 3, start: 3, end: 9}, 3, "", 0},
		{beginning{committed: 9, of: id.String(), start: 3, end: 9}, 9, "", 0},
		{beginning{committed: 2, start: 5, end: 9}, 5, "the topic no longer keeps", 3},
		{beginning{committed: 10, start: 3, end: 9}, 9, "its log was cut", 0},
		{beginning{committed: 5, of: topicID{2}.String(), start: 0, end: 9}, 0, "deleted and made again", 0},
	} {
		test.b.id = id
		from, lost := test.b.from()
		switch {
		case from != test.from, (lost == nil) != (test.lost == ""):
			t.Errorf("%+v: from %d, %v; want %d, %q", test.b, from, lost, test.from, test.lost)
		case lost != nil && (!strings.Contains(lost.Error(), test.lost) || lost.records != test.n):
			t.Errorf("%+v: %v, %d records; want %q, %d", test.b, lost, lost.records, test.lost, test.n)
		}
	}
}

// What comes before the committed offset is of an earlier assignment; a hole behind it is reported,
// once for each assignment.
func TestTheFirstRecordIsComparedWithTheCommittedOffset(t *testing.T) {
	w := newWorld(t, 1)
	s := w.start("a")
	p := &partition{place: place{"purchases", 0}, source: s.Source, from: 5, next: 5}
	var took []int64
	for _, offset := range []int64{3, 4, 7, 6, 8, 12} {
		if p.expected(&kgo.Record{Offset: offset}) {
			took = append(took, offset)
			p.next = offset + 1
		}
	}
	if fmt.Sprint(took) != "[7 8 12]" {
		t.Errorf("took %v", took)
	}
	if holes, dropped := s.Metric("kafka_holes_total"), s.Metric("kafka_records_dropped_total"); holes != 1 || dropped != 3 {
		t.Errorf("%v holes, %v dropped; want 1 and 3", holes, dropped)
	}
	if n := w.logs.Count("expected=5 found=7"); n != 1 {
		t.Errorf("reported %d times: %v", n, w.logs)
	}
}

// What was fetched before a partition was lost is dropped, also if the partition comes straight back.
func TestWhatWasFetchedBeforeARevocationIsDropped(t *testing.T) {
	w := newWorld(t, 1)
	w.change = func(c *Config) { c.Window, c.Waiting, c.StuckAfter = 2, 1000, 0 }
	w.twins.setStuck("a")
	s := w.start("a")
	for n := range 300 {
		w.produce("purchases", fmt.Sprintf(`a={"n":%d}`, n))
	}
	waits := func(p *partition) int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.waiting)
	}
	w.eventually("full", func() bool {
		p := s.partition(place{"purchases", 0})
		return p != nil && waits(p) > 0 && waits(p) > 20
	})
	before := s.partition(place{"purchases", 0})
	s.client.ForceRebalance()
	s.lose(t.Context(), map[string][]int32{"purchases": {0}}, true)
	if n := waits(before); n != 0 || s.Metric("kafka_records_dropped_total") == 0 {
		t.Errorf("%d wait of a partition that was lost, %v are counted as dropped", n, s.Metric("kafka_records_dropped_total"))
	}
	if before.take([]*kgo.Record{{Offset: 1}}, 2, before.moved); waits(before) > 0 {
		t.Error("a partition that was lost takes records")
	}
	if s.again(before.log, before.next-1) != true || s.again(before.log, before.next) {
		t.Errorf("what was handed over, up to %d, may be delivered again", before.next)
	}
}

// What a paused partition has not fetched may go as well.
func TestRecordsThatGoWhileAPartitionIsPaused(t *testing.T) {
	bothWays(t, func(t *testing.T, goOn bool) {
		const first, records = 400, 410 // the first ones are more than a lane takes
		w := newWorld(t, 1)
		w.change = func(c *Config) { c.GoOn, c.Window, c.Waiting, c.StuckAfter = goOn, 2, 4, 0 }
		w.twins.setStuck("a")
		s := w.start("a")
		var all []string
		for n := range first {
			all = append(all, fmt.Sprintf(`a={"n":%d}`, n))
		}
		w.produce("purchases", all...)
		w.eventually("paused", func() bool { return len(s.client.PauseFetchPartitions(nil)["purchases"]) == 1 })
		for n := first; n < records; n++ { // a fetch that is under way may have the first of them
			w.produce("purchases", fmt.Sprintf(`a={"n":%d}`, n))
		}
		w.forget("purchases", records-1)
		w.twins.setStuck("")
		if !goOn {
			s.stopped("partition purchases/0 is stopped: the topic no longer keeps")
			w.eventually("applied what was fetched", func() bool { return w.twins.count() > 4 })
		} else {
			w.eventually("at the last record", func() bool { return strings.HasSuffix(w.twins.of("a"), fmt.Sprint(" ", records-1)) })
			w.eventually("committed", func() bool { return w.committed("purchases") == fmt.Sprint("0:", records) })
		}
		lost, applied := int(s.Metric("kafka_records_lost_total")), w.twins.count()
		if applied == records || lost == 0 {
			t.Fatalf("all of it was fetched before it was gone: %d applied, %d lost", applied, lost)
		}
		if goOn && lost+applied != records {
			t.Errorf("%d applied and %d lost of %d", applied, lost, records)
		}
	})
}

// A record that was handed over and not accepted when its partition was lost is applied when it comes back, also if
// its value is that of a record before it: its place says that it is another one.
func TestARecordThatIsEqualToAnotherIsAnother(t *testing.T) {
	w := newWorld(t, 1)
	w.produce("purchases", `a={"n":5}`)
	s := w.start("a")
	w.eventually("committed", func() bool { return w.committed("purchases") == "0:1" })
	w.twins.setStuck("a")
	w.produce("purchases", `a={"n":5}`)
	next := func() int64 {
		p := s.partition(place{"purchases", 0})
		if p == nil {
			return -1
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.next
	}
	w.eventually("handed over", func() bool { return next() == 2 })
	s.renew("purchases") // the partition is lost, and comes back
	w.twins.setStuck("")
	w.eventually("accepted", func() bool { return w.committed("purchases") == "0:2" })
	if got := w.twins.of("a"); got != "5 5" {
		t.Errorf("applied %s, want 5 5", got)
	}
}
