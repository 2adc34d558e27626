package api

import (
	"time"

	"devicetwin/device"
)

// Unknown is the connection of a device that never sent a status message; the others
// are device.Online and device.Offline.
const Unknown = "unknown"

// Summary is a device, or another entity, in a list. It may be some tens of
// milliseconds out of date.
type Summary struct {
	ID           device.ID         `json:"id" doc:"Id of the device; of an entity of another kind, kind and name: customer/4711."`
	Model        string            `json:"model,omitempty" doc:"Name of its model."`
	ModelHash    string            `json:"model_hash,omitempty" doc:"Hash of its model's canonical form."`
	ModelVersion int               `json:"model_version,omitempty" doc:"Number of this version in the registry of models; absent if no registry has it."`
	State        string            `json:"state" doc:"Paths of the active atomic states, joined by commas."`
	Connection   string            `json:"connection" enum:"online,offline,unknown" doc:"Connection, according to its last status message."`
	Firmware     string            `json:"firmware,omitempty" doc:"As in its last birth message."`
	Site         string            `json:"site,omitempty" doc:"As in its last birth message."`
	Tags         map[string]string `json:"tags,omitempty" doc:"Tags, as PUT /v1/devices/{id}/tags set them."`
	Properties   map[string]string `json:"properties,omitempty" doc:"Properties that the configuration indexes, by path."`

	LastSeen    *time.Time `json:"last_seen,omitempty" doc:"When a message of the device was last applied; in a list up to 15 minutes earlier, and in whole seconds. Absent if it is not known."`
	ReportCount uint64     `json:"report_count,omitempty" doc:"Number of faults of what the device sent; in a list, numbers of 10 or more are rounded down to their first digit."`

	Processing    string `json:"processing,omitempty" enum:"held,waiting" doc:"held: an event that its model has processed one by one has failed permanently, and the queue waits for an operator. waiting: an event has had its turn for a minute, or the queue was full, and is not empty since. Absent otherwise."`
	ProcessFailed uint64 `json:"process_failed,omitempty" doc:"Number of times that such an event failed permanently; numbers of 10 or more are rounded down to their first digit."`
}

// What Summary.Processing says.
const (
	ProcessingHeld    = "held"
	ProcessingWaiting = "waiting"
)

// Page is a part of a list.
type Page struct {
	Devices []Summary `json:"devices" doc:"The devices, in no particular order. There may be fewer than limit, or none, before the last page."`
	Cursor  string    `json:"cursor,omitempty" doc:"Cursor of the next page; absent on the last one."`
}

// Count is the number of devices that a query finds.
type Count struct {
	Count int `json:"count" minimum:"0" doc:"Number of devices."`
}

