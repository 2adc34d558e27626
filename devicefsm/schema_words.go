package devicefsm

import (
	"maps"
	"slices"

	"devicetwin/devicefsm/pattern"
)

// What stands at each key of a model file, for Schema. A test compares the keys
// with those that Load accepts.

var (
	anyText      = schema{"type": "string"}
	anyObject    = schema{"type": []string{"object", "null"}}
	yesNo        = schema{"type": "boolean"}
	modelNames   = schema{"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$"}
	contiguity   = oneOfTexts(slices.Sorted(maps.Keys(contiguities)))
	descriptions = told(anyText, "For people; it changes nothing.")
)

var modelWords = words{
	"model":       told(modelNames, "Name of the model."),
	"description": descriptions,
	"liveness": told(required(withKeys([]string{"silent_after", "tolerance"}, words{
		"silent_after": told(refTo("duration"), "device.silent is raised when nothing was heard for this long."),
		"tolerance":    told(refTo("duration"), "How much later than that it may be noticed."),
	}), "silent_after"), "When a device counts as silent."),
	"events":   told(mapOf(refTo("event")), "Which messages are which events; the first rule that fits names the event."),
	"patterns": told(mapOf(refTo("pattern")), "Sequences of events; a match is raised as an event with the pattern's name."),
	"context":  told(anyObject, "What the statechart remembers of a device, with its values at the start."),
	"config":   told(anyObject, "What is sent to a device when it is reprovisioned."),
}

var chartWords = words{
	"id":          told(anyText, "What #id in a target finds."),
	"type":        told(oneOfTexts([]string{"atomic", "compound", "parallel", "final", "history"}), "The kind of state, where its states do not say it."),
	"description": descriptions,
	"initial": told(anyOf(refTo("targets"), required(withKeys([]string{"target", "actions", "description"}, words{
		"target": refTo("targets"), "actions": refTo("actions"), "description": descriptions,
	}), "target")), "Which of its states a compound state enters first."),
	"states": told(mapOf(refTo("state")), "The states inside."),
	"on":     told(mapOf(refTo("transitions")), "Transitions by event: a name, a prefix as in fault.*, or * for every event."),
	"always": told(refTo("transitions"), "Transitions that are taken as soon as their guard holds."),
	"after":  told(mapOf(refTo("transitions")), "Transitions after a time in the state: a duration, or an expression that gives one."),
	"entry":  told(refTo("actions"), "What is done on entering."),
	"exit":   told(refTo("actions"), "What is done on leaving."),
	"invoke": told(anyOf(refTo("invoke"), listOf(refTo("invoke"))), "Activities that run while the state is active."),
	"onDone": told(refTo("transitions"), "Transitions when the states inside have come to a final one."),
	"output": told(refTo("object"), "Data of the done event, of a final state."),
	"history": told(oneOfTexts([]string{"shallow", "deep"}),
		"Whether a history state remembers the states directly inside, or all."),
	"target": told(refTo("targets"), "Where a history state goes that remembers nothing yet."),
	"tags":   told(schema{}, "For people and tools; it changes nothing."),
	"meta":   told(schema{}, "For people and tools; it changes nothing."),
}

var transitionWords = words{
	"target":      told(refTo("targets"), "Where it leads; without a target the state stays as it is."),
	"guard":       told(refTo("expression"), "It is taken only if this holds."),
	"actions":     told(refTo("actions"), "What is done on the way."),
	"reenter":     told(yesNo, "Leave the source state and enter it again, where it would stay inside."),
	"description": descriptions,
}

var eventWords = words{
	"channel":     told(oneOfTexts(channels), "The road on which the message comes."),
	"name":        told(anyText, "Name of the message, on the channels events, ack and system."),
	"when":        told(refTo("expression"), "What has to hold of msg, the message's JSON."),
	"description": descriptions,
}

var invokeWords = words{
	"src":         told(modelNames, "Name of a registered activity."),
	"id":          told(anyText, "For people and tools; the service gives each invocation an id of its own."),
	"input":       told(refTo("object"), "What the activity is given."),
	"onDone":      told(refTo("transitions"), "Transitions when it returns; event is what it returned."),
	"onError":     told(refTo("transitions"), "Transitions when it fails for good; event.message says why."),
	"description": descriptions,
}

