package device

// What a Workflow uses where its fields are zero.
const (
	// DefaultRunEvents is how many messages a run applies before it is continued
	// as new.
	DefaultRunEvents = defaultRunEvents
	// DefaultShadows is how many named shadows a device may have.
	DefaultShadows = defaultShadows
)
