package main

import (
	"fmt"

	m "devicetwin/internal/measure"
)

func simulatorRun() *dashboard {
	d := newDashboard("simulator", "Simulator run", "What the ledger of a simulated fleet says, live, and its verdict at the end.", "now-15m")
	d.choose(m.TagRun, "Run", "Prefix of the fleet's devices (--prefix)", tagValues(m.TagRun, m.Simulator), false)
	d.Templating.List[0].Sort = 2 // the newest first
	run := of(m.Simulator, matches(m.TagRun)...)
	now := func(field, as string) query { return run.overTime(call("last", field, "value")).as(as) }
	// What the newest point of the run says, whatever the time shown; a run that goes on
	// has no verdict, also if one before had the same name.
	newest := func(width int, title, expression, description string) panel {
		return stat(width, title, "short", description, run.ever().newest(1, fmt.Sprintf(`"devices", %s AS "value"`, expression))).
			text("value").unless("no verdict")
	}
	verdict := func(width int, title, field, description string) panel {
		return newest(width, title, quoted(field), description).coloured(red(1))
	}
	d.row(4,
		newest(6, "Verdict", quoted(m.SimulatorClean), "At the end of the run: whether nothing was lost, duplicated or reordered. If it failed, one of the figures here is red; see also the report. No verdict: it runs, or was broken off.").
			mapped("NOT CLEAN", "red", "CLEAN", "green"),
		verdict(6, "Lost", m.SimulatorLost, "Messages that the broker acknowledged and no workflow applied. Any: the report names them; make chaos reports how far each came."),
		verdict(4, "Duplicated", m.SimulatorDuplicated, "Messages that were applied twice. Any is a fault of the service: report it with the seed."),
		verdict(4, "Reordered", m.SimulatorReordered, "Messages applied after a later one of the same device. Any: the broker or the bridge has changed the order."),
		verdict(4, "Unexpected", m.SimulatorUnexpected, "Messages applied that were never sent. Any: another fleet has the same prefix, or it is a fault of the service."),
	)
	d.row(4,
		newest(6, "Dead letters not meant", `abs("dead_letters" - "dead_letters_meant") + 0 * "clean"`, "By how much the refused messages differ from those that the scenario means to be refused. Any: a real message was refused, or one that was meant was not; see bridge/+/deadletter.").
			coloured(red(1)),
		newest(6, "Applied", quoted(m.SimulatorApplied), "Messages that workflows applied, at the end. None: nothing was proved, and the run has failed.").atLeast(.5, 1),
		verdict(4, "Missing reprovisions", m.SimulatorMissing, "Sequences that nothing followed. Any: the model or the worker missed them; see the device's dashboard."),
		verdict(4, "Spurious reprovisions", m.SimulatorSpurious, "Commands without a sequence. Any: the model sees sequences where there are none."),
		verdict(4, "Unsettled", m.SimulatorUnsettled, "Devices whose workflows have not caught up. It falls to 0 after the end of the plans; if not, the workers are too slow or away."),
	)
	d.row(8,
		lines(8, "Devices of the run", "short", "Devices of the fleet, and those connected. Fewer connected than there are: churn of the scenario, or the broker refuses.",
			now(m.SimulatorDevices, "devices"), now(m.SimulatorConnected, "connected"), now(m.SimulatorUnsettled, "unsettled")),
		lines(8, "Sent", "cps", "Messages that the broker acknowledged, and those of them that matter to the model. Far below devices × rate: the broker or this machine is the limit.",
			run.rateOfAll(m.SimulatorSent).as("sent"), run.rateOfAll(m.SimulatorRelevant).as("relevant")),
		lines(8, "Ledger and service", "cps", "Relevant messages of the ledger, and events that bridges bring to Temporal. The second stays behind the first: messages wait.",
			run.rateOfAll(m.SimulatorRelevant).as("relevant in the ledger"), of(m.Bridge).rateOfAll("events").as("events to Temporal")),
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
