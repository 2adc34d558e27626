package main

import m "devicetwin/internal/measure"

// noAlarms is why a panel may be empty.
const noAlarms = "only models with alarms have any"

func groups() *dashboard {
	d := newDashboard("groups", "Groups", "Groups of devices, such as sites: their alarms and their states.", "now-6h")
	d.choose(m.TagModel, "Model", "Models that have alarms", tagValues(m.TagModel, m.Alarms), true)
	d.choose(m.TagAlarm, "Alarm", "Names of the models' alarms", tagValues(m.TagAlarm, m.Alarms), true)
	d.choose(m.TagDevice, "Group", "Id of the group", tagValues(m.TagDevice, m.Alarms)+" LIMIT 5000", true)
	alarms := of(m.Alarms, matches(m.TagModel, m.TagAlarm, m.TagDevice)...)
	transitions := of(m.Transitions, matches(m.TagModel, m.TagDevice)...)

	d.row(4,
		stat(8, "Alarms raised", "short", "In the time shown. Many at once: they have something in common that no alarm of the model explains yet.",
			alarms.inAll(call("sum", m.AlarmRaised, "raised"))).unless("0"),
		stat(8, "Alarms ended", "short", "In the time shown. Fewer than were raised: the others last, or ended before.",
			alarms.inAll(call("sum", m.AlarmEnded, "ended"))).unless("0"),
		stat(8, "Longest alarm", "s", "Of those that ended in the time shown. What lasts is not among them: see the table of the newest.",
			alarms.inAll(call("max", m.AlarmSeconds, "seconds"))).unless("none ended"),
	)
	d.row(8,
		lines(12, "Alarms raised by alarm", "short", "In each interval. A peak of one alarm: look for a cause at that time, in the table by group.",
			alarms.overTime(call("sum", m.AlarmRaised, "raised"), m.TagAlarm).as("$tag_alarm")).bars().stacked().mayBeEmpty(noAlarms),
		table(12, "Groups with the most alarms", "Groups by the alarms that were raised in the time shown. The same ones every day: look at what their members share, such as the gateway.", false,
			alarms.top(20, m.AlarmRaised, m.TagDevice, "alarms")).mayBeEmpty(noAlarms),
	)
	d.row(10,
		table(24, "Newest alarms", "The newest 200 that were raised or ended, with what they are of and how long they lasted. Raised and not ended: somebody should look at that member.", true,
			alarms.latest(200, m.TagDevice, m.TagAlarm, m.AlarmKey, m.AlarmRaised, m.AlarmEnded, m.AlarmSeconds)).units(m.AlarmSeconds, "s").mayBeEmpty(noAlarms),
	)
	d.row(8,
		table(24, "States of groups", "The newest 200 changes of state. A group that changes in short turns: give its alarms a longer settle time.", true,
			transitions.latest(200, m.TagDevice, m.TagFrom, m.TagTo, m.TagEvent, m.Count)).hide(m.Count).stateColumns(m.TagFrom, m.TagTo).mayBeEmpty(noAlarms),
	)
	return d
}
