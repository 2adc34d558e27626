package device

import "devicetwin/devicefsm"

// Registry holds the models that a worker can run, by hash. Several versions of
// one model may be in it at the same time; devices keep the one they run.
type Registry struct {
	byHash map[string]*devicefsm.Model
}

// NewRegistry makes a registry of models. The same model given twice is fine.
func NewRegistry(models ...*devicefsm.Model) *Registry {
	r := &Registry{byHash: map[string]*devicefsm.Model{}}
	for _, m := range models {
		r.byHash[m.Hash()] = m
	}
	return r
}

// ByHash implements Models.
func (r *Registry) ByHash(hash string) (*devicefsm.Model, bool) {
	m, ok := r.byHash[hash]
	return m, ok
}
