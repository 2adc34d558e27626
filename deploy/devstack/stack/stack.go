package stack

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// Stack is a running set of servers. A part that was not asked for is nil.
type Stack struct {
	MQTT     *Broker
	MQTTS    *TLSListener
	Temporal *Temporal
	UI       *UI
	InfluxDB *InfluxDB
	Grafana  *Grafana
	Kafka    *Kafka

	data *dataDir
}

// Start starts the parts of o and returns when all of them serve. An error names
// the part; whatever was started is stopped again. ctx bounds the start only.
func Start(ctx context.Context, o Options) (*Stack, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("stack options: %w", err)
	}
	o = o.withDefaults()
	for _, part := range o.Parts {
		if err := checkPort(part, o.hostOf(part), o.port(part)); err != nil {
			return nil, err
		}
	}
	if o.has(PartGrafana) {
		if _, _, err := findGrafana(); err != nil {
			return nil, fmt.Errorf("%s: %w", PartGrafana, err)
		}
	}
	data, err := openDataDir(o.DataDir, o.RemoveData)
	if err != nil {
		return nil, err
	}
	o.RemoveData = data.temporary
	s := &Stack{data: data}
	if err := s.start(ctx, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// start runs four chains at once: the broker and its TLS listener, Temporal and its UI, InfluxDB
// and Grafana, and Kafka.
func (s *Stack) start(ctx context.Context, o Options) error {
	group, ctx := errgroup.WithContext(ctx)
	if o.has(PartMQTT) {
		group.Go(func() error {
			if err := begin(ctx, o, s.data, PartMQTT, &s.MQTT, startBroker); err != nil || !o.has(PartMQTTS) {
				return err
			}
			listener, err := startTLS(o, s.MQTT)
			if err != nil {
				return fmt.Errorf("%s: %w", PartMQTTS, err)
			}
			s.MQTTS = listener
			return nil
		})
	}
	if o.has(PartTemporal) {
		group.Go(func() error {
			if err := begin(ctx, o, s.data, PartTemporal, &s.Temporal, startTemporal); err != nil || !o.has(PartUI) {
				return err
			}
			ui, err := startUI(ctx, o, s.Temporal)
			if err != nil {
				return fmt.Errorf("%s: %w", PartUI, err)
			}
			s.UI = ui
			return nil
		})
	}
	if o.has(PartInfluxDB) {
		group.Go(func() error {
			if err := begin(ctx, o, s.data, PartInfluxDB, &s.InfluxDB, startInfluxDB); err != nil || !o.has(PartGrafana) {
				return err
			}
			influx := s.InfluxDB
			return begin(ctx, o, s.data, PartGrafana, &s.Grafana,
				func(ctx context.Context, o Options, dir string, release func()) (*Grafana, error) {
					return startGrafana(ctx, o, dir, release, influx)
				})
		})
	}
	if o.has(PartKafka) {
		group.Go(func() error { return begin(ctx, o, s.data, PartKafka, &s.Kafka, startKafka) })
	}
	return group.Wait()
}

// begin starts one part on its folder of the data directory. starter takes over
// release, also if it fails.
func begin[T any](ctx context.Context, o Options, data *dataDir, part Part, to **T,
	starter func(ctx context.Context, o Options, dir string, release func()) (*T, error),
) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", part, err)
	}
	dir, release, err := data.claim(part)
	if err != nil {
		return fmt.Errorf("%s: %w", part, err)
	}
	started, err := starter(ctx, o, dir, release)
	if err != nil {
		return fmt.Errorf("%s: %w", part, err)
	}
	*to = started
	return nil
}

// DataDir is the absolute path of the data directory.
func (s *Stack) DataDir() string { return s.data.path }

// Close stops everything, in reverse order. It takes two minutes at most, and
// reports the parts that did not stop in their time.
func (s *Stack) Close() error {
	var faults []error
	stop := func(part Part, close func() error) {
		if err := close(); err != nil {
			faults = append(faults, fmt.Errorf("stop %s: %w", part, err))
		}
	}
	if s.Grafana != nil {
		stop(PartGrafana, s.Grafana.Close)
	}
	if s.UI != nil {
		stop(PartUI, s.UI.Close)
	}
	if s.Kafka != nil {
		stop(PartKafka, s.Kafka.Close)
	}
	if s.InfluxDB != nil {
		stop(PartInfluxDB, s.InfluxDB.Close)
	}
	if s.Temporal != nil {
		stop(PartTemporal, s.Temporal.Close)
	}
	if s.MQTTS != nil {
		stop(PartMQTTS, s.MQTTS.Close)
	}
	if s.MQTT != nil {
		stop(PartMQTT, s.MQTT.Close)
	}
	if err := s.data.close(); err != nil {
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// within bounds a call that takes no context.
func within(limit time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("not done within %v", limit)
	}
}
