// Package recordlog keeps records on disk, in the order in which they were appended,
// until every reader has had them and as long afterwards as there is room.
//
//	l, err := recordlog.Open(recordlog.Config{Dir: dir, MaxBytes: 1 << 30}, nil)
//	end, err := l.Append(recordlog.Record{Kind: 1, At: now, Data: data})
//	err = l.Wait(ctx, end) // it survives kill -9 and a loss of power now
//
//	c, err := l.Cursor("points", recordlog.Loses)
//	changed := l.Changed()
//	entry, ok, err := c.TryNext() // or <-changed, if there is none
//	c.Commit(entry.End)
//
// Records are written and forced to the disk in groups: one goroutine writes what was
// appended while it wrote the group before. A position is the number of bytes before
// a record since the log began; it never falls, and files (segments) are named by the
// position of their first record.
//
// What is damaged is skipped and counted, and so is what a cursor loses. The half of a
// record at the end of the log, which a crash leaves there, is cut when it is opened.
// While the disk is full nothing is lost: Append returns ErrFull once its memory is
// full as well, and what it took is written when there is room again.
package recordlog
