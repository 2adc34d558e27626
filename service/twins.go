package service

import (
	"errors"
	"fmt"
	"strings"

	"devicetwin/twin"
	"devicetwin/workflows"
)

// twinSchemes are the topics of the shadow protocol.
func (c MQTTConfig) twinSchemes() ([]twin.Scheme, error) {
	templates := c.TwinTopics
	if len(templates) == 0 { // of a configuration that was not made by the parser
		templates = twin.DefaultTopics()
	}
	schemes, err := twin.ParseSchemes(c.TopicPrefix, templates)
	if err != nil {
		return nil, &ConfigError{fmt.Errorf("topics of the shadow protocol (--mqtt-twin-topics): %w", err)}
	}
	return schemes, nil
}

// twinSettings are a worker's; what a configuration leaves out that was not made
// by the parser is the default.
func (w WorkerConfig) twinSettings() workflows.TwinSettings {
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
	return workflows.TwinSettings{Limits: limits, Shadows: w.TwinShadows, Retain: w.TwinRetain, Properties: w.TwinProperties}
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
