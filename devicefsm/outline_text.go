package devicefsm

import (
	"strings"
	"time"

	"devicetwin/source"
)

// actionTexts are actions as one would write them on a line, in one spelling.
func actionTexts(block []action) []string {
	var texts []string
	for _, a := range block {
		texts = append(texts, actionText(a))
	}
	return texts
}

func actionText(a action) string {
	switch x := a.(type) {
	case assignAction:
		return "assign " + x.values.text()
	case raiseAction:
		text := "raise " + x.event + x.data.after()
		if x.delay != nil {
			text += " in " + x.delay.text()
		}
		if x.id != "" {
			text += " as " + x.id
		}
		return text
	case cancelAction:
		return "cancel " + x.id
	case effectAction:
		return x.text()
	case logAction:
		return "log " + x.message.text()
	case ifAction:
		text := "if " + x.cond.source + " then [" + strings.Join(actionTexts(x.yes), ", ") + "]"
		if len(x.no) > 0 {
			text += " else [" + strings.Join(actionTexts(x.no), ", ") + "]"
		}
		return text
	}
	return "?"
}

func (a effectAction) text() string {
	text := a.kind
	if a.name != "" {
		text += " " + a.name
	}
	text += a.data.after()
	for _, d := range []struct {
		word   string
		length time.Duration
	}{{"ttl", a.ttl}, {"within", a.within}} {
		if d.length > 0 {
			text += " " + d.word + " " + source.FormatDuration(d.length)
		}
	}
	if a.deliveries > 0 {
		text += " at most " + string(appendJSON(nil, a.deliveries)) + " times"
	}
	if a.retain {
		text += " retained"
	}
	if a.replace {
		text += " replacing"
	}
	return text
}

// after is the text of data behind something else.
func (t *template) after() string {
	if t == nil {
		return ""
	}
	return " " + t.text()
}

// text is the template: {attempts: context.attempts + 1}.
func (t *template) text() string {
	switch {
	case t == nil:
		return ""
	case t.expr != nil:
		return t.expr.source
	case t.isMap:
		parts := make([]string, 0, len(t.keys))
		for i, k := range t.keys {
			parts = append(parts, k+": "+t.of[i].text())
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case t.list != nil:
		parts := make([]string, 0, len(t.list))
		for _, e := range t.list {
			parts = append(parts, e.text())
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return string(appendJSON(nil, t.value))
}