// Device is everything that is known about one device.
type Device struct {
	ID           device.ID         `json:"id" doc:"Id of the device; of an entity of another kind, kind and name: customer/4711."`
	Model        string            `json:"model" doc:"Name of its model."`
	ModelHash    string            `json:"model_hash" doc:"Hash of its model's canonical form."`
	ModelVersion int               `json:"model_version,omitempty" doc:"Number of this version in the registry of models; absent if no registry has it."`
	State        string            `json:"state" doc:"Paths of the active atomic states, joined by commas."`
	Value        any               `json:"value,omitempty" doc:"The state value as XState writes it."`
	Context      Object            `json:"context,omitempty" doc:"The statechart's context."`
	Connection   string            `json:"connection" enum:"online,offline,unknown" doc:"Connection, according to its last status message."`
	LastSeen     *time.Time        `json:"last_seen,omitempty" doc:"When a message of the device was last applied."`
	Firmware     string            `json:"firmware,omitempty" doc:"As in its last birth message."`
	Site         string            `json:"site,omitempty" doc:"As in its last birth message."`
	Parent       string            `json:"parent,omitempty" doc:"As in its last birth message, such as the gateway through which it is connected."`
	Groups       []device.ID       `json:"groups,omitempty" doc:"Ids of the groups that it is a member of: kind and name, such as site/north."`
	Tags         map[string]string `json:"tags,omitempty" doc:"Tags, as PUT /v1/devices/{id}/tags set them."`
	Dialect      string            `json:"dialect,omitempty" doc:"Dialect in which it is sent commands and desired state, as its messages show; absent: the service's own."`
	Windows      []Window          `json:"windows,omitempty" doc:"Windows of its model, as of the last thing that happened to it."`
	Schedules    []Schedule        `json:"schedules,omitempty" doc:"Schedules of its model that run, with their next times."`
	Alarms       []Alarm           `json:"alarms,omitempty" doc:"Alarms of its model that are raised, the oldest first. At most 100, those that have lasted longest."`
	Counts       []AlarmCount      `json:"alarm_counts,omitempty" doc:"How many of each alarm are raised, wait and are explained; absent are alarms without any."`
	Processing   *Processing       `json:"processing,omitempty" doc:"Events that its model has processed one by one; absent if there were none."`
	Twin         Twin              `json:"twin" doc:"The twin: the classic shadow."`
	Shadows      map[string]Twin   `json:"shadows,omitempty" doc:"The named shadows, by name."`
	Commands     []Command         `json:"commands,omitempty" doc:"The last hundred that are done, and those that are open, oldest first."`
	Messages     Messages          `json:"messages" doc:"Messages so far."`
	Waiting      int               `json:"commands_waiting,omitempty" doc:"Number of waiting commands; commands contains the first hundred."`
	Faults       []string          `json:"faults,omitempty" doc:"Faults of the model, as runs of earlier releases kept them, without times. Each newer fault of the device replaces one: use reports." deprecated:"true"`
	FaultCount   uint64            `json:"fault_count,omitempty" doc:"Number of faults that runs of earlier releases counted: use report_count." deprecated:"true"`

	Reports     []Fault `json:"reports,omitempty" doc:"The newest faults, the newest last: what the device sent without effect, or without the effect that was meant, and what its model could not do. At most 16."`
	ReportCount uint64  `json:"report_count,omitempty" doc:"Number of these faults so far."`

	// Transitions are the last ones, the newest first.
	Transitions []Transition `json:"-"`
}

// Fault is something that a device sent and that had no effect, or not the effect
// that was meant, or something that its model could not do.
type Fault struct {
	At     time.Time          `json:"at" doc:"When the service received it; with a count, when it received the last one."`
	Topic  string             `json:"topic,omitempty" doc:"Topic below the device's own, such as telemetry or commands/reboot/ack; absent if no message caused it."`
	Reason device.FaultReason `json:"reason" enum:"expression,action,unknown_status,unknown_ack,unknown_command,late_ack,time,not_text,unknown_model,model_kept,unknown_event,too_late,late_window,restarted,point,too_many_fields,refused" doc:"Reason, as in the metrics devicetwin_bridge_faults_total and devicetwin_worker_faults_total."`
	Detail string             `json:"detail,omitempty" doc:"What was expected and what was found, for people. Long ones are truncated."`
	Value  string             `json:"value,omitempty" doc:"What was sent, or its beginning."`
	Count  uint64             `json:"count,omitempty" doc:"How often the same came in a row, if more than once."`
}

// Window is what a device's model counts over time.
type Window struct {
	Name      string     `json:"name" doc:"Name of the window in the model."`
	Aggregate string     `json:"aggregate" enum:"count,sum,min,max,mean,rate,distinct" doc:"What is made of the events."`
	Start     time.Time  `json:"start" doc:"Start of the current window."`
	End       time.Time  `json:"end" doc:"End of the current window."`
	Count     uint64     `json:"count" doc:"Number of events in it so far."`
	Value     *float64   `json:"value,omitempty" doc:"Their aggregate so far; absent where there is none, as for the mean of no events."`
	Late      uint64     `json:"late,omitempty" doc:"Number of events that came after a window had closed that should have counted them."`
	Closes    *time.Time `json:"closes,omitempty" doc:"When the first open window closes, if no event closes it before; absent if none is open."`
}

