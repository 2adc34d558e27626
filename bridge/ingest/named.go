package ingest

import (
	"slices"

	"devicetwin/wire"
)

// A workflow that was started before its device named a model takes over the one that the
// device names later. It learns of it with the message that names it, or, where that was
// not delivered, with the next one that is.

// takeModel is the model that a message which is delivered reports: what it says itself, or
// what is not reported yet.
func (d *deviceState) takeModel(said string) string {
	if said == "" && d.unsaid {
		said = d.models.start.Hash()
	}
	d.unsaid = false
	return said
}

// missed notes that messages are not delivered.
func (d *deviceState) missed(received []wire.Received) {
	d.unsaid = d.unsaid || slices.ContainsFunc(received, func(r wire.Received) bool { return r.Message.Model != "" })
}
