package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"devicetwin/internal/figures"
	"devicetwin/internal/measure"
	"devicetwin/internal/text"
)

// Record is one that a Producer writes.
type Record struct {
	Topic string
	Key   string
	// ID is that of HeaderID: the same whenever the record is written again, and no other
	// record of the topic has it.
	ID      string
	Headers []Header // in addition to HeaderID
	Value   []byte
	At      time.Time
}

// Header is a header of a record.
type Header struct{ Key, Value string }

// HeaderID is the header by which a reader drops repetitions.
const HeaderID = "devicetwin.id"

// ErrRefused is of a record that Kafka never takes, such as one that is too large.
var ErrRefused = errors.New("kafka refuses the record")

// Producer writes records: with the idempotence of Kafka, and when all replicas in sync have them. Its
// methods may be called from any goroutine.
type Producer struct {
	client *kgo.Client
	log    *slog.Logger
	counts *producerCounts

	mu      sync.Mutex
	pending map[recordKey]*pendingRecord
	written []recordKey // the last ones, a ring
	known   map[recordKey]bool
	next    int
	failure error // of the last record; nil: it was written
}

// keptWritten is how many of the records that were written last a Producer knows.
const keptWritten = 20_000

// whileFailing is how long a caller waits while nothing can be written: many have something to
// write, and what was begun is written as soon as that is possible.
const whileFailing = 20 * time.Millisecond

// recordKey identifies a record.
type recordKey struct{ topic, id string }

// pendingRecord is one that is being written.
type pendingRecord struct {
	done chan struct{} // closed at its end
	err  error         // then
}

// producerCounts is what a Producer counts.
type producerCounts struct {
	*figures.Set
	written, failed *atomic.Uint64
}

// ProducerMetrics declares the metrics of a Producer.
func ProducerMetrics() *figures.Set { return newProducerCounts().Set }

func newProducerCounts() *producerCounts {
	s := figures.NewSet("devicetwin_worker_kafka_")
	field := func(name string) figures.Field { return figures.Field{Measurement: measure.Worker, Name: name} }
	return &producerCounts{
		Set:     s,
		written: s.Counter("records_total", "Records that the worker has written to Kafka.", field("kafka_records")),
		failed:  s.Counter("records_failed_total", "Attempts to write a record to Kafka that failed; they are repeated, unless Kafka refuses the record.", field("kafka_records_failed")),
	}
}

// NewProducer checks the configuration, and connects when there is something to write. The name is
// that of the client. No metrics are registered at a nil Registerer.
func NewProducer(c ClientConfig, name string, metrics prometheus.Registerer, log *slog.Logger) (*Producer, error) {
	return newProducer(c, name, metrics, log)
}

func newProducer(c ClientConfig, name string, metrics prometheus.Registerer, log *slog.Logger, more ...kgo.Opt) (*Producer, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("kafka configuration: %w", err)
	}
	options, err := c.options()
	if err != nil {
		return nil, fmt.Errorf("kafka configuration: %w", err)
	}
	options = append(options, kgo.ClientID(name), kgo.ProducerLinger(0), kgo.MetadataMinAge(time.Second))
	client, err := kgo.NewClient(append(options, more...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka configuration: %w", err)
	}
	p := &Producer{client: client, log: log, counts: newProducerCounts(), pending: map[recordKey]*pendingRecord{}, known: map[recordKey]bool{}}
	if metrics != nil {
		if err := p.counts.Register(metrics); err != nil {
			client.Close()
			return nil, fmt.Errorf("register the metrics of a producer: %w", err)
		}
	}
	return p, nil
}

// Write writes a record. Nil: all replicas in sync have it. Records of one key and topic are in the order
// in which they are given, if each is given after the one before was written. When it takes too long, the
// record may be written later nevertheless; given again, it is not written twice, as far back as this
// producer knows. The error wraps ErrRefused if it never will be.
func (p *Producer) Write(ctx context.Context, r Record) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("write a record to topic %s: %w", r.Topic, err)
	}
	w, failing := p.begin(r)
	if failing {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, whileFailing)
		defer cancel()
	}
	select {
	case <-w.done:
		if w.err != nil {
			return fmt.Errorf("write a record to topic %s: %w", r.Topic, w.err)
		}
		return nil
	case <-ctx.Done():
		p.counts.failed.Add(1)
		p.noteLate()
		return fmt.Errorf("write a record to topic %s: %w", r.Topic, ctx.Err())
	}
}

