package chaos

import (
	"context"
	"fmt"
	"net"
	"time"

	"devicetwin/deploy/devstack/process"
)

// get asks the HTTP listener of a part.
func (s *system) get(ctx context.Context, part Part, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return process.Get(ctx, "http://"+net.JoinHostPort(host, s.ports[part])+path)
}

// metrics are the figures of the present life of a part that have no labels.
func (s *system) metrics(ctx context.Context, part Part, names ...string) (map[string]float64, error) {
	body, err := s.get(ctx, part, "/metrics")
	if err != nil {
		return nil, err
	}
	found := process.Metrics(body)
	for _, name := range names {
		if _, ok := found[name]; !ok {
			return nil, fmt.Errorf("%s has no metric %s", part, name)
		}
	}
	return found, nil
}

// The bridge's figures that are asked for.
const (
	metricReceived      = "devicetwin_bridge_received_total"
	metricSpoolPoints   = "devicetwin_influx_spool_points"
	metricQueuedPoints  = "devicetwin_influx_queued_points"
	metricDropped       = "devicetwin_influx_points_dropped_total"
	metricSpoolFailures = "devicetwin_influx_spool_failures_total"
)

// received is how many messages the present lives of the bridges have received;
// of several, the one that has received least. Every bridge receives every message.
func (s *system) received(ctx context.Context) (least float64, err error) {
	for i, part := range s.bridges {
		m, err := s.metrics(ctx, part, metricReceived)
		if err != nil {
			return 0, err
		}
		if i == 0 || m[metricReceived] < least {
			least = m[metricReceived]
		}
	}
	return least, nil
}
