package source

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// Node is a value at its place in a file. The zero Node is an absent value: it
// reads as zero and notes no faults, so that optional keys need no check.
type Node struct {
	file *File
	node ast.Node
}

// Entry is a key of a mapping with its value.
type Entry struct {
	Key   string
	KeyAt Node
	Value Node
}

// Exists reports whether there is a value here, null included.
func (n Node) Exists() bool { return n.node != nil }

// Position is line and column, counted from 1; both are 0 for an absent value.
func (n Node) Position() (line, column int) {
	if n.node == nil {
		return 0, 0
	}
	// A mapping's own token is its first colon; its place is its first key.
	if m, ok := n.node.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return position(m.Values[0].Key)
	}
	if m, ok := n.node.(*ast.MappingValueNode); ok {
		return position(m.Key)
	}
	return position(n.node)
}

func position(n ast.Node) (line, column int) {
	tk := n.GetToken()
	if tk == nil || tk.Position == nil {
		return 0, 0
	}
	return tk.Position.Line, tk.Position.Column
}

// Faultf notes a fault at this place.
func (n Node) Faultf(format string, args ...any) { n.FaultHint("", format, args...) }

// FaultHint notes a fault at this place with a hint for the author.
func (n Node) FaultHint(hint, format string, args ...any) {
	if n.file == nil {
		return
	}
	line, column := n.Position()
	n.file.faults = append(n.file.faults, Fault{
		File: n.file.Name, Line: line, Column: column,
		Message: fmt.Sprintf(format, args...), Hint: hint, Excerpt: n.file.line(line),
	})
}

// FaultInside notes a fault within the string here, the given number of
// characters after its beginning. In a string of several lines, or one with
// escapes before that place, the mark is at the beginning of the string.
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
		if stringAt(excerpt, start, s.Value, offset) {
			column = start + offset
		}
	}
	n.file.faults = append(n.file.faults, Fault{
		File: n.file.Name, Line: line, Column: column,
		Message: fmt.Sprintf(format, args...), Hint: hint, Excerpt: excerpt,
	})
}

// stringAt reports whether the line has the string, as far as offset, at a column.
func stringAt(line string, column int, s string, offset int) bool {
	have, want := []rune(line), []rune(s)
	from := column - 1
	if offset < 0 || offset > len(want) || from < 0 || from+offset > len(have) {
		return false
	}
	return string(have[from:from+offset]) == string(want[:offset])
}

// Kind names what is here, for messages: "a mapping", "a list", "a string",
// "a number", "true or false", "null", or "nothing".
func (n Node) Kind() string {
	switch n.node.(type) {
	case nil:
		return "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode, *ast.LiteralNode:
		return "a string"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	case *ast.NullNode:
		return "null"
	}
	return n.node.Type().String()
}

// IsMap, IsList, IsString and IsNull report what is here.
func (n Node) IsMap() bool    { return n.Kind() == "a mapping" }
func (n Node) IsList() bool   { return n.Kind() == "a list" }
func (n Node) IsString() bool { return n.Kind() == "a string" }
func (n Node) IsNull() bool   { return n.Kind() == "null" }

func (n Node) expected(what string) {
	if n.node != nil {
		n.Faultf("expected %s, found %s", what, n.Kind())
	}
}

// Entries are the keys of a mapping in document order; null has none. A duplicate
// key is a fault, and so is anything else than a mapping.
func (n Node) Entries() []Entry {
	var values []*ast.MappingValueNode
	switch m := n.node.(type) {
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	case *ast.NullNode:
		return nil
	default:
		n.expected("a mapping")
		return nil
	}
	entries := make([]Entry, 0, len(values))
	seen := map[string]bool{}
	for _, v := range values {
		if v.Key.IsMergeKey() {
			n.file.at(v.Key).Faultf("merge keys (<<) are not supported; write the keys out")
			continue
		}
		e := Entry{Key: v.Key.GetToken().Value, KeyAt: n.file.at(v.Key), Value: n.file.at(v.Value)}
		if seen[e.Key] {
			e.KeyAt.Faultf("duplicate key %q", e.Key)
			continue
		}
		seen[e.Key] = true
		entries = append(entries, e)
	}
	return entries
}

// Fields are the values of a mapping whose keys are known beforehand; any other
// key is a fault, with the nearest known key as the hint.
func (n Node) Fields(known ...string) map[string]Node {
	fields := map[string]Node{}
	for _, e := range n.Entries() {
		if !slices.Contains(known, e.Key) {
			e.KeyAt.FaultHint(DidYouMean(e.Key, known), "unknown key %q; expected one of %s", e.Key, strings.Join(known, ", "))
			continue
		}
		fields[e.Key] = e.Value
	}
	return fields
}

// Require notes a fault at this mapping for each key that is absent from fields. Where there is something else
// than a mapping, Fields did.
func (n Node) Require(fields map[string]Node, keys ...string) {
	if n.Exists() && !n.IsMap() && !n.IsNull() {
		return
	}
	for _, k := range keys {
		if !fields[k].Exists() {
			n.Faultf("key %q is missing", k)
		}
	}
}

// List is the elements of a list; anything else, null included, is a fault.
func (n Node) List() []Node {
	s, ok := n.node.(*ast.SequenceNode)
	if !ok {
		n.expected("a list")
		return nil
	}
	nodes := make([]Node, len(s.Values))
	for i, v := range s.Values {
		nodes[i] = n.file.at(v)
	}
	return nodes
}

// OneOrList is the elements of a list, or the one value that is there instead.
func (n Node) OneOrList() []Node {
	if n.IsList() {
		return n.List()
	}
	if !n.Exists() {
		return nil
	}
	return []Node{n}
}
