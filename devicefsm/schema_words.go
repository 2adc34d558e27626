package devicefsm

import (
	"maps"
	"slices"

	"devicetwin/device"
	"devicetwin/devicefsm/pattern"
	"devicetwin/internal/schema"
)

// The schema of each key of a model file, for Schema. A test compares the keys
// with those that Load accepts.

var (
	anyText      = schema.Schema{"type": "string"}
	anyObject    = schema.Schema{"type": []string{"object", "null"}}
	yesNo        = schema.Schema{"type": "boolean"}
	modelNames   = schema.Schema{"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$"}
	contiguity   = schema.Enum(slices.Sorted(maps.Keys(contiguities)))
	descriptions = schema.Described(anyText, "For people; it changes nothing.")
)

var modelWords = schema.Words{
	"model":       schema.Described(modelNames, "Name of the model."),
	"description": descriptions,
	"kind":        schema.Described(schema.Schema{"type": "string", "pattern": device.KindPattern}, "Kind of the entities that may run the model; device by default."),
	"time":        schema.Described(schema.Enum([]string{timeDevice, timeArrival}), "Which time of a message counts for patterns and delays: what the device says in ts, or its arrival; device by default."),
	"zone":        schema.Described(anyText, "The time zone of schedules, hours and expressions that name none: a name of the IANA database such as Europe/Berlin, UTC, or an offset such as +01:00. UTC by default."),
	"hours":       schema.Described(schema.Map(schema.Schema{"type": "object", "additionalProperties": anyText}), "Business hours by name: days such as mon-fri, with hours such as 08:00-12:00, 13:00-17:00."),
	"liveness": schema.Described(schema.Required(schema.WithKeys([]string{"silent_after", "tolerance"}, schema.Words{
		"silent_after": schema.Described(schema.Ref("duration"), "device.silent is raised when nothing was received for this long."),
		"tolerance":    schema.Described(schema.Ref("duration"), "How much later than that it may be noticed."),
	}), "silent_after"), "When a device counts as silent."),
	"events":   schema.Described(schema.Map(schema.Ref("event")), "Which messages are which events; the first rule that fits names the event."),
	"patterns": schema.Described(schema.Map(schema.Ref("pattern")), "Sequences of events; a match is raised as an event with the pattern's name."),
	"windows":  schema.Described(schema.Map(schema.Ref("window")), "What is counted over time; expressions read windows.NAME, and NAME.closed is raised when a window closes."),
	"alarms":   schema.Described(schema.Map(schema.Ref("alarm")), "What begins and ends; after its settle time it is raised as an event with the alarm's name."),
	"process":  schema.Described(schema.Ref("process"), "The events for each of which an activity is called, one by one: the next when the last has ended."),
	"members": schema.Described(schema.AnyOf(
		membersBy("by", schema.Described(schema.Enum([]string{memberBySite}), "The site in the birth message names the group.")),
		membersBy("tag", schema.Described(anyText, "The value of this tag names the group.")),
		membersBy("id", schema.Described(anyText, "A regular expression on the id; what matches (?P<group>...) names the group.")),
		membersBy("parent", schema.Described(schema.Schema{"const": true}, "The parent in the birth message names the group, or else the device's own id.")),
	), "The model is that of a group: which entities are its members."),
	"context": schema.Described(anyObject, "What the statechart remembers of a device, with its initial values."),
	"config":  schema.Described(anyObject, "What is sent to a device when it is reprovisioned."),
}

// membersBy is the schema of members by one of the ways.
func membersBy(key string, value schema.Schema) schema.Schema {
	return schema.Required(schema.WithKeys([]string{key, "aggregators", "description"}, schema.Words{
		key: value, "description": descriptions,
		"aggregators": schema.Described(schema.Whole(1, maxAggregators), "How many workflows collect what members report: one for each thousand members; 1 by default."),
	}), key)
}

