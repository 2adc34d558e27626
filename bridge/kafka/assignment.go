package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// described is what the brokers say of a topic.
type described struct {
	id           topicID
	starts, ends map[int32]int64
}

// describe asks for topics, all of which have to be there, and to have ids.
func (s *Source) describe(ctx context.Context, topics []string) (map[string]described, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	list, err := s.admin.ListTopics(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("look for topics: %w", err)
	}
	starts, err := s.admin.ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("look for the beginnings of topics: %w", err)
	}
	ends, err := s.admin.ListEndOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("look for the ends of topics: %w", err)
	}
	all := map[string]described{}
	for _, topic := range topics {
		t, ok := list[topic]
		switch {
		case !ok:
			err = kerr.UnknownTopicOrPartition
		case t.Err != nil:
			err = t.Err
		case topicID(t.ID) == topicID{}:
			err = errors.New("the brokers say no id of it, which Kafka 2.8 and newer do")
		}
		if err != nil {
			return nil, fmt.Errorf("topic %s: %w", topic, err)
		}
		d := described{topicID(t.ID), map[int32]int64{}, map[int32]int64{}}
		for partition := range t.Partitions {
			start, ok1 := starts.Lookup(topic, partition)
			end, ok2 := ends.Lookup(topic, partition)
			if err := errors.Join(start.Err, end.Err); err != nil || !ok1 || !ok2 {
				return nil, fmt.Errorf("partition %v: its offsets are not known: %w", place{topic, partition}, err)
			}
			d.starts[partition], d.ends[partition] = start.Offset, end.Offset
		}
		all[topic] = d
	}
	return all, nil
}

// askTimeout bounds what is asked of the brokers at once.
const askTimeout = 10 * time.Second

// fetched keeps which topics the group's commits are of: each has the id of its topic with it.
func (s *Source) fetched(_ context.Context, _ *kgo.Client, r *kmsg.OffsetFetchResponse) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.committedOf = map[place]string{}
	note := func(topic string, partition int32, metadata *string) {
		if metadata != nil {
			s.committedOf[place{topic, partition}] = *metadata
		}
	}
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			note(t.Topic, p.Partition, p.Metadata)
		}
	}
	for _, g := range r.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				note(t.Topic, p.Partition, p.Metadata)
			}
		}
	}
	return nil
}

// assigned begins partitions that the bridge now has, at what the group has committed. It is
// called before anything of them is fetched.
func (s *Source) assigned(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	if len(offsets) == 0 {
		s.fail(nil)
		return offsets, nil
	}
	found, err := s.describe(ctx, sortedKeys(offsets))
	if err != nil {
		err = fmt.Errorf("begin partitions: %w", err)
		s.fail(err)
		return nil, err
	}
	s.lose(ctx, placesOf(offsets), false) // of which the client did not say that they were lost
	s.mu.Lock()
	of := s.committedOf
	s.mu.Unlock()
	for topic, partitions := range offsets {
		for partition, offset := range partitions {
			at := place{topic, partition}
			b := beginning{
				place: at, committed: offset.EpochOffset().Offset, of: of[at], id: found[topic].id,
				start: found[topic].starts[partition], end: found[topic].ends[partition],
			}
			from, lost := b.from()
			s.enter(b, from, lost)
			if b.committed < 0 || lost != nil {
				partitions[partition] = kgo.NewOffset().At(from)
			}
		}
	}
	s.counts.rebalances.Add(1)
	s.fail(nil)
	return offsets, nil
}

func placesOf(offsets map[string]map[int32]kgo.Offset) map[string][]int32 {
	all := map[string][]int32{}
	for topic, partitions := range offsets {
		all[topic] = sortedKeys(partitions)
	}
	return all
}

// beginning is what is known of a partition when the bridge is given it.
type beginning struct {
	place
	committed  int64  // by the group; negative: nothing
	of         string // the id of the topic that was committed of; "": it is not known
	id         topicID
	start, end int64 // of its log
}

// loss is why records that were not read are gone.
type loss struct {
	error
	records int64 // at least
}

// from is the first offset that is to be read, and what is gone before it; nil: nothing is.
func (b *beginning) from() (int64, *loss) {
	switch {
	case b.committed < 0:
		return b.start, nil
	case b.of != "" && b.of != b.id.String():
		return b.start, &loss{errors.New("its topic was deleted and made again"), 0}
	case b.committed < b.start:
		return b.start, &loss{fmt.Errorf("the topic no longer keeps what comes after offset %d, which the group has committed; it begins at %d", b.committed, b.start), b.start - b.committed}
	case b.committed > b.end:
		return b.end, &loss{fmt.Errorf("its log was cut: the group has committed offset %d, and it ends at %d", b.committed, b.end), 0}
	}
	return b.committed, nil
}

