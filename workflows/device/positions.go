package device

import (
	"slices"

	"devicetwin/device"
)

// keptLogs bounds Delivery.Logs. A log has a new name from each start of its bridge on, so
// these are the last starts of the bridges that delivered something to the device.
const keptLogs = 4

// LogPosition is how far a log was delivered: see device.Batch.
type LogPosition struct {
	Log string `json:"log"`
	Pos int64  `json:"pos"` // of the last message
}

// keptAggregators bounds Delivery.Aggregators. An aggregator has a new name only if it was
// ended and started again.
const keptAggregators = 128

// delivered reports whether a log delivered a position before, and remembers it if not.
// A log that is used is not the next to be forgotten.
func (d *Delivery) delivered(log string, pos int64) bool {
	return deliveredOf(&d.Logs, keptLogs, log, pos)
}

func deliveredOf(logs *[]LogPosition, keep int, log string, pos int64) bool {
	if pos <= 0 || log == "" || len(log) > device.MaxLogName {
		return false
	}
	last := LogPosition{Log: log}
	if at := slices.IndexFunc(*logs, func(l LogPosition) bool { return l.Log == log }); at >= 0 {
		last = (*logs)[at]
		*logs = slices.Delete(*logs, at, at+1)
	}
	again := pos <= last.Pos
	last.Pos = max(last.Pos, pos)
	*logs = append(*logs, last)
	*logs = (*logs)[max(0, len(*logs)-keep):]
	return again
}

// deliveredAgain reports whether a message was delivered by its log before. It is counted
// then, and nothing else: what it says of messages before it was applied with it the first
// time, and it does not show that the device is up now.
func (d *run) deliveredAgain(log string, m device.Message) bool {
	again := false
	switch {
	case m.Channel == device.ChannelMembers:
		again = deliveredOf(&d.state.Delivery.Aggregators, keptAggregators, log, m.Pos)
	case d.follows(rulesLog):
		again = d.state.Delivery.delivered(log, m.Pos)
	}
	if !again {
		return false
	}
	d.state.Delivery.Duplicates++
	return true
}
