package source

import (
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"devicetwin/internal/text"
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

// Parse reads YAML, and therefore also JSON. The name is only used in faults: no
// file is opened. Syntax errors are noted as faults; the file can still
// be walked, and is then empty. The byte order mark of UTF-8, which some editors put
// before the content, is passed over.
func Parse(name string, src []byte) *File {
	src = WithoutMark(src)
	f := &File{Name: name, lines: strings.Split(string(src), "\n"), anchors: map[string]ast.Node{}}
	if found := text.MarkOfUTF16(src); found != "" {
		f.lines = nil
		f.faults = append(f.faults, Fault{File: name, Line: 1, Column: 1, Message: "not UTF-8: " + found})
		return f
	}
	if line := tooDeep(src); line > 0 {
		f.faults = append(f.faults, Fault{File: name, Line: line, Column: 1, Message: "nested too deeply"})
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
			f.at(d.Body).Faultf("more than one YAML document; expected one")
			break
		}
		f.root = d.Body
	}
	return f
}

// WithoutMark is a file without the byte order mark of UTF-8.
func WithoutMark(src []byte) []byte { return text.WithoutMark(src) }

func (f *File) syntaxError(err error) {
	fault := Fault{File: f.Name, Message: err.Error()}
	if ye, ok := err.(yaml.Error); ok {
		fault.Message = ye.GetMessage()
		if tk := ye.GetToken(); tk != nil && tk.Position != nil {
			fault.Line, fault.Column = tk.Position.Line, tk.Position.Column
			fault.Excerpt = f.line(fault.Line)
			fault.Hint = quotes(fault.Message, fault.Excerpt)
		}
	}
	f.faults = append(f.faults, fault)
}

// quotes is the hint for a syntax error that is an expression or a template without quotes, as far as its line
// shows that; else it is empty.
func quotes(message, line string) string {
	switch {
	case message == "mapping value is not allowed in this context" && strings.Count(line, ": ") > 1:
		return `a value with ": " in it needs quotes`
	case (message == "',' or '}' must be specified" || message == "',' or ']' must be specified") && inBraces.MatchString(line):
		return "a value with { or } in it needs quotes here"
	}
	return ""
}

// inBraces is a variable of a template, which is part of a value.
var inBraces = regexp.MustCompile(`[/:_-]\{\w+\}|\{\w+\}[/:_-]`)

func (f *File) line(n int) string {
	if n < 1 || n > len(f.lines) {
		return ""
	}
	return strings.TrimRight(f.lines[n-1], "\r")
}

// Root is the whole document. For an empty or broken file nothing exists there,
// but a fault can still be noted on the file.
func (f *File) Root() Node { return f.at(f.root) }

// at wraps a syntax node of this file.
func (f *File) at(n ast.Node) Node { return Node{file: f, node: f.resolve(n)} }

// Err is nil, or the Faults noted so far, in the order of lines and columns, each
// once.
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
			// An alias inside its own anchor, or a tower of aliases, would be followed
			// forever; past the bound it stays an alias, which is a fault in every place.
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
