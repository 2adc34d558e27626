package kafka

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Records reach the workflows of their entities, by key or by value, in order; one without a
// value is an event of its own.
func TestRecordsReachTheirEntities(t *testing.T) {
	w := newWorld(t, 2)
	w.produce("purchases", `4711={"n":1}`, `4712={"n":2}`, `4711={"n":3}`, `4711=`)
	w.produce("orders", `{"customer":"4712","n":9}`)
	s := w.start("a")
	w.eventually("all applied", func() bool { return w.twins.count() == 5 })
	if got := w.twins.of("4711"); got != "1 3 deleted" {
		t.Errorf("4711: %s", got)
	}
	if got := strings.Fields(w.twins.of("4712")); len(got) != 2 || !slices.Contains(got, "2") || !slices.Contains(got, "9") {
		t.Errorf("4712: %v", got)
	}
	w.eventually("ready", func() bool { return s.Ready() == nil })
	w.eventually("in possession of 4 partitions", func() bool { return s.Metric("kafka_partitions") == 4 })
}

// Nothing is committed before it is accepted, and then all of it, also at the end.
func TestOffsetsAreCommittedWhenTemporalHasAccepted(t *testing.T) {
	w := newWorld(t, 1)
	w.change = func(c *Config) { c.StillAfter = 50 * time.Millisecond }
	w.twins.setStuck("stuck")
	w.produce("purchases", `a={"n":1}`, `stuck={"n":2}`, `a={"n":3}`)
	s := w.start("a")
	w.eventually("applied what can be", func() bool { return w.twins.of("a") == "1 3" })
	w.eventually("committed up to what waits", func() bool { return w.committed("purchases") == "0:1" })
	w.eventually("not ready", func() bool {
		err := s.Ready()
		return err != nil && strings.Contains(err.Error(), "partition purchases/0 has records and has not moved for")
	})
	w.twins.setStuck("")
	w.eventually("ready", func() bool { return s.Ready() == nil })
	w.eventually("committed", func() bool { return w.committed("purchases") == "0:3" })
	w.produce("purchases", `a={"n":4}`)
	w.eventually("applied", func() bool { return w.twins.of("a") == "1 3 4" })
	s.end()
	if got := w.committed("purchases"); got != "0:4" {
		t.Errorf("committed %s at the end", got)
	}
}

// Several members of a group, killed and added while records come, apply each record once and in
// the order of its entity. So does one that begins again at the beginning of everything.
func TestEachRecordIsAppliedOnceWhileMembersChange(t *testing.T) { membersChange(newWorld(t, 6)) }

func membersChange(w *world) {
	w.t.Helper()
	const entities, rounds = 20, 30
	a, b := w.start("a"), w.start("b")
	w.eventually("ready", func() bool { return a.Ready() == nil && b.Ready() == nil })
	want := map[string]string{}
	for round := range rounds {
		var batch []string
		for e := range entities {
			name := fmt.Sprint("c", e)
			batch = append(batch, fmt.Sprintf(`%s={"n":%d}`, name, round))
			want[name] = strings.TrimSpace(want[name] + " " + fmt.Sprint(round))
		}
		w.produce("purchases", batch...)
		switch round {
		case 8:
			w.start("c")
		case 14:
			b.kill()
		case 20:
			b = w.start("b") // the same member
		case 24:
			a.end()
		}
	}
	w.eventually("all applied", func() bool { return w.twins.count() == entities*rounds })
	for name, order := range want {
		if got := w.twins.of(name); got != order {
			w.t.Errorf("%s: applied %s, want %s", name, got, order)
		}
	}
	w.t.Logf("%d messages were delivered again, and dropped", w.twins.repeated())
}

func TestARewoundGroupAppliesNothingTwice(t *testing.T) { rewind(newWorld(t, 2)) }

