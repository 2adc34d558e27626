package operator

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"devicetwin/api"
	"devicetwin/device"
	"devicetwin/internal/cli"
)

func deviceTable(w io.Writer, devices []api.Summary) {
	fmt.Fprintln(w, "ID\tMODEL\tSTATE\tCONNECTION\tFIRMWARE\tSITE\tTAGS")
	for _, d := range devices {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", d.ID, orNone(api.VersionText(d.Model, d.ModelVersion)), orNone(d.State), d.Connection,
			orNone(printable(d.Firmware)), orNone(printable(d.Site)), orNone(tagText(d.Tags)))
	}
}

// modelText is a version of a model, with the beginning of its hash.
func modelText(name string, version int, hash string) string {
	return fmt.Sprintf("%s (%.12s)", api.VersionText(name, version), hash)
}

func tagText(tags map[string]string) string {
	var words []string
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		words = append(words, key+"="+tags[key])
	}
	return printable(strings.Join(words, " "))
}

func groupText(groups []device.ID) string {
	var words []string
	for _, g := range groups {
		words = append(words, string(g))
	}
	return printable(strings.Join(words, " "))
}

// printable is for what devices chose.
func printable(s string) string { return cli.Printable(s) }

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// deviceDetails shows a device.
func deviceDetails(w io.Writer, d api.Device) {
	line := func(name, value string) { fmt.Fprintf(w, "%s\t%s\n", name, value) }
	line("device", string(d.ID))
	line("model", modelText(d.Model, d.ModelVersion, d.ModelHash))
	line("state", d.State)
	connection := d.Connection
	if d.LastSeen != nil {
		connection += ", last seen " + clock(*d.LastSeen)
	}
	line("connection", connection)
	if d.Dialect != "" {
		line("dialect", printable(d.Dialect))
	}
	line("firmware", orNone(printable(d.Firmware)))
	line("site", orNone(printable(d.Site)))
	if d.Parent != "" {
		line("parent", printable(d.Parent))
	}
	if len(d.Groups) > 0 {
		line("groups", groupText(d.Groups))
	}
	line("tags", orNone(tagText(d.Tags)))
	line("context", jsonText(d.Context))
	line("messages", fmt.Sprintf("%d applied, %s, %d late", d.Messages.Applied, cli.Count(d.Messages.Duplicates, "duplicate"), d.Messages.Late))
	twinDetails(line, "twin", d.Twin)
	for _, name := range slices.Sorted(maps.Keys(d.Shadows)) {
		twinDetails(line, "shadow "+name, d.Shadows[name])
	}
	for _, window := range d.Windows {
		line("window "+printable(window.Name), windowText(window))
	}
	for _, n := range d.Counts {
		line("alarm "+printable(n.Name), fmt.Sprintf("%d raised, %d waiting, %d explained", n.Raised, n.Waiting, n.Explained))
	}
	if d.Processing != nil {
		line("processing", processingText(*d.Processing))
	}
	before := slices.DeleteFunc(slices.Clone(d.Faults), func(fault string) bool { return reported(fault, d.Reports) })
	if n := d.ReportCount + uint64(len(before)); n > 0 {
		line("faults", fmt.Sprint(n))
		fmt.Fprintln(w)
		faultTable(w, before, d.Reports)
	}
	if len(d.Alarms) > 0 {
		fmt.Fprintln(w)
		alarmTable(w, d.Alarms)
	}
	if len(d.Schedules) > 0 {
		fmt.Fprintln(w)
		scheduleTable(w, d.Schedules)
	}
	if len(d.Commands) > 0 {
		fmt.Fprintln(w)
		const last = 10
		commandTable(w, d.Commands[max(0, len(d.Commands)-last):])
	}
}

// processingText is what is processed one by one.
func processingText(p api.Processing) string {
	text := fmt.Sprintf("%d of %d waiting, %d done, %d failed", p.Waiting, p.Capacity, p.Done, p.Failed)
	if p.Skipped > 0 {
		text += fmt.Sprintf(", %d skipped", p.Skipped)
	}
	if f := p.First; f != nil {
		text += fmt.Sprintf("; %s, number %d", printable(f.Event), f.Number)
		if p.Since != nil {
			text += ", since " + clock(*p.Since)
		}
	}
	if p.Held != "" {
		text += "; held: " + printable(p.Held)
	}
	return text
}

// windowText is what a window has counted.
func windowText(w api.Window) string {
	text := w.Aggregate + " "
	if w.Value != nil {
		text += strconv.FormatFloat(*w.Value, 'g', 6, 64)
	} else {
		text += "-"
	}
	text += fmt.Sprintf(" of %s, %s to %s", cli.Count(w.Count, "event"), clock(w.Start), clock(w.End))
	if w.Late > 0 {
		text += fmt.Sprintf(", %d late", w.Late)
	}
	return text
}

// alarmTable shows the alarms of a device's model that are raised.
func alarmTable(w io.Writer, alarms []api.Alarm) {
	fmt.Fprintln(w, "ALARM\tOF\tSINCE\tEXPLAINS")
	for _, a := range alarms {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\n", printable(a.Name), orNone(printable(a.Key)), clock(a.Since), a.Explains)
	}
}

