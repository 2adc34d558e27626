package api

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ParseQuery reads a query; an empty one is nil. Its grammar, in which spaces
// separate:
//
//	query  = and { "OR" and }
//	and    = factor { [ "AND" ] factor }
//	factor = "NOT" factor | "(" query ")" | term
//	term   = FIELD ":" VALUE [ "*" ] | FIELD ( ":" | "<" | "<=" | ">" | ">=" ) NUMBER
//
// A VALUE with a space, a quotation mark or an asterisk in it needs quotation
// marks, in which \ escapes the next character. The same holds for the key of a
// tag and the path of a property, if they contain a colon. An asterisk after the
// value finds every value that begins so. The name of a model may have the number of a version in the
// registry: model:pump@3. Such a term is of the field model; a Backend is asked for the hash.
//
//	state:online NOT (tag.site:"hall 3" OR tag."owner:team":ops) id:pump-* last_seen<now-24h
//
// Its error is a QueryError, with every fault that was found.
func ParseQuery(text string) (Query, error) { return parseQuery(text, time.Now()) }

func parseQuery(text string, now time.Time) (Query, error) {
	p := &queryParser{text: text, now: now}
	var query Query
	switch {
	case len(text) > MaxQuery:
		p.fault(0, "the query has %d bytes; at most %d are read", len(text), MaxQuery)
	case !utf8.ValidString(text):
		p.fault(0, "the query is not UTF-8")
	default:
		query = p.all()
	}
	if len(p.faults) > 0 {
		return nil, p.faults
	}
	return query, nil
}

type queryParser struct {
	text    string
	now     time.Time // which a query may name
	at      int       // in bytes
	terms   int
	groups  int // parentheses that are open
	nesting int // of parentheses and of NOT
	over    bool
	faults  QueryError
}

func (p *queryParser) fault(at int, format string, args ...any) {
	p.faults = append(p.faults, QueryFault{utf8.RuneCountInString(p.text[:at]) + 1, fmt.Sprintf(format, args...)})
}

// stop is a fault after which nothing else is worth reading.
func (p *queryParser) stop(at int, format string, args ...any) {
	p.fault(at, format, args...)
	p.at, p.over = len(p.text), true
}

// all reads the whole text.
func (p *queryParser) all() Query {
	if p.skipSpace(); p.at == len(p.text) {
		return nil
	}
	query := p.either()
	if p.at < len(p.text) { // only a parenthesis ends a query before its end
		p.stop(p.at, "no parenthesis is open that could be closed")
	}
	return query
}

// either reads what OR connects.
func (p *queryParser) either() Query {
	all := Or{p.both()}
	for p.word("OR") {
		all = append(all, p.both())
	}
	if len(all) == 1 {
		return all[0]
	}
	return all
}

// both reads what AND connects, or nothing.
func (p *queryParser) both() Query {
	var all And
	for {
		all = append(all, p.factor())
		if p.word("AND") {
			continue
		}
		if p.skipSpace(); p.at == len(p.text) || p.closes() || p.seesWord("OR") {
			break
		}
	}
	if len(all) == 1 {
		return all[0]
	}
	return all
}

func (p *queryParser) factor() Query {
	p.skipSpace()
	began := p.at
	if p.at == len(p.text) || p.closes() || p.seesWord("OR") || p.seesWord("AND") {
		if !p.over {
			p.fault(p.at, "expected a term, such as state:online")
		}
		_ = p.word("OR") || p.word("AND") // so that it is one fault
		return nil
	}
	if p.word("NOT") {
		defer p.nest(began)()
		return Not{p.factor()}
	}
	if p.text[p.at] != '(' {
		return p.countedTerm()
	}
	p.at++
	defer p.nest(began)()
	p.groups++
	query := p.either()
	p.groups--
	if p.skipSpace(); p.at < len(p.text) {
		p.at++ // either ended at a parenthesis
	} else if len(p.faults) == 0 {
		p.fault(began, "the parenthesis is not closed")
	}
	return query
}

// nest goes one level deeper; the result goes back.
func (p *queryParser) nest(at int) func() {
	if p.nesting++; p.nesting > MaxDepth && !p.over {
		p.stop(at, "more than %d parentheses and NOT within each other", MaxDepth)
	}
	return func() { p.nesting-- }
}

// closes reports whether a parenthesis is closed here.
func (p *queryParser) closes() bool {
	return p.at < len(p.text) && p.text[p.at] == ')'
}

// seesWord reports whether an operator comes next.
func (p *queryParser) seesWord(word string) bool {
	p.skipSpace()
	rest, ok := strings.CutPrefix(p.text[p.at:], word)
	if !ok || rest == "" {
		return ok
	}
	next, _ := utf8.DecodeRuneInString(rest)
	return unicode.IsSpace(next) || next == '(' || next == ')'
}

// word reads an operator, if it comes next.
func (p *queryParser) word(word string) bool {
	ok := p.seesWord(word)
	if ok {
		p.at += len(word)
	}
	return ok
}

func (p *queryParser) skipSpace() {
	p.at += len(p.text[p.at:]) - len(strings.TrimLeftFunc(p.text[p.at:], unicode.IsSpace))
}

func (p *queryParser) countedTerm() Query {
	if p.terms++; p.terms > MaxTerms {
		p.stop(p.at, "more than %d terms", MaxTerms)
		return nil
	}
	if term, ok := p.term(); ok {
		return term
	}
	return nil
}
