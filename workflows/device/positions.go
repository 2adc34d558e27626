package device

import (
	"slices"

	"devicetwin/device"
)

// keptLogs bounds those of Delivery.Logs that are bridges' own. Such a log has a new name from
// each start of its bridge on, so these are the last starts of the bridges that delivered
// something to the device.
const keptLogs = 4

// keptSharedLogs bounds those that several bridges read. They keep their names, and an entity
// is on every partition of a topic whose records have something else as the key, such as an order
// of a customer. Each is up to 75 bytes of the state, so all of them are less than 10 KB. An
// entity on more partitions is still safe from what a crash or a rebalance delivers again, unless
// it has had records on so many others since.
const keptSharedLogs = 128

// LogPosition is how far a log was delivered: see device.Batch.
type LogPosition struct {
	Log string `json:"log"`
	Pos int64  `json:"pos"` // of the last message
}

// keptAggregators bounds Delivery.Aggregators. An aggregator has a new name only if it was
// ended and started again.
const keptAggregators = 128

// delivered reports whether a log delivered a position before, and remembers it if not, by what
// the run keeps. A log that is used is not the next to be forgotten.
func (d *Delivery) delivered(log string, pos int64, k kept) bool {
	switch {
	case k.SharedLogs == 0:
		return deliveredOf(&d.Logs, log, pos, keptLogs, func(string) bool { return true })
	case device.SharedLog(log):
		return deliveredOf(&d.Logs, log, pos, k.SharedLogs, device.SharedLog)
	}
	return deliveredOf(&d.Logs, log, pos, keptLogs, func(other string) bool { return !device.SharedLog(other) })
}

// deliveredOf keeps so many of the logs that are alike.
func deliveredOf(logs *[]LogPosition, log string, pos int64, keep int, alike func(log string) bool) bool {
	if pos <= 0 || log == "" || len(log) > device.MaxLogName {
		return false
	}
	last := LogPosition{Log: log}
	at := slices.IndexFunc(*logs, func(l LogPosition) bool { return l.Log == log })
	if at >= 0 {
		last = (*logs)[at]
		*logs = slices.Delete(*logs, at, at+1)
	}
	again := pos <= last.Pos
	last.Pos = max(last.Pos, pos)
	*logs = append(*logs, last)
	if at < 0 {
		forgetFirst(logs, keep, alike)
	}
	return again
}

// forgetFirst forgets the first of the logs that are alike, beyond those that are kept.
func forgetFirst(logs *[]LogPosition, keep int, alike func(log string) bool) {
	surplus := -keep
	for _, l := range *logs {
		if alike(l.Log) {
			surplus++
		}
	}
	*logs = slices.DeleteFunc(*logs, func(l LogPosition) bool {
		if surplus <= 0 || !alike(l.Log) {
			return false
		}
		surplus--
		return true
	})
}

// deliveredAgain reports whether a message was delivered by its log before. It is counted
// then, and nothing else: what it says of messages before it was applied with it the first
// time, and it does not show that the device is up now.
func (d *run) deliveredAgain(log string, m device.Message) bool {
	again := false
	switch {
	case m.Channel == device.ChannelMembers:
		again = deliveredOf(&d.state.Delivery.Aggregators, log, m.Pos, keptAggregators, func(string) bool { return true })
	case d.follows(rulesLog):
		again = d.state.Delivery.delivered(log, m.Pos, d.settings.Kept)
	}
	if !again {
		return false
	}
	d.state.Delivery.Duplicates++
	return true
}
