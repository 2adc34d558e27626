// Package plan derives, reads, writes and proves plans for moving devices from one version of a
// model to another.
//
//	p := plan.Derive(old, new)         // with holes that a person fills in
//	text := plan.Write(p, old, new)    // YAML
//	p, err := plan.Read("plan.yaml", text, old, new) // err is source.Faults: every hole, with its place
//	report := p.Check()                // for each configuration that a device may be in
//	back, lost := p.Inverse()
//
// What a plan means is said at devicefsm.Plan; Plan.Migration applies it to devices.
package plan