var chartWords = schema.Words{
	"id":          schema.Described(anyText, "What #id in a target finds."),
	"type":        schema.Described(schema.Enum([]string{"atomic", "compound", "parallel", "final", "history"}), "The kind of state, where it does not follow from its states."),
	"description": descriptions,
	"initial": schema.Described(schema.AnyOf(schema.Ref("targets"), schema.Required(schema.WithKeys([]string{"target", "actions", "description"}, schema.Words{
		"target": schema.Ref("targets"), "actions": schema.Ref("actions"), "description": descriptions,
	}), "target")), "Which of its states a compound state enters first."),
	"states":    schema.Described(schema.Map(schema.Ref("state")), "The states inside."),
	"on":        schema.Described(schema.Map(schema.Ref("transitions")), "Transitions by event: a name, a prefix as in fault.*, or * for every event."),
	"always":    schema.Described(schema.Ref("transitions"), "Transitions that are taken as soon as their guard holds."),
	"after":     schema.Described(schema.Map(schema.Ref("transitions")), "Transitions after a time in the state: a duration, or an expression that gives one."),
	"schedules": schema.Described(schema.Map(schema.Ref("schedule")), "Events at times of a calendar, by their names, as long as the state is active."),
	"entry":     schema.Described(schema.Ref("actions"), "What is done on entering."),
	"exit":      schema.Described(schema.Ref("actions"), "What is done on leaving."),
	"invoke":    schema.Described(schema.AnyOf(schema.Ref("invoke"), schema.List(schema.Ref("invoke"))), "Activities that run while the state is active."),
	"onDone":    schema.Described(schema.Ref("transitions"), "Transitions when the states inside have come to a final one."),
	"output":    schema.Described(schema.Ref("object"), "Data of the done event, of a final state."),
	"history": schema.Described(schema.Enum([]string{"shallow", "deep"}),
		"Whether a history state remembers the states directly inside, or all."),
	"target": schema.Described(schema.Ref("targets"), "Where a history state goes that remembers nothing yet."),
	"tags":   schema.Described(schema.Schema{}, "For people and tools; it changes nothing."),
	"meta":   schema.Described(schema.Schema{}, "For people and tools; it changes nothing."),
}

var scheduleWords = schema.Words{
	"every":       schema.Described(schema.Ref("duration"), "A length of time, again and again; 30d are 30 times 24 hours."),
	"from":        schema.Described(anyText, "The moment that every counts from, such as 2026-01-05T08:00:00+01:00; without it, when the state was entered."),
	"at":          schema.Described(schema.AnyOf(anyText, schema.List(anyText)), "Times of day such as \"08:00\"."),
	"days":        schema.Described(anyText, "The days of the week of at: mon-fri, or sat,sun."),
	"cron":        schema.Described(anyText, "A cron expression: minute, hour, day of the month, month, day of the week."),
	"opens":       schema.Described(anyText, "When these hours of the model open."),
	"closes":      schema.Described(anyText, "When these hours of the model close."),
	"hours":       schema.Described(anyText, "Only while these hours of the model are open."),
	"zone":        schema.Described(anyText, "The time zone; the model's by default."),
	"description": descriptions,
}

var transitionWords = schema.Words{
	"target":      schema.Described(schema.Ref("targets"), "Where it leads; without a target the state stays as it is."),
	"guard":       schema.Described(schema.Ref("expression"), "It is taken only if this holds."),
	"actions":     schema.Described(schema.Ref("actions"), "What is done on the way."),
	"reenter":     schema.Described(yesNo, "Leave the source state and enter it again, where it would stay inside."),
	"description": descriptions,
}

var eventWords = schema.Words{
	"channel":     schema.Described(schema.Enum(channels), "The channel that the message arrives on."),
	"name":        schema.Described(anyText, "Name of the message, on the channels events, ack, system and members."),
	"when":        schema.Described(schema.Ref("expression"), "The condition on msg, the message's JSON."),
	"description": descriptions,
}

var invokeWords = schema.Words{
	"src":         schema.Described(modelNames, "Name of a registered activity."),
	"id":          schema.Described(anyText, "For people and tools; the service gives each invocation an id of its own."),
	"input":       schema.Described(schema.Ref("object"), "What the activity is given."),
	"onDone":      schema.Described(schema.Ref("transitions"), "Transitions when it returns; event is what it returned."),
	"onError":     schema.Described(schema.Ref("transitions"), "Transitions when it fails permanently; event.message says why."),
	"description": descriptions,
}

