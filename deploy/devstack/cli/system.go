package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/service"
)

// system is a stack with the bridge and the worker on it, in one process.
type system struct {
	stack   *stack.Stack
	service *service.Service
	kafka   *service.Service // the bridge from Kafka; nil: there are devices, and no Kafka
	config  service.Config
	topics  map[string]int // of Kafka
}

// startSystem starts it all.
func startSystem(ctx context.Context, p systemPlan) (_ *system, err error) {
	// Faults of settings and models are found before anything is started.
	if _, err := p.started(); err != nil {
		return nil, err
	}
	if _, err := p.models().LoadModels(); err != nil {
		return nil, err
	}
	log := p.settings.Log.Logger(os.Stderr)
	o, err := p.servers()
	if err != nil {
		return nil, err
	}
	o.Logger = log
	if p.tls != nil {
		if o.TLS, err = p.tls.options(o.DataDir); err != nil {
			return nil, err
		}
	}
	s := &system{topics: o.KafkaTopics}
	if s.stack, err = startStack(ctx, o); err != nil {
		return nil, err
	}
	at := serversOf(s.stack)
	s.config = p.settings.on(at)
	parts, err := p.services(at)
	if err == nil {
		s.service, err = parts[0].Start(log)
	}
	if err == nil {
		err = s.awaitReady(ctx, s.service)
	}
	if err == nil && len(parts) > 1 {
		if s.kafka, err = parts[1].Start(log); err == nil {
			err = s.awaitReady(ctx, s.kafka)
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// models are those that the system is started with.
func (p systemPlan) models() service.ModelConfig {
	if p.entities != nil {
		return p.settings.forEntities(p.entities).Model
	}
	return p.settings.Model
}

// awaitReady waits until the bridge is subscribed: what is published before
// belongs to nobody.
func (s *system) awaitReady(ctx context.Context, of *service.Service) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var missing error
	err := process.Poll(ctx, 50*time.Millisecond, func(ctx context.Context) (ready bool, err error) {
		select {
		case err := <-of.Failed():
			return false, err
		default:
		}
		_, missing = process.Get(ctx, "http://"+of.HTTPAddr()+"/readyz")
		return missing == nil, nil
	})
	if err != nil && ctx.Err() != nil && missing != nil {
		return fmt.Errorf("bridge and worker are not ready: %w (%w)", context.Cause(ctx), missing)
	}
	return err
}

func (s *system) Close() error {
	var faults []error
	if s.kafka != nil {
		faults = append(faults, s.kafka.Close())
	}
	if s.service != nil {
		faults = append(faults, s.service.Close())
	}
	return errors.Join(append(faults, s.stack.Close())...)
}

// printAddresses lists everything that can be looked at.
func (s *system) printAddresses(w io.Writer) {
	line := func(name, address, remark string) {
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("  %-12s %-30s %s", name, address, remark), " "))
	}
	if s.stack.Kafka != nil {
		line("Kafka", s.stack.Kafka.Addr(), "a broker for development; topics "+strings.Join(slices.Sorted(maps.Keys(s.topics)), ", "))
		line("bridge", "http://"+s.kafka.HTTPAddr()+"/metrics", "from Kafka; and /healthz, /readyz")
	}
	remark := "anonymous, or with a device's credentials"
	if s.kafka != nil {
		remark = "of the worker; this fleet does not use it"
	}
	line("MQTT", s.stack.MQTT.URL(), remark)
	if s.stack.MQTTS != nil {
		line("MQTT, TLS", s.stack.MQTTS.URL(), "certificate required; CA in "+authorityDir(s.stack.DataDir()))
	}
	line("metrics", "http://"+s.service.HTTPAddr()+"/metrics", "and /healthz, /readyz")
	if url := s.service.APIURL(); url != "" {
		line("API", url, "described by /openapi.json")
	}
	line("Temporal", s.stack.Temporal.Addr(), "namespace "+stack.Namespace)
	if s.stack.UI != nil {
		line("Temporal UI", s.stack.UI.URL(), "")
	}
	line("InfluxDB", s.stack.InfluxDB.URL(), "database "+stack.Database)
	if s.stack.Grafana != nil {
		line("Grafana", s.stack.Grafana.URL(), "")
	}
}

// services are those that run.
func (s *system) services() []*service.Service {
	if s.kafka == nil {
		return []*service.Service{s.service}
	}
	return []*service.Service{s.service, s.kafka}
}
