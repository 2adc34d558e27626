package jinja

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	maxSource = 8 << 10 // of a template, in bytes
	maxNodes  = 1000    // of what it is made of
	maxDepth  = 50      // of what is in each other
)

// Template is one that is understood. It cannot be changed, and may be used from any goroutine.
type Template struct {
	parts []part
}

// part is a string, the output of an expression, or the first of several parts whose condition holds.
type part struct {
	text    string
	output  node
	choices []choice
}

type choice struct {
	when  node // nil: else
	parts []part
}

// Compile reads a template that may read these names.
func Compile(source string, names ...string) (*Template, error) {
	if len(source) > maxSource {
		return nil, fmt.Errorf("%d bytes, the limit is %d", len(source), maxSource)
	}
	tokens, err := scan(source)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens, names: names}
	parts, err := p.parts()
	if err != nil {
		return nil, err
	}
	if t := p.next(); t.kind != tokenEnd {
		return nil, fmt.Errorf("at %d: unexpected %s", t.at, t.text)
	}
	return &Template{parts}, nil
}

type parser struct {
	tokens []token
	at     int
	names  []string
	nodes  int
	depth  int
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != tokenEnd {
		p.at++
	}
	return t
}

// is reports whether the next token is an operator or a keyword, and passes it.
func (p *parser) is(text string) bool {
	t := p.peek()
	if (t.kind == tokenOperator || t.kind == tokenName) && t.text == text {
		p.at++
		return true
	}
	return false
}

func (p *parser) expect(text string) error {
	if t := p.peek(); !p.is(text) {
		return fmt.Errorf("at %d: expected %s, found %q", t.at, text, t.text)
	}
	return nil
}

func (p *parser) close() error {
	if t := p.next(); t.kind != tokenClose {
		return fmt.Errorf("at %d: expected the end of the block, found %q", t.at, t.text)
	}
	return nil
}

