package device

import (
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
)

// Search attributes of a device's workflow.
var (
	AttributeState    = temporal.NewSearchAttributeKeyKeywordList("DeviceState") // of a parallel statechart: one for each region
	AttributeModel    = temporal.NewSearchAttributeKeyKeyword("DeviceModel")
	AttributeFirmware = temporal.NewSearchAttributeKeyKeyword("DeviceFirmware")
	AttributeSite     = temporal.NewSearchAttributeKeyKeyword("DeviceSite")

	AttributeConnection = temporal.NewSearchAttributeKeyKeyword("DeviceConnection")
	AttributeTags       = temporal.NewSearchAttributeKeyKeywordList("DeviceTags")       // key=value
	AttributeProperties = temporal.NewSearchAttributeKeyKeywordList("DeviceProperties") // path=value
)

// SearchAttributes are all of them with their types, as a namespace has to have
// them.
func SearchAttributes() map[string]enums.IndexedValueType {
	all := map[string]enums.IndexedValueType{}
	for _, key := range []temporal.SearchAttributeKey{
		AttributeState, AttributeModel, AttributeFirmware, AttributeSite,
		AttributeConnection, AttributeTags, AttributeProperties,
	} {
		all[key.GetName()] = key.GetValueType()
	}
	return all
}
