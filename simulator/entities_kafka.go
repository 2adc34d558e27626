package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Headers of records that the service writes: see docs/kafka.md.
const (
	headerID        = "devicetwin.id"
	headerEntity    = "devicetwin.entity"
	headerTopic     = "devicetwin.topic"
	headerPartition = "devicetwin.partition"
	headerOffset    = "devicetwin.offset"
)

// metadataEvery is how often the clients look for topics, partitions and their leaders.
const metadataEvery = 5 * time.Second

// checkTopics is an error that names the topics that are not there.
func checkTopics(ctx context.Context, options []kgo.Opt, topics []string) error {
	client, err := kgo.NewClient(options...)
	if err != nil {
		return fmt.Errorf("configure the client of Kafka: %w", err)
	}
	defer client.Close()
	listed, err := kadm.NewClient(client).ListTopics(ctx, topics...)
	if err != nil {
		return fmt.Errorf("list the topics of Kafka: %w", err)
	}
	var missing []string
	for _, topic := range topics {
		if !listed.Has(topic) {
			missing = append(missing, topic)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("topics of Kafka are not there: expected %s, to be made before the run", strings.Join(missing, ", "))
	}
	return nil
}

// newRecordWriter is the client that writes the records. All records of an entity are on one
// partition of a topic: on the one that it had at first, also if the topic grows.
func newRecordWriter(options []kgo.Opt) (*kgo.Client, error) {
	client, err := kgo.NewClient(append(slices.Clone(options),
		kgo.RecordPartitioner(kgo.BasicConsistentPartitioner(keptPartitions)),
		kgo.UnknownTopicRetries(-1), // they were there at the start
		kgo.MetadataMaxAge(metadataEvery), kgo.MetadataMinAge(time.Second),
	)...)
	if err != nil {
		return nil, fmt.Errorf("configure the producer of Kafka: %w", err)
	}
	return client, nil
}

func keptPartitions(string) func(*kgo.Record, int) int {
	var mutex sync.Mutex
	kept := map[string]int{}
	return func(r *kgo.Record, partitions int) int {
		mutex.Lock()
		defer mutex.Unlock()
		p, known := kept[string(r.Key)]
		if !known {
			h := fnv.New32a()
			h.Write(r.Key) // a hash never fails
			p = int(h.Sum32() % uint32(partitions))
			kept[string(r.Key)] = p
		}
		return p
	}
}

// outside is somebody outside of the service, who reads what it writes, and drops
// repetitions.
type outside struct {
	notified Notified
	letters  string          // topic of dead letters
	topics   []string        // all that it reads
	ids      map[string]bool // of the entities of the run: of others it takes nothing
	names    map[string]bool // the same, as keys of their records
	client   *kgo.Client
	trouble  func(error)

	mutex    sync.Mutex
	seen     map[string]bool // ids of notifications, and places of what became a dead letter
	said     map[string][]string
	letter   int
	repeated int // records that were written again
	read     map[string]map[int32]int64
}

// newOutside reads from the beginning of the topics.
func newOutside(s *EntityScenario, options []kgo.Opt, entities []*entity, trouble func(error)) (*outside, error) {
	o := &outside{
		notified: s.Expect.Notified, letters: s.Kafka.DeadLetters, topics: s.outsideTopics(), ids: map[string]bool{}, names: map[string]bool{}, trouble: trouble,
		seen: map[string]bool{}, said: map[string][]string{}, read: map[string]map[int32]int64{},
	}
	for _, e := range entities {
		o.ids[e.id], o.names[e.name] = true, true
	}
	var err error
	o.client, err = kgo.NewClient(append(slices.Clone(options),
		kgo.ConsumeTopics(o.topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMaxAge(metadataEvery))...)
	if err != nil {
		return nil, fmt.Errorf("configure the consumer of Kafka: %w", err)
	}
	return o, nil
}

// run reads until the context ends.
func (o *outside) run(ctx context.Context) {
	for {
		fetches := o.client.PollFetches(ctx)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return
		}
		fetches.EachError(func(topic string, _ int32, err error) {
			o.trouble(fmt.Errorf("read topic %s of Kafka: %w", topic, err))
		})
		fetches.EachRecord(o.take)
	}
}

func (o *outside) take(r *kgo.Record) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.read[r.Topic] == nil {
		o.read[r.Topic] = map[int32]int64{}
	}
	o.read[r.Topic][r.Partition] = r.Offset + 1
	headers := map[string]string{}
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	if r.Topic == o.letters {
		o.takeLetter(r, headers)
		return
	}
	if entity := headers[headerEntity]; o.ids[entity] && o.first(headers[headerID]) {
		o.said[entity] = append(o.said[entity], o.saying(r.Value))
	}
}

// takeLetter takes a dead letter, which has the key of the record that was refused.
func (o *outside) takeLetter(r *kgo.Record, headers map[string]string) {
	if o.names[string(r.Key)] && o.first(headers[headerTopic]+" "+headers[headerPartition]+" "+headers[headerOffset]) {
		o.letter++
	}
}

func (o *outside) first(id string) bool {
	if o.seen[id] {
		o.repeated++
		return false
	}
	o.seen[id] = true
	return true
}

// saying is what a notification says. What cannot be read is shown as it is.
func (o *outside) saying(value []byte) string {
	var n struct{ Data map[string]any }
	if err := json.Unmarshal(value, &n); err != nil {
		return string(value)
	}
	if text, ok := n.Data[o.notified.Field].(string); ok {
		return text
	}
	return fmt.Sprint(n.Data[o.notified.Field])
}

// of are the notifications about an entity, in the order of the topic.
func (o *outside) of(id string) []string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return slices.Clone(o.said[id])
}

// counts are how many notifications there are, how many dead letters there are, and how many records were
// written again.
func (o *outside) counts() (notified, letters, repeated int) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for _, said := range o.said {
		notified += len(said)
	}
	return notified, o.letter, o.repeated
}

// catchUp returns when everything was read that the topics have now. The error says that they cannot be asked,
// or that something was not read in time.
func (o *outside) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, askTimeout, errors.New("what the service wrote to Kafka was not read in time"))
	defer cancel()
	ends, err := kadm.NewClient(o.client).ListEndOffsets(ctx, o.topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("ask for the ends of the topics %s: %w", strings.Join(o.topics, ", "), err)
	}
	for !o.reached(ends) {
		if !pause(ctx, 50*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
	return nil
}

func (o *outside) reached(ends kadm.ListedOffsets) bool {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	reached := true
	ends.Each(func(l kadm.ListedOffset) {
		reached = reached && o.read[l.Topic][l.Partition] >= l.Offset
	})
	return reached
}