// begin begins to write a record, unless that has begun before. Failing: the last attempt to write
// anything has failed.
func (p *Producer) begin(r Record) (w *pendingRecord, failing bool) {
	key := recordKey{r.Topic, r.ID}
	p.mu.Lock()
	defer p.mu.Unlock()
	failing = p.failure != nil
	if w, ok := p.pending[key]; ok {
		return w, failing
	}
	if p.known[key] {
		return writtenBefore, false
	}
	w = &pendingRecord{done: make(chan struct{})}
	p.pending[key] = w
	record := &kgo.Record{Topic: r.Topic, Key: []byte(r.Key), Value: r.Value, Timestamp: r.At, Headers: []kgo.RecordHeader{header(HeaderID, r.ID)}}
	for _, h := range r.Headers {
		record.Headers = append(record.Headers, header(h.Key, h.Value))
	}
	// Not with the context of the caller: what Kafka may have cannot be taken back.
	p.client.TryProduce(context.Background(), record, func(_ *kgo.Record, err error) { go p.end(key, w, err) })
	return w, failing
}

// writtenBefore is a record that was written before.
var writtenBefore = func() *pendingRecord {
	w := &pendingRecord{done: make(chan struct{})}
	close(w.done)
	return w
}()

// remember notes that a record is written, in place of the one that was longest ago.
func (p *Producer) remember(key recordKey) {
	if len(p.written) < keptWritten {
		p.written = append(p.written, key)
	} else {
		delete(p.known, p.written[p.next])
		p.written[p.next] = key
		p.next = (p.next + 1) % keptWritten
	}
	p.known[key] = true
}

// end notes the end of a record.
func (p *Producer) end(key recordKey, w *pendingRecord, err error) {
	if refused(err) {
		err = fmt.Errorf("%w: %w", ErrRefused, err)
	}
	p.mu.Lock()
	delete(p.pending, key)
	if err == nil {
		p.remember(key)
	}
	p.mu.Unlock()
	if err == nil {
		p.counts.written.Add(1)
	} else {
		p.counts.failed.Add(1)
	}
	if !errors.Is(err, ErrRefused) { // the brokers are well
		p.note(err)
	}
	w.err = err
	close(w.done)
}

// refused reports whether an error is of the record, and not of the brokers or of the account.
func refused(err error) bool {
	return errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.InvalidRecord) || errors.Is(err, kerr.InvalidTimestamp) || errors.Is(err, kerr.InvalidTopicException)
}

// note notes how the last attempt ended, and says so in the log when that changes.
func (p *Producer) note(err error) {
	p.mu.Lock()
	before := p.failure
	p.failure = err
	p.mu.Unlock()
	switch {
	case err != nil && before == nil:
		p.log.Warn("cannot write to Kafka; it is tried again", "error", text.Clip(err.Error(), 512))
	case err == nil && before != nil:
		p.log.Info("records are written to Kafka again")
	}
}

// noteLate notes that a record takes too long, if nothing else is known.
func (p *Producer) noteLate() {
	p.mu.Lock()
	known := p.failure != nil
	p.mu.Unlock()
	if !known {
		p.note(errLate)
	}
}

var errLate = errors.New("the brokers have not taken a record in time")

// Ready is the error of the last attempt, as long as none has succeeded since.
func (p *Producer) Ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failure != nil {
		return fmt.Errorf("kafka: %w", p.failure)
	}
	return nil
}

// Metric reads one of the metrics devicetwin_worker_kafka_…, by the rest of its name. It panics if
// there is no such metric.
func (p *Producer) Metric(name string) float64 { return p.counts.Value(name) }

// lastWrites is how long Close waits for what is being written.
const lastWrites = 2 * time.Second

// Close waits for a moment, or until ctx ends, for what is being written, and disconnects. What is not
// written by then is given to another producer by who gave it to this one.
func (p *Producer) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastWrites)
	defer cancel()
	if err := p.client.Flush(ctx); err != nil {
		p.log.Warn("records that are being written to Kafka at the end may be written again", "records", p.client.BufferedProduceRecords())
	}
	p.client.Close()
}
