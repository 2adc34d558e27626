package device

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// Search attributes of a device's workflow.
var (
	AttributeState     = temporal.NewSearchAttributeKeyKeywordList("DeviceState") // of a parallel statechart: one for each region
	AttributeModel     = temporal.NewSearchAttributeKeyKeyword("DeviceModel")
	AttributeModelHash = temporal.NewSearchAttributeKeyKeyword("DeviceModelHash") // of the model that runs
	AttributeFirmware  = temporal.NewSearchAttributeKeyKeyword("DeviceFirmware")
	AttributeSite      = temporal.NewSearchAttributeKeyKeyword("DeviceSite")

	AttributeConnection = temporal.NewSearchAttributeKeyKeyword("DeviceConnection")
	AttributeTags       = temporal.NewSearchAttributeKeyKeywordList("DeviceTags")       // key=value
	AttributeProperties = temporal.NewSearchAttributeKeyKeywordList("DeviceProperties") // path=value

	AttributeLastSeen = temporal.NewSearchAttributeKeyTime("DeviceLastSeen") // up to seenEvery ago, in whole seconds
	AttributeFaults   = temporal.NewSearchAttributeKeyInt64("DeviceFaults")  // of what the device sent; see rounded

	AttributeProcessing    = temporal.NewSearchAttributeKeyKeyword("DeviceProcessing")  // ProcessingHeld or ProcessingWaiting
	AttributeProcessFailed = temporal.NewSearchAttributeKeyInt64("DeviceProcessFailed") // events that failed permanently; see rounded
)

// seenEvery is how old the search attribute of the last sign of life may become. Each
// upsert costs the server a third of a signal, so there is not one for each message.
const seenEvery = 15 * time.Minute

// SearchAttributes are all of them with their types, as a namespace has to have
// them.
func SearchAttributes() map[string]enums.IndexedValueType {
	all := map[string]enums.IndexedValueType{}
	for _, key := range []temporal.SearchAttributeKey{
		AttributeState, AttributeModel, AttributeModelHash, AttributeFirmware, AttributeSite,
		AttributeConnection, AttributeTags, AttributeProperties, AttributeLastSeen, AttributeFaults,
		AttributeProcessing, AttributeProcessFailed,
	} {
		all[key.GetName()] = key.GetValueType()
	}
	return all
}

// writeAttributes writes the search attributes when one of them changed: an
// upsert costs the server a third of a signal.
func (d *run) writeAttributes(ctx workflow.Context) {
	want := Attributes{
		States:    strings.Split(d.model.StateName(d.state.Snapshot), ","),
		Model:     d.model.Name(),
		ModelHash: d.state.Model,
		Firmware:  d.state.Firmware,
		Site:      d.state.Site,
	}
	want.Connection, want.Properties = d.state.Connection, d.searchable()
	for _, key := range slices.Sorted(maps.Keys(d.state.Tags)) {
		want.Tags = append(want.Tags, key+"="+d.state.Tags[key])
	}
	d.makeStorable(&want, workflow.Now(ctx))
	have := d.state.Attributes
	want.LastSeen, want.Faults = d.figures(have)
	if want.Processing, want.ProcessFailed = have.Processing, have.ProcessFailed; d.settings.Process >= processShown {
		want.Processing, want.ProcessFailed = d.showsProcessing(have.Processing, workflow.Now(ctx))
	}
	if want.equal(have) {
		return
	}
	if seen := d.lastSeen(); d.follows(rulesCorners) && seen.After(want.LastSeen) {
		want.LastSeen = seen
	}
	var updates []temporal.SearchAttributeUpdate
	if !slices.Equal(want.States, have.States) {
		updates = append(updates, AttributeState.ValueSet(want.States))
	}
	if want.Model != have.Model {
		updates = append(updates, AttributeModel.ValueSet(want.Model))
	}
	if want.ModelHash != have.ModelHash {
		updates = append(updates, AttributeModelHash.ValueSet(want.ModelHash))
	}
	if want.Firmware != have.Firmware {
		updates = append(updates, AttributeFirmware.ValueSet(want.Firmware))
	}
	if want.Site != have.Site {
		updates = append(updates, AttributeSite.ValueSet(want.Site))
	}
	if want.Connection != have.Connection {
		updates = append(updates, AttributeConnection.ValueSet(want.Connection))
	}
	if !slices.Equal(want.Tags, have.Tags) {
		updates = append(updates, AttributeTags.ValueSet(want.Tags))
	}
	if !slices.Equal(want.Properties, have.Properties) {
		updates = append(updates, AttributeProperties.ValueSet(want.Properties))
	}
	if !want.LastSeen.Equal(have.LastSeen) {
		updates = append(updates, AttributeLastSeen.ValueSet(want.LastSeen))
	}
	if want.Faults != have.Faults {
		updates = append(updates, AttributeFaults.ValueSet(want.Faults))
	}
	if want.Processing != have.Processing {
		updates = append(updates, AttributeProcessing.ValueSet(want.Processing))
	}
	if want.ProcessFailed != have.ProcessFailed {
		updates = append(updates, AttributeProcessFailed.ValueSet(want.ProcessFailed))
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, updates...); err != nil {
		d.attributesFailed(fmt.Sprintf("write search attributes: %v", err), workflow.Now(ctx))
		return
	}
	d.state.Attributes, d.attributesFault = want, ""
}

