package script

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"devicetwin/device"
	"devicetwin/source"
)

// The words of a script.
var (
	inputWords  = []string{"telemetry", "status", "events", "ack", "members", "event", "done", "failed", "wait"}
	expectWords = []string{"matched", "state", "context", "fault", "log", "command", "invoke", "cancel", "publish", "notify", "desire", "process", "window"}
)

// Parse reads a script. The error is source.Faults: every error in
// it, with line and column.
func Parse(file string, src []byte) (*Script, error) {
	p := &parser{script: &Script{File: file, lines: splitLines(string(source.WithoutMark(src)))}}
	for i, text := range p.script.lines {
		p.n, p.text = i+1, text
		p.line()
	}
	if len(p.script.Tests) == 0 && len(p.faults) == 0 {
		p.n, p.text = 1, ""
		p.fault(0, "for example: test It wakes up", "expected at least one test")
	}
	if len(p.faults) > 0 {
		return nil, p.faults
	}
	return p.script, nil
}

func splitLines(src string) []string {
	lines := strings.Split(strings.TrimSuffix(src, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t\r")
	}
	return lines
}

type parser struct {
	script *Script
	faults source.Faults
	n      int    // line, from 1
	text   string // of the line
	test   *Test
	step   *Step // the latest; nil after a line that is wrong
	now    time.Duration
	steps  int
}

// fault notes an error at a column, counted from 0 in bytes.
func (p *parser) fault(column int, hint, format string, args ...any) {
	p.faults = append(p.faults, source.Fault{
		File: p.script.File, Line: p.n, Column: len([]rune(p.text[:min(column, len(p.text))])) + 1,
		Message: fmt.Sprintf(format, args...), Hint: hint, Excerpt: p.text,
	})
}

func (p *parser) line() {
	text := withoutComment(p.text)
	trimmed := strings.TrimSpace(text)
	if trimmed == "" {
		return
	}
	c := &cursor{text: text}
	c.space()
	switch {
	case c.at > 0:
		p.expectation(c)
	case c.peek("model"):
		p.model(c)
	case c.peek("test"):
		p.begin(c)
	case c.peek("start"):
		p.startAt(c)
	default:
		p.input(c, trimmed)
	}
}

// withoutComment cuts a line at a # that begins it or stands after a space, but
// not in double quotes or in data.
func withoutComment(text string) string {
	depth, quote := 0, byte(0)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0:
			if c == '\\' && quote == '"' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '"', c == '\'' && depth > 0:
			quote = c
		case c == '{', c == '[':
			depth++
		case c == '}', c == ']':
			depth--
		case c == '#' && depth <= 0 && (i == 0 || text[i-1] == ' ' || text[i-1] == '\t'):
			return strings.TrimRight(text[:i], " \t")
		}
	}
	return text
}

func (p *parser) model(c *cursor) {
	c.word()
	switch {
	case p.script.Model != "":
		p.fault(0, "", "duplicate model; a script tests one model")
	case len(p.script.Tests) > 0:
		p.fault(0, "", "model has to be before the first test")
	case c.rest() == "":
		p.fault(c.at, "for example: model pump.yaml", "expected the model's file")
	default:
		p.script.Model = c.rest()
	}
}

func (p *parser) begin(c *cursor) {
	c.word()
	name := c.rest()
	if name == "" {
		p.fault(c.at, "", "expected the name of the test")
	}
	p.now = 0
	p.step = &Step{Line: p.n, Text: "test " + name, Repeat: 1, column: 2}
	p.test = &Test{Name: name, Steps: []*Step{p.step}}
	p.script.Tests = append(p.script.Tests, p.test)
}

