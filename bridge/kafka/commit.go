package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commitEvery commits what was accepted, every so often, until ctx ends.
func (s *Source) commitEvery(ctx context.Context) {
	tick := time.NewTicker(s.cfg.CommitEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			s.commits.Lock()
			s.commit(ctx, s.list())
			s.commits.Unlock()
			s.look(now)
		case <-ctx.Done():
			return
		}
	}
}

// commitTimeout bounds a commit, which may wait for a rebalance.
const commitTimeout = 5 * time.Second

// commit commits what was accepted of partitions. Its caller has the lock of commits.
func (s *Source) commit(ctx context.Context, all []*partition) {
	offsets := map[string]map[int32]kgo.EpochOffset{}
	byPlace := map[place]*partition{}
	for _, p := range all {
		if offset, ok := p.uncommitted(); ok {
			if offsets[p.topic] == nil {
				offsets[p.topic] = map[int32]kgo.EpochOffset{}
			}
			offsets[p.topic][p.place.partition] = offset
			byPlace[p.place] = p
		}
	}
	if len(offsets) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	ctx = kgo.PreCommitFnContext(ctx, func(r *kmsg.OffsetCommitRequest) error {
		return addIDs(r, byPlace)
	})
	s.client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, r *kmsg.OffsetCommitResponse, err error) {
		if err == nil {
			err = s.committed(r, offsets, byPlace)
		}
		if err != nil {
			s.counts.commitsFailed.Add(1)
			s.log.Warn("cannot commit offsets; what comes after the last commit is delivered again if the bridge ends before it can", "error", err)
			return
		}
		s.counts.commits.Add(1)
	})
}

// addIDs notes with each offset which topic it is of.
func addIDs(r *kmsg.OffsetCommitRequest, of map[place]*partition) error {
	for i := range r.Topics {
		t := &r.Topics[i]
		for j := range t.Partitions {
			if p := of[place{t.Topic, t.Partitions[j].Partition}]; p != nil {
				id := p.id.String()
				t.Partitions[j].Metadata = &id
			}
		}
	}
	return nil
}

// committed notes what the group has taken, and returns what it has not.
func (s *Source) committed(r *kmsg.OffsetCommitResponse, offsets map[string]map[int32]kgo.EpochOffset, of map[place]*partition) error {
	var faults []error
	for _, t := range r.Topics {
		for _, each := range t.Partitions {
			at := place{t.Topic, each.Partition}
			if err := kerr.ErrorForCode(each.ErrorCode); err != nil {
				faults = append(faults, fmt.Errorf("partition %v: %w", at, err))
			} else if p := of[at]; p != nil {
				p.noteCommitted(offsets[at.topic][at.partition].Offset)
			}
		}
	}
	return errors.Join(faults...)
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
