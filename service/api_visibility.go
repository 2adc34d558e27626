package service

import (
	"strings"

	"devicetwin/api"
	"devicetwin/device"
	"devicetwin/workflows"
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
			return "WorkflowId STARTS_WITH " + workflows.Quote(workflows.WorkflowID(device.ID(t.Value)))
		}
		return "WorkflowId = " + workflows.Quote(workflows.WorkflowID(device.ID(t.Value)))
	case api.FieldState:
		return workflows.AttributeState.GetName() + " = " + workflows.Quote(t.Value)
	case api.FieldModel:
		return workflows.AttributeModel.GetName() + " = " + workflows.Quote(t.Value)
	case api.FieldConnection:
		if t.Value == api.Unknown {
			return workflows.AttributeConnection.GetName() + " IS NULL"
		}
		return workflows.AttributeConnection.GetName() + " = " + workflows.Quote(t.Value)
	case api.FieldFirmware:
		return workflows.AttributeFirmware.GetName() + " = " + workflows.Quote(t.Value)
	case api.FieldSite:
		return workflows.AttributeSite.GetName() + " = " + workflows.Quote(t.Value)
	case api.FieldTag:
		return workflows.AttributeTags.GetName() + " = " + workflows.Quote(t.Key+"="+t.Value)
	case api.FieldProperty:
		return workflows.AttributeProperties.GetName() + " = " + workflows.Quote(t.Key+"="+t.Value)
	}
	return "WorkflowId = ''" // no device
}
