package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"devicetwin/bridge/ingest"
	"devicetwin/device"
	"devicetwin/internal/backoff"
	"devicetwin/internal/recordlog"
	"devicetwin/wire"
)

// Deps is what a Source works with. Records and a sink are needed.
type Deps struct {
	// Model is that of entities that are given no other. Models and Kept are as in
	// ingest.Deps.
	Model  ingest.Model
	Models []ingest.Model
	// Kinds are the models of new entities that are not devices.
	Kinds map[device.Kind]ingest.Model
	Kept  []ingest.Model
	// Defaults and NameModels are as in ingest.Deps.
	Defaults   []ingest.Model
	NameModels bool
	Sink       ingest.Sink
	// Records reads records.
	Records Records
	// Clock says which times of records are believed.
	Clock wire.Clock
	// Points takes telemetry. Nil: there is none.
	Points PointWriter
	// Journal is the log of what is received, which has to stay open until Run has returned. Nil:
	// none is kept. With one, Points is not used: telemetry is read from it.
	Journal *recordlog.Log
	Metrics prometheus.Registerer // nil: none are registered
	Log     *slog.Logger          // nil: slog.Default()
}

// Source carries records to the workflows of their entities. Its methods may be called from any
// goroutine.
type Source struct {
	cfg     Config
	records Records
	clock   wire.Clock
	log     *slog.Logger
	counts  *counters
	outlet  *outlet
	ingest  *ingest.Ingest
	client  *kgo.Client
	admin   *kadm.Client
	dialing []kgo.Opt // what is added to the options of each client

	commits     sync.Mutex // held while offsets are committed, and while partitions are lost
	mu          sync.Mutex
	partitions  map[place]*partition
	seen        map[string]int64 // by log: after the last record that was handed over before its partition was lost
	renewing    map[string]bool  // topics that were made again, until they are read by their new ids
	committedOf map[place]string // ids of the topics that the group has committed of, with its last assignment
	failure     error            // of the last attempt to begin, or to be a member
	fetching    failure          // of the last fetch that failed
	missing     []string         // topics that are not there
	asking      failure          // of what watch asks, since it fails

	ending ingest.Ending // of Run
}

// New checks the configuration and prepares a source; Run makes it work.
func New(cfg Config, deps Deps) (*Source, error) { return newSource(cfg, deps) }

// newSource is New with more options of the client.
func newSource(cfg Config, deps Deps, more ...kgo.Opt) (*Source, error) {
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	if deps.Records == nil {
		return nil, errors.New("what reads records is needed")
	}
	if err := errors.Join(cfg.Validate(), cfg.CheckTopics(deps.Records.Topics())); err != nil {
		return nil, fmt.Errorf("kafka configuration: %w", err)
	}
	s := &Source{
		cfg: cfg, records: deps.Records, clock: deps.Clock, log: deps.Log.With("bridge", cfg.ID), counts: newCounters(),
		partitions: map[place]*partition{}, seen: map[string]int64{}, renewing: map[string]bool{},
		failure: errNotBegun, ending: ingest.NewEnding(), dialing: more,
	}
	s.outlet = newOutlet(cfg, deps.Points, s.counts, s.log)
	var err error
	if s.ingest, err = ingest.New(cfg.Config, ingest.Deps{
		Model: deps.Model, Models: deps.Models, Kinds: deps.Kinds, Kept: deps.Kept, Defaults: deps.Defaults, NameModels: deps.NameModels, WholeDevices: false, // see docs/adr/0081
		Sink: deps.Sink, Outlet: s.outlet, Counts: s.counts.Counts, Journal: deps.Journal, Name: cfg.ID,
		Scope: "kafka " + cfg.Group + " " + strings.Join(deps.Records.Topics(), " "), Log: s.log,
	}); err != nil {
		return nil, fmt.Errorf("kafka configuration: %w", err)
	}
	options, err := s.options()
	if err == nil {
		s.client, err = kgo.NewClient(append(options, more...)...)
	}
	if err != nil {
		return nil, fmt.Errorf("kafka configuration: %w", err)
	}
	s.admin = kadm.NewClient(s.client)
	if deps.Metrics != nil {
		if err := s.counts.Register(deps.Metrics); err != nil {
			return nil, fmt.Errorf("register the metrics of bridge %s: %w", cfg.ID, err)
		}
	}
	return s, nil
}

