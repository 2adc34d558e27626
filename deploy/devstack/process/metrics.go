package process

import (
	"strconv"
	"strings"
)

// Metrics of a bridge that are read here, in bench, in chaos and in the end-to-end
// tests: their names in Prometheus. All are there from the start of a bridge; the
// ones of points only if it writes any.
const (
	MetricReceived      = "devicetwin_bridge_received_total"
	MetricAccepted      = "devicetwin_bridge_events_total" // by Temporal
	MetricSignals       = "devicetwin_bridge_signals_total"
	MetricWindow        = "devicetwin_bridge_window_messages" // not acknowledged
	MetricDeadLetters   = "devicetwin_bridge_dead_letters_total"
	MetricQueuedPoints  = "devicetwin_influx_queued_points"
	MetricWrittenPoints = "devicetwin_influx_points_written_total"
	MetricDroppedPoints = "devicetwin_influx_points_dropped_total"

	// Of a bridge from Kafka.
	MetricPartitions = "devicetwin_bridge_kafka_partitions" // that it has
	MetricRebalances = "devicetwin_bridge_kafka_rebalances_total"

	// Of a bridge with a log.
	MetricBacklog      = "devicetwin_bridge_backlog_messages"     // for Temporal
	MetricBacklogBytes = "devicetwin_influx_backlog_bytes"        // of the log, with points for InfluxDB
	MetricUnreadable   = "devicetwin_bridge_log_unreadable_total" // messages or places
	MetricLogFailures  = "devicetwin_bridge_log_failures_total"   // to write
)

// Metrics reads Prometheus' text format: each metric as the sum over its labels.
func Metrics(text string) map[string]float64 {
	all := map[string]float64{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(line, "#") || !ok {
			continue
		}
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			name, _, _ = strings.Cut(name, "{")
			all[name] += n
		}
	}
	return all
}
