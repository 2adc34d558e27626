package devicefsm

import "devicetwin/source"

// Faults is the error of Load and Check: every error in a model file, in
// the order of its lines. Get it out of a wrapped error with errors.As;
// its Pretty method writes it for people to read, with the lines concerned.
type Faults = source.Faults

// Fault is one thing that is wrong with a model file, and its place.
type Fault = source.Fault
