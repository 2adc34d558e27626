package script

import (
	"encoding/json"
	"errors"
	"strings"
)

// cursor walks along a line. It is at the beginning of a word, or at the end of the line.
type cursor struct {
	text string
	at   int
}

func (c *cursor) space() {
	for c.at < len(c.text) && (c.text[c.at] == ' ' || c.text[c.at] == '\t') {
		c.at++
	}
}

func (c *cursor) rest() string { return c.text[c.at:] }

// peekWord is the next word: up to a space or a brace.
func (c *cursor) peekWord() string {
	rest := c.rest()
	if i := strings.IndexAny(rest, " \t{"); i >= 0 {
		return rest[:i]
	}
	return rest
}

func (c *cursor) peek(word string) bool { return c.peekWord() == word }

func (c *cursor) word() string {
	word := c.peekWord()
	c.at += len(word)
	c.space()
	return word
}

var errQuote = errors.New(`expected a name in double quotes`)

// name is a word, or a string in double quotes, as JSON writes it.
func (c *cursor) name() (string, error) {
	rest := c.rest()
	if !strings.HasPrefix(rest, `"`) {
		return c.word(), nil
	}
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case '\\':
			i++
		case '"':
			var name string
			if err := json.Unmarshal([]byte(rest[:i+1]), &name); err != nil {
				return "", errQuote
			}
			c.at += i + 1
			c.space()
			return name, nil
		}
	}
	return "", errQuote
}

// braces is the text from the brace here to the one that closes it, or to the
// end of the line.
func (c *cursor) braces() string {
	depth, quote := 0, byte(0)
	rest := c.rest()
	end := len(rest)
	for i := 0; i < len(rest) && end == len(rest); i++ {
		switch b := rest[i]; {
		case quote != 0:
			if b == '\\' && quote == '"' {
				i++
			} else if b == quote {
				quote = 0
			}
		case b == '"', b == '\'':
			quote = b
		case b == '{', b == '[':
			depth++
		case b == '}', b == ']':
			if depth--; depth == 0 {
				end = i + 1
			}
		}
	}
	c.at += end
	c.space()
	return rest[:end]
}
