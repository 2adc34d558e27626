package kafka

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"devicetwin/bridge/ingest"
)

// place names a partition.
type place struct {
	topic     string
	partition int32
}

func (p place) String() string { return fmt.Sprintf("%s/%d", p.topic, p.partition) }

// topicID is that of a topic, which another topic of the same name does not have.
type topicID [16]byte

func (id topicID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// logName is that of the partition's log, over all bridges and times: at most 32 bytes, as
// partitions have at most 9 digits.
func logName(id topicID, partition int32) string { return fmt.Sprintf("%v:%d", id, partition) }

// partition is one that the bridge has: from one assignment to the next loss. What is fetched comes in
// by take, and leaves by its goroutine, which hands it over to the lane.
type partition struct {
	place
	id     topicID
	log    string
	lane   *ingest.Lane
	source *Source
	cancel context.CancelFunc
	done   chan struct{} // closed when nothing is handed over any more

	mu      sync.Mutex
	poked   chan struct{}
	waiting []*kgo.Record
	paused  bool
	stopped error // why nothing of it is read; nil: it is
	closed  bool  // the bridge has it no longer
	from    int64 // the first offset that is expected
	first   bool  // it has come
	next    int64 // after the last record that was handed over, or from
	end     int64 // of the log, as far as it is known
	acked   int64 // before it everything is accepted
	epoch   int32 // of the leader, of the record before it
	// committed is what the group has; negative: nothing that counts.
	committed int64
	moved     time.Time // when acked rose, or there was nothing to do
	// Of what the brokers were asked: since when there is more than what was fetched, whether records are
	// among it, and the end before which there are none.
	behind    time.Time
	unfetched bool
	barren    int64
}

// take takes what was fetched. It reports whether so much waits that the partition is to be paused.
func (p *partition) take(records []*kgo.Record, end int64, now time.Time) (pause bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped != nil || p.closed {
		return false
	}
	if p.next == p.acked && len(p.waiting) == 0 {
		p.moved = now
	}
	p.end = max(p.end, end)
	p.behind, p.unfetched = time.Time{}, false
	p.waiting = append(p.waiting, records...)
	poke(p.poked)
	pause = !p.paused && len(p.waiting) >= p.source.cfg.Waiting
	p.paused = p.paused || pause
	return pause
}

// run hands over what waits, in order, until ctx ends.
func (p *partition) run(ctx context.Context) {
	defer close(p.done)
	for ctx.Err() == nil {
		r := p.pop()
		if r == nil {
			select {
			case <-p.poked:
			case <-ctx.Done():
				return
			}
			continue
		}
		if p.expected(r) && p.deliver(ctx, r) != nil { // it is the end
			p.source.counts.dropped.Add(1)
		}
	}
}

// pop is the record that is next; nil: none is there. It resumes a partition that was paused.
func (p *partition) pop() *kgo.Record {
	p.mu.Lock()
	if len(p.waiting) == 0 {
		p.mu.Unlock()
		return nil
	}
	r := p.waiting[0]
	p.waiting[0] = nil
	p.waiting = p.waiting[1:]
	resume := p.paused && len(p.waiting) <= p.source.cfg.Waiting/2
	if resume {
		p.paused = false
	}
	p.mu.Unlock()
	if resume {
		p.source.resume(p.place)
	}
	return r
}

// expected compares the first record with the offset that the group has committed. What comes
// before what is expected is of an earlier assignment.
func (p *partition) expected(r *kgo.Record) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Offset < p.next {
		p.source.counts.dropped.Add(1)
		return false
	}
	if !p.first && r.Offset > p.from {
		p.source.counts.holes.Add(1)
		p.source.log.Warn("the first record of a partition is not the one after those that were committed: the offsets between them have no records any more, as after compaction or an aborted transaction, or records are missing",
			"partition", p.place, "expected", p.from, "found", r.Offset)
	}
	p.first = true
	return true
}

// deliver hands over a record. The error is that of the end.
func (p *partition) deliver(ctx context.Context, r *kgo.Record) error {
	s := p.source
	at := time.Now().UTC().Truncate(time.Millisecond)
	again := s.again(p.log, r.Offset)
	name, received, err := s.read(r, again, at)
	offset, epoch := r.Offset, r.LeaderEpoch
	if err := p.lane.Deliver(ctx, ingest.Arrival{
		Origin: name, Payload: r.Value, At: at, Again: again, Ack: func() { p.acknowledge(offset, epoch) }, Log: p.log, Offset: offset,
	}, received, err); err != nil {
		return err
	}
	p.mu.Lock()
	p.next = offset + 1
	p.mu.Unlock()
	return nil
}

// acknowledge notes that a record, and all before it, are accepted.
func (p *partition) acknowledge(offset int64, epoch int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acked, p.epoch, p.moved = offset+1, epoch, time.Now()
}

// uncommitted is what is accepted and not committed; false: nothing. Where a partition begins is
// committed too, unless it is stopped there.
func (p *partition) uncommitted() (kgo.EpochOffset, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return kgo.EpochOffset{Epoch: p.epoch, Offset: p.acked}, p.acked > p.committed && (p.stopped == nil || p.acked > p.from)
}

func (p *partition) noteCommitted(offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.committed = max(p.committed, offset)
}

// stop ends the reading of a partition that the bridge still has. It reports whether it was read.
func (p *partition) stop(why error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.stopped == nil
	if was {
		p.stopped, p.waiting = why, nil
	}
	return was
}

// standing is how a partition stands.
type standing struct {
	stopped error
	still   time.Duration // for which it has records and does not move
	fetched bool          // the bridge has these records
	lag     int64
}

func (p *partition) standing(now time.Time) (s standing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.stopped, s.lag = p.stopped, max(0, p.end-p.acked)
	switch {
	case p.next > p.acked || len(p.waiting) > 0:
		s.still, s.fetched = now.Sub(p.moved), true
	case p.unfetched:
		s.still = now.Sub(p.behind)
	}
	return s
}

// close ends a partition that is lost: what waits of it is dropped, and what is accepted
// from now on is not acknowledged.
func (p *partition) close() {
	p.cancel()
	<-p.done
	p.lane.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.source.counts.dropped.Add(uint64(len(p.waiting)))
	p.waiting, p.closed = nil, true
}

// LogValue is how a place is logged.
func (p place) LogValue() slog.Value { return slog.StringValue(p.String()) }

func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
