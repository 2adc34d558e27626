package format

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"devicetwin/internal/text"
)

// fault is what is wrong at a place of a payload, or of a value that is encoded.
type fault struct {
	place string   // such as "byte 12"; "": the path alone says where
	path  []string // from the inside to the outside: .name or [3]
	err   error
}

// maxPath bounds the path in an error, in bytes.
const maxPath = 160

// Error is the place, the path and what is wrong there, on one line.
func (f *fault) Error() string {
	var where []string
	if f.place != "" {
		where = append(where, f.place)
	}
	if len(f.path) > 0 {
		steps := slices.Clone(f.path)
		slices.Reverse(steps)
		where = append(where, text.Clip(strings.TrimPrefix(strings.Join(steps, ""), "."), maxPath))
	}
	if len(where) == 0 {
		return f.err.Error()
	}
	return strings.Join(where, ", ") + ": " + f.err.Error()
}

// Unwrap is the error without its place.
func (f *fault) Unwrap() error { return f.err }

func faultAt(place, format string, args ...any) error {
	return &fault{place: place, err: fmt.Errorf(format, args...)}
}

// byteAt is a place as a number of bytes from the beginning.
func byteAt(offset int) string { return "byte " + strconv.Itoa(offset) }

// lineAt is a place of a document that people read: lines and columns count from 1, columns are bytes.
func lineAt(payload []byte, offset int) string {
	before := string(payload[:min(max(offset, 0), len(payload))])
	line := 1 + strings.Count(before, "\n")
	column := len(before) - strings.LastIndexByte(before, '\n')
	return fmt.Sprintf("line %d, column %d", line, column)
}

// inMember says of an error that it is in a member of an object.
func inMember(err error, name string) error {
	if !plainName(name) {
		return inStep(err, "["+strconv.Quote(text.Clip(name, 40))+"]")
	}
	return inStep(err, "."+name)
}

// inElement says of an error that it is in an element of an array, which count from 0.
func inElement(err error, index int) error { return inStep(err, "["+strconv.Itoa(index)+"]") }

func inStep(err error, step string) error {
	var f *fault
	if !errors.As(err, &f) {
		f = &fault{err: err}
	}
	f.path = append(f.path, step)
	return f
}

// plainName reports whether a name is clear in a path without quotes.
func plainName(name string) bool {
	for _, c := range name {
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return 0 < len(name) && len(name) <= 40
}
