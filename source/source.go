package source

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxAliases bounds how often aliases are followed in one file.
const maxAliases = 10_000

// File is a parsed file and the faults found in it so far.
type File struct {
	Name    string
	lines   []string
	root    ast.Node
	anchors map[string]ast.Node
	aliases int // followed so far
	faults  Faults
}

// Parse reads YAML, and therefore also JSON. Syntax errors are noted as faults;
// the file can be walked all the same, and is then empty.
func Parse(name string, src []byte) *File {
	f := &File{Name: name, lines: strings.Split(string(src), "\n"), anchors: map[string]ast.Node{}}
	if line := tooDeep(src); line > 0 {
		f.faults = append(f.faults, Fault{File: name, Line: line, Column: 1, Message: "nested too deep"})
		return f
	}
	parsed, err := parser.ParseBytes(src, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		f.syntaxError(err)
		return f
	}
	bodies := 0
	for _, d := range parsed.Docs {
		if d.Body == nil {
			continue
		}
		if bodies++; bodies > 1 {
			f.At(d.Body).Faultf("a second document; one file holds one document")
			break
		}
		f.root = d.Body
	}
	return f
}

func (f *File) syntaxError(err error) {
	fault := Fault{File: f.Name, Message: err.Error()}
	if ye, ok := err.(yaml.Error); ok {
		fault.Message = ye.GetMessage()
		if tk := ye.GetToken(); tk != nil && tk.Position != nil {
			fault.Line, fault.Column = tk.Position.Line, tk.Position.Column
			fault.Excerpt = f.line(fault.Line)
		}
	}
	f.faults = append(f.faults, fault)
}

func (f *File) line(n int) string {
	if n < 1 || n > len(f.lines) {
		return ""
	}
	return strings.TrimRight(f.lines[n-1], "\r")
}

// Root is the whole document. Of an empty or broken file it is the zero Node
// with the file's name.
func (f *File) Root() Node { return f.At(f.root) }

// At wraps a syntax node of this file.
func (f *File) At(n ast.Node) Node { return Node{file: f, node: f.resolve(n)} }

// Err is nil, or the Faults noted so far, by line.
func (f *File) Err() error {
	if len(f.faults) == 0 {
		return nil
	}
	return f.faults.sorted()
}

// resolve follows anchors, aliases and tags to the value they stand for.
func (f *File) resolve(n ast.Node) ast.Node {
	for range 100 { // an alias can only name an earlier anchor; the bound is for hostile input
		switch v := n.(type) {
		case *ast.AnchorNode:
			f.anchors[v.Name.GetToken().Value] = v.Value
			n = v.Value
		case *ast.AliasNode:
			// An alias inside its own anchor, or a tower of aliases, would be read for
			// ever; past the bound it stays an alias, which is a fault wherever it stands.
			target, ok := f.anchors[v.Value.GetToken().Value]
			if f.aliases++; !ok || f.aliases > maxAliases {
				return n
			}
			n = target
		case *ast.TagNode:
			n = v.Value
		case *ast.MappingKeyNode:
			n = v.Value
		default:
			return n
		}
	}
	return n
}

// Node is a place in a file. The zero Node is an absent value: it reads as zero
// and notes no faults, so that optional keys need no test.
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

// Position is line and column from 1, or zeros of an absent value.
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

// Kind names what stands here, for messages: "a mapping", "a list", "text",
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
		return "text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	case *ast.NullNode:
		return "null"
	}
	return n.node.Type().String()
}

// IsMap, IsList and IsText report what stands here.
func (n Node) IsMap() bool  { return n.Kind() == "a mapping" }
func (n Node) IsList() bool { return n.Kind() == "a list" }
func (n Node) IsText() bool { return n.Kind() == "text" }
func (n Node) IsNull() bool { return n.Kind() == "null" }

func (n Node) expected(what string) {
	if n.node != nil {
		n.Faultf("expected %s, found %s", what, n.Kind())
	}
}

