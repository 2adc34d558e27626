package expression

import (
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"

	"devicetwin/source"
)

// Fault is what is wrong with an expression, and where in it.
type Fault struct {
	Line    int // from 1
	Column  int // from 0, in characters
	Message string
	Hint    string // what may have been meant, or what there is; "" for most faults

	whole bool // it has no place: the expression is too long, say
}

// PlanFault is an error of Checked.Plan as a fault of the expression.
func PlanFault(err error) Fault { return Fault{Line: 1, Message: err.Error()} }

func faultAt(a *ast.AST, id int64, message string) Fault {
	loc := a.SourceInfo().GetStartLocation(id)
	return Fault{Line: loc.Line(), Column: loc.Column(), Message: message}
}

// Offset counts the characters before the fault in the expression that it is of. It is -1
// for a fault of the whole expression, such as one that is too long.
func (f Fault) Offset(expression string) int {
	if f.whole {
		return -1
	}
	offset := f.Column
	for i, line := range strings.Split(expression, "\n") {
		if i+1 >= f.Line {
			break
		}
		offset += utf8.RuneCountInString(line) + 1
	}
	return offset
}

// hint is what may have been meant by a name that there is not, of the variables and the
// functions that there are.
func (e *Env) hint(expression, message string) string {
	rest, found := strings.CutPrefix(message, "undeclared reference to '")
	if !found {
		return ""
	}
	name, _, _ := strings.Cut(rest, "'")
	known := e.variables
	if strings.Contains(expression, name+"(") {
		known = e.FunctionNames()
	}
	if hint := source.DidYouMean(name, known); hint != "" {
		return hint
	}
	if len(e.variables) == 0 {
		return ""
	}
	return "available here: " + strings.Join(e.variables, ", ")
}

func (e *Env) faultsOf(expression string, issues *cel.Issues) []Fault {
	var faults []Fault
	for _, i := range issues.Errors() {
		line, column, message := i.Location.Line(), i.Location.Column(), plainMessage(i.Message)
		faults = append(faults, Fault{
			Line: max(1, line), Column: max(0, column), Message: message, Hint: e.hint(expression, message), whole: column < 0,
		})
	}
	return faults
}

// plainMessage puts the parser's messages in the author's words. cel-go's own
// "did you mean" goes: see hint.
func plainMessage(message string) string {
	message, _, _ = strings.Cut(message, " (did you mean")
	message, found := strings.CutPrefix(message, "Syntax error: ")
	if !found {
		return message
	}
	got, _, _ := strings.Cut(message, " expecting {")
	token, unknown := strings.CutPrefix(got, "token recognition error at: '")
	switch {
	case unknown && strings.HasPrefix(token, "="):
		return "a single =; write == to compare"
	case unknown && (strings.HasPrefix(token, `"`) || strings.HasPrefix(token, "'")):
		return "unterminated string: the closing quote is missing"
	case got == "mismatched input '<EOF>'":
		return "unexpected end of the expression"
	}
	return strings.ReplaceAll(got, " expecting <EOF>", "; expected the end of the expression")
}