// startAt reads when a test begins, for models that know the time of day.
func (p *parser) startAt(c *cursor) {
	c.word()
	at, err := time.Parse(time.RFC3339, c.rest())
	switch {
	case p.test == nil:
		p.fault(0, "for example: test It wakes up", "start has to be below the test that it is of")
	case len(p.test.Steps) != 1:
		p.fault(0, "", "start has to be before the first input of the test")
	case !p.test.Start.IsZero():
		p.fault(0, "", "duplicate start")
	case err != nil || at.Year() < 1970 || at.Year() > 2200:
		p.fault(c.at, "for example: start 2026-03-29T00:00:00+01:00", "expected a date and time with its offset from UTC, of the years 1970 to 2200, found %q", c.rest())
	default:
		p.test.Start = at.UTC()
	}
}

func (p *parser) input(c *cursor, text string) {
	p.step = nil
	if p.test == nil {
		p.fault(0, "for example: test It wakes up", "expected test and its name, found %q", firstWord(text))
		p.test = &Test{} // one fault is enough
	}
	s := &Step{Line: p.n, Text: text, Repeat: 1}
	if !p.time(c, s) {
		return
	}
	if !p.sent(c, s) {
		return
	}
	s.column = c.at
	column, word := c.at, c.word()
	if word == "" {
		p.fault(column, "", "expected what happens then: one of %s", strings.Join(inputWords, ", "))
		return
	}
	if !p.what(c, column, word, &s.input) {
		return
	}
	if s.input.sent != nil && s.input.kind != inputMessage && s.input.kind != inputEvent {
		p.fault(column, "", "only a message or an event has a time of the device")
		return
	}
	p.now = s.At + time.Duration(s.Repeat-1)*s.Every
	if p.now > maxTime {
		p.fault(0, "", "the test lasts longer than %d days", maxTime/(24*time.Hour))
		return
	}
	if p.steps++; p.steps > maxSteps {
		p.fault(0, "", "more than %d lines of input", maxSteps)
		return
	}
	p.step = s
	p.test.Steps = append(p.test.Steps, s)
}

// maxTime is how long a test can last: a hundred years.
const maxTime = 100 * 365 * 24 * time.Hour

// time reads the time of an input, and how often it is repeated.
func (p *parser) time(c *cursor, s *Step) bool {
	column, word := c.at, c.word()
	text, relative := strings.CutPrefix(word, "+")
	d, err := source.ParseDuration(text)
	if err != nil {
		hint := ""
		if word != "" && (word[0] < '0' || word[0] > '9') && !relative {
			hint = source.DidYouMean(word, []string{"test", "model"})
			if slices.Contains(inputWords, word) {
				hint = "for example: 10s " + word
			} else if slices.Contains(expectWords, word) {
				hint = "expectations begin with a space"
			}
		}
		p.fault(column, hint, "expected a time such as 10s, 5m, 36h or +30d, found %q", word)
		return false
	}
	if s.At = d; relative {
		s.At += p.now
	}
	if s.At < p.now {
		p.fault(column, "", "the time is before that of the previous line, %s", source.FormatDuration(p.now))
		return false
	}
	column = c.at
	if count, found := strings.CutPrefix(c.peekWord(), "x"); found && count != "" && count[0] >= '0' && count[0] <= '9' {
		c.word()
		n, err := strconv.Atoi(count)
		switch {
		case err != nil || n < 1 || n > maxRepeat:
			p.fault(column, "", "expected x1 to x%d, found %q", maxRepeat, "x"+count)
			return false
		case !relative || d > 0 && time.Duration(n) > maxTime/d:
			p.fault(column, "for example: +1m x30", "a repetition needs an interval, with +")
			return false
		}
		s.Repeat, s.Every = n, d
	}
	return true
}

// sent reads the time that the device gives, if it gives one. It may be before the
// test, and before that of the previous line.
func (p *parser) sent(c *cursor, s *Step) bool {
	if !c.peek("sent") {
		return true
	}
	column := c.at
	c.word()
	if s.Repeat > 1 {
		p.fault(column, "", "a repetition has no time of the device")
		return false
	}
	column = c.at
	word := c.word()
	text, before := strings.CutPrefix(word, "-")
	d, err := source.ParseDuration(text)
	if err != nil || d > maxTime {
		p.fault(column, "", "sent: expected a time since the start of the test, such as 10s, or -3h for before it, found %q", word)
		return false
	}
	if before {
		d = -d
	}
	s.input.sent = &d
	return true
}

