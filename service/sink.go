package service

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"devicetwin/bridge/kafka"
	deviceworkflow "devicetwin/workflows/device"
)

// recordSink writes the records of workflows to Kafka.
type recordSink struct{ producer *kafka.Producer }

// startSink starts what writes the records of a worker; nil: it writes none.
func (s *Service) startSink(p Plan, metrics prometheus.Registerer) (*recordSink, error) {
	c := p.Worker.Sink.Client
	if len(c.Brokers) == 0 {
		return nil, nil
	}
	producer, err := kafka.NewProducer(c, p.Publisher.ClientID, metrics, s.log)
	if err != nil {
		return nil, &ConfigError{err}
	}
	s.onClose("producer of records", func(ctx context.Context) error { producer.Close(ctx); return nil })
	return &recordSink{producer}, nil
}

// WriteRecord implements deviceworkflow.RecordWriter.
func (s *recordSink) WriteRecord(ctx context.Context, r deviceworkflow.KafkaRecord) error {
	record := kafka.Record{Topic: r.Topic, Key: r.Key, ID: r.ID, Value: r.Value, At: r.At}
	for _, h := range r.Headers {
		record.Headers = append(record.Headers, kafka.Header(h))
	}
	err := s.producer.Write(ctx, record)
	if errors.Is(err, kafka.ErrRefused) {
		return fmt.Errorf("%w: %w", deviceworkflow.ErrRecordRefused, err)
	}
	return err
}
