package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What is fetched says nothing of a fetch that does not come, and what is assigned nothing of a topic that is
// gone. So the brokers are asked, in addition to what the client reads.

// watchEvery is how often the brokers are asked: several times in the time after which a partition that does
// not move is reported.
func (c Config) watchEvery() time.Duration {
	return min(max(c.StillAfter/4, 50*time.Millisecond), 15*time.Second)
}

// watch asks the brokers which topics there are and where they end, every so often, until ctx ends.
func (s *Source) watch(ctx context.Context) {
	tick := time.NewTicker(s.cfg.watchEvery())
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.watchOnce(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (s *Source) watchOnce(ctx context.Context) {
	asked, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	missing, err := s.missingTopics(asked)
	if err == nil {
		err = s.lookForEnds(asked, missing)
	}
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	before := s.missing
	s.missing = missing
	switch {
	case err == nil:
		s.asking = failure{}
	case s.asking.error == nil:
		s.asking = failure{err, time.Now()}
	}
	s.mu.Unlock()
	for _, topic := range missing {
		if !slices.Contains(before, topic) {
			s.log.Error("a topic is not there any more; nothing is read of it", "topic", topic)
		}
	}
}

// missingTopics are those that are to be read and are not there.
func (s *Source) missingTopics(ctx context.Context) (missing []string, err error) {
	found, err := s.admin.ListTopics(ctx, s.records.Topics()...)
	if err != nil {
		return nil, fmt.Errorf("look for topics: %w", err)
	}
	for _, topic := range s.records.Topics() {
		if t, ok := found[topic]; !ok || errors.Is(t.Err, kerr.UnknownTopicOrPartition) || errors.Is(t.Err, kerr.UnknownTopicID) {
			missing = append(missing, topic)
		}
	}
	return missing, nil
}

// lookForEnds notes where the partitions end that the bridge has, and looks into those of which it seems to be
// given nothing.
func (s *Source) lookForEnds(ctx context.Context, missing []string) error {
	all := slices.DeleteFunc(s.list(), func(p *partition) bool { return slices.Contains(missing, p.topic) })
	if len(all) == 0 {
		return nil
	}
	topics := map[string]bool{}
	for _, p := range all {
		topics[p.topic] = true
	}
	ends, err := s.admin.ListCommittedOffsets(ctx, sortedKeys(topics)...)
	if err != nil {
		return fmt.Errorf("look for the ends of topics: %w", err)
	}
	var faults []error
	for _, p := range all {
		end, ok := ends.Lookup(p.topic, p.place.partition)
		if !ok {
			end.Err = kerr.UnknownTopicOrPartition
		}
		if end.Err != nil {
			faults = append(faults, fmt.Errorf("partition %v: look for its end: %w", p.place, end.Err))
			continue
		}
		from, suspicious := p.ends(end.Offset, time.Now(), s.cfg.StillAfter/2)
		if !suspicious {
			continue
		}
		there, err := s.recordAfter(ctx, p, from)
		if err != nil {
			faults = append(faults, fmt.Errorf("partition %v: look for its next record: %w", p.place, err))
			continue
		}
		if p.notFetched(from, end.Offset, there) {
			s.log.Error("a partition has records that are not fetched", "partition", p.place, "from", from, "end", end.Offset)
		}
	}
	return errors.Join(faults...)
}

// probeTimeout is how long a record that is there may take to come.
const probeTimeout = 3 * time.Second

// recordAfter reports whether a partition has a record from an offset on, by a client of its own. The offsets up
// to the end may have none: those of markers and of aborted transactions, and those of records that
// compaction removed.
func (s *Source) recordAfter(ctx context.Context, p *partition, from int64) (bool, error) {
	options, err := s.cfg.Client.options()
	if err != nil {
		return false, err
	}
	client, err := kgo.NewClient(append(append(options, s.dialing...),
		kgo.ClientID(s.cfg.instance()+"-probe"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxPartitionBytes(1<<10),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{p.topic: {p.place.partition: kgo.NewOffset().At(from)}}),
	)...)
	if err != nil {
		return false, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	for ctx.Err() == nil {
		fetches := client.PollRecords(ctx, 1)
		if fetches.NumRecords() > 0 {
			return true, nil
		}
		for _, f := range fetches.Errors() {
			if ctx.Err() == nil {
				return false, f.Err
			}
		}
	}
	return false, nil
}

// ends notes where the log of a partition ends. It reports whether it should have been given more for a time, and
// from which offset on.
func (p *partition) ends(end int64, now time.Time, after time.Duration) (from int64, suspicious bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end = max(p.end, end)
	idle := p.stopped == nil && !p.closed && !p.paused && len(p.waiting) == 0 && p.next == p.acked
	if !idle || end <= p.next || end <= p.barren {
		p.behind, p.unfetched = time.Time{}, false
		return 0, false
	}
	if p.behind.IsZero() {
		p.behind = now
	}
	return p.next, !p.unfetched && now.Sub(p.behind) >= after
}

// notFetched notes what was found between an offset and the end: a record, or none. It reports whether records
// are there and do not come.
func (p *partition) notFetched(from, end int64, there bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next != from || len(p.waiting) > 0 || p.closed || p.stopped != nil { // they have come
		return false
	}
	if !there {
		p.barren, p.behind = end, time.Time{}
		return false
	}
	p.unfetched = true
	return true
}

// absent is what is wrong with topics, and with asking for them. Its caller has the lock.
func (s *Source) absent(now time.Time) (faults []error) {
	for _, topic := range s.missing {
		faults = append(faults, fmt.Errorf("kafka: topic %s is not there; was it deleted?", topic))
	}
	if f := s.asking; f.error != nil && now.Sub(f.at) >= s.cfg.StillAfter {
		faults = append(faults, fmt.Errorf("kafka: %w", f.error))
	}
	return faults
}