func (p *parser) what(c *cursor, column int, word string, in *input) bool {
	ok := true
	named := func() {
		at := c.at
		if in.name, ok = p.name(c); ok && in.name == "" {
			p.fault(at, "", "%s: expected a name", word)
			ok = false
		}
	}
	in.kind = inputMessage
	switch word {
	case "telemetry", "status":
	case "events", "ack":
		at := c.at
		if named(); ok && !device.ValidName(in.name) {
			p.fault(at, "", "%s: a device can't publish the name %q: expected 1 to 64 of a-z A-Z 0-9 . _ -", word, in.name)
			ok = false
		} else if ok && word == "events" && device.ReservedName(in.name) {
			p.fault(at, "", "events: a device can't publish %q, which is reserved for the service; event %s is what the service makes", in.name, in.name)
			ok = false
		}
	case "members":
		at := c.at
		if named(); ok && !slices.Contains(device.MemberReports, in.name) {
			p.fault(at, source.DidYouMean(in.name, device.MemberReports), "members: expected one of %s, found %q", strings.Join(device.MemberReports, ", "), in.name)
			ok = false
		}
	case "event":
		in.kind = inputEvent
		named()
	case "done":
		in.kind = inputDone
		named()
	case "failed":
		in.kind = inputFailed
		named()
		in.text = readFailure(c)
		return ok
	case "wait":
		in.kind = inputWait
		return p.end(c)
	default:
		p.fault(column, source.DidYouMean(word, inputWords), "expected one of %s, found %q", strings.Join(inputWords, ", "), word)
		return false
	}
	if !ok {
		return false
	}
	if in.data, _, ok = p.data(c); !ok || !p.end(c) {
		return false
	}
	if in.kind == inputMessage {
		in.message = device.Message{Channel: device.Channel(word), Name: in.name, Data: in.data}
		if in.data == nil {
			in.message.Data = map[string]any{} // what is published is an object
		}
	}
	return true
}

// readFailure is the rest of a line: as it is, or a string in double quotes that is all of it.
func readFailure(c *cursor) string {
	if strings.HasPrefix(c.rest(), `"`) {
		quoted := &cursor{text: c.rest()}
		if s, err := quoted.name(); err == nil && quoted.rest() == "" {
			return s
		}
	}
	return c.rest()
}

// name is a word, or several in double quotes.
func (p *parser) name(c *cursor) (string, bool) {
	column := c.at
	name, err := c.name()
	if err != nil {
		p.fault(column, "", "%v", err)
		return "", false
	}
	return name, true
}

// data reads a mapping in braces, if there is one.
func (p *parser) data(c *cursor) (data map[string]any, given, ok bool) {
	if !strings.HasPrefix(c.text[c.at:], "{") {
		return nil, false, true
	}
	column, text := c.at, c.braces()
	f := source.Parse(p.script.File, []byte(text))
	data, _ = f.Root().Any().(map[string]any)
	var faults source.Faults
	if err := f.Err(); errors.As(err, &faults) {
		for _, fault := range faults {
			p.fault(column+max(0, fault.Column-1), fault.Hint, "%s", fault.Message)
		}
		return nil, true, false
	}
	if data == nil {
		p.fault(column, "for example {temperature: 4.5, door: open}", "expected a mapping in braces, found %q", text)
		return nil, true, false
	}
	return data, true, true
}

func (p *parser) end(c *cursor) bool {
	if c.rest() != "" {
		p.fault(c.at, "", "unexpected %q", c.rest())
		return false
	}
	return true
}

func firstWord(text string) string {
	word, _, _ := strings.Cut(text, " ")
	return word
}