var actionWords = words{
	"assign": told(mapOf(refTo("template")), "Sets values of the context."),
	"raise": told(anyOf(anyText, required(withKeys([]string{"event", "data", "delay", "id"}, words{
		"event": anyText, "data": refTo("object"), "delay": told(schema{"type": []string{"string", "integer"}}, "A duration, or an expression that gives one."),
		"id": told(anyText, "What cancel takes back."),
	}), "event")), "Raises an event of the chart itself, at once or after a delay."),
	"cancel": told(anyText, "Takes back a delayed raise, by its id."),
	"command": told(anyOf(modelNames, required(withKeys([]string{"name", "data", "ttl", "replace"}, words{
		"name": modelNames, "data": refTo("object"), "ttl": told(refTo("duration"), "How long the command may wait for the device, and the device may take; with it, the command waits for its turn."),
		"replace": told(yesNo, "Whether it takes the place of those of its name that wait."),
	}), "name")), "Sends a command to the device."),
	"publish": told(required(withKeys([]string{"topic", "data", "retain"}, words{
		"topic": told(anyText, "In it, {id} stands for the device."), "data": refTo("object"),
		"retain": told(yesNo, "Whether the broker keeps it for later subscribers."),
	}), "topic"), "Publishes to a topic that the configuration allows."),
	"notify": told(anyOf(modelNames, required(withKeys([]string{"to", "data"}, words{
		"to": modelNames, "data": refTo("object"),
	}), "to")), "Tells a receiver that the configuration names."),
	"desire": told(mapOf(refTo("template")), "Sets desired properties of the twin; null removes one."),
	"log":    told(refTo("template"), "Writes a message for people."),
}

var patternWords = words{
	"sequence":     told(schema{"type": "array", "items": refTo("step"), "minItems": 1, "maxItems": pattern.MaxSteps}, "The steps, in order."),
	"contiguity":   told(contiguity, "What may lie between the events; relaxed if nothing is said."),
	"within":       told(refTo("duration"), "From the first to the last event."),
	"skip":         told(anyOf(oneOfTexts([]string{"past_last_event", "none", "to_next"}), withKeys([]string{"to_first", "to_last"}, words{"to_first": anyText, "to_last": anyText})), "What happens to overlapping matches."),
	"timeout":      told(schema{"type": []string{"boolean", "string"}}, "The event raised when a partial match expires; true: the pattern's name and .timeout."),
	"while":        told(anyText, "Only in this state; leaving it forgets what was begun."),
	"description":  descriptions,
	"max_partials": told(whole(1, 1024), "How many partial matches are kept."),
	"max_kept":     told(whole(1, 64), "How many events of a step are kept for conditions on matched."),
	"max_idle":     told(refTo("duration"), "How long a partial match is kept that goes no further, without within."),
}

var stepWords = words{
	"event":         told(anyText, "The event that the step takes."),
	"notNext":       told(anyText, "The event that must not come next."),
	"notFollowedBy": told(anyText, "The event that must not come until the next step, or until within is over."),
	"where":         told(refTo("expression"), "What has to hold of event and matched."),
	"name":          told(anyText, "Name of the step, for matched; the event's if nothing is said."),
	"times": told(anyOf(whole(1, 10_000), withKeys([]string{"min", "max"}, words{"min": whole(0, 10_000), "max": whole(1, 10_000)})),
		"How many events it takes."),
	"oneOrMore":    told(yesNo, "It takes one event or more."),
	"optional":     told(yesNo, "It may be left out."),
	"consecutive":  told(yesNo, "Nothing may lie between its events."),
	"combinations": told(yesNo, "Anything may lie between its events, others of its own included."),
	"greedy":       told(yesNo, "It leaves nothing to later steps that it could take."),
	"contiguity":   told(contiguity, "What may lie between the step before and this one."),
	"gap":          told(refTo("duration"), "The longest time since the event before."),
	"description":  descriptions,
}
