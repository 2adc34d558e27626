// Package command keeps the commands of one device: in order, one at a time,
// each until the device has answered it or its time is over.
//
//	added, superseded, refused := queue.Add(command.Command{ID: id, Name: "reboot", Created: now, Expires: now.Add(ttl)}, false, limits)
//	if c, ok := queue.Next(now); ok { // the device is there, and none is under way
//		publish(c)
//	}
//	ended, changed := queue.Answer(id, command.Succeeded, result, "", now)
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
// A command waits, is sent, and ends. It ends by what the device answers
// (succeeded, failed, rejected) or by what the service decides (expired,
// cancelled, superseded), once: what comes later changes nothing. The answer
// accepted ends nothing. The time to live counts from the creation and covers
// waiting, delivery and work.
//
// At most one command is sent and not ended. The next is the oldest that waits.
// [Queue.Again] gives the command under way once more, for a device that came
// back and may not have received it: a device has to ignore an id that it knows.
//
// # Bounds
//
// [Limits] bounds how many commands wait, and their bytes together. Of the ended
// the newest are kept, without their data, and what the device says of them is
// clipped.
package command
