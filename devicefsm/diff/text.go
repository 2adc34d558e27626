package diff

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxShown is how many characters of a value the text shows; JSON has all of it.
const maxShown = 100

// parts are the headings of the text, in its order.
var parts = []struct {
	title string
	parts []string
}{
	{"Settings", []string{"setting"}},
	{"Events", []string{"event"}},
	{"Patterns", []string{"pattern"}},
	{"Windows", []string{"window"}},
	{"Alarms", []string{"alarm"}},
	{"Hours", []string{"hours"}},
	{"Context", []string{"context"}},
	{"Config", []string{"config"}},
	{"States", []string{"state", "id", "kind", "initial", "entry", "exit", "output", "timer", "invocation", "schedule", "transition"}},
}

// String is the comparison for people to read: a line for each change. + is new, - is gone,
// ~ is another one now, > has moved.
func (d *Diff) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %.12s -> %s %.12s\n", d.Old.Name, d.Old.Hash, d.New.Name, d.New.Hash)
	switch {
	case d.Same():
		b.WriteString("The models are the same version.\n")
		return b.String()
	case !d.Differs():
		b.WriteString("The models do the same: they are only written differently.\n")
		return b.String()
	}
	for _, p := range parts {
		first := true
		for _, c := range d.Changes {
			if !slices.Contains(p.parts, c.Part) {
				continue
			}
			if first {
				fmt.Fprintf(&b, "\n%s\n", p.title)
			}
			first = false
			fmt.Fprintf(&b, "  %s\n", c)
		}
	}
	d.writeMessages(&b)
	return b.String()
}

var marks = map[string]string{Added: "+", Removed: "-", Changed: "~", Renamed: "~", Moved: ">"}

// String is the change on one line.
func (c Change) String() string {
	text := marks[c.What] + " " + c.subject()
	switch c.What {
	case Added:
		text += ": " + clip(c.New)
	case Removed:
		text += ": " + clip(c.Old)
	case Renamed:
		text = fmt.Sprintf("%s %s %q -> %q (a guess: they do much the same)", marks[c.What], c.Part, c.Old, c.New)
	case Moved:
		text += ": order " + clip(c.Old) + " -> " + clip(c.New)
	default:
		text += ": " + clip(c.Old) + " -> " + clip(c.New)
	}
	return text
}

// subject is what has changed, and where it is.
func (c Change) subject() string {
	inState := func(word string) string {
		if c.State == "" {
			return word
		}
		return fmt.Sprintf("%q %s", c.State, word)
	}
	switch c.Part {
	case "state":
		if c.What == Moved {
			return "states"
		}
		return fmt.Sprintf("%q", c.State)
	case "timer", "id", "initial", "entry", "exit", "output", "kind":
		return inState(strings.TrimSpace(strings.TrimPrefix(c.Part, "timer") + " " + c.Name))
	case "transition":
		if c.Name == "" {
			return inState("transitions")
		}
		return inState("on " + c.Name)
	case "invocation":
		return inState("invoke " + c.Name)
	case "schedule":
		return inState("schedule " + c.Name)
	}
	if c.Name == "" {
		return c.Part
	}
	return c.Name
}

func clip(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if text == "" {
		return "nothing"
	}
	if utf8.RuneCountInString(text) > maxShown {
		text = string([]rune(text)[:maxShown-1]) + "…"
	}
	return text
}

func (d *Diff) writeMessages(b *strings.Builder) {
	for _, group := range []struct {
		title    string
		costlier bool
	}{{"Messages that cost more signals now", true}, {"Messages that cost fewer signals now", false}} {
		first := true
		for _, m := range d.Messages {
			if m.Costlier() != group.costlier {
				continue
			}
			if first {
				fmt.Fprintf(b, "\n%s, for example\n", group.title)
			}
			first = false
			fmt.Fprintf(b, "  %s\n", m)
		}
	}
}

// String is the message on one line.
func (m Message) String() string {
	text := string(m.Channel)
	if m.Name != "" {
		text += " " + m.Name
	}
	return fmt.Sprintf("%s %s: %s, was %s", text, jsonText(m.Data), m.New, m.Old)
}

var costTexts = map[string]string{CostNothing: "no signal", CostChange: "a signal per change", CostSignal: "a signal each time"}

// String is the cost for people.
func (c Cost) String() string {
	if c.Event == "" {
		return "no event, " + costTexts[c.Cost]
	}
	return c.Event + ", " + costTexts[c.Cost]
}
