// Package journal keeps what devices' statecharts took, and the result, in files: one JSON
// object a line, compressed by zstd. Other tools read them, too: zstd -dc FILE.
//
//	w, err := journal.Open(journal.Config{Dir: dir, MaxBytes: 1 << 30, MaxAge: 7 * 24 * time.Hour}, counts, log)
//	go w.Run(ctx)
//	w.Took(entry) // never waits; what there is no room for is counted
//
//	files, err := journal.Files(dir)
//	damage, err := journal.Read(ctx, files, keys, func(file int, line []byte) error { … })
//
// Any number of processes may write to one folder: each has files of its own. A file that is
// being written has .open behind its name, and is locked: one that is not is of a process that was
// killed.
//
// A file is a row of zstd frames, of up to a second or 256 KiB of lines each. In front of each of
// them is a skippable frame with its size, so that one that was cut is known as such: a process
// that is killed loses what it has not written for at most a second, and nothing else. With keys,
// each frame is encrypted, and in a skippable frame as a whole: tools that have no keys read a file
// without contents. The lines are those of package devicefsm/replay.
package journal
