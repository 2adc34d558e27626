package devicefsm

import "strings"

// A path names a state by the keys from below the root, joined with dots. A dot in a key is
// written `\.`, as in XState, where `c\.d.e` is the state e inside of `c.d`. A backslash
// stands for itself, except before a dot, before another one and at the end of a key,
// where it is escaped, too.

// escapeKey is a key as it is written in a path.
func escapeKey(key string) string {
	if !strings.ContainsAny(key, `.\`) {
		return key
	}
	var b strings.Builder
	for i := range len(key) {
		if key[i] == '.' || key[i] == '\\' && (i+1 == len(key) || key[i+1] == '.' || key[i+1] == '\\') {
			b.WriteByte('\\')
		}
		b.WriteByte(key[i])
	}
	return b.String()
}

// pathBelow is the path of a key, or of a path, below another one.
func pathBelow(path, below string) string {
	if path == "" {
		return below
	}
	return path + "." + below
}

// canonicalPath is a path in the one spelling that the model has of it: a file may escape
// each backslash.
func canonicalPath(path string) string {
	if !strings.Contains(path, `\`) {
		return path
	}
	return joinKeys(splitPath(path))
}

// joinKeys is the path of keys, each below the one before.
func joinKeys(keys []string) string {
	escaped := make([]string, len(keys))
	for i, key := range keys {
		escaped[i] = escapeKey(key)
	}
	return strings.Join(escaped, ".")
}

// splitPath is the keys of a path.
func splitPath(path string) []string {
	var keys []string
	var key strings.Builder
	for i := 0; i < len(path); i++ {
		switch {
		case path[i] == '.':
			keys = append(keys, key.String())
			key.Reset()
			continue
		case path[i] == '\\' && i+1 < len(path) && (path[i+1] == '.' || path[i+1] == '\\'):
			i++
		}
		key.WriteByte(path[i])
	}
	return append(keys, key.String())
}
