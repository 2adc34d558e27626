// Package source reads YAML and JSON files so that every fault in them can be
// told at once, each with its place.
//
// A decoder into Go structs stops at the first fault, or forgets where a value
// stood. Here the reader of a file walks its nodes and asks each for what it
// expects; what is wrong is noted on the file, with line, column and a hint,
// and a zero value comes back so that the walk goes on. At the end, Err tells
// all of it:
//
//	f := source.Parse("pump.yaml", src)
//	root := f.Root()
//	fields := root.Fields("model", "states")
//	name := fields["model"].String()
//	if err := f.Err(); err != nil { … }
//
// A File and its Nodes belong to one goroutine.
package source
