package simulator

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// reportJSON is a report as an indented JSON object with a newline at its end.
func reportJSON(report any) ([]byte, error) {
	b, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the report: %w", err)
	}
	return append(b, '\n'), nil
}

// reportText is a report for people.
type reportText struct{ strings.Builder }

func (b *reportText) head(clean bool, scenario, model string, seed uint64) {
	verdict := "CLEAN"
	if !clean {
		verdict = "NOT CLEAN"
	}
	fmt.Fprintf(b, "%s  scenario %s, model %s, seed %d\n", verdict, scenario, model, seed)
}

func (b *reportText) line(name, format string, args ...any) {
	fmt.Fprintf(b, "  %-22s %s\n", name, fmt.Sprintf(format, args...))
}

// latency is how long something took.
type latency struct {
	name string
	q    Quantiles
}

func (b *reportText) latencies(list ...latency) {
	fmt.Fprintf(b, "  %-22s %8s %8s %8s %8s %8s\n", "latency in ms", "p50", "p95", "p99", "p99.9", "max")
	for _, l := range list {
		fmt.Fprintf(b, "  %-22s %8.1f %8.1f %8.1f %8.1f %8.1f\n", "  "+l.name, l.q.P50, l.q.P95, l.q.P99, l.q.P999, l.q.Max)
	}
}

func (b *reportText) writeTo(w io.Writer) error {
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
