// Package dialect reads what devices say that were not made for this service: a [Dialect] is a
// file that says which devices topics are of, and what payloads mean. Package
// dialects has those that come with the program, and docs/dialects.md describes the file.
//
// # From a message to messages
//
// A [Set] is the standard dialect and others. Of a message that is published, it decodes
// in this order:
//
//   - The topic. What is the standard dialect's, or the service's own, is never another
//     dialect's. Else the most exact template that matches decides (topic.go, exact.go,
//     routes.go): one message has one rule, whatever the order of files and in them. A topic
//     that no template has may be one that was learned from discovery messages (discovered.go,
//     package wire/discovery): that is all that a set keeps.
//   - The payload, by one of the formats of package wire/format. JSON that is the data of a
//     message as it came is not decoded at all, only checked (payload.go).
//   - The messages that the rule makes: none, one, or one for each element of a list, each of a
//     device of its own (message.go). What is computed is CEL (formula.go): data, conditions,
//     ids, times and numbers. What reads a member that is not there gives nothing; any other
//     failure refuses what was published as a whole, because half of it would leave no trace
//     of the other half.
//   - Of the messages those of devices that are wire.Config.Mine.
//
// The result is the same for the same bytes, in another process and another order of
// devices too: what is delivered again has to be recognized (wire.Received.Identify).
//
// # Ids
//
// An id of a device can be read back into the variables that it was made of (id.go), so that no two
// devices get one id, and commands can find the topic of a device.
//
// # What is sent
//
// A message says at which [device.Address] its device is reached (address.go): in which dialect, by which
// template of ids, and the variables that its topics have and its id does not say. Of that and a
// command, a desired property or a birth, a [Set] writes publications (encode.go, sending.go) by the first
// entry of the file that takes it (outgoing.go).
//
// Nothing that a variable stands for makes another topic than the template means: the same
// variables are read from the topic again, or it is refused. A topic that is read as a message of a
// device is not sent to, because a subscription may bring it back (echo.go).
//
// # Files
//
// [Load] finds all faults of a file at once, each with its place (load.go, load_message.go).
// Samples say what messages mean and what is sent ([LoadSamples]); they are the tests of a dialect, for
// those who have the devices.
package dialect