var errNotBegun = errors.New("not a member of the group yet")

// options are those of the client. Topics are added when it is known where they begin.
func (s *Source) options() ([]kgo.Opt, error) {
	all, err := s.cfg.Client.options()
	return append(all,
		kgo.ClientID(s.cfg.instance()),
		kgo.ConsumerGroup(s.cfg.Group),
		kgo.InstanceID(s.cfg.instance()),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(s.cfg.SessionTimeout),
		kgo.HeartbeatInterval(max(s.cfg.SessionTimeout/15, 100*time.Millisecond)),
		kgo.MetadataMaxAge(s.cfg.TopicsEvery),
		kgo.MetadataMinAge(min(s.cfg.TopicsEvery, 2500*time.Millisecond)),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxBytes(16<<20),
		kgo.FetchMaxPartitionBytes(1<<20),
		kgo.FetchMaxWait(500*time.Millisecond), // a partition that is resumed joins the next fetch
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { s.fail(nil) }), // also without any
		kgo.OnOffsetsFetched(s.fetched),
		kgo.AdjustFetchOffsetsFn(s.assigned),
		kgo.OnPartitionsRevoked(func(ctx context.Context, _ *kgo.Client, lost map[string][]int32) { s.lose(ctx, lost, true) }),
		kgo.OnPartitionsLost(func(ctx context.Context, _ *kgo.Client, lost map[string][]int32) { s.lose(ctx, lost, false) }),
	), err
}

// Run works until ctx ends or Shutdown is called, and then stops in order: nothing is taken any
// more, deliveries in flight are waited for, and what was accepted is committed. All of that takes
// no longer than the context of Shutdown allows, or Config.DrainTimeout after the end of ctx. The member
// stays in the group until its session ends, so that it has its partitions again after a restart.
// Nil is that end. Run is called once.
func (s *Source) Run(ctx context.Context) error {
	taking, abandon, end := s.ending.Begin(ctx, s.cfg.DrainTimeout, lastCommit)
	defer end()
	background, endBackground := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { s.outlet.run(background, s.client) })
	running.Go(func() { s.commitEvery(background) })
	running.Go(func() {
		if s.begin(taking) {
			running.Go(func() { s.watch(taking) })
			s.poll(taking)
		}
	})
	s.ingest.Run(taking, abandon)
	s.leave(ctx)
	endBackground()
	s.client.CloseAllowingRebalance()
	running.Wait()
	return nil
}

// leave ends all partitions when everything is acknowledged that is accepted, and commits that.
func (s *Source) leave(ctx context.Context) {
	for _, p := range s.list() {
		<-p.lane.Sent()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastCommit)
	defer cancel()
	s.lose(ctx, s.all(), true)
}

// lastCommit is the part of the time for the end that is kept for the last commit.
const lastCommit = time.Second

// Shutdown ends Run as the end of its context does, in the time that ctx gives for all of it,
// and waits for it. It is for a source that runs.
func (s *Source) Shutdown(ctx context.Context) error {
	return s.ending.Shutdown(ctx, s.cfg.ID)
}

// begin waits until all topics are there, and notes where the group begins on those of which it has
// read nothing. False: ctx has ended.
func (s *Source) begin(ctx context.Context) bool {
	wait := backoff.New(100*time.Millisecond, 10*time.Second)
	for attempt := 0; ; attempt++ {
		err := s.beginOnce(ctx)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		s.fail(err)
		select {
		case <-time.After(wait(attempt)):
		case <-ctx.Done():
			return false
		}
	}
}

