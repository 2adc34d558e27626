package plan

// splitLast is the path of the parent, and the key as it is written in a path: a dot in a key
// has a backslash before it.
func splitLast(path string) (parent, key string) {
	for i := len(path) - 1; i > 0; i-- {
		if path[i] != '.' {
			continue
		}
		escapes := 0
		for j := i - 1; j >= 0 && path[j] == '\\'; j-- {
			escapes++
		}
		if escapes%2 == 0 {
			return path[:i], path[i+1:]
		}
	}
	return "", path
}
