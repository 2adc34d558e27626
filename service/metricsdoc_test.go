package service

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"devicetwin/bridge"
	"devicetwin/bridge/kafka"
	"devicetwin/internal/credentials"
	"devicetwin/internal/figures"
	devicejournal "devicetwin/internal/journal"
	"devicetwin/points"
	deviceworkflow "devicetwin/workflows/device"
)

const metricsDoc = "../docs/metrics.md"

var update = flag.Bool("update", false, "rewrite docs/metrics.md")

// docs/metrics.md is written from the declarations.
func TestEveryMetricIsDocumented(t *testing.T) {
	raw, err := os.ReadFile(metricsDoc)
	if err != nil {
		t.Fatal(err)
	}
	const from = "| metric | type |"
	intro, _, found := strings.Cut(string(raw), from)
	if !found {
		t.Fatalf("%s has no table", metricsDoc)
	}
	want := intro + "| metric | type | meaning | field in InfluxDB |\n| --- | --- | --- | --- |\n"
	for _, m := range slices.Concat(bridge.Declared().Metrics(), ofKafka(), deviceworkflow.NewCounts().Metrics(), kafka.ProducerMetrics().Metrics(), points.Declared().Metrics(), credentials.NewCounts().Metrics(), devicejournal.NewCounts().Metrics(), newRegistryCounts().Metrics()) {
		want += fmt.Sprintf("| `%s` | %s | %s | %s |\n", m.Name, m.Type, m.Help, fieldNames(m.Fields))
	}
	if *update {
		if err := os.WriteFile(metricsDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(raw) {
		t.Errorf("%s differs from the declarations: go test ./service -run Documented -update", metricsDoc)
	}
}

// ofKafka are the metrics that only a bridge from Kafka has.
func ofKafka() []figures.Metric {
	return slices.DeleteFunc(kafka.Declared().Metrics(), func(m figures.Metric) bool { return !strings.HasPrefix(m.Name, "devicetwin_bridge_kafka_") })
}

func fieldNames(fields []figures.Field) string {
	var names []string
	for _, f := range fields {
		names = append(names, fmt.Sprintf("`%s.%s`", f.Measurement, f.Name))
	}
	return strings.Join(names, ", ")
}
