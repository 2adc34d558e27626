// Package aggregate is a Temporal workflow to which many workflows report what is for one: it
// passes on what they report in batches, in the order of each of them and exactly once.
//
//	reporter --report--> aggregator --batches--> receiver
//
// It knows nothing of what is reported: values are JSON, and who receives them is in the
// input with which its first signal starts it. So does the receiver start with the first
// batch.
//
// # Exactly once
//
// A reporter numbers its reports, keeps them until a signal with them is accepted, and may
// signal them again; its numbers rise within an epoch, which is the time at which its
// numbering began. The aggregator keeps the last number of each reporter, and drops what is
// not above it. Its own values have positions, which rise by one within a log: the name of
// this life of the aggregator. The receiver keeps the last position of each log.
//
// # Bounds
//
// After a batch, the next one waits for Linger: the receiver gets at most one signal a second of
// each of its aggregators. An aggregator knows the numbers of MaxReporters; of more, it forgets
// those that reported longest ago. While MaxWaiting bytes wait for the receiver, it leaves
// further signals in Temporal, which keeps at most 10,000 of them; the others wait with the
// reporters.
package aggregate
