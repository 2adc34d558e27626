package service

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"devicetwin/device"
	"devicetwin/twin"
	"devicetwin/wire"
	twinclient "devicetwin/workflows/client"
	deviceworkflow "devicetwin/workflows/device"
)

// wireConfig is the grammar of topics and payloads.
func (c MQTTConfig) wireConfig() wire.Config {
	cfg := wire.DefaultConfig()
	cfg.Prefix = c.TopicPrefix
	if len(c.TwinTopics) > 0 { // else of a configuration that was not made by the parser
		cfg.ShadowTopics = c.TwinTopics
	}
	return cfg
}

func (c MQTTConfig) dialect() (*wire.Standard, error) {
	dialect, err := wire.New(c.wireConfig())
	if err != nil {
		return nil, &ConfigError{fmt.Errorf("topics (--mqtt-topic-prefix, --mqtt-twin-topics): %w", err)}
	}
	return dialect, nil
}

// twinSettings are a worker's; what a configuration leaves out that was not made
// by the parser is the default.
func (w WorkerConfig) twinSettings() deviceworkflow.TwinSettings {
	limits := twin.DefaultLimits()
	if w.TwinDocument != 0 {
		limits.Document = w.TwinDocument
		limits.Request = max(limits.Request, 2*w.TwinDocument)
	}
	if w.TwinDepth != 0 {
		limits.Depth = w.TwinDepth
	}
	if w.TwinTombstone != 0 {
		limits.Tombstone = w.TwinTombstone
	}
	return deviceworkflow.TwinSettings{Limits: limits, Shadows: w.TwinShadows, Retain: w.TwinRetain, Properties: w.TwinProperties}
}

// checkTwinProperties wants paths that begin with a section.
func checkTwinProperties(paths []string) error {
	var faults []error
	for _, p := range paths {
		section, key, ok := strings.Cut(p, ".")
		if !ok || key == "" || section != "reported" && section != "desired" {
			faults = append(faults, fmt.Errorf("property %q (--worker-twin-properties): expected a path such as reported.firmware", p))
		}
	}
	return errors.Join(faults...)
}

// sink delivers the bridge's batches.
type sink struct{ client *twinclient.Client }

func (s sink) Signal(ctx context.Context, id string, batch device.Batch) error {
	return s.deliver(ctx, device.Delivery{ID: device.ID(id), Batch: batch, Start: true})
}

func (s sink) SignalAs(ctx context.Context, id, model string, batch device.Batch) error {
	return s.deliver(ctx, device.Delivery{ID: device.ID(id), Model: model, Batch: batch, Start: true})
}

func (s sink) SignalExisting(ctx context.Context, id string, batch device.Batch) error {
	return s.deliver(ctx, device.Delivery{ID: device.ID(id), Batch: batch})
}

func (s sink) deliver(ctx context.Context, d device.Delivery) error {
	if err := s.client.Deliver(ctx, d); err != nil {
		return sinkError{err}
	}
	return nil
}

// sinkError says what the bridge asks of an error.
type sinkError struct{ error }

func (e sinkError) Unwrap() error  { return e.error }
func (e sinkError) NotFound() bool { return errors.Is(e.error, device.ErrNoTwin) }
func (e sinkError) Permanent() bool {
	var refused *device.Refused
	return errors.As(e.error, &refused)
}