// scheduleTable shows the schedules of a device's model that run.
func scheduleTable(w io.Writer, schedules []api.Schedule) {
	fmt.Fprintln(w, "SCHEDULE\tNEXT\tZONE\tSTATE\tRULE")
	for _, s := range schedules {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", printable(s.Name), clockOrNone(s.Next), orNone(s.Zone), orNone(printable(s.State)), printable(s.Rule))
	}
}

// reported reports whether a fault that a run of an earlier release kept as a string is
// among the others, too.
func reported(fault string, reports []api.Fault) bool {
	return slices.ContainsFunc(reports, func(f api.Fault) bool {
		start, short := strings.CutSuffix(f.Detail, "…")
		return f.Detail == fault || short && strings.HasPrefix(fault, start)
	})
}

// faultTable shows the newest faults of a device, after those of earlier releases, of
// which only the detail is known. The values are short: the JSON has more of them.
func faultTable(w io.Writer, before []string, faults []api.Fault) {
	const last = 10
	fmt.Fprintln(w, "FAULT\tTOPIC\tTIME\tCOUNT\tVALUE\tDETAIL")
	for _, detail := range before {
		fmt.Fprintf(w, "-\t-\t-\t1\t-\t%s\n", printable(detail))
	}
	for _, f := range faults[max(0, len(faults)-last):] {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", f.Reason, orNone(printable(f.Topic)), clock(f.At), max(1, f.Count),
			orNone(short(printable(f.Value))), orNone(printable(f.Detail)))
	}
}

// short is a string, or its beginning.
func short(s string) string {
	const most = 40
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return s
}

func twinDetails(line func(name, value string), name string, t api.Twin) {
	if t.Version == 0 {
		return
	}
	line(name, fmt.Sprintf("version %d", t.Version))
	line("  desired", jsonText(t.Desired))
	line("  reported", jsonText(t.Reported))
	line("  delta", jsonText(t.Delta))
}

func jsonText(v any) string {
	raw, err := json.Marshal(v)
	if err != nil || string(raw) == "null" {
		return "-"
	}
	return printable(string(raw))
}

func commandTable(w io.Writer, commands []api.Command) {
	fmt.Fprintln(w, "COMMAND\tNAME\tSTATUS\tSENT\tCREATED\tBY\tREASON")
	for _, c := range commands {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.ID, c.Name, c.Status, deliveriesOf(c), clockOrNone(c.Created), orNone(c.By), orNone(printable(reasonOf(c))))
	}
}

// deliveriesOf is how often a command was sent, and how often it may be.
func deliveriesOf(c api.Command) string {
	if c.MaxDeliveries == 0 {
		return strconv.Itoa(c.Deliveries)
	}
	return fmt.Sprintf("%d of %d", c.Deliveries, c.MaxDeliveries)
}

// reasonOf is why a command ended as it did, and what the device said after that.
func reasonOf(c api.Command) string {
	if c.Late == nil {
		return c.Reason
	}
	late := fmt.Sprintf("late: %s at %s", c.Late.Status, clock(c.Late.At))
	for _, text := range []string{c.Late.Reason, c.Reason} {
		if text != "" {
			late += "; " + text
		}
	}
	return late
}

// clock is a time as people compare it.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

func clockOrNone(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return clock(*t)
}

// whyText prints the transitions, the newest first.
func whyText(w io.Writer, why api.Why) {
	fmt.Fprintf(w, "%s is in %s\n", why.ID, why.State)
	for _, t := range why.Transitions {
		fmt.Fprintf(w, "\n%s  %s -> %s\n", clock(t.At), orNone(t.From), t.To)
		line := func(name, value string) {
			if value != "" && value != "-" {
				fmt.Fprintf(w, "  %s\t%s\n", name, value)
			}
		}
		if t.Arrived != nil && clock(*t.Arrived) != clock(t.At) {
			line("arrived", clock(*t.Arrived))
		}
		line("event", strings.TrimSpace(t.Event+" "+strings.TrimPrefix(jsonText(withoutEmptyMatch(t.Data)), "-")))
		line("guards", printable(strings.Join(t.Guards, " && ")))
		line("cause", causeText(t.Cause))
		if m := t.Migration; m != nil {
			line("moved", fmt.Sprintf("from %s by plan %.12s", modelText(why.Model, m.FromVersion, m.FromModel), m.Plan))
			line("note", printable(m.Note))
		}
		line("before", jsonText(t.Before))
		line("after", jsonText(t.After))
		line("model", modelText(why.Model, t.ModelVersion, t.ModelHash))
	}
}

// withoutEmptyMatch is the data of an event without the events of a match of which
// nothing is kept.
func withoutEmptyMatch(data any) any {
	object, ok := data.(map[string]any)
	if matched, is := object["matched"].(map[string]any); !ok || !is || len(matched) > 0 {
		return data
	}
	object = maps.Clone(object)
	delete(object, "matched")
	return object
}

func causeText(c api.Cause) string {
	text := c.Kind
	if c.Channel != "" {
		text += " on " + c.Channel
	}
	if c.Name != "" {
		text += " " + printable(c.Name)
	}
	if c.Seq != 0 {
		text += fmt.Sprintf(", number %d/%d", c.Epoch, c.Seq)
	}
	if c.Who != "" {
		text += " by " + printable(c.Who)
	}
	if c.Note != "" {
		text += ": " + printable(c.Note)
	}
	return text
}
