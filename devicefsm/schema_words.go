package devicefsm

import (
	"maps"
	"slices"

	"devicetwin/device"
	"devicetwin/devicefsm/pattern"
)

// The schema of each key of a model file, for Schema. A test compares the keys
// with those that Load accepts.

var (
	anyText      = schema{"type": "string"}
	anyObject    = schema{"type": []string{"object", "null"}}
	yesNo        = schema{"type": "boolean"}
	modelNames   = schema{"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$"}
	contiguity   = enumOf(slices.Sorted(maps.Keys(contiguities)))
	descriptions = described(anyText, "For people; it changes nothing.")
)

var modelWords = words{
	"model":       described(modelNames, "Name of the model."),
	"description": descriptions,
	"time":        described(enumOf([]string{timeDevice, timeArrival}), "Which time of a message counts for patterns and delays: what the device says in ts, or its arrival; device by default."),
	"liveness": described(required(withKeys([]string{"silent_after", "tolerance"}, words{
		"silent_after": described(refTo("duration"), "device.silent is raised when nothing was received for this long."),
		"tolerance":    described(refTo("duration"), "How much later than that it may be noticed."),
	}), "silent_after"), "When a device counts as silent."),
	"events":   described(mapOf(refTo("event")), "Which messages are which events; the first rule that fits names the event."),
	"patterns": described(mapOf(refTo("pattern")), "Sequences of events; a match is raised as an event with the pattern's name."),
	"context":  described(anyObject, "What the statechart remembers of a device, with its initial values."),
	"config":   described(anyObject, "What is sent to a device when it is reprovisioned."),
}

var chartWords = words{
	"id":          described(anyText, "What #id in a target finds."),
	"type":        described(enumOf([]string{"atomic", "compound", "parallel", "final", "history"}), "The kind of state, where it does not follow from its states."),
	"description": descriptions,
	"initial": described(anyOf(refTo("targets"), required(withKeys([]string{"target", "actions", "description"}, words{
		"target": refTo("targets"), "actions": refTo("actions"), "description": descriptions,
	}), "target")), "Which of its states a compound state enters first."),
	"states": described(mapOf(refTo("state")), "The states inside."),
	"on":     described(mapOf(refTo("transitions")), "Transitions by event: a name, a prefix as in fault.*, or * for every event."),
	"always": described(refTo("transitions"), "Transitions that are taken as soon as their guard holds."),
	"after":  described(mapOf(refTo("transitions")), "Transitions after a time in the state: a duration, or an expression that gives one."),
	"entry":  described(refTo("actions"), "What is done on entering."),
	"exit":   described(refTo("actions"), "What is done on leaving."),
	"invoke": described(anyOf(refTo("invoke"), listOf(refTo("invoke"))), "Activities that run while the state is active."),
	"onDone": described(refTo("transitions"), "Transitions when the states inside have come to a final one."),
	"output": described(refTo("object"), "Data of the done event, of a final state."),
	"history": described(enumOf([]string{"shallow", "deep"}),
		"Whether a history state remembers the states directly inside, or all."),
	"target": described(refTo("targets"), "Where a history state goes that remembers nothing yet."),
	"tags":   described(schema{}, "For people and tools; it changes nothing."),
	"meta":   described(schema{}, "For people and tools; it changes nothing."),
}

var transitionWords = words{
	"target":      described(refTo("targets"), "Where it leads; without a target the state stays as it is."),
	"guard":       described(refTo("expression"), "It is taken only if this holds."),
	"actions":     described(refTo("actions"), "What is done on the way."),
	"reenter":     described(yesNo, "Leave the source state and enter it again, where it would stay inside."),
	"description": descriptions,
}

var eventWords = words{
	"channel":     described(enumOf(channels), "The channel that the message arrives on."),
	"name":        described(anyText, "Name of the message, on the channels events, ack and system."),
	"when":        described(refTo("expression"), "The condition on msg, the message's JSON."),
	"description": descriptions,
}

var invokeWords = words{
	"src":         described(modelNames, "Name of a registered activity."),
	"id":          described(anyText, "For people and tools; the service gives each invocation an id of its own."),
	"input":       described(refTo("object"), "What the activity is given."),
	"onDone":      described(refTo("transitions"), "Transitions when it returns; event is what it returned."),
	"onError":     described(refTo("transitions"), "Transitions when it fails permanently; event.message says why."),
	"description": descriptions,
}

