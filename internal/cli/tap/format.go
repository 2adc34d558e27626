package tap

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// format is how payloads of some topics are read, as lines of a dialect without their indentation.
type format struct {
	payload string // "": JSON
	each    bool   // each element of a list is a message
	absent  []string
	note    string // what has to be decided
}

// formatOf is a format for all that was published on some topics.
func formatOf(all []*seen) (f format) {
	var k kinds
	for _, s := range all {
		k |= s.kinds
	}
	asJSON := false
	switch {
	case k == 0:
		f.note = "no payload was seen that is not empty"
	case k&kindBytes != 0:
		f.payload, f.note = "{format: bytes, layout: [{name: raw, type: bytes}]}", "payloads are bytes: say in layout what is where, or name their format"
	case k&kindObjects != 0 && k&^kindsWhole == 0:
		f.each, f.note = true, "Decide: if the elements are of several devices, say by which member: vars: {device: item.MEMBER}, and {device} in the id."
		return f
	case k&^kindsNumber == 0:
		f.payload = "number"
	case k&^kindsJSON == 0:
		asJSON = true
	case k == kindPairs:
		f.payload = "{format: keyvalue, numbers: true}"
	case k&kindsWhole != 0:
		f.note = "some payloads are not JSON, and would be refused"
		return f
	case k&kindNumber != 0:
		f.payload = "{format: text, numbers: true}"
	default:
		f.payload = "text"
	}
	if k&kindNumber != 0 {
		f.setAbsent(all, asJSON)
	}
	return f
}

// setAbsent takes the few words for absent that came where numbers came, too.
func (f *format) setAbsent(all []*seen, asJSON bool) {
	var words []string
	many := false
	for _, s := range all {
		if s.kinds&kindNumber == 0 || s.kinds&(kindsWhole|kindPairs|kindBytes) != 0 {
			continue
		}
		for _, w := range s.words {
			many = many || len(w) > maxWord
			if w = asAbsent(w, asJSON); !slices.Contains(words, w) {
				words = append(words, w)
			}
		}
	}
	slices.Sort(words)
	if many || len(words) > maxWords {
		f.note = fmt.Sprintf("numbers come with many words, such as %s: put those that stand for no reading into absent", clip(strings.Trim(words[0], `"`)))
		return
	}
	f.absent = words
}

// asAbsent is a payload as the list of absent values has it.
func asAbsent(word string, asJSON bool) string {
	if asJSON {
		return word // of which YAML takes everything
	}
	if kindOf([]byte(word)) == kindNaN {
		return "null"
	}
	return strconv.Quote(word)
}

// lines are what the template of a topic has below it.
func (f *format) lines() (lines []string) {
	if f.payload != "" {
		lines = append(lines, "payload: "+f.payload)
	}
	if f.each {
		lines = append(lines, "each: payload")
	}
	if len(f.absent) > 0 {
		lines = append(lines, "absent: ["+strings.Join(f.absent, ", ")+"]")
	}
	return lines
}
