package source

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing that is wrong in a file. Line and Column count from 1, the
// column in characters; both are 0 when the fault has no place.
type Fault struct {
	File    string
	Line    int
	Column  int
	Message string // the error, and what was expected
	Hint    string // what might have been meant; may be empty
	Excerpt string // the offending line
}

// String is the fault on one line: file:line:column: message (hint).
func (f Fault) String() string {
	s := f.File
	if f.Line > 0 {
		s = fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
	}
	s += ": " + f.Message
	if f.Hint != "" {
		s += " (" + f.Hint + ")"
	}
	return s
}

// Faults is every error in a file, in the order of its lines. It
// is an error; get it out of a wrapped one with errors.As.
type Faults []Fault

// Error is one line for each fault, each as String writes it.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// Pretty is for people to read: each fault with the offending line and a mark
// under its column.
func (fs Faults) Pretty() string {
	var b strings.Builder
	for _, f := range fs {
		b.WriteString(f.String())
		b.WriteByte('\n')
		if f.Excerpt != "" {
			gutter := fmt.Sprintf("%5d | ", f.Line)
			fmt.Fprintf(&b, "%s%s\n", gutter, f.Excerpt)
			if f.Column > 0 {
				fmt.Fprintf(&b, "%s^\n", strings.Repeat(" ", len(gutter)+f.Column-1))
			}
		}
	}
	return b.String()
}

func (fs Faults) sorted() Faults {
	out := slices.Clone(fs)
	slices.SortStableFunc(out, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(out)
}

// DidYouMean is a hint that names the candidate nearest to got, or "" if none is
// near enough to have been meant.
func DidYouMean(got string, candidates []string) string {
	best, distance := "", len(got)/3+2
	for _, c := range candidates {
		if d := editDistance(got, c); d < distance || d == distance && best != "" && c < best {
			best, distance = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// editDistance is the Levenshtein distance in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := diagonal
			if a[i-1] != b[j-1] {
				change++
			}
			diagonal = row[j]
			row[j] = min(change, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
