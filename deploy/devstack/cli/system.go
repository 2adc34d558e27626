package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
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
	config  service.Config
}

// startSystem starts it all.
func startSystem(ctx context.Context, p systemPlan) (_ *system, err error) {
	// Faults of settings and models are found before anything is started.
	if _, err := p.started(); err != nil {
		return nil, err
	}
	if _, err := p.settings.Model.LoadModels(); err != nil {
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
	s := &system{}
	if s.stack, err = startStack(ctx, o); err != nil {
		return nil, err
	}
	at := serversOf(s.stack)
	s.config = p.settings.on(at)
	parts, err := p.settings.plan(at)
	if err == nil {
		s.service, err = parts.Start(log)
	}
	if err == nil {
		err = s.awaitReady(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// awaitReady waits until the bridge is subscribed: what is published before
// belongs to nobody.
func (s *system) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var missing error
	err := process.Poll(ctx, 50*time.Millisecond, func(ctx context.Context) (ready bool, err error) {
		select {
		case err := <-s.service.Failed():
			return false, err
		default:
		}
		_, missing = process.Get(ctx, "http://"+s.service.HTTPAddr()+"/readyz")
		return missing == nil, nil
	})
	if err != nil && ctx.Err() != nil && missing != nil {
		return fmt.Errorf("bridge and worker are not ready: %w (%w)", context.Cause(ctx), missing)
	}
	return err
}

func (s *system) Close() error {
	var faults []error
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
	line("MQTT", s.stack.MQTT.URL(), "anonymous, or with a device's credentials")
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