var actionWords = schema.Words{
	"assign": schema.Described(schema.Map(schema.Ref("template")), "Sets values of the context."),
	"raise": schema.Described(schema.AnyOf(anyText, schema.Required(schema.WithKeys([]string{"event", "data", "delay", "id"}, schema.Words{
		"event": anyText, "data": schema.Ref("object"), "delay": schema.Described(schema.Schema{"type": []string{"string", "integer"}}, "A duration, or an expression that gives one."),
		"id": schema.Described(anyText, "What cancel takes back."),
	}), "event")), "Raises an event of the chart itself, at once or after a delay."),
	"cancel": schema.Described(anyText, "Takes back a delayed raise, by its id."),
	"command": schema.Described(schema.AnyOf(modelNames, schema.Required(schema.WithKeys([]string{"name", "data", "ttl", "max_deliveries", "replace"}, schema.Words{
		"name": modelNames, "data": schema.Ref("object"), "ttl": schema.Described(schema.Ref("duration"), "How long the command may wait for the device, and the device may take; with it, the command is queued."),
		"max_deliveries": schema.Described(schema.Whole(1, device.MaxDeliveries), "How often the command may be sent to a device that restarts without an answer; the service's default without it."),
		"replace":        schema.Described(yesNo, "Whether it replaces those of the same name that wait."),
	}), "name")), "Sends a command to the device."),
	"publish": schema.Described(schema.Required(schema.WithKeys([]string{"topic", "data", "retain"}, schema.Words{
		"topic": schema.Described(anyText, "In it, {id} stands for the device; kafka: and a name is a topic of Kafka."), "data": schema.Ref("object"),
		"retain": schema.Described(yesNo, "Whether the broker keeps it for later subscribers."),
	}), "topic"), "Publishes to a topic that the configuration allows."),
	"notify": schema.Described(schema.AnyOf(modelNames, schema.Required(schema.WithKeys([]string{"to", "data"}, schema.Words{
		"to": modelNames, "data": schema.Ref("object"),
	}), "to")), "Notifies a configured receiver."),
	"desire": schema.Described(schema.Map(schema.Ref("template")), "Sets desired properties of the twin; null removes one."),
	"log":    schema.Described(schema.Ref("template"), "Writes a message for people."),
}

var patternWords = schema.Words{
	"sequence":     schema.Described(schema.Schema{"type": "array", "items": schema.Ref("step"), "minItems": 1, "maxItems": pattern.MaxSteps}, "The steps, in order."),
	"contiguity":   schema.Described(contiguity, "What may lie between the events; relaxed by default."),
	"within":       schema.Described(schema.Ref("duration"), "From the first to the last event."),
	"skip":         schema.Described(schema.AnyOf(schema.Enum([]string{"past_last_event", "none", "to_next"}), schema.WithKeys([]string{"to_first", "to_last"}, schema.Words{"to_first": anyText, "to_last": anyText})), "What happens to overlapping matches."),
	"timeout":      schema.Described(schema.Schema{"type": []string{"boolean", "string"}}, "The event raised when a partial match expires; true: the pattern's name and .timeout."),
	"distinct":     schema.Described(anyText, "A key of the events' data: no two events of a match have the same value there."),
	"while":        schema.Described(anyText, "Only in this state; leaving it forgets what was begun."),
	"description":  descriptions,
	"max_partials": schema.Described(schema.Whole(1, pattern.MaxPartialsLimit), "How many partial matches are kept."),
	"max_kept":     schema.Described(schema.Whole(1, 64), "How many events of a step are kept for conditions on matched."),
	"max_idle":     schema.Described(schema.Ref("duration"), "How long a partial match is kept that goes no further, without within."),
}

var alarmWords = schema.Words{
	"begins":       schema.Described(schema.Ref("eventNames"), "The events that begin it."),
	"ends":         schema.Described(schema.Ref("eventNames"), "The events that end it."),
	"by":           schema.Described(anyText, "The key of the events' data that says what it is of; device by default."),
	"settle":       schema.Described(schema.Ref("duration"), "How long it has to last before it is raised."),
	"explained_by": schema.Described(anyText, "Another alarm: as long as something of that one lasts, this one is not raised."),
	"description":  descriptions,
}