var actionWords = words{
	"assign": described(mapOf(refTo("template")), "Sets values of the context."),
	"raise": described(anyOf(anyText, required(withKeys([]string{"event", "data", "delay", "id"}, words{
		"event": anyText, "data": refTo("object"), "delay": described(schema{"type": []string{"string", "integer"}}, "A duration, or an expression that gives one."),
		"id": described(anyText, "What cancel takes back."),
	}), "event")), "Raises an event of the chart itself, at once or after a delay."),
	"cancel": described(anyText, "Takes back a delayed raise, by its id."),
	"command": described(anyOf(modelNames, required(withKeys([]string{"name", "data", "ttl", "max_deliveries", "replace"}, words{
		"name": modelNames, "data": refTo("object"), "ttl": described(refTo("duration"), "How long the command may wait for the device, and the device may take; with it, the command is queued."),
		"max_deliveries": described(whole(1, device.MaxDeliveries), "How often the command may be sent to a device that restarts without an answer; the service's default without it."),
		"replace":        described(yesNo, "Whether it replaces those of the same name that wait."),
	}), "name")), "Sends a command to the device."),
	"publish": described(required(withKeys([]string{"topic", "data", "retain"}, words{
		"topic": described(anyText, "In it, {id} stands for the device."), "data": refTo("object"),
		"retain": described(yesNo, "Whether the broker keeps it for later subscribers."),
	}), "topic"), "Publishes to a topic that the configuration allows."),
	"notify": described(anyOf(modelNames, required(withKeys([]string{"to", "data"}, words{
		"to": modelNames, "data": refTo("object"),
	}), "to")), "Notifies a configured receiver."),
	"desire": described(mapOf(refTo("template")), "Sets desired properties of the twin; null removes one."),
	"log":    described(refTo("template"), "Writes a message for people."),
}

var patternWords = words{
	"sequence":     described(schema{"type": "array", "items": refTo("step"), "minItems": 1, "maxItems": pattern.MaxSteps}, "The steps, in order."),
	"contiguity":   described(contiguity, "What may lie between the events; relaxed by default."),
	"within":       described(refTo("duration"), "From the first to the last event."),
	"skip":         described(anyOf(enumOf([]string{"past_last_event", "none", "to_next"}), withKeys([]string{"to_first", "to_last"}, words{"to_first": anyText, "to_last": anyText})), "What happens to overlapping matches."),
	"timeout":      described(schema{"type": []string{"boolean", "string"}}, "The event raised when a partial match expires; true: the pattern's name and .timeout."),
	"while":        described(anyText, "Only in this state; leaving it forgets what was begun."),
	"description":  descriptions,
	"max_partials": described(whole(1, pattern.MaxPartialsLimit), "How many partial matches are kept."),
	"max_kept":     described(whole(1, 64), "How many events of a step are kept for conditions on matched."),
	"max_idle":     described(refTo("duration"), "How long a partial match is kept that goes no further, without within."),
}

var stepWords = words{
	"event":         described(anyText, "The event that the step takes."),
	"notNext":       described(anyText, "The event that must not come next."),
	"notFollowedBy": described(anyText, "The event that must not come until the next step, or until within is over."),
	"group": described(schema{"type": "array", "items": refTo("step"), "minItems": 1, "maxItems": pattern.MaxSteps},
		"A sequence that is taken as a whole, as often as times says. Its steps have the conditions."),
	"until": described(anyOf(anyText, required(withKeys(untilKeys, words{
		"event": anyText, "where": refTo("expression"), "description": descriptions,
	}), "event")), "The event that ends a step or a group without an upper end of times."),
	"where": described(refTo("expression"), "The condition on event and matched."),
	"name":  described(anyText, "Name of the step, for matched; the event's by default."),
	"times": described(anyOf(whole(1, 10_000), withKeys([]string{"min", "max"}, words{"min": whole(0, 10_000), "max": whole(1, 10_000)})),
		"How many events it takes."),
	"oneOrMore":    described(yesNo, "It takes one event or more."),
	"optional":     described(yesNo, "It may be left out."),
	"consecutive":  described(yesNo, "Nothing may lie between its events, or the rounds of a group."),
	"combinations": described(yesNo, "Anything may lie between its events, others of its own included."),
	"greedy":       described(yesNo, "It leaves nothing to later steps that it could take."),
	"contiguity":   described(contiguity, "What may lie between the step before and this one."),
	"gap":          described(refTo("duration"), "The longest time since the event before."),
	"description":  descriptions,
}