// Schedule is a schedule of a device's model that runs.
type Schedule struct {
	Name  string     `json:"name" doc:"Name of the schedule, and of its event."`
	State string     `json:"state,omitempty" doc:"Path of the state that it belongs to; absent: the whole model."`
	Rule  string     `json:"rule" doc:"When it is due, for people."`
	Zone  string     `json:"zone,omitempty" doc:"Time zone; absent where no clock matters."`
	Next  *time.Time `json:"next,omitempty" doc:"When it is due next; absent if it is not in the years that are known."`
}

// Alarm is an alarm of a device's model that is raised.
type Alarm struct {
	Name     string    `json:"name" doc:"Name of the alarm in the model."`
	Key      string    `json:"key,omitempty" doc:"What it is of, such as the id of a member of a group; absent: the device itself."`
	Since    time.Time `json:"since" doc:"When what it is about began."`
	Explains int       `json:"explains,omitempty" doc:"Number of alarms that are not raised because this one explains them."`
}

// AlarmCount counts what one alarm of a device's model is about.
type AlarmCount struct {
	Name      string `json:"name" doc:"Name of the alarm in the model."`
	Raised    int    `json:"raised" doc:"Number of those that are raised; alarms contains the first hundred of all alarms."`
	Waiting   int    `json:"waiting,omitempty" doc:"Number of those that have not lasted long enough to be raised."`
	Explained int    `json:"explained,omitempty" doc:"Number of those that are not raised because another alarm explains them."`
}

// Processing is what is processed one by one.
type Processing struct {
	Waiting  int             `json:"waiting" doc:"Number of events that wait, with the one that is processed."`
	Capacity int             `json:"capacity" doc:"Number of events that may wait before the bridges deliver no more to the device."`
	First    *ProcessEvent   `json:"first,omitempty" doc:"The event that is processed, or is next; absent if none waits."`
	Since    *time.Time      `json:"since,omitempty" doc:"When its turn came."`
	State    string          `json:"state,omitempty" enum:"held,waiting" doc:"As in lists."`
	Held     string          `json:"held,omitempty" doc:"Why it failed permanently, if the queue waits for an operator to decide; absent otherwise."`
	Done     uint64          `json:"done" doc:"Number of events that were processed."`
	Failed   uint64          `json:"failed" doc:"Number of times that one failed permanently."`
	Skipped  uint64          `json:"skipped" doc:"Number of events that operators skipped."`
	Queue    []ProcessEvent  `json:"queue,omitempty" doc:"The events that wait, in their order, with the one that is processed. At most the first hundred."`
	Failures []ProcessFailed `json:"failures,omitempty" doc:"The last that failed permanently, newest last. At most 16."`
}

// ProcessEvent is an event that is processed, or will be.
type ProcessEvent struct {
	ID     string    `json:"id" doc:"Id, the same in every attempt: the Idempotency-Key of whoever is called."`
	Number uint64    `json:"number" doc:"Number among the events of the device that are processed, from 1."`
	Event  string    `json:"event" doc:"Name of the event."`
	At     time.Time `json:"at" doc:"When it was."`
	Source string    `json:"source" doc:"Activity that is called."`
	To     string    `json:"to,omitempty" doc:"Receiver that it calls."`

	// Attempt and what follows are of the event that is processed, if Temporal says so.
	Attempt     int        `json:"attempt,omitempty" doc:"Number of the present attempt, or of the next one, from 1; absent if the event waits for its turn."`
	LastFailure string     `json:"last_failure,omitempty" doc:"Why the last attempt failed."`
	NextAttempt *time.Time `json:"next_attempt,omitempty" doc:"When the next attempt is due, if none is under way."`
}

