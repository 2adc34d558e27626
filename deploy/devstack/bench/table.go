package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"devicetwin/deploy/devstack/process"
)

// cpuColumns are the processes in the table.
var cpuColumns = []process.Part{loader, process.Broker, process.Bridge, process.Temporal, process.Worker, process.InfluxDB}

// WriteTable writes the report for people: a line for each case.
func (r Report) WriteTable(w io.Writer) error {
	t := process.Table(w)
	fmt.Fprintf(t, "case\tdevices\tmeasured\t \tp50 ms\tp99 ms\tmessages/s\tsignals/s\t")
	columns := r.cpuColumns()
	for _, part := range columns {
		fmt.Fprintf(t, "%s %%\t", part)
	}
	fmt.Fprint(t, "clean\ttarget\tratio\tmet\t\n")
	for _, row := range r.Rows {
		row.write(t, columns)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return r.writeRemarks(w)
}

// cpuColumns are those of the report: Kafka has one if it ran.
func (r Report) cpuColumns() []process.Part {
	if slices.ContainsFunc(r.Rows, func(row Row) bool { _, ran := row.CPU[kafkaBroker]; return ran }) {
		return append(slices.Clone(cpuColumns), kafkaBroker)
	}
	return cpuColumns
}

func (r *Row) write(w io.Writer, columns []process.Part) {
	value, unit := "-", ""
	if r.Error == "" {
		value, unit = number(r.Value), r.Unit
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t", r.Case, some(float64(r.Devices)), value, unit,
		figure(r.P50), figure(r.P99), some(r.Messages), some(r.Signals))
	for _, part := range columns {
		if used, ok := r.CPU[part]; ok {
			fmt.Fprintf(w, "%.0f\t", used)
		} else {
			fmt.Fprint(w, "\t")
		}
	}
	clean := "yes"
	switch {
	case r.Error != "":
		clean = "error"
	case !r.Clean:
		clean = "NO"
	}
	var what, ratio, met []string
	for _, target := range r.Targets {
		what, ratio = append(what, target.What), append(ratio, fmt.Sprintf("%.2f", target.Reached))
		met = append(met, map[bool]string{true: "yes", false: "NO"}[target.Met])
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t\n", clean, strings.Join(what, ", "), strings.Join(ratio, ", "), strings.Join(met, ", "))
}

func some(n float64) string {
	if n == 0 {
		return ""
	}
	return strings.TrimSuffix(number(n), ".0")
}

func figure(n *float64) string {
	if n == nil {
		return ""
	}
	return number(*n)
}

// writeRemarks says below the table what has no column.
func (r Report) writeRemarks(w io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%d cores, broker %s, %g s a case after its warm-up, load generator on the same machine.\n", r.CPUs, r.Broker, r.Seconds)
	text.WriteString("A ratio of 1 meets the target; % is of one core; a latency ends when the new state is durable.\n")
	for _, row := range r.Rows {
		if row.Remark != "" {
			fmt.Fprintf(&text, "%s: %s\n", row.Case, row.Remark)
		}
		if complaint := row.complaint(); complaint != "" {
			fmt.Fprintf(&text, "%s: %s\n", row.Case, strings.TrimPrefix(complaint, "; "))
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}
