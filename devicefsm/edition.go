package devicefsm

// Editions of the model language. Where a fault of the language is corrected, an event
// may do something else to a device than it did before, and a workflow must replay as it
// was: what was begun under an earlier edition keeps to it (see Model.Edition).
const (
	// EditionFirst is that of models before editions were counted.
	EditionFirst = 1
	// EditionNow is that of Load.
	EditionNow = 2
)

// Edition is the model by the rules of an edition of the language; m itself if it goes
// by them already. Its name, hash and states are the same, and a snapshot of one is
// accepted by the other.
func (m *Model) Edition(edition int) *Model {
	if m.edition == edition {
		return m
	}
	other := *m
	other.edition = edition
	return &other
}

// before reports whether what is evaluated goes by the rules before an edition. A scope
// without an edition has the newest.
func (s *scope) before(edition int) bool { return s.edition > 0 && s.edition < edition }
