package main

import m "devicetwin/internal/measure"

func device() *dashboard {
	d := newDashboard("device", "Device", "One device: its states, its telemetry, and what was done about it.", "now-6h")
	d.choose(m.TagDevice, "Device", "Id of the device, or kind/name of another entity; any id can be typed", tagValues(m.TagDevice, m.Births, m.Transitions)+" LIMIT 5000", false)
	d.choose(m.TagModel, "Model", "Model of the device, which is the measurement of its telemetry",
		tagValues(m.TagModel, m.Births, m.Transitions)+` WHERE "device" =~ /^$device$/`, false)
	d.ask("temporal", "Temporal UI", "Address of Temporal's web UI with the namespace, for links", temporalUI)
	d.ask("api", "API", "Address of devicetwin's HTTP API, for links", apiURL)
	d.each("field", "Numbers that the device sends", `SHOW FIELD KEYS FROM /^$model$/`, `/^(?!.*:(string|bool)$).+$/`)
	d.each("words", "Strings that the device sends", `SHOW FIELD KEYS FROM /^$model$/`, `/^.+:string$/`)
	workflow := link{Type: "link", Title: "Workflow in Temporal", URL: "${temporal}/workflows/device%2F${device:percentencode}", TargetBlank: true}
	why := link{Type: "link", Title: "Why is it in this state?", URL: "${api}/v1/devices/${device:percentencode}/why", TargetBlank: true}
	other := link{Type: "link", Title: "Workflow of another kind", URL: "${temporal}/workflows/${device:percentencode}", TargetBlank: true}
	otherWhy := link{Type: "link", Title: "Why, of another kind", URL: "${api}/v1/entities/${device}/why", TargetBlank: true}
	d.Links = append(d.Links, workflow, why, other, otherWhy)
	of1 := matches(m.TagDevice)
	transitions, reprovisions, sequences := of(m.Transitions, of1...), of(m.Reprovisions, of1...), of(m.Sequences, of1...)
	telemetry := from{source: "/^$model$/", time: shown, where: of1}
	happened := transitions.latest(500, m.TagEvent, m.TagFrom, m.TagTo, m.Count).text
	d.Annotations.List = append(d.Annotations.List, annotation{
		Name: "Events", Datasource: influx, Enable: true, IconColor: "orange",
		Target: annotationTarget{
			RefID: "Events", Query: happened, QueryType: "tags", FromAnnotations: true, RawQuery: true, TextColumn: m.TagEvent, TagsColumn: m.TagTo,
		},
	})

	// What was so before the time shown, and still is.
	before := transitions.at("time < ${__from}ms").query(call("last", m.State, m.State)).rows()
	d.row(4,
		stat(6, "State", "string", "The state that the last transition led to. Not what you expect: follow the link to why.",
			transitions.query(call("last", m.State, m.State)).rows()).text(m.State).linked("", why).unless("as before the time shown").states(),
		stat(6, "Last message", "dateTimeFromNow", "When the newest telemetry was measured. Long ago: see whether the device is on the network, and its workflow for device.silent.",
			telemetry.newest(1, "*")).text("Time").linked("", workflow),
		stat(6, "Sequences matched", "short", "Matches of the model's patterns in the time shown. Many: this device has the fault that the model watches for.",
			sequences.inAll(call("sum", m.Count, "matched"))).unless("0"),
		stat(6, "Recovered", "short", "How often the device came back with new credentials in the time shown. Less than it was reprovisioned: see the table below.",
			reprovisions.inAll(call("sum", m.ReprovisionDone, "done"))).unless("0"),
	)
	states := timeline(24, "States",
		"The device's states over time. A state that comes back in short turns: the model swings between two; give it a hysteresis or a delay.",
		transitions.query(quoted(m.State)).rows(), before).states()
	states.Transformations = []transformation{
		{"merge", map[string]any{}},
		{"sortBy", map[string]any{"fields": map[string]any{}, "sort": []any{map[string]any{"field": "Time"}}}},
	}
	d.row(5, states)
	d.section("Telemetry")
	d.row(7, lines(24, "$field", "short", "A number that the device sends, with its events. It ends while others go on: a sensor is gone.",
		telemetry.overTime(`mean("${field:raw}") AS "$field"`)).signed().repeated("field", 3))
	d.row(5, timeline(24, "$words", "A string that the device sends, over time. One that comes and goes in short turns: the device swings between two modes.",
		telemetry.query(`"${words:raw}"`).rows()).repeated("words", 2).mayBeEmpty("a device may send no strings"))
	d.row(8, table(24, "Readings", "The newest 100 messages with all their fields: numbers under their names, strings as name:string, booleans as name:bool. A string where a number belongs: the device sends it so.", true,
		telemetry.newest(100, "*")))
	d.section("What was done")
	faults := of(m.DeviceFaults, of1...)
	d.row(8, table(16, "Faults", "The newest 200 of what the device sent and that had no effect, or not the effect that was meant. What each reason means and what to do: docs/operations.md, Faults of devices.", true,
		faults.latest(200, m.FaultTopic, m.TagReason, m.FaultValue, m.Text, m.Count)).
		mayBeEmpty("a device that is understood has none"),
		lines(8, "Faults by reason", "short", "How many of each reason. They began at once: its firmware or its model changed then; they go on: see the newest in the table.",
			faults.overTime(call("sum", m.Count, "faults"), m.TagReason).as("$tag_reason")).bars().stacked().
			mayBeEmpty("a device that is understood has none"))
	d.row(8,
		table(12, "Transitions", "The newest 200. What caused them, with the context before and after: follow the link to why.", true,
			transitions.latest(200, m.TagFrom, m.TagTo, m.TagEvent, m.Count)).hide(m.Count).linked(m.TagEvent, why).stateColumns(m.TagFrom, m.TagTo),
		table(12, "Reprovisions", "The newest 200 steps: started, sent, done or failed, and the seconds to recovery. Failed again and again: the device refuses, or does not hear; look at its acknowledgements in the workflow.", true,
			reprovisions.latest(200, m.TagReason, m.ReprovisionAttempt, m.ReprovisionStarted, m.ReprovisionSent, m.ReprovisionDone,
				m.ReprovisionFailed, m.RecoverySeconds)).units(m.RecoverySeconds, "s"),
	)
	d.row(8,
		lines(12, "Twin versions", "none", "Version of each of the device's documents; each change is one more. It climbs without end: device and application take turns in changing the same key.",
			of(m.Twin, of1...).overTime(call("last", m.TwinVersion, "version"), m.TagShadow).as("shadow $tag_shadow")).steps(),
		table(12, "Commands", "The newest 200: sent, acknowledged by the device, and ended by the service. Sent without an answer: the device is offline, or does not know the command.", true,
			of(m.Commands, of1...).latest(200, m.TagName, m.TagStatus, m.CommandID, m.Text, m.Count)).hide(m.Count),
	)
	return d
}
