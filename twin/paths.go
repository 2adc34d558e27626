package twin

import (
	"slices"
	"strings"
)

// Changes are the paths at which two documents differ, sorted: keys joined by
// dots, as expressions write them, with \ before a dot or a \ within a key. An
// array is one value.
type Changes struct {
	Desired  []string `json:"desired,omitempty"`
	Reported []string `json:"reported,omitempty"`
}

// ChangedPaths compares the values of two documents; a change of a time alone does
// not count. Where an object came or went, the paths are those of the values in it.
// If the paths of a section have more than 4,096 bytes together, its top-level
// keys stand for what is below them.
func ChangedPaths(before, after Document) Changes {
	return Changes{
		Desired:  changed(before.desired, after.desired),
		Reported: changed(before.reported, after.reported),
	}
}

// DeltaPaths are the paths of the desired values that are not reported, sorted, and
// bounded as those of ChangedPaths.
func DeltaPaths(doc Document) []string {
	delta, _ := doc.delta()
	return changed(section{}, section{value: delta})
}

// Diverged are those of the given paths, in desired, at which the device has not
// converged: the delta has them, or something above or below them.
func Diverged(doc Document, paths []string) []string {
	open := DeltaPaths(doc)
	var out []string
	for _, p := range paths {
		if slices.ContainsFunc(open, func(q string) bool { return covers(p, q) || covers(q, p) }) {
			out = append(out, p)
		}
	}
	return out
}

// covers reports whether path is parent or below it.
func covers(parent, path string) bool {
	rest, ok := strings.CutPrefix(path, parent)
	return ok && (rest == "" || rest[0] == '.')
}

// maxPathText bounds the paths of one section, in bytes.
const maxPathText = 4096

var keyEscaper = strings.NewReplacer(`\`, `\\`, `.`, `\.`)

func escapeKey(key string) string { return keyEscaper.Replace(key) }

// pathList collects until it is full.
type pathList struct {
	paths []string
	bytes int // of all paths
}

func (l *pathList) full() bool { return l.bytes > maxPathText }

func (l *pathList) add(path string) {
	l.paths = append(l.paths, path)
	l.bytes += len(path)
}

func changed(before, after section) []string {
	var l pathList
	for _, k := range keysOfBoth(before.value, after.value) {
		l.compare(escapeKey(k), before.value[k], after.value[k])
	}
	if l.full() {
		l = pathList{}
		for _, k := range keysOfBoth(before.value, after.value) {
			a, b := before.value[k], after.value[k]
			if a == nil || b == nil || !equal(a, b) {
				l.add(escapeKey(k))
			}
		}
	}
	slices.Sort(l.paths)
	return l.paths
}

// compare adds the paths at and below one path. No stored value is null, so nil
// means that there is no value.
func (l *pathList) compare(path string, a, b any) {
	if l.full() {
		return
	}
	x, before := a.(object)
	y, after := b.(object)
	switch {
	case before && after:
		for _, k := range keysOfBoth(x, y) {
			l.compare(path+"."+escapeKey(k), x[k], y[k])
		}
	case !before && !after:
		if !equal(a, b) {
			l.add(path)
		}
	default:
		if a != nil && b != nil || len(x)+len(y) == 0 {
			l.add(path) // a value on one side, or an object with nothing to name
		}
		for _, k := range keysOfBoth(x, y) {
			l.compare(path+"."+escapeKey(k), x[k], y[k])
		}
	}
}

func keysOfBoth(a, b object) []string {
	keys := append(sortedKeys(a), sortedKeys(b)...)
	slices.Sort(keys)
	return slices.Compact(keys)
}
