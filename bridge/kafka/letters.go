package kafka

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"devicetwin/bridge/ingest"
	"devicetwin/internal/backoff"
	"devicetwin/internal/text"
	"devicetwin/wire"
)

// PointWriter takes telemetry; *points.Writer is one. See bridge.PointWriter.
type PointWriter interface {
	WriteReading(model, device string, object []byte, except []string, at time.Time)
}

// producer writes a record; *kgo.Client is one.
type producer interface {
	ProduceSync(ctx context.Context, rs ...*kgo.Record) kgo.ProduceResults
}

// outlet takes what leaves the source but not to the sink. A dead letter holds up the commits
// of its partition until it is written, so what waits is bounded by the windows of lanes.
type outlet struct {
	topic  string // of dead letters; "": none are written
	points PointWriter
	counts *counters
	log    *slog.Logger
	wait   func(attempt int) time.Duration

	mu      sync.Mutex
	letters []letter
	poked   chan struct{}
}

type letter struct {
	ingest.DeadLetter
	done func()
}

func newOutlet(cfg Config, points PointWriter, counts *counters, log *slog.Logger) *outlet {
	return &outlet{
		topic: cfg.DeadLetters, points: points, counts: counts, log: log, poked: make(chan struct{}, 1),
		wait: backoff.New(100*time.Millisecond, 10*time.Second),
	}
}

// notReadings are the members of a message that are not telemetry.
var notReadings = wire.ReservedKeys()

// Point writes the telemetry of a message.
func (o *outlet) Point(p ingest.Point) {
	if o.points != nil {
		o.points.WriteReading(p.Model, string(p.ID), p.Object, notReadings, p.Time)
	}
}

// DeadLetter writes a record that was refused.
func (o *outlet) DeadLetter(l ingest.DeadLetter, done func()) bool {
	if o.topic == "" {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.letters = append(o.letters, letter{l, done})
	poke(o.poked)
	return true
}

// Reject answers nobody: there are no requests in Kafka.
func (o *outlet) Reject(ingest.Rejection, func()) bool { return false }

// Ask asks nobody.
func (o *outlet) Ask(ingest.Question) {}

// run writes dead letters until ctx ends.
func (o *outlet) run(ctx context.Context, p producer) {
	for {
		o.mu.Lock()
		all := o.letters
		o.letters = nil
		o.mu.Unlock()
		for _, l := range all {
			if !o.write(ctx, p, l.DeadLetter) {
				return
			}
			l.done()
		}
		if len(all) > 0 {
			continue
		}
		select {
		case <-o.poked:
		case <-ctx.Done():
			return
		}
	}
}

// write writes a dead letter, for as long as it takes. False: ctx has ended.
func (o *outlet) write(ctx context.Context, p producer, l ingest.DeadLetter) bool {
	r := o.record(l)
	for attempt := 0; ; attempt++ {
		err := p.ProduceSync(ctx, r).FirstErr()
		switch {
		case err == nil:
			o.counts.letters.Add(1)
			return true
		case ctx.Err() != nil:
			return false
		case (errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge)) && r.Value != nil:
			r = &kgo.Record{Topic: r.Topic, Key: r.Key, Headers: append(r.Headers, header(headerBytes, strconv.Itoa(len(r.Value))))}
			continue
		}
		o.counts.lettersFailed.Add(1)
		o.log.Warn("dead letter could not be written; its partition waits for it", "topic", o.topic, "of", text.Clip(l.Origin, 1024), "reason", l.Reason, "detail", l.Detail, "error", err)
		select {
		case <-time.After(o.wait(attempt)):
		case <-ctx.Done():
			return false
		}
	}
}

// Headers of a dead letter.
const (
	headerReason    = "devicetwin.reason"
	headerDetail    = "devicetwin.detail"
	headerTopic     = "devicetwin.topic"
	headerPartition = "devicetwin.partition"
	headerOffset    = "devicetwin.offset"
	headerReceived  = "devicetwin.received"
	headerBytes     = "devicetwin.value_bytes" // of a value that there is no room for
)

func header(key, value string) kgo.RecordHeader {
	return kgo.RecordHeader{Key: key, Value: []byte(value)}
}

// record is a dead letter as it is written: key and value as they were.
func (o *outlet) record(l ingest.DeadLetter) *kgo.Record {
	topic, key, keyed := strings.Cut(l.Origin, "/")
	_, partition, _ := strings.Cut(l.Log, ":")
	r := &kgo.Record{Topic: o.topic, Value: l.Payload, Headers: []kgo.RecordHeader{
		header(headerReason, string(l.Reason)),
		header(headerDetail, text.Clip(l.Detail, 1024)),
		header(headerTopic, topic),
		header(headerPartition, partition),
		header(headerOffset, strconv.FormatInt(l.Offset, 10)),
		header(headerReceived, l.At.Format(time.RFC3339Nano)),
	}}
	if keyed {
		r.Key = []byte(key)
	}
	return r
}