func (s *Source) beginOnce(ctx context.Context) error {
	topics := s.records.Topics()
	found, err := s.describe(ctx, topics)
	if err != nil {
		return err
	}
	if s.cfg.FromEnd {
		if err := s.beginAtEnd(ctx, found); err != nil {
			return err
		}
	}
	s.client.AddConsumeTopics(topics...)
	return nil
}

// beginAtEnd commits the ends of topics on which the group has committed nothing. Partitions
// that are added later have no commit, and so are read from their beginning.
func (s *Source) beginAtEnd(ctx context.Context, found map[string]described) error {
	committed, err := s.admin.FetchOffsets(ctx, s.cfg.Group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("read what group %s has committed: %w", s.cfg.Group, err)
	}
	ends := kadm.Offsets{}
	for topic, d := range found {
		if len(committed[topic]) > 0 {
			continue
		}
		for partition, end := range d.ends {
			ends.Add(kadm.Offset{Topic: topic, Partition: partition, At: end, LeaderEpoch: -1, Metadata: d.id.String()})
		}
	}
	if len(ends) == 0 {
		return nil
	}
	done, err := s.admin.CommitOffsets(ctx, s.cfg.Group, ends)
	if err == nil {
		err = done.Error()
	}
	if err != nil {
		return fmt.Errorf("begin group %s at the end of %v: %w", s.cfg.Group, sortedKeys(ends), err)
	}
	return nil
}

// poll hands what is fetched to partitions until ctx ends.
func (s *Source) poll(ctx context.Context) {
	for ctx.Err() == nil {
		fetches := s.client.PollRecords(ctx, maxPoll)
		now := time.Now()
		if fetches.IsClientClosed() {
			return
		}
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			switch {
			case ctx.Err() != nil:
			case f.Err != nil:
				s.failed(ctx, f, now)
			default:
				s.take(f, now)
			}
		})
		s.client.AllowRebalance()
	}
}

// maxPoll bounds the records of one look, during which no partition is assigned or lost.
const maxPoll = 2000

// take hands records to their partition; those of a partition that the bridge has not are
// dropped.
func (s *Source) take(f kgo.FetchTopicPartition, now time.Time) {
	at := place{f.Topic, f.Partition}
	p := s.partition(at)
	if p == nil {
		s.counts.dropped.Add(uint64(len(f.Records)))
		return
	}
	if p.take(f.Records, f.LastStableOffset, now) {
		s.client.PauseFetchPartitions(at.asMap())
	}
}

func (s *Source) resume(at place) { s.client.ResumeFetchPartitions(at.asMap()) }

func (p place) asMap() map[string][]int32 { return map[string][]int32{p.topic: {p.partition}} }

// partition is one that the bridge has; nil: it has not.
func (s *Source) partition(at place) *partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.partitions[at]
}

// list is all partitions that the bridge has, in order.
func (s *Source) list() []*partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*partition
	for _, p := range s.partitions {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *partition) int { return strings.Compare(a.String(), b.String()) })
	return all
}

func (s *Source) all() map[string][]int32 {
	all := map[string][]int32{}
	for _, p := range s.list() {
		all[p.topic] = append(all[p.topic], p.place.partition)
	}
	return all
}

// again reports whether a record may have been handed over before by this process.
func (s *Source) again(log string, offset int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return offset < s.seen[log]
}

// fail notes why nothing is read; nil: it is.
func (s *Source) fail(err error) {
	s.mu.Lock()
	before := s.failure
	s.failure = err
	s.mu.Unlock()
	if err != nil && (before == nil || before.Error() != err.Error()) {
		s.log.Warn("cannot read from Kafka; it is tried again", "error", err)
	}
}

// What follows is as in ingest.Ingest.

// Troubled lists entities that are stuck or silent, at most a number of them.
func (s *Source) Troubled(ctx context.Context, now time.Time, limit int) []ingest.Trouble {
	return s.ingest.Troubled(ctx, now, limit)
}