var windowWords = schema.Words{
	"event":       schema.Described(anyText, "The event that is counted: a name, a prefix as in fault.*, or * for every event."),
	"where":       schema.Described(schema.Ref("expression"), "The condition on event."),
	"value":       schema.Described(schema.Ref("expression"), "What the event brings: a number, or for distinct any value."),
	"aggregate":   schema.Described(schema.Enum(aggregates()), "What is made of the events of a window."),
	"over":        schema.Described(schema.AnyOf(schema.Enum([]string{"day", "week", "month", "year"}), schema.Ref("duration")), "The length of a window: a duration, or a unit of the calendar."),
	"slide":       schema.Described(schema.Ref("duration"), "The time from one window to the next, of which over is a multiple; over by default, so that none overlap."),
	"zone":        schema.Described(anyText, "Of windows of the calendar: a name such as Europe/Berlin, UTC, or a fixed offset such as +01:00; the zone of the model by default."),
	"grace":       schema.Described(schema.Ref("duration"), "How long after its end a window waits for late events; 0 by default."),
	"description": descriptions,
}

var processWords = schema.Words{
	"event":           schema.Described(schema.Ref("eventNames"), "The events that are processed: names, prefixes as in order.*, or * for every event that is not the service's own."),
	"where":           schema.Described(schema.Ref("expression"), "The condition on event."),
	"src":             schema.Described(modelNames, "Name of a registered activity; call posts to a receiver of the configuration."),
	"to":              schema.Described(modelNames, "The receiver."),
	"input":           schema.Described(schema.Ref("object"), "What the activity is given; the event's data by default."),
	"attempt_timeout": schema.Described(schema.Ref("duration"), "How long one attempt may take; 30s by default."),
	"deadline":        schema.Described(schema.Ref("duration"), "How long all attempts of one event may take, from when its turn has come; 1h by default."),
	"retry": schema.Described(schema.WithKeys(retryKeys, schema.Words{
		"initial_interval": schema.Described(schema.Ref("duration"), "The pause after the first attempt; 1s by default."),
		"backoff":          schema.Described(schema.Schema{"type": "number", "minimum": 1, "maximum": maxProcessBackoff}, "By which factor each pause is longer than the one before; 2 by default."),
		"max_interval":     schema.Described(schema.Ref("duration"), "The longest pause; 1m by default."),
		"max_attempts":     schema.Described(schema.Whole(1, maxProcessAttempts), "How often it is tried; as often as the deadline allows by default."),
	}), "When it is tried again."),
	"queue":       schema.Described(schema.Whole(1, maxProcessQueue), "How many events may wait before the bridges deliver nothing more to the entity; 100 by default."),
	"on_failure":  schema.Described(schema.Enum([]string{failureContinue, failureHold}), "What happens after error.process: the next event has its turn, or the queue waits for an operator; continue by default."),
	"description": descriptions,
}

var stepWords = schema.Words{
	"event":         schema.Described(anyText, "The event that the step takes."),
	"notNext":       schema.Described(anyText, "The event that must not come next."),
	"notFollowedBy": schema.Described(anyText, "The event that must not come until the next step, or until within is over."),
	"group": schema.Described(schema.Schema{"type": "array", "items": schema.Ref("step"), "minItems": 1, "maxItems": pattern.MaxSteps},
		"A sequence that is taken as a whole, as often as times says. Its steps have the conditions."),
	"until": schema.Described(schema.AnyOf(anyText, schema.Required(schema.WithKeys(untilKeys, schema.Words{
		"event": anyText, "where": schema.Ref("expression"), "description": descriptions,
	}), "event")), "The event that ends a step or a group without an upper end of times."),
	"where": schema.Described(schema.Ref("expression"), "The condition on event and matched."),
	"name":  schema.Described(anyText, "Name of the step, for matched; the event's by default."),
	"times": schema.Described(schema.AnyOf(schema.Whole(1, 10_000), schema.WithKeys([]string{"min", "max"}, schema.Words{"min": schema.Whole(0, 10_000), "max": schema.Whole(1, 10_000)})),
		"How many events it takes."),
	"oneOrMore":    schema.Described(yesNo, "It takes one event or more."),
	"optional":     schema.Described(yesNo, "It may be left out."),
	"consecutive":  schema.Described(yesNo, "Nothing may lie between its events, or the rounds of a group."),
	"combinations": schema.Described(yesNo, "Anything may lie between its events, others of its own included."),
	"greedy":       schema.Described(yesNo, "It leaves nothing to later steps that it could take."),
	"contiguity":   schema.Described(contiguity, "What may lie between the step before and this one."),
	"gap":          schema.Described(schema.Ref("duration"), "The longest time since the event before."),
	"description":  descriptions,
}
