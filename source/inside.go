package source

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// FaultInside notes a fault in the text that stands here, the given number of
// characters after its beginning. In a text of several lines, or one with
// escapes before the place, the mark is at the beginning of the text.
func (n Node) FaultInside(offset int, hint, format string, args ...any) {
	line, column := n.Position()
	if n.file == nil || line == 0 {
		return
	}
	excerpt := n.file.line(line)
	if s, ok := n.node.(*ast.StringNode); ok {
		start := column
		if t := s.GetToken().Type; t == token.SingleQuoteType || t == token.DoubleQuoteType {
			start++
		}
		if textAt(excerpt, start, s.Value, offset) {
			column = start + offset
		}
	}
	n.file.faults = append(n.file.faults, Fault{
		File: n.file.Name, Line: line, Column: column,
		Message: fmt.Sprintf(format, args...), Hint: hint, Excerpt: excerpt,
	})
}

// textAt reports whether the line has the text, as far as offset, at a column.
func textAt(line string, column int, text string, offset int) bool {
	have, want := []rune(line), []rune(text)
	from := column - 1
	if offset < 0 || offset > len(want) || from < 0 || from+offset > len(have) {
		return false
	}
	return string(have[from:from+offset]) == string(want[:offset])
}