// ProcessFailed is an event that failed permanently.
type ProcessFailed struct {
	ID      string    `json:"id" doc:"Id of the event."`
	Number  uint64    `json:"number" doc:"Its number."`
	Event   string    `json:"event" doc:"Its name."`
	Message string    `json:"message" doc:"Why it failed."`
	At      time.Time `json:"at" doc:"When it failed."`

	Decision *ProcessVerdict `json:"decision,omitempty" doc:"What an operator decided on it; absent if nobody has, or had to."`
}

// ProcessVerdict is the decision of an operator on an event that failed permanently.
type ProcessVerdict struct {
	Do   string    `json:"do" enum:"retry,skip" doc:"retry: it was tried again. skip: the next event had its turn."`
	Who  string    `json:"who,omitempty" doc:"Who decided."`
	Note string    `json:"note,omitempty" doc:"Why, as it was given."`
	At   time.Time `json:"at" doc:"When."`
}

// ProcessDecided is the event that an operator decided on.
type ProcessDecided struct {
	ID      string `json:"id" doc:"Id of the event."`
	Number  uint64 `json:"number" doc:"Its number."`
	Event   string `json:"event" doc:"Its name."`
	Waiting int    `json:"waiting" doc:"Number of events that wait now."`
}

// Messages counts a device's messages by result.
type Messages struct {
	Applied    uint64 `json:"applied" doc:"Messages that were applied."`
	Duplicates uint64 `json:"duplicates" doc:"Messages that were dropped because they had been applied before."`
	Late       uint64 `json:"late" doc:"Messages that arrived after one with a higher number."`
}

// Twin is a shadow document.
type Twin struct {
	Version  int64  `json:"version" doc:"Number of the latest accepted change, from 1; 0 if the document does not exist."`
	Desired  Object `json:"desired,omitempty" doc:"Desired properties."`
	Reported Object `json:"reported,omitempty" doc:"Properties that the device reported."`
	Delta    Object `json:"delta,omitempty" doc:"Desired properties that are not reported, or reported with another value."`
}

// Desired is the result of a change of desired properties.
type Desired struct {
	Version int64    `json:"version" doc:"Version of the document after the change."`
	Changed []string `json:"changed,omitempty" doc:"Paths of desired that changed."`
	Open    []string `json:"open,omitempty" doc:"Paths where the device reports something else, or nothing."`
}

// Taken is the reaction of a statechart to an event.
type Taken struct {
	From string `json:"from" doc:"Paths of the active atomic states before it, joined by commas."`
	To   string `json:"to" doc:"Those after it."`
}

// Reprovisioning is the result of a request to reprovision.
type Reprovisioning struct {
	Taken
	ByModel bool `json:"by_model" doc:"The device's model handled the event operator.reprovision; otherwise the service creates new credentials itself."`
}

// Migrated is what a plan makes of a device as it is now.
type Migrated struct {
	Taken
	FromModel   string   `json:"from_hash" doc:"Hash of the model that the device ran before."`
	ToModel     string   `json:"to_hash" doc:"Hash of the model that it runs then."`
	FromVersion int      `json:"from_version,omitempty" doc:"Number of the version before, in the registry of models; absent if it has none."`
	ToVersion   int      `json:"to_version,omitempty" doc:"Number of the version that it runs then."`
	Plan        string   `json:"plan_hash" doc:"Hash of the plan."`
	Already     bool     `json:"already,omitempty" doc:"The plan had moved the device before; nothing was done."`
	Migration   string   `json:"migration,omitempty" doc:"Id of the migration that moves the device in a little more than two minutes, when every bridge knows of it; absent if none is needed."`
	DryRun      bool     `json:"dry_run,omitempty" doc:"Nothing was done: this is what would happen."`
	Lost        []string `json:"lost,omitempty" doc:"What the device no longer knows, such as partial matches of a pattern that the plan drops. At most 20."`
}

