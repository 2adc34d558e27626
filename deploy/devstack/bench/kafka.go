package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/servers"
)

// Records of Kafka in the place of MQTT messages: with the same devices, models and ledger, so that what differs is
// the way from the broker to Temporal. The broker is a real Apache Kafka, with one copy of each record.

// kafkaBroker is the broker among the parts, and kafkaQuorum the port of its controller.
const (
	kafkaBroker process.Part = "kafka"
	kafkaQuorum process.Part = "kafka-quorum"
)

const (
	kafkaPartitions = 6
	kafkaWindow     = "20000" // of each partition
	kafkaPatience   = time.Minute
	kafkaDialect    = "kafka.dialect.yaml"
)

// kafkaCases are those with records.
var kafkaCases = []string{caseKafkaEvents, caseKafkaTelemetry}

// hasKafka reports whether Kafka is installed.
func hasKafka() bool {
	_, err := servers.FindKafka()
	return err == nil
}

func (r *run) playKafkaEvents(ctx context.Context) error {
	return r.playFast(ctx, fast{
		name: caseKafkaEvents, what: "the same as records of Kafka", beside: caseEvents,
		devices: r.Devices / 10, ahead: 60_000, kafka: true,
		bridge: []string{"--kafka-window=" + kafkaWindow},
	})
}

func (r *run) playKafkaTelemetry(ctx context.Context) error {
	return r.playPoints(ctx, points{
		name: caseKafkaTelemetry, what: "the same as records of Kafka", beside: caseTelemetry,
		devices: max(connections, r.Devices/10), say: coldReading, kafka: true,
	})
}

// compare says how a rate compares with that of another case of the same run.
func (r *run) compare(row *Row, with string) {
	if other, ok := r.report.value(with); ok && with != "" {
		row.Remark = fmt.Sprintf("%.2f × %s", row.Value/other, with)
	}
}

// addKafka adds the broker.
func (s *system) addKafka() error {
	k, err := servers.NewKafka(s.Dir, s.Data(), []string{string(kafkaBroker)}, []string{s.Ports[kafkaBroker], s.Ports[kafkaQuorum]})
	if err != nil {
		return err
	}
	s.Parts[kafkaBroker], s.brokers = k.Nodes[0], k.Addresses
	raw, err := files.ReadFile("testdata/" + kafkaDialect)
	if err == nil {
		err = os.WriteFile(filepath.Join(s.Dir, kafkaDialect), raw, 0o644)
	}
	if err != nil {
		return fmt.Errorf("prepare the dialect: %w", err)
	}
	return nil
}

// startKafka starts the broker, and makes the topics.
func (s *system) startKafka(ctx context.Context) error {
	if err := s.Start(ctx, kafkaBroker); err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...))
	if err != nil {
		return fmt.Errorf("configure the client of Kafka: %w", err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, kafkaPatience)
	defer cancel()
	made, err := kadm.NewClient(client).CreateTopics(ctx, kafkaPartitions, 1, nil, kafkaTopics...)
	if err == nil {
		err = made.Error()
	}
	if err != nil {
		return fmt.Errorf("make the topics of Kafka: %w", err)
	}
	return nil
}

// addKafkaBridge adds the bridge from Kafka in the place of that from MQTT.
func (s *system) addKafkaBridge() {
	s.AddService(process.Service{Part: process.Bridge, Command: "kafka", Model: s.modelFile, InfluxDB: s.setting.influx, Flags: slices.Concat([]string{
		"--http-profile", "--log-level", "warn", "--kafka-dialect", filepath.Join(s.Dir, kafkaDialect), "--kafka-brokers",
	}, s.brokers, s.setting.bridge)})
}

// kafkaTopics are the first levels of the dialect.
var kafkaTopics = []string{"tick", "telemetry"}

// recordSender writes records. It belongs to one goroutine.
type recordSender struct {
	client *kgo.Client
	failed chan error
}

func newRecordSender(brokers []string) (*recordSender, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return nil, fmt.Errorf("configure the producer of Kafka: %w", err)
	}
	return &recordSender{client: client, failed: make(chan error, 1)}, nil
}

// publish writes a payload, of which it makes a copy: the client keeps it until it is acknowledged.
func (s *recordSender) publish(ctx context.Context, a *account, payload []byte) error {
	s.client.Produce(ctx, &kgo.Record{Topic: a.record, Key: []byte(a.id), Value: bytes.Clone(payload)}, s.done)
	return s.failure()
}

func (s *recordSender) done(_ *kgo.Record, err error) {
	if err == nil {
		return
	}
	select {
	case s.failed <- fmt.Errorf("write a record: %w", err):
	default: // the first one counts
	}
}

func (s *recordSender) failure() error {
	select {
	case err := <-s.failed:
		return err
	default:
		return nil
	}
}

func (s *recordSender) flush() error { return s.failure() }

func (s *recordSender) drain(ctx context.Context) error {
	return errors.Join(s.client.Flush(ctx), s.failure())
}

func (s *recordSender) close() { s.client.Close() }

// How a message begins, up to its number: as on a device's own topics, and in a record, where the names are
// others, so that the payload is taken as it is.
const (
	mqttNumber  = `{"epoch":1,"seq":`
	kafkaNumber = `{"e":1,"n":`
)

// kafkaSpeech is how a message is said in a record.
func kafkaSpeech(say speech) speech {
	return func(a *account, b []byte) []byte {
		at := len(b)
		b = say(a, b)
		return append(append(b[:at], kafkaNumber...), b[at+len(mqttNumber):]...)
	}
}
