package process

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Match reports whether a name matches one of the patterns, which are those of
// path.Match.
func Match(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, _ := path.Match(pattern, name)
		return ok
	})
}

// CheckPatterns refuses a pattern that none of the names matches; kind is what the
// names are of, in the singular.
func CheckPatterns(kind string, patterns, names []string) error {
	for _, pattern := range patterns {
		if !slices.ContainsFunc(names, func(name string) bool { return Match([]string{pattern}, name) }) {
			return fmt.Errorf("no %s is called %q: expected some of %s", kind, pattern, strings.Join(names, ", "))
		}
	}
	return nil
}
