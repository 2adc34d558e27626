package measure

// Measurements.
const (
	Bridge       = "bridge"       // what a bridge has done and where it stands
	Process      = "process"      // any process: CPU, memory, its road to InfluxDB
	Worker       = "worker"       // a worker's tasks and its cache of workflows
	Devices      = "devices"      // how many devices are in a state
	Transitions  = "transitions"  // one change of a device's state
	Sequences    = "sequences"    // one match of a pattern
	Reprovisions = "reprovisions" // one step of a reprovisioning
	ModelFaults  = "model_faults" // expressions that failed, actions that were refused
	Simulator    = "simulator"    // the ledger of a simulated fleet
)

// Tags.
const (
	TagBridge   = "bridge"  // name of the bridge
	TagProcess  = "process" // name of the process: of its bridge, or of its worker
	TagDevice   = "device"
	TagModel    = "model" // name of the model
	TagSite     = "site"  // what the device's birth message said; absent if nothing
	TagState    = "state" // path of an atomic state
	TagFrom     = "from"  // name of the state left
	TagTo       = "to"    // name of the state entered
	TagPattern  = "pattern"
	TagReason   = "reason"
	TagStatus   = "status"
	TagRun      = "run"
	TagScenario = "scenario"
)

// Fields of several measurements.
const (
	Count = "count" // 1 in each point, to be summed
	Event = "event" // name of the event that caused it
	State = "state" // name of the state now
	Text  = "text"  // for people
)

// Fields of Devices.
const DevicesInState = "devices"

// Fields of Reprovisions, and the values of its TagStatus.
const (
	ReprovisionCommand = "command" // id of the command, and of the credentials in it
	RecoverySeconds    = "recovery_seconds"
	ReprovisionAttempt = "attempt" // from 1, since the device was last well

	StatusStarted = "started" // the model has asked for it
	StatusSent    = "sent"    // the broker has taken the command
	StatusDone    = "done"    // the device came back with its new credentials
	StatusFailed  = "failed"  // the device refused, the activity failed, or another attempt began
)