// Entries are the keys of a mapping in document order. A key that stands twice
// is a fault, and so is anything but a mapping.
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
			n.file.At(v.Key).Faultf("merge keys (<<) are not supported; write the keys out")
			continue
		}
		e := Entry{Key: v.Key.GetToken().Value, KeyAt: n.file.At(v.Key), Value: n.file.At(v.Value)}
		if seen[e.Key] {
			e.KeyAt.Faultf("key %q stands twice", e.Key)
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

// Require notes a fault at this mapping for each key that is absent from fields.
func (n Node) Require(fields map[string]Node, keys ...string) {
	for _, k := range keys {
		if !fields[k].Exists() {
			n.Faultf("key %q is missing", k)
		}
	}
}

// List is the elements of a list; anything else is a fault.
func (n Node) List() []Node {
	s, ok := n.node.(*ast.SequenceNode)
	if !ok {
		n.expected("a list")
		return nil
	}
	nodes := make([]Node, len(s.Values))
	for i, v := range s.Values {
		nodes[i] = n.file.At(v)
	}
	return nodes
}

// OneOrList is the elements of a list, or the one value that stands in its place.
func (n Node) OneOrList() []Node {
	if n.IsList() {
		return n.List()
	}
	if !n.Exists() {
		return nil
	}
	return []Node{n}
}

// String is a text; anything else is a fault.
func (n Node) String() string {
	switch v := n.node.(type) {
	case *ast.StringNode:
		return v.Value
	case *ast.LiteralNode:
		return v.Value.Value
	}
	n.expected("text")
	return ""
}

// Scalar is a text, number or truth value as it is written.
func (n Node) Scalar() string {
	switch v := n.node.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return n.String()
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return v.GetToken().Value
	}
	n.expected("a single value")
	return ""
}

// Float is a finite number; anything else is a fault.
func (n Node) Float() float64 {
	switch v := n.node.(type) {
	case *ast.IntegerNode:
		switch i := v.Value.(type) {
		case int64:
			return float64(i)
		case uint64:
			return float64(i)
		}
	case *ast.FloatNode:
		if !math.IsInf(v.Value, 0) && !math.IsNaN(v.Value) {
			return v.Value
		}
	}
	n.expected("a number")
	return 0
}

// Int is a whole number between low and high; anything else is a fault.
func (n Node) Int(low, high int64) int64 {
	v, ok := n.node.(*ast.IntegerNode)
	if !ok {
		n.expected("a whole number")
		return low
	}
	var i int64
	switch x := v.Value.(type) {
	case int64:
		i = x
	case uint64:
		i = int64(min(x, math.MaxInt64))
	}
	if i < low || i > high {
		n.Faultf("expected a whole number from %d to %d, found %s", low, high, v.GetToken().Value)
		return low
	}
	return i
}

// Bool is true or false; anything else is a fault.
func (n Node) Bool() bool {
	v, ok := n.node.(*ast.BoolNode)
	if !ok {
		n.expected("true or false")
		return false
	}
	return v.Value
}

// Duration is a length of time such as 90s, 5m, 1h30m or 30d; see ParseDuration.
// Anything else is a fault.
func (n Node) Duration() time.Duration {
	if n.node == nil {
		return 0
	}
	text := n.Scalar()
	d, err := ParseDuration(text)
	if err != nil && text != "" {
		n.Faultf("expected a duration such as 90s, 5m, 36h or 30d, found %q", text)
	}
	return d
}

// Any is the value as JSON would hold it: nil, bool, float64, string, []any or
// map[string]any.
func (n Node) Any() any {
	switch v := n.node.(type) {
	case nil, *ast.NullNode:
		return nil
	case *ast.BoolNode:
		return v.Value
	case *ast.IntegerNode, *ast.FloatNode:
		return n.Float()
	case *ast.SequenceNode:
		list := make([]any, 0, len(v.Values))
		for _, e := range n.List() {
			list = append(list, e.Any())
		}
		return list
	case *ast.MappingNode, *ast.MappingValueNode:
		m := map[string]any{}
		for _, e := range n.Entries() {
			m[e.Key] = e.Value.Any()
		}
		return m
	}
	return n.String()
}

// ParseDuration is time.ParseDuration with days: 30d, 1d12h. Negative durations
// are errors.
func ParseDuration(text string) (time.Duration, error) {
	days, rest, found := strings.Cut(text, "d")
	var total time.Duration
	if found {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || n < 0 || n > 36500 {
			return 0, fmt.Errorf("parse duration %q", text)
		}
		total = time.Duration(n * float64(24*time.Hour))
		if rest == "" {
			return total, nil
		}
		text = rest
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("parse duration %q", text)
	}
	return total + d, nil
}
