package devicefsm

// What the tests of plans share with those of this package.
var (
	RandomModel   = randomModel
	RandomLife    = randomLife
	RenamedStates = renamed
	LiveOn        = liveOn
	Endless       = endless
)
