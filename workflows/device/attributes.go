package device

import (
	"fmt"
	"maps"
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
)

// SearchAttributes are all of them with their types, as a namespace has to have
// them.
func SearchAttributes() map[string]enums.IndexedValueType {
	all := map[string]enums.IndexedValueType{}
	for _, key := range []temporal.SearchAttributeKey{
		AttributeState, AttributeModel, AttributeModelHash, AttributeFirmware, AttributeSite,
		AttributeConnection, AttributeTags, AttributeProperties,
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
	have := d.state.Attributes
	if want.equal(have) {
		return
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
	if err := workflow.UpsertTypedSearchAttributes(ctx, updates...); err != nil {
		d.attributesFailed(fmt.Sprintf("write search attributes: %v", err), workflow.Now(ctx))
		return
	}
	d.state.Attributes, d.attributesFault = want, ""
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