// Migration says which migration a transition was.
type Migration struct {
	FromModel   string `json:"from_hash" doc:"Hash of the model that the device ran before."`
	ToModel     string `json:"to_hash" doc:"Hash of the model that it ran from then on."`
	FromVersion int    `json:"from_version,omitempty" doc:"Number of the version before, in the registry of models; absent if it has none."`
	ToVersion   int    `json:"to_version,omitempty" doc:"Number of the version from then on."`
	Plan        string `json:"plan_hash" doc:"Hash of the plan."`
	Note        string `json:"note,omitempty" doc:"Why, as it was given."`
}

// FleetMigration is a migration of the devices that a query finds.
type FleetMigration struct {
	ID          string     `json:"id" doc:"Id of the migration."`
	Query       string     `json:"query,omitempty" doc:"Query for the devices; absent: all of the model."`
	Model       string     `json:"model" doc:"Name of the model."`
	FromModel   string     `json:"from_hash" doc:"Hash of the model that the devices run before."`
	ToModel     string     `json:"to_hash" doc:"Hash of the model that they run then."`
	FromVersion int        `json:"from_version,omitempty" doc:"Number of the version before, in the registry of models; absent if it has none."`
	ToVersion   int        `json:"to_version,omitempty" doc:"Number of the version that they run then."`
	Plan        string     `json:"plan_hash" doc:"Hash of the plan."`
	Who         string     `json:"who,omitempty" doc:"Who started it."`
	Note        string     `json:"note,omitempty" doc:"Why, as it was given."`
	Rate        float64    `json:"rate" doc:"Maximum number of devices moved per second."`
	Phase       string     `json:"phase" enum:"announced,moving,done,stopped" doc:"announced: it waits until every bridge knows of it. stopped: before all devices had their turn."`
	Since       time.Time  `json:"since" doc:"When it was started."`
	Begins      *time.Time `json:"begins,omitempty" doc:"When the first device is moved, at the earliest."`
	Ended       *time.Time `json:"ended,omitempty" doc:"When it ended."`
	Pass        int        `json:"pass,omitempty" doc:"How often the list of devices was read from its beginning."`

	Moved    int                `json:"moved" doc:"Number of devices that were moved."`
	Already  int                `json:"already,omitempty" doc:"Number of devices that this plan had moved before."`
	Gone     int                `json:"gone,omitempty" doc:"Number of devices that were deleted meanwhile."`
	Refused  int                `json:"refused,omitempty" doc:"Number of devices that stayed as they were, in this pass or the last one."`
	Images   []MigrationImage   `json:"images,omitempty" doc:"From which states to which others devices were moved, the most frequent first. At most 200."`
	Reasons  []MigrationReason  `json:"reasons,omitempty" doc:"Why devices stayed as they were, the most frequent first. At most 50."`
	Refusals []MigrationRefusal `json:"refusals,omitempty" doc:"The first devices that stayed as they were. At most 100."`
}

// MigrationImage is how many devices were moved from one configuration to another.
type MigrationImage struct {
	Taken
	Devices int       `json:"devices" doc:"Number of devices."`
	First   device.ID `json:"first" doc:"Id of one of them."`
}

// MigrationReason is why so many devices stayed as they were.
type MigrationReason struct {
	Code    int    `json:"code" doc:"As in HTTP: 409 the plan does not move a device in this state, 412 it runs another model, 503 it did not answer."`
	Message string `json:"message" doc:"The reason, for people."`
	Devices int    `json:"devices" doc:"Number of devices."`
}

// MigrationRefusal is why one device stayed as it was.
type MigrationRefusal struct {
	Device  device.ID `json:"device" doc:"Id of the device."`
	Code    int       `json:"code" doc:"As of a reason."`
	Message string    `json:"message" doc:"The reason, for people."`
}

