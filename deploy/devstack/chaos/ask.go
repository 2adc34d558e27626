package chaos

import (
	"context"

	"devicetwin/deploy/devstack/process"
)

// Metrics of the bridge that only this package reads.
const (
	metricSpoolPoints   = "devicetwin_influx_spool_points"
	metricQueuedPoints  = "devicetwin_influx_queued_points"
	metricDropped       = "devicetwin_influx_points_dropped_total"
	metricSpoolFailures = "devicetwin_influx_spool_failures_total"
)

// received is how many messages the present lives of the bridges have received;
// of several, the one that has received least. Every bridge receives every message.
func (s *system) received(ctx context.Context) (least float64, err error) {
	for i, part := range s.bridges {
		m, err := s.Metrics(ctx, part, process.MetricReceived)
		if err != nil {
			return 0, err
		}
		if i == 0 || m[process.MetricReceived] < least {
			least = m[process.MetricReceived]
		}
	}
	return least, nil
}
