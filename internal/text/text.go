// Package text has what is done to strings in several packages, and how values are written for people.
package text

import "strings"

// Clip shortens what came from outside to n bytes, before it goes into a log or
// an error, and keeps it valid UTF-8. What was cut off is replaced by "…".
func Clip(s string, n int) string {
	if len(s) <= n {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