// Command is a command to a device.
type Command struct {
	ID      string               `json:"id" doc:"Id, the same as on MQTT."`
	Name    string               `json:"name" doc:"Name, the last part of its topic."`
	Status  device.CommandStatus `json:"status" enum:"waiting,sent,accepted,succeeded,failed,rejected,expired,cancelled,superseded,exhausted" doc:"Status; succeeded and those after it are final."`
	Data    Object               `json:"data,omitempty" doc:"Data for the device."`
	By      string               `json:"by,omitempty" doc:"Who sent it; absent for the model's own commands."`
	Created *time.Time           `json:"created,omitempty" doc:"When it was queued."`
	Sent    *time.Time           `json:"sent,omitempty" doc:"When it was published."`
	Done    *time.Time           `json:"done,omitempty" doc:"When it became final."`
	Expires *time.Time           `json:"expires,omitempty" doc:"When its time to live ends."`

	Deliveries    int `json:"deliveries,omitempty" doc:"How often it was sent: again at each birth of the device, until it answers."`
	MaxDeliveries int `json:"max_deliveries,omitempty" doc:"How often it may be sent. If the device comes back without an answer after that, its status becomes exhausted."`

	Result any      `json:"result,omitempty" doc:"The device's result."`
	Reason string   `json:"reason,omitempty" doc:"Why it failed, was rejected, or ended otherwise."`
	Late   *LateAck `json:"late,omitempty" doc:"What the device said after the command had ended; its status stays."`
}

// LateAck is an acknowledgement of a command that had ended.
type LateAck struct {
	Status device.CommandStatus `json:"status" enum:"accepted,succeeded,failed,rejected" doc:"Status that the device gave."`
	At     time.Time            `json:"at" doc:"When it arrived."`
	Reason string               `json:"reason,omitempty" doc:"Reason that the device gave."`
}

// Why explains why a device is in its state: the last transitions, the newest first.
type Why struct {
	ID          device.ID    `json:"id" doc:"Id of the device."`
	Model       string       `json:"model" doc:"Name of its model."`
	State       string       `json:"state" doc:"Paths of the active atomic states, joined by commas."`
	Transitions []Transition `json:"transitions" doc:"The last transitions, the newest first. Long values are truncated."`
}

// Transition is one change of state with its cause.
type Transition struct {
	At           time.Time  `json:"at" doc:"Time of the event on the device's clock, or the timer's deadline."`
	Arrived      *time.Time `json:"arrived,omitempty" doc:"Time on the service's clock, where it is another: of the arrival, or of the deadline."`
	From         string     `json:"from" doc:"States before, joined by commas; empty for the first."`
	To           string     `json:"to" doc:"States after, joined by commas."`
	Event        string     `json:"event" doc:"The event that caused it."`
	Data         any        `json:"data,omitempty" doc:"The event's data; a string if it had to be truncated."`
	Guards       []string   `json:"guards,omitempty" doc:"The guards that passed, in order."`
	Cause        Cause      `json:"cause" doc:"The cause of the event."`
	Before       any        `json:"context_before,omitempty" doc:"The statechart's context before; a string if it had to be truncated."`
	After        any        `json:"context_after,omitempty" doc:"The statechart's context after; a string if it had to be truncated."`
	ModelHash    string     `json:"model_hash" doc:"Hash of the model that decided."`
	ModelVersion int        `json:"model_version,omitempty" doc:"Number of this version in the registry of models; absent if no registry has it."`
	Migration    *Migration `json:"migration,omitempty" doc:"What moved the device to this model; only of the event migration."`
}

// Cause is the cause of an event.
type Cause struct {
	Kind    string `json:"kind" doc:"message, timer, activity, operation (an operator requested it), twin, command (the service ended one) or start."`
	Channel string `json:"channel,omitempty" doc:"Channel on which a message arrived: telemetry, status, events, ack, twin or system."`
	Name    string `json:"name,omitempty" doc:"Name of the message, the activity, the operation or the command."`
	Epoch   int64  `json:"epoch,omitempty" doc:"Epoch of the device's numbering."`
	Seq     uint64 `json:"seq,omitempty" doc:"The device's number of the message; absent for messages without one."`
	Who     string `json:"who,omitempty" doc:"Who requested the operation."`
	Note    string `json:"note,omitempty" doc:"Why, as it was given."`
}
