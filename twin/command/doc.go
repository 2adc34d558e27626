// Package command keeps the queue of one device's commands: in order, one at a
// time, each until the device has completed it or its time to live is over.
//
//	added, superseded, refused := queue.Add(command.Command{ID: id, Name: "reboot", Created: now, Expires: now.Add(ttl)}, false, limits)
//	if c, ok := queue.Next(now); ok { // the device is online, and no command is under way
//		publish(c)
//	}
//	given, ok := queue.Exhaust(now, limits) // the device is back, and got the one under way often enough
//	ended, changed := queue.Acknowledge(id, command.Succeeded, result, "", now)
//	expired := queue.Expire(now)      // when queue.Deadline() has come
//
// # Pure
//
// There is no clock, no I/O and no goroutine here. Time comes in with every
// call, and the same calls give the same queue in any process. A [Queue] is JSON;
// it belongs to one goroutine.
//
// # Meaning
//
// A command waits, is sent, and ends. It ends by what the device acknowledges
// (succeeded, failed, rejected), which the service may say for a device that does not
// ([Queue.Await]), or by what the service decides (expired, cancelled, superseded, exhausted), once: of later acknowledgements the newest is kept at the
// command (Late), which stays as it ended. The status accepted ends nothing. The time to live counts from the creation and covers
// waiting, delivery and work.
//
// At most one command is sent and not ended. The next is the oldest that waits.
// [Queue.Again] returns the command under way once more, for a device that
// reconnected and may not have received it: a device has to ignore an id that it
// knows. A device that does not, and restarts over the command, would restart without
// end: [Queue.Exhaust] ends a command that was sent as often as it may be.
//
// # Bounds
//
// [Limits] bounds how many commands wait, and their bytes together. Of the ended
// the newest are kept, without their data, and what the device says of them is
// cut to 1,024 bytes (results) and 256 bytes (reasons).
package command
