package measure

// Measurements.
const (
	Bridge       = "bridge"         // what a bridge has done and where it stands
	Process      = "process"        // any process: CPU, memory, its points to InfluxDB
	Worker       = "worker"         // a worker's tasks and its cache of workflows
	Devices      = "devices"        // how many devices are in a state
	Versions     = "model_versions" // how many devices run a version of a model
	Attention    = "attention"      // a device that somebody should look at, for as long as that is so
	KnownDevices = "known_devices"  // how many devices a bridge knows that have something in common, by their connection
	Talkers      = "talkers"        // a device that sends much
	Births       = "births"         // a birth message of a device
	Transitions  = "transitions"    // one change of a device's state
	Sequences    = "sequences"      // one match of a pattern
	Alarms       = "alarms"         // an alarm of a model that is raised, or that ends
	Reprovisions = "reprovisions"   // one step of a reprovisioning
	Commands     = "commands"       // a command on its way to a device, or what the device says of it
	Twin         = "twin"           // a new version of a twin document
	ModelFaults  = "model_faults"   // expressions that failed, actions that were refused
	DeviceFaults = "device_faults"  // what a device sent, and that had no effect or not the one that was meant
	Simulator    = "simulator"      // the ledger of a simulated fleet
)

// Tags.
const (
	TagBridge   = "bridge"  // name of the bridge
	TagProcess  = "process" // name of the process: of its bridge, or of its worker
	TagDevice   = "device"  // id of the device, or kind/name of another entity: see EntityTags
	TagKind     = "kind"    // kind of an entity that is not a device; absent of devices
	TagModel    = "model"   // name of the model
	TagVersion  = "version" // number of a version in the registry of models; without one the beginning of its hash
	TagSite     = "site"    // what the device's birth message said; absent if nothing
	TagState    = "state"   // path of an atomic state
	TagFrom     = "from"    // name of the state left
	TagTo       = "to"      // name of the state entered
	TagEvent    = "event"   // name of the event that caused it, without the id of an invocation
	TagPattern  = "pattern"
	TagAlarm    = "alarm"
	TagName     = "name"   // of a command
	TagStatus   = "status" // of a command: CommandSent, or what the acknowledgement says
	TagShadow   = "shadow" // name of a twin document; absent of the classic one
	TagReason   = "reason"
	TagRun      = "run"
	TagScenario = "scenario"
	TagFirmware = "firmware" // what the device's birth message said; absent if nothing
)

// Fields of several measurements.
const (
	Count = "count" // 1 in each point, to be summed
	State = "state" // name of the state now
	Text  = "text"  // for people

	AlarmRaised  = "raised"  // how many
	AlarmEnded   = "ended"   // how many
	AlarmKey     = "key"     // what it is of, such as a member of a group; absent where the point is of many
	AlarmSeconds = "seconds" // how long what has ended lasted
)

// Fields of Attention, and its reasons.
const (
	AttentionSeconds = "seconds" // since it was last heard
	AttentionSilent  = "silent"  // for longer than its model allows
	AttentionStuck   = "stuck"   // its workflow does not accept signals
)

// Fields of KnownDevices: their sum is all of them.
const (
	KnownOnline  = "online"
	KnownSilent  = "silent"  // for longer than their model allows
	KnownOffline = "offline" // by their last will, and no message since
)

// Fields of Talkers: a second, since the survey before, and the share of all messages of its
// bridge.
const (
	TalkerMessages = "messages"
	TalkerBytes    = "bytes"
	TalkerShare    = "share"
)

// BirthFirmware is a field of Births: what the birth message says, if it does.
const BirthFirmware = "firmware"

// Fields of Devices and Versions.
const DevicesInState = "devices" // how many

// Fields of Commands, and the status of one that the broker has taken.
const (
	CommandID   = "id"
	CommandSent = "sent"
)

// Fields of DeviceFaults: where it was sent, and what, or its beginning. What was
// expected is Text.
const (
	FaultTopic = "topic"
	FaultValue = "value"
)

// Fields of Twin.
const TwinVersion = "version"

// Fields of Reprovisions: which step a point is of, with the value 1, and what is
// known of it.
const (
	ReprovisionStarted = "started" // the model has asked for it
	ReprovisionSent    = "sent"    // the broker has taken the command
	ReprovisionDone    = "done"    // the device came back with its new credentials
	ReprovisionFailed  = "failed"  // the device refused or did not answer, the activity failed, or another attempt began

	ReprovisionCommand = "command" // id of the command, and of the credentials in it
	ReprovisionAttempt = "attempt" // from 1, since the device was last well
	RecoverySeconds    = "recovery_seconds"
)
