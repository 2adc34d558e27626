// Package kafka carries records of Kafka to the workflows of the entities that they are of.
//
// # The path of a record
//
// A Source is a member of a consumer group. Each partition that it has is a lane of
// bridge/ingest, with a goroutine that decodes its records by dialects (wire/dialect.Records)
// and hands them over. A partition that takes nothing more, because its lane is full, is
// paused, and the others flow.
//
// # What is promised
//
// An offset is committed only when everything that follows from the records before it is
// durable in Temporal, or is written to the topic of dead letters, or when nothing has to
// be. A record has its place in the log of its partition as a position in its entity's workflow, which drops
// what is not above the last one: so each is applied once, in the order of its partition, over
// rebalances, crashes and resets of offsets (docs/adr/0081).
//
// What was fetched before a partition was lost is not handed over any more, also if the partition comes
// straight back.
//
// # What is reported
//
// The first record after each assignment is compared with the offset that the group had
// committed. Records that are gone, because the topic keeps them no longer, it was deleted and made
// again, or its log was cut, stop the partition or are passed over, as Config.GoOn says; both are
// logged and counted. Ready is an error while a partition is stopped, or has records and does
// not move, also if no record of it is fetched: the brokers are asked where partitions end, and which
// topics are gone (watch.go).
//
// # Records that are written
//
// A Producer writes what workflows decided, each record with an id by which readers drop repetitions
// (docs/adr/0086). It shares nothing with a Source but how brokers are reached.
package kafka
