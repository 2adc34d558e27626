package jinja

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

type tokenKind byte

const (
	tokenEnd      tokenKind = iota
	tokenText               // outside of blocks
	tokenOutput             // {{
	tokenBlock              // {%
	tokenClose              // }} or %}
	tokenName               // also a keyword
	tokenString             // decoded
	tokenNumber             // as it is written
	tokenOperator           // also a bracket
)

type token struct {
	kind tokenKind
	text string
	at   int // its place in the template, in bytes
}

// operators are those of expressions, longer ones first.
var operators = []string{"**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "=", "(", ")", "[", "]", "{", "}", ".", ",", ":", "|"}

// scanner cuts a template into tokens.
type scanner struct {
	source string
	at     int
	tokens []token
	trim   bool // the text that follows begins behind a -}} or -%}
}

func scan(source string) ([]token, error) {
	s := &scanner{source: source}
	for s.at < len(source) {
		if err := s.text(); err != nil {
			return nil, err
		}
	}
	return append(s.tokens, token{kind: tokenEnd, at: len(source)}), nil
}

// text reads what is outside of blocks, and the block behind it.
func (s *scanner) text() error {
	rest := s.source[s.at:]
	begin := strings.IndexByte(rest, '{')
	for begin >= 0 && (begin+1 == len(rest) || !strings.ContainsRune("{%#", rune(rest[begin+1]))) {
		next := strings.IndexByte(rest[begin+1:], '{')
		if next < 0 {
			begin = -1
			break
		}
		begin += next + 1
	}
	text := rest
	if begin >= 0 {
		text = rest[:begin]
	}
	if s.trim {
		text, s.trim = strings.TrimLeft(text, " \t\r\n"), false
	}
	if begin >= 0 && strings.HasPrefix(rest[begin+2:], "-") {
		text = strings.TrimRight(text, " \t\r\n")
	}
	if text != "" {
		s.add(tokenText, text)
	}
	if begin < 0 {
		s.at = len(s.source)
		return nil
	}
	s.at += begin + 2
	switch rest[begin+1] {
	case '#':
		return s.comment()
	case '%':
		s.add(tokenBlock, "{%")
		return s.expression("%}")
	default:
		s.add(tokenOutput, "{{")
		return s.expression("}}")
	}
}

func (s *scanner) add(kind tokenKind, text string) {
	s.tokens = append(s.tokens, token{kind, text, s.at})
}

func (s *scanner) comment() error {
	end := strings.Index(s.source[s.at:], "#}")
	if end < 0 {
		return fmt.Errorf("at %d: a comment without #}", s.at)
	}
	s.trim = strings.HasSuffix(s.source[s.at:s.at+end], "-")
	s.at += end + 2
	return nil
}

// expression reads tokens up to the end of a block. A } that closes a mapping does not end it.
func (s *scanner) expression(end string) error {
	if strings.HasPrefix(s.source[s.at:], "-") || strings.HasPrefix(s.source[s.at:], "+") {
		s.at++ // {{- or {%+
	}
	open := 0 // brackets of mappings
	for {
		s.at += len(s.source[s.at:]) - len(strings.TrimLeft(s.source[s.at:], " \t\r\n"))
		rest := s.source[s.at:]
		switch {
		case rest == "":
			return fmt.Errorf("at %d: expected %s", s.at, end)
		case open == 0 && strings.HasPrefix(rest, "-"+end), open == 0 && strings.HasPrefix(rest, end):
			s.add(tokenClose, end)
			s.trim = rest[0] == '-'
			s.at += len(end)
			if s.trim {
				s.at++
			}
			return nil
		}
		if err := s.one(rest); err != nil {
			return err
		}
		switch last := s.tokens[len(s.tokens)-1]; {
		case last.kind == tokenOperator && last.text == "{":
			open++
		case last.kind == tokenOperator && last.text == "}":
			open--
		}
	}
}

// one reads a token of an expression.
func (s *scanner) one(rest string) error {
	switch c := rest[0]; {
	case c == '"' || c == '\'':
		return s.quoted(rest)
	case digit(c):
		end := 1
		for end < len(rest) && (digit(rest[end]) || letter(rest[end]) || rest[end] == '.' && end+1 < len(rest) && digit(rest[end+1]) ||
			(rest[end] == '-' || rest[end] == '+') && (rest[end-1] == 'e' || rest[end-1] == 'E')) {
			end++
		}
		s.add(tokenNumber, rest[:end])
		s.at += end
		return nil
	case letter(c):
		end := 1
		for end < len(rest) && (letter(rest[end]) || digit(rest[end])) {
			end++
		}
		s.add(tokenName, rest[:end])
		s.at += end
		return nil
	}
	for _, o := range operators {
		if strings.HasPrefix(rest, o) {
			s.add(tokenOperator, o)
			s.at += len(o)
			return nil
		}
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return fmt.Errorf("at %d: unexpected %q", s.at, r)
}

// quoted reads a string. Of escapes, those are known that are common.
func (s *scanner) quoted(rest string) error {
	var b strings.Builder
	for i := 1; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == rest[0]:
			s.add(tokenString, b.String())
			s.at += i + 1
			return nil
		case c != '\\':
			b.WriteByte(c)
		case i+1 < len(rest):
			i++
			known := map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', '\\': '\\', '\'': '\'', '"': '"', '/': '/'}
			decoded, ok := known[rest[i]]
			if !ok {
				return fmt.Errorf("at %d: the escape \\%c is not supported", s.at+i, rest[i])
			}
			if rest[i] == '/' { // not an escape in Python
				b.WriteByte('\\')
			}
			b.WriteByte(decoded)
		}
	}
	return fmt.Errorf("at %d: a string without its end", s.at)
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func letter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' }