// enter begins a partition at an offset, with what is gone before that; nil: nothing is.
func (s *Source) enter(b beginning, from int64, lost *loss) {
	lane := s.ingest.Open(b.String())
	if lane == nil { // it is the end
		return
	}
	lane.Online(false)
	ctx, cancel := context.WithCancel(context.Background())
	p := &partition{
		place: b.place, id: b.id, log: logName(b.id, b.partition), lane: lane, source: s, cancel: cancel, done: make(chan struct{}), poked: make(chan struct{}, 1),
		from: from, next: from, acked: from, epoch: -1, committed: b.committed, end: b.end, moved: time.Now(),
	}
	stops := lost != nil && !s.cfg.GoOn
	switch {
	case stops:
		s.stop(p, lost)
	case lost != nil:
		p.committed = -1
		s.passOver(p.place, from, lost)
	}
	go p.run(ctx)
	s.mu.Lock()
	s.partitions[b.place] = p
	s.mu.Unlock()
	if !stops {
		s.resume(b.place)
	}
}

// lose ends partitions that the bridge has no longer. What was accepted of them is committed, if
// the group still takes that.
func (s *Source) lose(ctx context.Context, lost map[string][]int32, commits bool) {
	s.commits.Lock() // no earlier commit may come after that of the next one who has them
	defer s.commits.Unlock()
	var all []*partition
	s.mu.Lock()
	for topic, partitions := range lost {
		for _, partition := range partitions {
			at := place{topic, partition}
			if p := s.partitions[at]; p != nil {
				delete(s.partitions, at)
				all = append(all, p)
			}
		}
	}
	s.mu.Unlock()
	if len(all) == 0 {
		return
	}
	for _, p := range all {
		p.cancel()
	}
	for _, p := range all {
		p.close()
		s.mu.Lock()
		s.seen[p.log] = max(s.seen[p.log], p.next)
		s.mu.Unlock()
		s.resume(p.place) // else it would be paused when it comes back
	}
	if commits {
		s.commit(ctx, all)
	}
	s.counts.rebalances.Add(1)
}

// failed takes the error of a fetch.
func (s *Source) failed(ctx context.Context, f kgo.FetchTopicPartition, now time.Time) {
	at := place{f.Topic, f.Partition}
	cut := (*kgo.ErrDataLoss)(nil)
	p := s.partition(at)
	switch {
	case errors.Is(f.Err, context.Canceled), errors.Is(f.Err, context.DeadlineExceeded):
	case p != nil && errors.As(f.Err, &cut):
		s.stop(p, &loss{fmt.Errorf("its log was cut: %w", f.Err), max(0, cut.ConsumedTo-cut.ResetTo)})
	case p != nil && errors.Is(f.Err, kerr.OffsetOutOfRange):
		s.outOfRange(ctx, p, now)
	case p != nil && errors.Is(f.Err, kerr.UnknownTopicID):
		s.madeAgain(p)
	default:
		s.failFetch(fmt.Errorf("%v: %w", at, f.Err), now)
	}
}

// stop stops a partition of which records are gone.
func (s *Source) stop(p *partition, lost *loss) {
	if !p.stop(lost.error) {
		return
	}
	s.counts.lost.Add(uint64(lost.records))
	s.client.PauseFetchPartitions(p.asMap())
	s.log.Error("records are gone before they were read: the partition is stopped", "partition", p.place, "error", lost.error)
}

// passOver notes what is gone before an offset from which a partition is read.
func (s *Source) passOver(at place, from int64, lost *loss) {
	s.counts.lost.Add(uint64(lost.records))
	s.log.Error("records are gone before they were read; what is there is read", "partition", at, "from", from, "error", lost.error)
}

// outOfRange finds out what is gone of a partition whose next offset its log has not. It
// is called by the goroutine that polls, while no partition can be lost.
func (s *Source) outOfRange(ctx context.Context, p *partition, now time.Time) {
	found, err := s.describe(ctx, []string{p.topic})
	if err != nil {
		s.failFetch(err, now)
		s.stop(p, &loss{fmt.Errorf("its next offset is not there: %w", err), 0})
		return
	}
	p.mu.Lock()
	next := p.next
	if n := len(p.waiting); n > 0 {
		next = p.waiting[n-1].Offset + 1
	}
	p.mu.Unlock()
	b := beginning{
		place: p.place, committed: next, of: p.id.String(), id: found[p.topic].id,
		start: found[p.topic].starts[p.place.partition], end: found[p.topic].ends[p.place.partition],
	}
	from, lost := b.from()
	if lost != nil && (!s.cfg.GoOn || b.committed > b.end || b.of != b.id.String()) {
		s.stop(p, lost)
		return
	}
	if lost != nil {
		s.passOver(p.place, from, lost)
	}
	s.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{p.topic: {p.place.partition: {Epoch: -1, Offset: from}}})
}

// madeAgain deals with a partition whose topic was deleted and made again while it was read.
func (s *Source) madeAgain(p *partition) {
	if !s.cfg.GoOn {
		s.stop(p, &loss{errors.New("its topic was deleted, or deleted and made again"), 0})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.renewing[p.topic] {
		return
	}
	s.renewing[p.topic] = true
	go s.renew(p.topic) // its partitions are lost with that, for which the poll has to be over
}

// renew reads a topic again, by its new id.
func (s *Source) renew(topic string) {
	s.log.Error("a topic was deleted and made again; it is read from its beginning", "topic", topic)
	s.client.PurgeTopicsFromConsuming(topic)
	s.client.AddConsumeTopics(topic)
	s.mu.Lock()
	delete(s.renewing, topic)
	s.mu.Unlock()
}