// Survey looks at all entities. One caller may ask.
func (s *Source) Survey(ctx context.Context, now time.Time, talkers, groups int) ingest.Survey {
	return s.ingest.Survey(ctx, now, talkers, groups)
}

// Remembers reports whether the source has a log in which an earlier process of it ran.
func (s *Source) Remembers() bool { return s.ingest.Before() != "" }

// Moves says which entities are moved to other versions of their models. See ingest.Ingest.Moves.
func (s *Source) Moves(ctx context.Context, asked time.Time, list []ingest.Moving) {
	s.ingest.Moves(ctx, asked, list)
}

// EndsUnknown notes that workflows of any entities may have ended.
func (s *Source) EndsUnknown(ctx context.Context) { s.ingest.EndsUnknown(ctx) }

// Ended notes that the workflows of entities ended.
func (s *Source) Ended(ctx context.Context, ids ...device.ID) { s.ingest.Ended(ctx, ids...) }

// Assign replaces the models. See ingest.Ingest.Assign.
func (s *Source) Assign(ctx context.Context, to ingest.Assignment) error {
	return s.ingest.Assign(ctx, to)
}

// Forget drops what is remembered of entities.
func (s *Source) Forget(ctx context.Context, ids ...device.ID) { s.ingest.Forget(ctx, ids...) }

// Report reports a fault of something that an entity's source sent and that was found elsewhere.
func (s *Source) Report(id device.ID, f device.Fault) { s.ingest.Report(id, f) }

// failure is an error with its time.
type failure struct {
	error
	at time.Time
}

// failFetch notes a fetch that failed. Nothing shows that it works again but that no further one
// fails.
func (s *Source) failFetch(err error, now time.Time) {
	s.mu.Lock()
	before := s.fetching
	s.fetching = failure{err, now}
	s.mu.Unlock()
	if before.error == nil || before.Error() != err.Error() || now.Sub(before.at) > s.cfg.StillAfter {
		s.log.Warn("cannot read from Kafka; it is tried again", "error", err)
	}
}

// Metric reads one of the metrics devicetwin_bridge_…, by the rest of its name. It panics if
// there is no such metric.
func (s *Source) Metric(name string) float64 { return s.counts.Value(name) }

// Ready is nil while records flow: the bridge is a member of the group, Temporal accepts
// signals, and each of its partitions that has records moves. The error names all that do not.
func (s *Source) Ready() error {
	var faults []error
	s.mu.Lock()
	if s.failure != nil {
		faults = append(faults, fmt.Errorf("kafka: %w", s.failure))
	}
	if f := s.fetching; f.error != nil && time.Since(f.at) < s.cfg.StillAfter {
		faults = append(faults, fmt.Errorf("kafka: %w", f.error))
	}
	faults = append(faults, s.absent(time.Now())...)
	s.mu.Unlock()
	if s.counts.Outage.Load() {
		faults = append(faults, errors.New("signals fail: Temporal is not accepting them"))
	}
	return errors.Join(append(faults, s.look(time.Now())...)...)
}

// look counts partitions by how they stand, and says what is wrong with them.
func (s *Source) look(now time.Time) (faults []error) {
	var stopped, still, lag int64
	all := s.list()
	for _, p := range all {
		stands := p.standing(now)
		lag += stands.lag
		switch {
		case stands.stopped != nil:
			stopped++
			faults = append(faults, fmt.Errorf("partition %v is stopped: %w", p.place, stands.stopped))
		case stands.still >= s.cfg.StillAfter:
			still++
			if !stands.fetched {
				faults = append(faults, fmt.Errorf("partition %v has records that are not fetched, for %v", p.place, stands.still.Round(time.Second)))
				continue
			}
			faults = append(faults, fmt.Errorf("partition %v has records and has not moved for %v", p.place, stands.still.Round(time.Second)))
		}
	}
	s.counts.partitions.Store(int64(len(all)))
	s.counts.stopped.Store(stopped)
	s.counts.still.Store(still)
	s.counts.lag.Store(lag)
	return faults
}
