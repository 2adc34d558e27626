package model

import (
	"context"

	"devicetwin/devicefsm"
)

// Lookup finds a model that is not a file. It reports false for a reference that is not one of
// its own, which is then the path of a file.
type Lookup func(ctx context.Context, reference string) (m *devicefsm.Model, own bool, err error)

// find is the model of a reference, or of a file. Its errors are usage errors.
func (find Lookup) find(ctx context.Context, reference string) (*devicefsm.Model, error) {
	if find != nil {
		if m, own, err := find(ctx, reference); own || err != nil {
			return m, err
		}
	}
	return loadOneModel(reference)
}

// pair finds both models by their references.
func (find Lookup) pair(ctx context.Context, old, new string) (*devicefsm.Model, *devicefsm.Model, error) {
	before, err := find.find(ctx, old)
	if err != nil {
		return nil, nil, err
	}
	after, err := find.find(ctx, new)
	return before, after, err
}
