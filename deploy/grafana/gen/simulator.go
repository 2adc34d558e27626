package main

import m "devicetwin/internal/measure"

func simulatorRun() *dashboard {
	d := newDashboard("simulator", "Simulator run", "What the ledger of a simulated fleet says, live, and its verdict at the end.", "now-15m")
	d.choose(m.TagRun, "Run", "Prefix of the fleet's devices (--prefix)", tagValues(m.TagRun, m.Simulator), false)
	d.Templating.List[0].Sort = 2 // the newest first
	run := of(m.Simulator, matches(m.TagRun)...)
	now := func(field, as string) query { return run.overTime(call("last", field, "value")).as(as) }
	verdict := func(title, field, description string) panel {
		return stat(3, title, "short", description, run.query(call("last", field, "value"))).coloured(red(1)).unless("…")
	}
	clean := stat(3, "Verdict", "short", "At the end of the run: whether nothing was lost, duplicated or reordered. If it failed, see the figures next to this panel, and the report.",
		run.query(call("last", m.SimulatorClean, "value"))).unless("running").
		mapped(map[string]string{"0": "NOT CLEAN", "1": "CLEAN"}, map[string]string{"0": "red", "1": "green"})
	d.row(4, clean,
		verdict("Lost", m.SimulatorLost, "Messages that the broker acknowledged and no workflow applied. Any: the report names them; make chaos reports how far each came."),
		verdict("Duplicated", m.SimulatorDuplicated, "Messages that were applied twice. Any is a fault of the service: report it with the seed."),
		verdict("Reordered", m.SimulatorReordered, "Messages applied after a later one of the same device. Any: the broker or the bridge has changed the order."),
		verdict("Unexpected", m.SimulatorUnexpected, "Messages applied that were never sent. Any: another fleet has the same prefix, or it is a fault of the service."),
		verdict("Missing reprovisions", m.SimulatorMissing, "Sequences that nothing followed. Any: the model or the worker missed them; see the device's dashboard."),
		verdict("Spurious reprovisions", m.SimulatorSpurious, "Commands without a sequence. Any: the model sees sequences where there are none."),
		verdict("Unsettled", m.SimulatorUnsettled, "Devices whose workflows have not caught up. It falls to 0 after the end of the plans; if not, the workers are too slow or away."),
	)
	d.row(8,
		lines(8, "Phase and devices", "short", "Devices of the fleet, and those connected. Fewer connected than there are: churn of the scenario, or the broker refuses.",
			now(m.SimulatorDevices, "devices"), now(m.SimulatorConnected, "connected"), now(m.SimulatorUnsettled, "unsettled")),
		lines(8, "Sent", "cps", "Messages that the broker acknowledged, and those of them that matter to the model. Far below devices × rate: the broker or this machine is the limit.",
			run.overTime(perSecond(m.SimulatorSent, "rate")).as("sent"), run.overTime(perSecond(m.SimulatorRelevant, "rate")).as("relevant")),
		lines(8, "Ledger and service", "short", "Relevant messages in the ledger, and events that bridges have brought to Temporal since their start. The distance between them stays the same, unless messages wait.",
			now(m.SimulatorRelevant, "relevant in the ledger"), sumOfLast(of(m.Bridge), "events", m.TagBridge).as("events in Temporal")),
	)
	d.row(8,
		lines(8, "Without acknowledgement", "short", "Messages published whose PUBACK is open. A rise: the broker does not keep up.",
			now(m.SimulatorUnacknowledged, "unacknowledged")),
		lines(8, "Disturbances", "short", "Messages sent twice, connections made again and commands that came again, as the scenario has it. All flat: the run proves little.",
			now(m.SimulatorRepeated, "sent twice"), now(m.SimulatorReconnects, "reconnects"), now(m.SimulatorCommandsRepeated, "commands again")).steps(),
		lines(8, "Dead letters", "short", "What bridges refused of this fleet, and what was meant to be refused. The two differ: a real message was refused; see bridge/+/deadletter.",
			now(m.SimulatorDeadLetters, "all"), now(m.SimulatorDeadLettersMeant, "meant")).steps(),
	)
	d.row(8,
		lines(12, "Commands and recoveries", "short", "Commands that devices received, and devices that came back with new credentials. Recoveries stay behind: devices that refuse or ignore, as the scenario has it.",
			now(m.SimulatorCommands, "commands"), now(m.SimulatorReprovisions, "recoveries")).steps(),
		lines(12, "From sequence to command, p99", "s", "From the last message of a sequence until the device has its command, since the start. Over a second: see Pipeline, signal latency and workflow tasks.",
			now(m.SimulatorCommandP99, "p99")).marked(orange(1)),
	)
	d.row(8, table(24, "Verdict in full", "The last point of the run; only there once it has ended. Latencies are from a device's PUBLISH until the workflow has stored it. Not clean: run it again with the same seed.", true,
		run.latest(1, m.SimulatorClean, m.SimulatorApplied, m.SimulatorLost, m.SimulatorDuplicated, m.SimulatorReordered, m.SimulatorUnexpected,
			m.SimulatorMissing, m.SimulatorSpurious, m.SimulatorEventStateP50, m.SimulatorEventStateP99)).
		units(m.SimulatorEventStateP50, "s").units(m.SimulatorEventStateP99, "s"))
	return d
}
