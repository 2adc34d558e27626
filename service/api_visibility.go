package service

import (
	"strings"

	"devicetwin/api"
	"devicetwin/device"
	twinclient "devicetwin/workflows/client"
	deviceworkflow "devicetwin/workflows/device"
)

// visibilityQuery is what terms are in Temporal's query language. No value of
// theirs can be anything there but a value.
func visibilityQuery(terms []api.Term) string {
	conditions := make([]string, len(terms))
	for i, t := range terms {
		conditions[i] = visibilityCondition(t)
	}
	return strings.Join(conditions, " AND ")
}

func visibilityCondition(t api.Term) string {
	switch t.Field {
	case api.FieldID:
		if t.Prefix {
			return "WorkflowId STARTS_WITH " + twinclient.Quote(deviceworkflow.WorkflowID(device.ID(t.Value)))
		}
		return "WorkflowId = " + twinclient.Quote(deviceworkflow.WorkflowID(device.ID(t.Value)))
	case api.FieldState:
		return deviceworkflow.AttributeState.GetName() + " = " + twinclient.Quote(t.Value)
	case api.FieldModel:
		return deviceworkflow.AttributeModel.GetName() + " = " + twinclient.Quote(t.Value)
	case api.FieldModelHash:
		return deviceworkflow.AttributeModelHash.GetName() + " = " + twinclient.Quote(t.Value)
	case api.FieldConnection:
		if t.Value == api.Unknown {
			return deviceworkflow.AttributeConnection.GetName() + " IS NULL"
		}
		return deviceworkflow.AttributeConnection.GetName() + " = " + twinclient.Quote(t.Value)
	case api.FieldFirmware:
		return deviceworkflow.AttributeFirmware.GetName() + " = " + twinclient.Quote(t.Value)
	case api.FieldSite:
		return deviceworkflow.AttributeSite.GetName() + " = " + twinclient.Quote(t.Value)
	case api.FieldTag:
		return deviceworkflow.AttributeTags.GetName() + " = " + twinclient.Quote(t.Key+"="+t.Value)
	case api.FieldProperty:
		return deviceworkflow.AttributeProperties.GetName() + " = " + twinclient.Quote(t.Key+"="+t.Value)
	}
	return "WorkflowId = ''" // no device
}