func rewind(w *world) {
	w.t.Helper()
	s := w.start("a")
	for n := range 10 {
		w.produce("purchases", fmt.Sprintf(`a={"n":%d}`, n), fmt.Sprintf(`b={"n":%d}`, n))
	}
	w.eventually("all applied", func() bool { return w.twins.count() == 20 })
	s.end()
	w.eventually("without a member", func() bool { // a static one goes when its session ends
		zero := kadm.Offsets{}
		for p := range int32(2) {
			zero.Add(kadm.Offset{Topic: "purchases", Partition: p, At: 0, LeaderEpoch: -1})
		}
		done, err := w.admin.CommitOffsets(w.t.Context(), w.group, zero)
		return err == nil && done.Error() == nil
	})
	w.start("b")
	w.produce("purchases", `a={"n":10}`)
	w.eventually("the new one applied", func() bool { return strings.HasSuffix(w.twins.of("a"), " 10") })
	w.eventually("everything delivered again", func() bool { return w.twins.repeated() >= 20 })
	if got := w.twins.of("a"); got != "0 1 2 3 4 5 6 7 8 9 10" {
		w.t.Errorf("applied %s", got)
	}
	if got := w.twins.of("b"); got != "0 1 2 3 4 5 6 7 8 9" {
		w.t.Errorf("applied %s", got)
	}
}

// What a sender writes twice, at two places and on two topics, has one id, and counts once. What has no id, or
// is of another entity, counts each time.
func TestRecordsWithAnIDCountOnce(t *testing.T) {
	w := newWorld(t, 1)
	w.dialect = `
dialect: shop
topics:
  - topic: purchases/{id}
    channel: events
    name: purchase
    number: {id: payload.order}
  - topic: orders/{id}
    channel: events
    name: purchase
    number: {id: payload.order}
`
	w.produce("purchases", `a={"n":1,"order":"o-1"}`, `a={"n":2,"order":"o-2"}`, `a={"n":3,"order":"o-1"}`, `b={"n":4,"order":"o-1"}`, `a={"n":5}`, `a={"n":5}`, `a=`, `a=`)
	w.start("a")
	w.eventually("applied", func() bool { return w.twins.count() == 7 && w.twins.repeated() == 1 })
	w.produce("orders", `a={"n":6,"order":"o-2"}`, `a={"n":7,"order":"o-3"}`)
	w.eventually("applied what is on the other topic", func() bool { return w.twins.count() == 8 && w.twins.repeated() == 2 })
	if got := w.twins.of("a"); got != "1 2 5 5 deleted deleted 7" {
		t.Errorf("applied %s", got)
	}
	w.eventually("committed", func() bool { return w.committed("purchases") == "0:8" && w.committed("orders") == "0:2" })
}

// A bridge that has no partition, because others have them all, is ready.
func TestAMemberWithoutAPartitionIsReady(t *testing.T) {
	w := newWorld(t, 1)
	var all []*running
	for _, id := range []string{"a", "b", "c"} {
		all = append(all, w.start(id))
	}
	w.eventually("all ready, and the partitions shared", func() bool {
		var have float64
		for _, s := range all {
			if s.Ready() != nil {
				return false
			}
			have += s.Metric("kafka_partitions")
		}
		return have == 2
	})
}

// A record that cannot be read becomes a dead letter with the reason, and is committed only when that
// is written.
func TestARecordThatCannotBeReadIsADeadLetter(t *testing.T) { poison(newWorld(t, 1)) }

func poison(w *world) {
	w.t.Helper()
	w.change = func(c *Config) { c.DeadLetters = "dead" }
	w.produce("purchases", `a={"n":1}`, `a={"n":`, `b={"n":2}`, `a={"n":3}`)
	s := w.start("a")
	w.eventually("applied what can be", func() bool { return w.twins.of("a") == "1 3" })
	w.eventually("unable to write it", func() bool { return s.Metric("kafka_dead_letters_failed_total") > 0 })
	if got := w.committed("purchases"); got != "0:1" && got != "" {
		w.t.Errorf("committed %s before the dead letter is written", got)
	}
	w.create("dead", 1, 1)
	letter := w.dead("dead", 1)[0]
	headers := map[string]string{}
	for _, h := range letter.Headers {
		headers[h.Key] = string(h.Value)
	}
	if string(letter.Key) != "a" || string(letter.Value) != `{"n":` {
		w.t.Errorf("dead letter %s=%s", letter.Key, letter.Value)
	}
	for key, want := range map[string]string{
		headerReason: "bad_payload", headerTopic: "purchases", headerPartition: "0", headerOffset: "1", headerDetail: "",
	} {
		if got, ok := headers[key]; !ok || want != "" && got != want || got == "" {
			w.t.Errorf("header %s is %q, want %q", key, got, want)
		}
	}
	w.eventually("committed", func() bool { return w.committed("purchases") == "0:4" })
}