// maxAttribute is how many bytes Temporal takes for one search attribute, as JSON
// (frontend.searchAttributesSizeOfValueLimit). For one more, it terminates the workflow.
const maxAttribute = 2048

// makeStorable makes of search attributes what every database of Temporal's stores. What
// it leaves out of a list, for which there is no room, it reports once in a run.
func (d *run) makeStorable(a *Attributes, at time.Time) {
	if !d.follows(rulesCorners) {
		return
	}
	a.Model, a.Firmware, a.Site = storable(a.Model), storable(a.Firmware), storable(a.Site)
	a.States = d.fitting(AttributeState, a.States, at)
	a.Tags = d.fitting(AttributeTags, a.Tags, at)
	a.Properties = d.fitting(AttributeProperties, a.Properties, at)
}

// storable replaces U+0000, which PostgreSQL does not store in JSON. Temporal would try
// to write it without end, and the device would not be found.
func storable(s string) string { return strings.ReplaceAll(s, "\x00", "\ufffd") }

// fitting are the values of a list for which one search attribute has room.
func (d *run) fitting(key temporal.SearchAttributeKeyKeywordList, values []string, at time.Time) []string {
	if certainlyFit(values) {
		return values
	}
	kept, size, first := []string{}, len("[]"), ""
	for _, v := range values {
		v = storable(v)
		raw, err := json.Marshal(v) // as Temporal's data converter does
		if err != nil {
			panic(err) // strings have no errors
		}
		more := len(raw)
		if len(kept) > 0 {
			more += len(",")
		}
		if size+more <= maxAttribute {
			size += more
			kept = append(kept, v)
		} else if first == "" {
			first, _, _ = strings.Cut(v, "=")
		}
	}
	if out := len(values) - len(kept); out > 0 && !slices.Contains(d.leftOut, key.GetName()) {
		d.leftOut = append(d.leftOut, key.GetName())
		d.notCarriedOut(at, fmt.Sprintf("search attribute %s: %d of %d values are left out, the first is %s: it has at most %d bytes",
			key.GetName(), out, len(values), bounded(first), maxAttribute))
	}
	return kept
}

// certainlyFit is for lists as they usually are: it costs little, and takes every
// character for escaped that may be.
func certainlyFit(values []string) bool {
	size := len("[]")
	for _, v := range values {
		size += len(`"",`)
		for i := range len(v) {
			switch c := v[i]; {
			case c == 0:
				return false
			case c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&':
				size += len(`\u0000`)
			default:
				size++
			}
		}
	}
	return size <= maxAttribute
}

// attributesFailed reports that the attributes could not be written, once: they are
// tried again whenever the run acts, and the report itself makes it act.
func (d *run) attributesFailed(text string, at time.Time) {
	if text == d.attributesFault && d.follows(rulesCorners) {
		return
	}
	d.attributesFault = text
	d.notCarriedOut(at, text)
}

// figures are those of the search attributes that are to be written although no other
// changed. Runs under earlier rules have none.
func (d *run) figures(have Attributes) (lastSeen time.Time, faults int64) {
	if !d.follows(rulesCorners) {
		return have.LastSeen, have.Faults
	}
	lastSeen = have.LastSeen
	if seen := d.lastSeen(); !seen.IsZero() && seen.Sub(lastSeen) >= seenEvery {
		lastSeen = seen
	}
	return lastSeen, rounded(d.state.ReportCount)
}

// lastSeen is the last sign of life in whole seconds: SQLite compares fractions as
// strings of different lengths.
func (d *run) lastSeen() time.Time { return d.state.Seen.UTC().Truncate(time.Second) }

// rounded is a count that is exact below 10, and from there on rounded down to its first
// digit, so that a device that sends nothing but faults does not cost an upsert for each.
func rounded(n uint64) int64 {
	count, digit := int64(min(n, math.MaxInt64)), int64(1)
	for count/digit >= 10 {
		digit *= 10
	}
	return count / digit * digit
}
