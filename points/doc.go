// Package points writes time series to InfluxDB (1.8, 2 or 3) in the background.
//
// # What a caller sees
//
// Writer.Write may be called from any goroutine and never blocks. It
// cannot fail: whether a point was written shows in the metrics
// devicetwin_influx_… (Writer.Metric), and in the log.
//
// # Ordering and retries
//
// Points go out in batches, in the order in which they were given. A batch that
// could not be written is tried again, with growing pauses, until it is; those
// after it wait. A batch that InfluxDB rejects permanently is not: if only some
// of its points are bad, the others are written, and a value whose field has another
// type in the database goes under a name of its own. A batch may be written more
// than once; as its points keep the time that they were given, that changes
// nothing.
//
// # Bounds
//
// Points wait in a log on disk if there is one (Deps.Log, package recordlog), else in
// memory. Either is bounded in bytes; beyond that the oldest points are dropped, counted
// and logged.
//
// With a log, every batch is put there before it is sent: the end of the process, and a
// loss of power, by whatever cause, lose at most the points of the last
// Config.FlushEvery. A Writer reads the log with a cursor of its own, and writes what it
// finds there in order: its own batches (KindLines), and the readings in records that
// somebody else appended (Deps.Readings), which are as safe as these. What was being
// written when the process ended is written again.
//
// While the log is not accepting points, because its disk or the log is full, they go to
// InfluxDB from memory. What the log had accepted and could not write follows when it
// can, and so after newer ones.
package points