// enter bounds what is in each other, and how much there is.
func (p *parser) enter() error {
	p.depth++
	p.nodes++
	if p.depth > maxDepth || p.nodes > maxNodes {
		return errors.New("the template is too large")
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

// parts are those up to the end, or to a block that is not one of theirs.
func (p *parser) parts() (all []part, err error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	for {
		switch t := p.peek(); t.kind {
		case tokenText:
			p.at++
			all = append(all, part{text: t.text})
		case tokenOutput:
			p.at++
			n, err := p.expression()
			if err != nil {
				return nil, err
			}
			if err := p.close(); err != nil {
				return nil, err
			}
			all = append(all, part{output: n})
		case tokenBlock:
			if p.tokens[p.at+1].text != "if" {
				return all, nil
			}
			choices, err := p.choices()
			if err != nil {
				return nil, err
			}
			all = append(all, part{choices: choices})
		default:
			return all, nil
		}
	}
}

// choices are those of an if block.
func (p *parser) choices() (all []choice, err error) {
	for {
		p.at++ // {%
		c := choice{}
		switch word := p.next(); {
		case word.text == "endif" && len(all) > 0:
			return all, p.close()
		case word.text == "else" && len(all) > 0 && all[len(all)-1].when != nil:
		case word.text == "if" && len(all) == 0, word.text == "elif" && len(all) > 0 && all[len(all)-1].when != nil:
			if c.when, err = p.expression(); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("at %d: the block %q is not supported here", word.at, word.text)
		}
		if err := p.close(); err != nil {
			return nil, err
		}
		if c.parts, err = p.parts(); err != nil {
			return nil, err
		}
		all = append(all, c)
		if t := p.peek(); t.kind != tokenBlock {
			return nil, fmt.Errorf("at %d: expected {%% endif %%}", t.at)
		}
	}
}

// expression is one with a condition around it: a if b else c.
func (p *parser) expression() (node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	n, err := p.binary(0)
	if err != nil {
		return nil, err
	}
	for p.is("if") {
		c := &condition{then: n}
		if c.when, err = p.binary(0); err != nil {
			return nil, err
		}
		if p.is("else") {
			if c.otherwise, err = p.expression(); err != nil {
				return nil, err
			}
		}
		n = c
	}
	return n, nil
}

// precedence are the operators with two sides, those that bind least first.
var precedence = [][]string{{"or"}, {"and"}, {"not"}, {"==", "!=", "<", "<=", ">", ">=", "in", "not"}, {"+", "-"}, {"~"}, {"*", "/", "//", "%"}}

// binary reads operators from a level on.
func (p *parser) binary(level int) (node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	switch {
	case level == len(precedence):
		return p.unary(true)
	case precedence[level][0] == "not":
		if p.is("not") {
			n, err := p.binary(level)
			return &negation{n}, err
		}
		return p.binary(level + 1)
	}
	left, err := p.binary(level + 1)
	for err == nil {
		operator, ok := p.operator(level)
		if !ok {
			break
		}
		var right node
		if right, err = p.binary(level + 1); err == nil {
			if err = p.enter(); err == nil {
				p.leave()
			}
			left = &operation{operator, left, right}
		}
	}
	return left, err
}

// operator is the next one, if it is of a level. Of "not in" it is both words.
func (p *parser) operator(level int) (string, bool) {
	t := p.peek()
	if t.kind != tokenOperator && t.kind != tokenName || !slices.Contains(precedence[level], t.text) {
		return "", false
	}
	if t.text == "not" {
		if p.tokens[p.at+1].text != "in" {
			return "", false
		}
		p.at += 2
		return "not in", true
	}
	p.at++
	return t.text, true
}

// unary reads a sign, an operand with what follows it, and a power.
func (p *parser) unary(filters bool) (n node, err error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	t := p.peek()
	switch {
	case t.kind == tokenOperator && (t.text == "-" || t.text == "+"):
		p.at++
		if n, err = p.unary(false); err != nil {
			return nil, err
		}
		if t.text == "-" {
			n = &operation{"-", &literal{int64(0)}, n}
		}
	default:
		if n, err = p.primary(); err != nil {
			return nil, err
		}
	}
	if n, err = p.behind(n); err != nil {
		return nil, err
	}
	if filters {
		if n, err = p.filters(n); err != nil {
			return nil, err
		}
	}
	if p.is("**") {
		right, err := p.unary(true)
		return &operation{"**", n, right}, err
	}
	return n, nil
}

func (p *parser) primary() (node, error) {
	switch t := p.next(); t.kind {
	case tokenString:
		return &literal{t.text}, nil
	case tokenNumber:
		return number(t)
	case tokenName:
		return p.name(t)
	case tokenOperator:
		switch t.text {
		case "(":
			n, err := p.expression()
			if err != nil {
				return nil, err
			}
			return n, p.expect(")")
		case "[":
			elements, err := p.list("]")
			return &list{elements}, err
		case "{":
			return p.mapping()
		}
		return nil, fmt.Errorf("at %d: unexpected %s", t.at, t.text)
	default:
		return nil, fmt.Errorf("at %d: expected an expression", t.at)
	}
}

func number(t token) (node, error) {
	text := strings.ReplaceAll(t.text, "_", "")
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return &literal{i}, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || strings.ContainsAny(text, "xXpPnN") {
		return nil, fmt.Errorf("at %d: the number %s is not supported", t.at, t.text)
	}
	return &literal{f}, nil
}

var words = map[string]any{"true": true, "True": true, "false": false, "False": false, "none": nil, "None": nil}

func (p *parser) name(t token) (node, error) {
	if v, ok := words[t.text]; ok {
		return &literal{v}, nil
	}
	if slices.Contains(p.names, t.text) {
		return &variable{t.text}, nil
	}
	if f := filterOf[t.text]; f != nil && (t.text == "float" || t.text == "int") && p.is("(") {
		named := map[string]node{}
		arguments, err := p.arguments(named)
		if err != nil {
			return nil, err
		}
		if len(arguments) == 0 {
			return nil, fmt.Errorf("at %d: %s() without a value", t.at, t.text)
		}
		return filtered(t, f, arguments[0], arguments[1:], named)
	}
	return nil, fmt.Errorf("at %d: %s is not supported", t.at, t.text)
}

// list are expressions up to a bracket.
func (p *parser) list(end string) (all []node, err error) {
	for !p.is(end) {
		if len(all) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
			if p.is(end) {
				break
			}
		}
		n, err := p.expression()
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

func (p *parser) mapping() (node, error) {
	m := &mapping{}
	for !p.is("}") {
		if len(m.keys) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
			if p.is("}") {
				break
			}
		}
		key, err := p.expression()
		if err != nil {
			return nil, err
		}
		if err := p.expect(":"); err != nil {
			return nil, err
		}
		value, err := p.expression()
		if err != nil {
			return nil, err
		}
		m.keys, m.values = append(m.keys, key), append(m.values, value)
	}
	return m, nil
}

// behind reads members and the method get behind an operand.
func (p *parser) behind(n node) (node, error) {
	for {
		switch {
		case p.is("["):
			index, err := p.expression()
			if err != nil {
				return nil, err
			}
			if err := p.expect("]"); err != nil {
				return nil, err
			}
			n = &member{n, index}
		case p.is("."):
			t := p.next()
			if t.kind != tokenName && t.kind != tokenNumber || strings.Contains(t.text, ".") {
				return nil, fmt.Errorf("at %d: expected the name of a member", t.at)
			}
			if p.is("(") {
				arguments, err := p.list(")")
				if err != nil {
					return nil, err
				}
				if t.text != "get" || len(arguments) < 1 || len(arguments) > 2 {
					return nil, fmt.Errorf("at %d: the method %s is not supported", t.at, t.text)
				}
				g := &get{member: member{n, arguments[0]}}
				if len(arguments) == 2 {
					g.otherwise = arguments[1]
				}
				n = g
				break
			}
			n = &member{n, &literal{t.text}}
		default:
			return pathOf(n), nil
		}
		if err := p.enter(); err != nil {
			return nil, err
		}
		p.leave()
	}
}

// filters reads filters and tests behind an operand.
func (p *parser) filters(n node) (node, error) {
	for {
		switch {
		case p.is("|"):
			t := p.next()
			f := filterOf[t.text]
			if t.kind != tokenName || f == nil {
				return nil, fmt.Errorf("at %d: the filter %s is not supported", t.at, t.text)
			}
			var arguments []node
			named := map[string]node{}
			if p.is("(") {
				var err error
				if arguments, err = p.arguments(named); err != nil {
					return nil, err
				}
			}
			var err error
			if n, err = filtered(t, f, n, arguments, named); err != nil {
				return nil, err
			}
		case p.is("is"):
			not := p.is("not")
			t := p.next()
			test := tests[t.text]
			if test == nil {
				return nil, fmt.Errorf("at %d: the test %s is not supported", t.at, t.text)
			}
			n = &tested{n, test, not}
		default:
			return n, nil
		}
		if err := p.enter(); err != nil {
			return nil, err
		}
		p.leave()
	}
}

// arguments are those of a filter: by place, and by name.
func (p *parser) arguments(named map[string]node) (all []node, err error) {
	for first := true; !p.is(")"); first = false {
		if !first {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		name := ""
		if t := p.peek(); t.kind == tokenName && p.tokens[p.at+1].text == "=" {
			name = t.text
			p.at += 2
		}
		n, err := p.expression()
		switch {
		case err != nil:
			return nil, err
		case name != "":
			named[name] = n
		default:
			all = append(all, n)
		}
	}
	return all, nil
}
