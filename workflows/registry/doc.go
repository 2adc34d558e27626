// Package registry keeps the versions of models in Temporal: one workflow has the index, and
// one workflow for each version has its text.
//
//	model-registry       index, rules, audit: changed by the update "change"
//	model-text:<hash>    the text of one version, in its input; it does nothing
//
// The text of a version is read from the first event of its workflow's history, so that a
// worker that lacks a model gets it although no worker answers queries at that moment: it may be
// the only one, and busy with tasks that wait for the model.
//
// # Versions
//
// A version is immutable, and named by the hash of its model. Versions of one model are numbered
// from 1; numbers are not used again. What differs from a version only by what its hash leaves out,
// such as comments, is that version. The first version of a model is its default, on which
// new entities start, until another one is made the default.
//
// # Changes
//
// A Change carries who makes it, why, an idempotency key and the revision that it expects. It is
// made once for each key, of the last MaxDone. What is refused leaves no trace; what is made is
// in the audit, of the last MaxRecords.
//
// # Bridges and workers
//
// They ask for the index every few seconds, which costs a query for each process, however many
// devices there are. Until each of them has had the time to learn of a version (SettleTime),
// no device may start with it: a bridge must not leave out a message that only the new version
// reads. A version can be removed when no entity can start with it and none runs it.
//
// # Bounds
//
// See the constants of this package. The index has a few hundred bytes for each version; a
// run hands it to the next one compressed.
package registry
