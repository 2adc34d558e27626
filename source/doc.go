// Package source reads YAML and JSON files so that every fault in them can be
// reported at once, each with its place.
//
// A decoder into Go structs stops at the first fault, or forgets where a value
// was. Here the reader of a file walks its nodes and asks each for what it
// expects; every error is noted on the file, with line, column and a hint,
// and a zero value comes back so that the walk goes on. At the end, [File.Err]
// returns all of it as [Faults]:
//
//	f := source.Parse("pump.yaml", src)
//	fields := f.Root().Fields("model", "states")
//	name := fields["model"].String()
//	if err := f.Err(); err != nil { … } // a source.Faults
//
// A File and its Nodes belong to one goroutine.
//
// # Bounds
//
// Brackets, and lists that begin on one line, are nested at most 1,000 deep, and
// aliases are followed at most 10,000 times in one file. What is beyond is a
// fault.
package source
