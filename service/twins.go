package service

import (
	"errors"
	"fmt"
	"strings"

	"devicetwin/twin"
	"devicetwin/wire"
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
