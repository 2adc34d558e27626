package main

import (
	"fmt"

	m "devicetwin/internal/measure"
)

// toDevice opens the dashboard of the device in the same row.
func toDevice() link {
	return link{
		Title: "Dashboard of the device",
		URL:   "/d/devicetwin-device?var-device=${__value.text}&${__url_time_range}",
	}
}

func fleet() *dashboard {
	d := newDashboard("fleet", "Fleet", "All devices: where they are, what happens, who is in trouble.", "now-1h")
	d.kinds()
	d.choose("model", "Model", "Models of the devices", tagValues(m.TagModel, m.Births, m.Devices, m.Transitions), true)
	d.choose("site", "Site", "What the devices' birth messages said; devices without one are only among all", tagValues(m.TagSite, m.Births, m.Transitions), true)
	d.choose("state", "State", "States that are counted or entered", tagValues(m.TagState, m.Devices), true)

	bridge := of(m.Bridge)
	states := of(m.Devices, matches(m.TagModel, m.TagState, m.TagKind)...)
	devices := matches(m.TagModel, m.TagSite, m.TagKind)
	withConnection := matches(m.TagModel, m.TagSite)
	entered := of(m.Transitions, append(matches(m.TagModel, m.TagSite, m.TagKind), `"to" =~ /^$state$/`)...)
	births, reprovisions, sequences, faults := of(m.Births, devices...), of(m.Reprovisions, devices...), of(m.Sequences, devices...), of(m.ModelFaults, devices...)
	sentInVain := of(m.DeviceFaults, devices...)
	heard, heardThen := bridge.newestOf("1m", []string{m.TagBridge}, "devices_known", "devices_silent")
	const reachable = `(sum("devices_known") - sum("devices_silent")) / sum("devices_known") AS "reachable"`
	known, knownThen := of(m.KnownDevices, withConnection...).newestOf("2m", []string{m.TagBridge, m.TagModel, m.TagSite, m.TagFirmware},
		m.KnownOnline, m.KnownSilent, m.KnownOffline) // written every minute
	connections, all := sum(m.KnownOnline)+", "+sum(m.KnownSilent)+", "+sum(m.KnownOffline), `sum("online") + sum("silent") + sum("offline")`
	compared := func(width int, title, tag, description string) panel {
		return table(width, title, description, false, known.inAll(connections+fmt.Sprintf(`, sum("online") / (%s) AS "share online"`, all), tag).rows()).
			units("share online", "percentunit").rated("share online", .95, .99).sorted(m.KnownOnline)
	}
	lost := func(f from, counter, as string) (inAll, overTime query) {
		return f.news(counter).inAll(sum("n")).as(as), f.news(counter).overTime(sum("n")).as(as)
	}
	gaps, gapsThen := lost(bridge, "gaps", "missing numbers")
	damage, damageThen := lost(bridge, "log_unreadable", "damage in logs")
	dropped, droppedThen := lost(of(m.Process), "points_dropped", "points dropped")

	d.row(4,
		stat(4, "Devices connected", "short",
			"Devices of all bridges that sent a message within the liveness of their model. When it falls, check whether the bridge is connected (Pipeline); if so, look for what the silent ones have in common.",
			bridge.sumNow(`last("devices_known") - last("devices_silent")`)),
		stat(4, titleSilent, "short",
			"Devices that a bridge has heard and that were silent for longer than their model allows. Look for a site or a network in common; one by one, open the device's dashboard.",
			bridge.sumNow(`last("devices_silent")`)).coloured(orange(1)),
		stat(4, "Messages", "mps", "JSON objects that devices published in the last minute. When it falls to nothing, see whether the bridge is connected (Pipeline).",
			bridge.rateNow("messages")),
		stat(4, "Events", "eps", "Messages of the last minute that can matter to the model, and that Temporal has accepted. Zero while messages arrive: see Pipeline, oldest unacknowledged.",
			bridge.rateNow("events")),
		stat(4, "Signals", "ops", "Signals to workflows in the last minute; each carries a batch of events. Near what your Temporal carries, see docs/operations.md, Batches.",
			bridge.rateNow("signals")),
		stat(4, "Sequences matched", "short", "Matches of the models' patterns in the time shown. More than usual: the table below says which devices.",
			sequences.inAll(call("sum", m.Count, "matched"))).unless("0"),
	)
	d.row(8,
		alerts(8, "Alerts", "What fires now, or soon will. Nothing here: no rule fires. Each names its panel, and what to do: the dashboard Runbook."),
		stat(8, "Devices by state, now", "short",
			"How many devices are in each state, as Temporal counts them, of all sites. Look at the states that your model means for trouble. Nothing here: no worker counts (--worker-count-every).",
			states.last("5m").inAll(call("last", m.DevicesInState, "devices"), m.TagState).as("$tag_state")).named().ofStates(),
		lines(8, "Devices by state", "short",
			"The same over time. A state that only grows holds devices that do not find out of it: open one of them from the table of transitions.",
			states.overTime(call("last", m.DevicesInState, "devices"), m.TagState).as("$tag_state")).stacked().steps().ofStates(),
	)
	d.row(8, table(24, "What needs attention now", "Devices that a bridge has named in the last minute, with why: silent for longer than their model allows, or stuck because their workflow accepts nothing. Open one; of many, look for what they have in common.", false,
		of(m.Attention, devices...).last("1m").inAll(call("last", m.AttentionSeconds, "silent for"), m.TagDevice, m.TagModel, m.TagSite, m.TagReason, m.TagBridge).rows()).
		linked(m.TagDevice, toDevice()).units("silent for", "s").mayBeEmpty("devices that are well are not named"))
	d.section("Service levels")
	d.row(4,
		stat(6, "Devices reachable", "percentunit", "Share of the devices known to bridges that are not silent. Below 95 percent the alert for silent devices fires: look for what the silent ones have in common.",
			heard.inAll(reachable)).atLeast(.95, .99),
		stat(6, "Recovered within, p99", "s", "Of the reprovisions in the time shown: from the first attempt until the device is back. Longer than usual: devices need several attempts, see reprovisions failed.",
			reprovisions.inAll(`percentile("recovery_seconds", 99) AS "p99"`)),
		stat(6, "Event to state, p99", "s", "From the arrival of a message until the change of state that it caused is written, at its highest of all workers in the last minute. Seconds: see Pipeline, where messages wait. No data: no state has changed.",
			of(m.Worker).last("1m").inAll(call("max", m.WorkerEventToStateP99, "seconds"))).coloured(orange(1), red(10)),
		stat(6, "Lost", "short", "Of the time shown: numbers of devices that never came, damage in logs, points dropped. Any: the broker loses messages; a disk is broken or full; InfluxDB was down for longer than the log lasts.",
			gaps, damage, dropped).named().coloured(orange(1)),
	)
	d.row(8,
		lines(6, "Reachable over time", "percentunit", "The same share. It falls at once: a network or a bridge; slowly: look for what the silent devices have in common in the tables below.",
			heardThen.overTime(reachable)).shares().atLeast(.95, .99).drawn(),
		lines(6, "Event to state over time", "s", "The same p99, at its highest of all workers. It rises with the messages: more workers; without them: see Pipeline, Temporal.",
			of(m.Worker).overTime(call("max", m.WorkerEventToStateP99, "p99")).as("p99")).marked(orange(1), red(10)),
		lines(6, "Time to recovery", "s",
			"From the first attempt until the device is born with its new credentials. A p99 beyond ten minutes, or one that rises: devices need several attempts, see reprovisions failed.",
			reprovisions.overTime(`percentile("recovery_seconds", 50) AS "p50"`).as("p50"),
			reprovisions.overTime(`percentile("recovery_seconds", 95) AS "p95"`).as("p95"),
			reprovisions.overTime(`percentile("recovery_seconds", 99) AS "p99"`).as("p99")).marked(orange(600)),
		lines(6, "Lost over time", "short", "The same in each interval. What else happened then says why: see Pipeline, Broker, Log and InfluxDB, at that time.",
			gapsThen, damageThen, droppedThen).bars().marked(orange(1)),
	)
	d.section("Devices")
	d.row(8,
		lines(8, "Connections", "short", "Devices that bridges know, of the models and sites chosen. Many become silent or offline at once: a network, a power cut, a broker; look for the site in the table next to this.",
			knownThen.overTime(connections).as("$col")).stacked().ofStates().every("2m"),
		compared(8, "Sites", m.TagSite, "Devices by site and connection, now. One site with a lower share online than the others: its network or its power."),
		compared(8, "Firmware", m.TagFirmware, "Devices by firmware and connection, now. One version with a lower share online than the others: roll it back."),
	)
	d.row(8,
		lines(12, "Firmware over time", "short", "How many devices run which firmware. During a rollout, one grows as another falls; it stops before all have it: look at those that are left, and at their faults.",
			knownThen.overTime(all+` AS "devices"`, m.TagFirmware).as("$tag_firmware")).stacked().every("2m"),
		table(12, "States by site", "Devices that changed their state in the time shown, by site and by the state that they are in now. One site with all the trouble: its network, its power, its firmware.", false,
			entered.inAll(call("last", m.State, "state"), m.TagDevice, m.TagSite).rows()).counted(m.TagDevice, m.TagSite, "state").stateColumns("state"),
	)
	versions := of(m.Versions, matches(m.TagModel, m.TagKind)...)
	d.row(8,
		lines(12, "Versions of models over time", "short", "How many devices run which version of their model, of all sites. During a migration one falls as another grows; it stops before all have it: its report says which devices stayed, and why (devicetwin devices migration).",
			versions.overTime(call("last", m.DevicesInState, "devices"), m.TagModel, m.TagVersion).as("$tag_model@$tag_version")).stacked().steps().every("1m"),
		table(12, "Versions of models, now", "By the number of the version in the registry of models; a version that it does not have, by the beginning of its hash. More versions than you know of: devices keep the version that they began with until they are migrated.", false,
			versions.last("5m").inAll(call("last", m.DevicesInState, "devices"), m.TagModel, m.TagVersion).rows()).sorted("devices"),
	)
	d.row(12, places(24, "Map", "Where devices were at their last reading in the time shown that had latitude and longitude (or lat and lon), up to 5,000. Trouble in one place: open a device there. No place: the devices of the models chosen report none.",
		positions(), [2]string{"latitude", "longitude"}, [2]string{"lat", "lon"}).linked(m.TagDevice, toDevice()).mayBeEmpty("few devices know where they are"))
	d.section("What happens")
	d.row(8,
		lines(12, "Messages, events and signals", "cps",
			"What relevance and batches save: of all messages only events are signalled, many in one signal. Events that follow messages closely: see which messages cost one (devicetwin model check --relevance).",
			bridge.rateOfAll("messages").as("messages"), bridge.rateOfAll("events").as("events"), bridge.rateOfAll("signals").as("signals")),
		lines(12, "Transitions by event", "short",
			"Changes of state in each interval, by the event that caused them. A peak of one event is a common cause: filter by site and model.",
			entered.overTime(call("sum", m.Count, "transitions"), m.TagEvent).as("$tag_event")).bars().stacked(),
	)
	d.row(8,
		table(16, "Top talkers", "Devices by their loudest minute in the time shown, with what was refused or left out. One far above others of its model: its firmware is in a loop; lower its rate, or its quota (docs/operations.md, Loud and stuck devices).", true,
			of(m.Talkers, devices...).peaks(20, m.TalkerMessages, m.TagDevice, m.TalkerBytes, m.TalkerShare, m.TagModel, m.TagSite, m.TagBridge)).
			linked(m.TagDevice, toDevice()).units(m.TalkerMessages, "mps").units(m.TalkerBytes, "Bps").units(m.TalkerShare, "percentunit").sorted(m.TalkerMessages),
		table(8, "Births", "Devices by how often they sent a birth message in the time shown. Again and again: the device restarts, or its connection does not hold.", false,
			births.top(20, m.Count, m.TagDevice, "births")).linked(m.TagDevice, toDevice()),
	)
	d.row(8,
		lines(12, titleReprovisions, "short",
			"Attempts that were started, accepted by the broker, completed by the device, and failed. If failures persist, open a device from the table next to this panel, and check its answers.",
			reprovisions.overTime(call("sum", m.ReprovisionStarted, "started")).as("started"),
			reprovisions.overTime(call("sum", m.ReprovisionSent, "sent")).as("sent"),
			reprovisions.overTime(call("sum", m.ReprovisionDone, "done")).as("done"),
			reprovisions.overTime(call("sum", m.ReprovisionFailed, "failed")).as("failed")).bars(),
		table(12, "Reprovisions by reason",
			"The same in the time shown, by the reason that the model gives. A reason with many failures: its devices do not take new credentials.", false,
			reprovisions.inAll(sum(m.ReprovisionStarted)+", "+sum(m.ReprovisionDone)+", "+sum(m.ReprovisionFailed), m.TagReason).rows()),
	)
	d.section("Sequences and faults")
	d.row(8,
		lines(8, "Sequences matched by pattern", "short",
			"Matches of each pattern in each interval. A peak is one cause for many devices: filter by site.",
			sequences.overTime(call("sum", m.Count, "matched"), m.TagPattern).as("$tag_pattern")).bars().stacked(),
		table(8, "Devices with the most sequences",
			"Devices by the sequences that their model watches for and found. The same ones every day: look at the hardware.", false,
			sequences.top(20, m.Count, m.TagDevice, "sequences")).linked(m.TagDevice, toDevice()),
		table(8, "Faults of models",
			"Expressions that failed and actions that were refused, by device. Each is a fault of the model or of the worker's settings: the newest text is in the device's snapshot.", false,
			faults.top(20, m.Count, m.TagDevice, "faults")).linked(m.TagDevice, toDevice()).
			mayBeEmpty("a sound model has none"),
	)
	d.row(8,
		table(8, "Devices with the most faults",
			"Devices by how much they sent that had no effect, or not the effect that was meant. One alone: look at its dashboard. All of a model or a firmware: the model and the devices disagree about a message.", false,
			sentInVain.top(20, m.Count, m.TagDevice, "faults")).linked(m.TagDevice, toDevice()).
			mayBeEmpty("devices that are understood have none"),
		lines(16, "Faults by reason", "short",
			"The same over time, by reason. A new one after a release of firmware or of the model: see docs/operations.md, Faults of devices, for what it means.",
			sentInVain.overTime(call("sum", m.Count, "faults"), m.TagReason).as("$tag_reason")).bars().stacked().
			mayBeEmpty("devices that are understood have none"),
	)
	d.row(10, table(24, "Transitions",
		"The newest 200 of the devices, models, sites and states chosen. A device that comes up again and again: open it by its name.", true,
		entered.latest(200, m.TagDevice, m.TagModel, m.TagSite, m.TagFrom, m.TagTo, m.TagEvent, m.Count)).
		hide(m.Count).linked(m.TagDevice, toDevice()).stateColumns(m.TagFrom, m.TagTo))
	return d
}

// positions are the last ones that devices of the models chosen have reported.
func positions() query {
	last := func(field string) string { return call("last", field, field) }
	q := from{source: "/^$model$/", time: shown}.inAll(last("latitude")+", "+last("longitude")+", "+last("lat")+", "+last("lon"), m.TagDevice, m.TagModel)
	q.text += " SLIMIT 5000"
	return q.rows()
}
