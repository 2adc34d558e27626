// Package twin keeps a device's twin: its desired and its reported state, as
// documents of the device shadow protocol, which devices in the field already
// speak.
//
//	doc, answers, refused := twin.Update(doc, payload, now, limits)
//	if refused != nil {
//		publish("update/rejected", refused.Payload(now)) // doc is as it was
//	}
//	for _, m := range answers.Messages() { // delta, documents, accepted
//		publish(m.Topic, m.Payload)
//	}
//	changes := twin.ChangedPaths(before, doc) // for events of the state machine
//
// # Pure
//
// There is no clock, no I/O and no goroutine here. A [Document] is an immutable
// value: operations give a new one, and the two share what did not change. The
// same document, request and time give the same bytes in any process, also with
// another version of Go: the package writes its JSON itself, with sorted keys.
// The zero Document is a shadow that was never created.
//
// # Meaning
//
// A request is merged as in RFC 7396: objects key by key, null removes a key,
// anything else, arrays too, is replaced whole. An object whose last key was
// removed stays, empty; a section (desired, reported) without keys is removed. Each
// accepted update raises the version by one, whether it changes anything or not.
//
// The delta holds the keys of desired that reported lacks or has with another
// value; what only reported has never appears. Numbers are kept as they were written and
// compared by value, exactly: 1 equals 1.0, and 9007199254740993 does not equal
// 9007199254740992. Merged into reported, a delta makes reported equal to desired
// on all keys of desired.
//
// The time of each value is kept (seconds since 1970), one number for a whole
// subtree if all of it has the same time, and is written in the protocol's form: the
// shape of the state with {"timestamp":n} for each value, also in arrays.
//
// A shadow that was deleted leaves its version behind for [Limits].Tombstone (48
// hours); one that is created again within that time goes on counting. [Prune]
// forgets it.
//
// # Where the protocol leaves a choice
//
//   - A version in a request must be the current one (409). Of a shadow that was
//     deleted that is the version it had; of one that never existed, it is 1 (400).
//   - Levels of nesting are counted within a section: desired itself is the
//     first, objects and arrays below it count. 6 so accepts all that the open
//     engine accepts, which counts from state on, and 8 is the service's quota.
//   - delete takes any payload, and repeats the clientToken of one that has it:
//     clients wait for an answer with their token.
//   - update/documents of a new shadow has an empty document as previous.
//   - Numbers that no double can hold (1e400), null within arrays, and sections
//     other than desired, reported and delta are invalid nodes (400). [Rejection.Named]
//     says which node.
//   - Keys are taken as they are written; of a duplicate key, the last.
//
// # Bounds
//
// [Limits] bounds requests, documents, nesting and tokens. As JSON in storage a
// document has at most about four times Limits.Document; as an answer it can have
// more, since the protocol spends 26 bytes of metadata on each element of an
// array. Lists of paths are bounded by [ChangedPaths], and the work for a request
// grows with its size and the document's only.
package twin