// A partition that takes nothing more is paused, and the others flow.
func TestAPartitionThatTakesNothingMoreHoldsUpNoOther(t *testing.T) {
	w := newWorld(t, 2)
	w.connect(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	w.change = func(c *Config) { c.Window, c.Waiting, c.StuckAfter = 4, 8, 0 }
	w.twins.setStuck("stuck")
	produce := func(partition int32, key string, from, to int) {
		t.Helper()
		for n := from; n < to; n++ {
			r := &kgo.Record{Topic: "purchases", Partition: partition, Key: []byte(key), Value: fmt.Appendf(nil, `{"n":%d}`, n)}
			if err := w.client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := w.start("a")
	w.eventually("ready", func() bool { return s.Ready() == nil })
	produce(0, "stuck", 0, 400) // more than the lane and what waits before it have room for
	w.eventually("paused", func() bool { return len(s.client.PauseFetchPartitions(nil)["purchases"]) == 1 })
	produce(1, "well", 0, 50)
	w.eventually("the other one applied", func() bool { return w.twins.count() == 50 })
	p := s.partition(place{"purchases", 0})
	p.mu.Lock()
	waits := len(p.waiting)
	p.mu.Unlock()
	if waits > 8+maxPoll {
		t.Errorf("%d records wait", waits)
	}
	w.twins.setStuck("")
	w.eventually("all applied", func() bool { return w.twins.count() == 450 })
	w.eventually("resumed", func() bool { return len(s.client.PauseFetchPartitions(nil)["purchases"]) == 0 })
}

// A group may begin at the end of what there is; partitions that are added later begin at their
// beginning.
func TestPartitionsThatAreAddedAreReadFromTheirBeginning(t *testing.T) { grow(newWorld(t, 1)) }

func grow(w *world) {
	w.t.Helper()
	w.connect(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	w.change = func(c *Config) { c.FromEnd = true }
	produce := func(partition int32, n int) error {
		return w.client.ProduceSync(w.t.Context(), &kgo.Record{Topic: "purchases", Partition: partition, Key: []byte("a"), Value: fmt.Appendf(nil, `{"n":%d}`, n)}).FirstErr()
	}
	if err := produce(0, 1); err != nil {
		w.t.Fatal(err)
	}
	s := w.start("a")
	w.eventually("ready", func() bool { return s.Ready() == nil && s.Metric("kafka_partitions") == 2 })
	if r, err := w.admin.UpdatePartitions(w.t.Context(), 2, "purchases"); err != nil || r.Error() != nil {
		w.t.Fatal(err, r.Error())
	}
	w.eventually("written to the new partition", func() bool {
		w.client.ForceMetadataRefresh()
		return produce(1, 2) == nil
	})
	if err := produce(0, 3); err != nil {
		w.t.Fatal(err)
	}
	w.eventually("applied", func() bool { return w.twins.count() == 2 })
	if got := w.twins.of("a"); strings.Contains(got, "1") {
		w.t.Errorf("applied %s, and 1 was there before the group began", got)
	}
}

// The time for which a partition had nothing to do does not count as one in which it did not move.
func TestAPartitionThatHadNothingToDoIsNotStill(t *testing.T) {
	began := time.Now()
	p := &partition{source: &Source{cfg: DefaultConfig()}, poked: make(chan struct{}, 1), moved: began}
	p.take([]*kgo.Record{{Offset: 0}}, 1, began.Add(time.Hour))
	p.take([]*kgo.Record{{Offset: 1}}, 2, began.Add(2*time.Hour))
	if s := p.standing(began.Add(3 * time.Hour)); s.still != 2*time.Hour || s.lag != 2 {
		t.Errorf("still for %v, with a lag of %d; want 2h and 2", s.still, s.lag)
	}
}
