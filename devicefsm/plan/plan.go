package plan

import "devicetwin/devicefsm"

// Plan is a plan that fits its models.
type Plan struct {
	devicefsm.Plan
	// Hash identifies the plan: hex SHA-256 of what it says. Comments, white space and the
	// order of keys do not change it.
	Hash string
	// Migration applies it.
	Migration *devicefsm.Migration
	old, new  *devicefsm.Model
}
